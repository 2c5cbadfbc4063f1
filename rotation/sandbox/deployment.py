"""What ``template.yaml`` deploys, on this machine: functions, buckets and secrets.

The vendor is emulated, AWS is moto made faithful, and each function runs in processes of its
own. Nothing is reachable from outside, and key material is written to no file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from rotation.privacy.library_logs import protect_process
from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.functions import FunctionRunner
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.aws.versions import AWSCURRENT
from rotation.sandbox.vendor import Pki, PortalKey, Role, ValidationServices, VendorEmulator

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECRET: Final = "trusted-signatures-api"  # noqa: S105 - the secret's name
ADMIN_SECRET: Final = "trusted-signatures-admin"  # noqa: S105 - the secret's name
POOL_SECRET: Final = "trusted-signatures-pool"  # noqa: S105 - the secret's name
SOURCE_BUCKET: Final = "documents-to-seal"
DESTINATION_BUCKET: Final = "sealed-documents"
ROTATE: Final = "trusted-signatures-rotate"
RECONCILE: Final = "trusted-signatures-reconcile"
SEAL: Final = "trusted-signatures-seal"
#: The event bus for phases; every account has it.
PHASES_BUS: Final = "default"
#: The reconcile function's alias for a break-glass role.
BREAK_GLASS: Final = "revoke-first"
EVIDENCE_BUCKET: Final = "trusted-signatures-evidence"
#: The default of the template's parameter EvidenceRetentionDays.
EVIDENCE_RETENTION: Final = timedelta(days=365)
#: The timeouts of ``template.yaml``.
TIMEOUTS: Final = {
    ROTATE: timedelta(seconds=300),
    RECONCILE: timedelta(seconds=900),
    SEAL: timedelta(seconds=300),
}
GRACE: Final = timedelta(hours=2)

#: Makes what runs a function, of its name, its handler and its environment.
MakeRunner = Callable[[str, str, Mapping[str, str]], FunctionRunner]


class Deployment:
    """The whole deployment; a context manager.

    Args:
        folder: where logs and the trust root go; made if it does not exist.
        propagation_delay: how long the vendor takes to accept a new key.
        retries: how often and how soon a failed rotation is repeated.
        make_runner: runs the functions otherwise than from this source tree.
        key_pool: rotate with keys from a pool, which `stock_pool` fills, and with no admin
            credential, as with the vendor as it is published.
        propagation_limit: the functions' setting of that name; a new key and a death take so long
            to prove.
        phase_events: whether those who depend on the key hear of its phases, on the event bus
            `PHASES_BUS`.
        validation_services: whether the vendor's certificates name services, as those of a real CA
            do. Viewers ask them, and do not trust a seal whose services have ended.

    Attributes:
        vendor: the emulated vendor.
        services: an OCSP responder, CRLs and a TSA that its certificates name; None: no such.
        cloud: the emulated AWS.
        trust_root: the PEM file of the vendor's root certificate.
        logs: the folder with one log file a function.
        ahead: how far the clock of AWS, of the vendor and of the functions that run in processes
            is ahead of the machine's. Assign to it; an invocation under way keeps its clock.
    """

    def __init__(
        self,
        folder: Path,
        *,
        propagation_delay: timedelta = timedelta(0),
        retries: RetryPolicy | None = None,
        make_runner: MakeRunner | None = None,
        key_pool: bool = False,
        propagation_limit: timedelta = timedelta(seconds=1),
        phase_events: bool = False,
        validation_services: bool = False,
    ) -> None:
        protect_process()
        self.folder = folder.resolve()
        self.logs = self.folder / "logs"
        self.trust_root = self.folder / "trust-root.pem"
        self._make_runner = make_runner or self._in_a_process
        self.key_pool = key_pool
        self._phase_events = phase_events
        self._propagation_limit = propagation_limit
        self.ahead = timedelta(0)
        self._processes: dict[str, ProcessFunction] = {}
        self._pki = Pki.create(self.now())
        self.services: ValidationServices | None = None
        if validation_services:
            self.services = ValidationServices(self._pki, clock=self.now)
            self._pki = self.services.pki
        self.vendor = VendorEmulator(self._pki, clock=self.now, propagation_delay=propagation_delay)
        self.cloud = Cloud(retries=retries or RetryPolicy(), clock=self.now)
        self.secret_arn = ""

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        self.trust_root.write_bytes(self._pki.root_pem)
        with ExitStack() as undo:
            if self.services is not None:
                undo.enter_context(self.services)
            undo.enter_context(self.vendor)
            undo.enter_context(self.cloud)
            self._deploy()
            self._running = undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End every process, connection and thread."""
        self._running.close()

    def now(self) -> datetime:
        """The time here, aware UTC: the machine's, and `ahead` of it."""
        return datetime.now(UTC) + self.ahead

    def kill(self, function: str) -> int:
        """Kill the processes of a function, as if they had crashed.

        Returns:
            How many invocations were under way. They failed, and what AWS repeats is repeated.
        """
        return self._processes[function].kill()

    def environment(self) -> dict[str, str]:
        """What to export so that boto3 and the stock ``aws`` command line work against it."""
        return self.cloud.environment()

    def validation_environment(self) -> dict[str, str]:
        """The settings by which seals get the levels B-LT and B-LTA; none without services."""
        if self.services is None:
            return {}
        return {"VALIDATION_HOSTS": self.services.host, "TSA_URL": self.services.tsa_url}

    def reconcile(
        self, action: str = "reconcile", *secrets: str, **members: str | bool
    ) -> dict[str, Any]:
        """What the hourly schedule does, or an operator who asks: the report.

        Args:
            action: an action of the function, such as ``reconcile`` or ``report``.
            secrets: names or ARNs; none for all.
            members: further members of the event.
        """
        event = {"action": action, **members} | ({"secrets": list(secrets)} if secrets else {})
        answer = self.cloud.client("lambda").invoke(
            FunctionName=RECONCILE, Payload=json.dumps(event).encode()
        )
        report: dict[str, Any] = json.loads(answer["Payload"].read())
        return report

    def store_first_key(self) -> PortalKey:
        """What a person does once: make a key in the vendor's portal, put it in the secret."""
        key = self.vendor.keys.create()
        self.cloud.client("secretsmanager").put_secret_value(
            SecretId=SECRET,
            SecretString=json.dumps({"apiKey": key.material, "apiKeyId": key.id}),
        )
        return key

    def stock_pool(self, *keys: PortalKey) -> None:
        """What a person does with a pool: keys made in the portal are its free ones, and no others.

        Writes the pool's value as a person would by hand; ``rotation pool add`` checks more.
        """
        entries = [
            {"apiKeyId": key.id, "apiKey": key.material, "expiresAt": key.expires_at.isoformat()}
            for key in keys
        ]
        self.cloud.client("secretsmanager").put_secret_value(
            SecretId=POOL_SECRET, SecretString=json.dumps({"keys": entries})
        )

    def turn_on_rotation(self) -> None:
        """Configure the schedule, as the template's RotationSchedule does, without rotating."""
        answer = self.cloud.client("secretsmanager").rotate_secret(
            SecretId=SECRET,
            RotationLambdaARN=self._functions[ROTATE],
            RotationRules={"AutomaticallyAfterDays": 30},
            RotateImmediately=False,
        )
        self.cloud.wait_for_rotation(SECRET, answer["VersionId"])

    def seal(
        self, source: str, destination: str, *, stage: str = AWSCURRENT, **options: object
    ) -> dict[str, Any]:
        """Do what an application does: take the key from the secret and ask the sealing function.

        Args:
            source: the document's key in the source bucket.
            destination: the sealed document's key in the destination bucket.
            stage: the staging label of the version whose key is used.
            options: the request's options; ``docs/sealing.md`` lists them.
        """
        held = self._secret(stage)
        answer = self.cloud.client("lambda").invoke(
            FunctionName=SEAL,
            Payload=json.dumps(
                {
                    "source": {"bucket": SOURCE_BUCKET, "key": source},
                    "destination": {"bucket": DESTINATION_BUCKET, "key": destination},
                    "credential": {name: held[name] for name in ("apiKey", "apiKeyId")},
                    "options": options,
                }
            ).encode(),
        )
        answered: dict[str, Any] = json.loads(answer["Payload"].read())
        return answered

    def key_id(self, stage: str) -> str:
        """The id of the key in the version that bears the staging label ``stage``."""
        return str(self._secret(stage)["apiKeyId"])

    def _secret(self, stage: str) -> dict[str, str]:
        value = self.cloud.client("secretsmanager").get_secret_value(
            SecretId=SECRET, VersionStage=stage
        )
        held: dict[str, str] = json.loads(value["SecretString"])
        return held

    def _create_contents(self) -> None:
        """Buckets, the secret without a value, and the issuer's secret."""
        s3 = self.cloud.client("s3")
        for bucket in (SOURCE_BUCKET, DESTINATION_BUCKET):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        create_evidence_bucket(s3, EVIDENCE_BUCKET)
        secrets = self.cloud.client("secretsmanager")
        if self.key_pool:
            secrets.create_secret(Name=POOL_SECRET)
        else:
            admin = self.vendor.keys.create(role=Role.ADMIN)
            secrets.create_secret(
                Name=ADMIN_SECRET,
                SecretString=json.dumps({"apiKey": admin.material, "apiKeyId": admin.id}),
            )
        self.secret_arn = secrets.create_secret(Name=SECRET)["ARN"]

    def _deploy(self) -> None:
        self._create_contents()
        handlers = {
            ROTATE: "rotation.handlers.rotate.handler",
            RECONCILE: "rotation.handlers.reconcile.handler",
            SEAL: "rotation.handlers.seal.handler",
        }
        self._functions = {
            name: self.cloud.add_function(
                name,
                self._make_runner(name, handler, self._function_environment(name)),
                timeout=TIMEOUTS[name],
            )
            for name, handler in handlers.items()
        }
        # The runtime interface emulator knows no aliases: this one always runs the source tree.
        self.cloud.add_alias(
            RECONCILE,
            BREAK_GLASS,
            self._in_a_process(
                f"{RECONCILE}:{BREAK_GLASS}",
                handlers[RECONCILE],
                self._function_environment(RECONCILE),
            ),
        )

    def _function_environment(self, name: str) -> dict[str, str]:
        vendor = {
            "VENDOR_URL": self.vendor.url,
            "SIGNER_TRUST_ANCHORS": str(self.trust_root),
            "SIGNER_ORGANIZATION": "Trusted Signatures Sandbox",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }
        rotation = {
            "INSTALLATION_ID": "sandbox",
            "ROTATED_SECRETS": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:*",
            **self._issuer_environment(),
            "EVIDENCE_BUCKET": EVIDENCE_BUCKET,
            "GRACE_HOURS": str(GRACE / timedelta(hours=1)),
            "PROPAGATION_LIMIT_SECONDS": str(self._propagation_limit.total_seconds()),
        }
        own = {
            ROTATE: {**rotation, "RECONCILE_FUNCTION": RECONCILE},
            RECONCILE: {
                **rotation,
                "ROTATION_FUNCTION": _function_arn(ROTATE),
                "PHASE_EVENTS_BUS": PHASES_BUS if self._phase_events else "",
            },
            SEAL: {
                "SOURCE_LOCATIONS": SOURCE_BUCKET,
                "DESTINATION_LOCATIONS": DESTINATION_BUCKET,
                **self.validation_environment(),
            },
        }[name]
        return {**self.cloud.environment(self.cloud.function_caller(name)), **vendor, **own}

    def _issuer_environment(self) -> dict[str, str]:
        if self.key_pool:
            return {"KEY_ISSUER": "key-pool", "POOL_SECRET": POOL_SECRET}
        return {"KEY_ISSUER": "admin-api", "ADMIN_SECRET": ADMIN_SECRET}

    def _in_a_process(
        self, name: str, handler: str, environment: Mapping[str, str]
    ) -> FunctionRunner:
        self._processes[name] = ProcessFunction(
            handler,
            environment=environment,
            log_path=self.logs / f"{name.partition(':')[0]}.log",
            timeout=TIMEOUTS[name.partition(":")[0]],
            concurrency=4,
            name=name,
            ahead=lambda: self.ahead,
        )
        return self._processes[name]


def create_evidence_bucket(s3: S3Client, name: str) -> None:
    """A bucket like the template's ``EvidenceBucket``: versions, and each is kept for its time."""
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(
        Bucket=name,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {
                "DefaultRetention": {
                    "Mode": "GOVERNANCE",
                    "Days": EVIDENCE_RETENTION // timedelta(days=1),
                }
            },
        },
    )


def _function_arn(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
