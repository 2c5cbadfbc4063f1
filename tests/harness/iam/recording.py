"""Runs the flows in the sandbox, each function and person with a key id of its own, and records.

The key id that signs a request is the name of the role or policy that it stands for.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.traffic import AwsError, AwsFault, Dropped
from rotation.sandbox.deployment import (
    DESTINATION_BUCKET,
    RECONCILE,
    ROTATE,
    SEAL,
    SECRET,
    SOURCE_BUCKET,
    Deployment,
)
from tests.sealing.pdfs import large, pdf
from tests.unattended.fixtures import task

LEDGER: Final = "ledger"
#: Where the trail of CloudTrail writes.
TRAIL_BUCKET: Final = "trail-logs"
BUS: Final = "keys"
TOPIC: Final = f"arn:aws:sns:{REGION}:{ACCOUNT}:key-keepers"
EVENTS: Final = "trusted-signatures-events"
BATCH: Final = "trusted-signatures-batch"
ROLES: Final = {
    ROTATE: "RotationRole",
    RECONCILE: "ReconcileRole",
    SEAL: "SealingRole",
    EVENTS: "SealEventsRole",
    BATCH: "SealBatchRole",
}
RESPONDER: Final = "ResponderPolicy"
BREAK_GLASS: Final = "BreakGlassPolicy"
AUDITOR: Final = "AuditorPolicy"
#: The services whose interface is a form (the query protocol).
_FORMS: Final = ("sns", "iam")

_SIGNED: Final = re.compile(r"Credential=([^/,]+)/\d+/[^/]+/([^/]+)/")


@dataclass(frozen=True)
class Call:
    """One request to AWS, and the status of its answer.

    Attributes:
        role: the role or policy whose rights it needs.
        service: the service, as in the scope of the signature.
        operation: the operation of a JSON interface; else the HTTP method.
        path: the path of a REST interface.
        members: the members of the request, or of its query; headers in lower case.
        status: the status of the answer.
    """

    role: str
    service: str
    operation: str
    path: str
    members: Mapping[str, Any]
    status: int


@dataclass
class Recorder:
    """A WSGI application that records what it passes on."""

    application: Callable[..., Any]
    calls: list[Call] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Serve one request."""
        read = _read(environ)

        def started(status: str, *rest: Any) -> Any:
            if read is not None:
                self.calls.append(Call(*read, status=int(status.split(maxsplit=1)[0])))
            return start_response(status, *rest)

        return self.application(environ, started)


def _read(environ: dict[str, Any]) -> tuple[str, str, str, str, Mapping[str, Any]] | None:
    signed = _SIGNED.search(environ.get("HTTP_AUTHORIZATION", ""))
    if signed is None:
        return None
    role, service = signed.groups()
    target = environ.get("HTTP_X_AMZ_TARGET")
    path = unquote(environ.get("PATH_INFO", ""))
    if target is None and service not in _FORMS:
        headers = {
            name[5:].lower().replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        return role, service, environ["REQUEST_METHOD"], path, headers | query
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    if target is None:
        members: dict[str, Any] = dict(parse_qsl(body.decode()))
        return role, service, members.get("Action", ""), path, members
    return role, service, target.rpartition(".")[2], path, json.loads(body or b"{}")


class RecordedDeployment(Deployment):
    """The sandbox's deployment with every function, each under the name of its role."""

    def __enter__(self) -> RecordedDeployment:
        super().__enter__()
        traffic = self.cloud._traffic
        self.recorder = Recorder(traffic._application)
        traffic._application = self.recorder
        self.cloud.client("s3").create_bucket(Bucket=LEDGER)
        topics: Any = self.cloud.client("sns")  # type: ignore[call-overload]
        topics.create_topic(Name=TOPIC.rpartition(":")[2])
        for name, handler in ((EVENTS, "seal_events"), (BATCH, "seal_batch")):
            environment = {
                **self._function_environment(SEAL),
                **self.cloud.environment(ROLES[name]),
                "CREDENTIAL_SECRET": self.secret_arn,
            }
            runner = ProcessFunction(
                f"rotation.handlers.{handler}.handler",
                environment=environment,
                log_path=self.logs / f"{name}.log",
                timeout=timedelta(seconds=300),
                concurrency=2,
                name=name,
            )
            self.cloud.add_function(name, runner, timeout=timedelta(seconds=300))
        return self

    def _function_environment(self, name: str) -> dict[str, str]:
        own = {
            ROTATE: {"NOTIFICATION_TOPIC": TOPIC},
            RECONCILE: {
                "NOTIFICATION_TOPIC": TOPIC,
                "SEAL_LEDGER": f"s3://{LEDGER}/seals",
                "PHASE_EVENTS_BUS": BUS,
            },
            SEAL: {
                "SOURCE_LOCATIONS": f"{SOURCE_BUCKET}/incoming/",
                "DESTINATION_LOCATIONS": f"{DESTINATION_BUCKET}/sealed/",
                "SEAL_LEDGER": f"s3://{LEDGER}/seals",
                "COPY_TAGS": "true",
                "COPY_METADATA": "true",
            },
        }[name]
        return {
            **super()._function_environment(name),
            **own,
            **self.cloud.environment(ROLES[name]),
        }

    def command(self, caller: str, *arguments: str, seconds: float = 180) -> None:
        """Run a command of ``rotation`` as ``caller``; what it answers is another test's matter."""
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [Path(sys.executable).parent / "rotation", *arguments],
                env={
                    "PATH": os.environ["PATH"],
                    **self.cloud.environment(caller),
                    "ROTATION_RECONCILE_FUNCTION": RECONCILE,
                },
                capture_output=True,
                timeout=seconds,
                check=False,
            )

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """Invoke one of the functions, as AWS does."""
        answer = self.cloud.client("lambda").invoke(
            FunctionName=function, Payload=json.dumps(event).encode()
        )
        return json.loads(answer["Payload"].read())

    def rotate(self) -> None:
        """A rotation as the schedule begins it."""
        answer = self.cloud.client("secretsmanager").rotate_secret(SecretId=SECRET)
        assert self.cloud.wait_for_rotation(SECRET, answer["VersionId"]).succeeded


def record(folder: Path) -> list[Call]:
    """The calls of every flow, with both issuers."""
    return [*_with_admin_api(folder / "admin-api"), *_with_pool(folder / "pool")]


def _with_admin_api(folder: Path) -> Iterable[Call]:
    with RecordedDeployment(folder) as deployed:
        deployed.store_first_key()
        deployed.turn_on_rotation()
        deployed.rotate()
        deployed.reconcile()
        _seal(deployed)
        _respond(deployed)
        return deployed.recorder.calls


def _seal(deployed: RecordedDeployment) -> None:
    s3 = deployed.cloud.client("s3")
    versions = {}
    for name, body in (
        *(("a.pdf", pdf()), ("large.pdf", large(9 * 1024 * 1024))),
        *(("b.pdf", pdf()), ("larger.pdf", large(9 * 1024 * 1024 + 1))),
        ("largest.pdf", large(9 * 1024 * 1024 + 2)),
    ):
        put = s3.put_object(
            Bucket=SOURCE_BUCKET,
            Key=f"incoming/{name}",
            Body=body,
            Tagging="team=archive",
            Metadata={"team": "archive"},
        )
        versions[name] = put["VersionId"]
    for name in ("a.pdf", "large.pdf"):
        answer = deployed.seal(f"incoming/{name}", f"sealed/{name}")
        assert answer["status"] == "sealed", answer
    _fail(deployed, versions["large.pdf"], versions["larger.pdf"])
    for name in ("b.pdf", "largest.pdf"):
        deployed.invoke(BATCH, task(SOURCE_BUCKET, f"incoming/{name}", versions[name]))
    for name in ("a.pdf", "large.pdf"):
        deployed.invoke(EVENTS, _arrival(name, versions[name]))


def _fail(deployed: RecordedDeployment, version: str, other: str) -> None:
    """Uploads that fail are aborted; those whose beginning was not answered are found first."""
    refused: AwsFault = AwsError("AccessDenied", status=403)
    lost: AwsFault = Dropped()
    requests = {
        SEAL: ("sealed/broken.pdf", {}),
        EVENTS: (f"sealed/incoming/large.pdf/{version}.pdf", _arrival("large.pdf", version)),
        BATCH: (
            f"sealed/incoming/larger.pdf/{other}.pdf",
            task(SOURCE_BUCKET, "incoming/larger.pdf", other),
        ),
    }
    faults = deployed.cloud.faults
    for function, (key, event) in requests.items():
        for method, fail, fault in (
            ("PUT", faults.before, refused),
            ("POST", faults.after, lost),
        ):
            fail(f"{method} /{DESTINATION_BUCKET}/{key}", fault, times=9)
            if function == SEAL:
                deployed.seal("incoming/large.pdf", key)
            else:
                deployed.invoke(function, event)
            faults.clear()


def _arrival(name: str, version: str) -> dict[str, Any]:
    """A message of the queue about a document that has arrived."""
    detail = {
        "bucket": {"name": SOURCE_BUCKET},
        "object": {"key": f"incoming/{name}", "version-id": version},
    }
    body = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
    return {"Records": [{"messageId": name, "body": json.dumps(body)}]}


def _respond(deployed: RecordedDeployment) -> None:
    respond = deployed.command
    respond(RESPONDER, "status", SECRET)
    respond(
        RESPONDER, "hold", SECRET, "--until", f"{datetime.now(UTC) + timedelta(days=5):%Y-%m-%d}"
    )
    respond(RESPONDER, "hold", SECRET, "--release")
    respond(RESPONDER, "rollback", SECRET, "--apply")
    deployed.rotate()
    _audit(deployed)
    respond(RESPONDER, "force", SECRET, "--reason", "key-compromise")
    respond(RESPONDER, "evidence", SECRET)
    respond(RESPONDER, "force", "--tag", "team=archive", "--reason", "key-compromise")
    respond(BREAK_GLASS, "force", SECRET, "--revoke-first", "--reason", "key-compromise")
    secrets = deployed.cloud.client("secretsmanager")
    secrets.put_secret_value(
        SecretId=SECRET,
        SecretString="{}",
        VersionStages=["AWSPENDING"],
        ClientRequestToken="5" * 32,
    )
    respond(RESPONDER, "unstick", SECRET, "--apply")


def _audit(deployed: RecordedDeployment) -> None:
    client: Any = deployed.cloud.client
    iam, kms = client("iam"), client("kms")
    iam.create_user(UserName="somebody")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    client("secretsmanager").create_secret(Name="of-others", SecretString="x", KmsKeyId=key)
    deployed.command(AUDITOR, "exposure", SECRET)
    policy = {
        "Effect": "Allow",
        "Principal": {"AWS": "999999999999"},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }
    client("secretsmanager").put_resource_policy(
        SecretId=SECRET, ResourcePolicy=json.dumps({"Statement": [policy]})
    )
    client("accessanalyzer").create_analyzer(analyzerName="account", type="ACCOUNT")
    # The history, then what a trail has written, then CloudTrail Lake.
    client("s3").create_bucket(Bucket=TRAIL_BUCKET)
    client("cloudtrail").create_trail(Name="all", S3BucketName=TRAIL_BUCKET)
    client("cloudtrail").start_logging(Name="all")
    deployed.ahead = -timedelta(days=120)
    client("secretsmanager").get_secret_value(SecretId=SECRET)
    deployed.ahead = timedelta(0)
    deployed.cloud.deliver_log_files()
    since = f"{datetime.now(UTC) - timedelta(days=121):%Y-%m-%d}"
    deployed.command(AUDITOR, "exposure", SECRET, "--since", since)
    client("cloudtrail").create_event_data_store(Name="lake")
    deployed.command(AUDITOR, "exposure", SECRET, "--since", since)
    deployed.command(AUDITOR, "leaver", "user/somebody", "--plan", f"{deployed.folder}/plan.json")
    client("secretsmanager").delete_secret(SecretId="of-others", ForceDeleteWithoutRecovery=True)


def _with_pool(folder: Path) -> Iterable[Call]:
    with RecordedDeployment(folder, key_pool=True) as deployed:
        deployed.store_first_key()
        deployed.turn_on_rotation()
        secrets = deployed.cloud.client("secretsmanager")
        answer = secrets.rotate_secret(SecretId=SECRET)
        deployed.cloud.wait_for_rotation(SECRET, answer["VersionId"])
        deployed.reconcile()
        deployed.command(RESPONDER, "unstick", SECRET, "--apply")
        keys = [deployed.vendor.keys.create() for _ in range(2)]
        deployed.stock_pool(*keys)
        deployed.rotate()
        deployed.reconcile()
        deployed.command(RESPONDER, "force", "--pool", "--reason", "key-compromise", seconds=20)
        for key in keys:
            deployed.vendor.keys.revoke(key.id)
        deployed.reconcile()
        deployed.reconcile()
        return deployed.recorder.calls
