"""The template, transformed, is created in the sandbox's AWS, and the built artifacts run in it.

Nothing but the stack says which resources there are: functions have the variables of the template,
documents go through its buckets, its rule and its queue, and people use its outputs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.functions import FunctionRunner
from rotation.sandbox.aws.rotations import RetryPolicy, StepRun
from rotation.sandbox.vendor import Pki, PortalKey, Role, ValidationServices, VendorEmulator
from rotation.sealing.storage.s3 import IN_MEMORY
from rotation.sealing.verify import verify
from tests.artifacts.emulator import EmulatedFunction
from tests.artifacts.parameter_sets import FULLEST, SHORTEST
from tests.artifacts.stack import Stack
from tests.artifacts.template import Template
from tests.artifacts.toolchain import SCRIPTS
from tests.sealing.images import png
from tests.sealing.pdfs import large, pdf
from tests.unattended.fixtures import as_record, task


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Deployed:
    """A stack with its vendor, and what people and programs do with it."""

    stack: Stack
    cloud: Cloud
    vendor: VendorEmulator
    trust_root: bytes

    def put_value(self, secret: str, value: Mapping[str, Any]) -> None:
        """What a person does: store a value in a secret."""
        client = self.cloud.client("secretsmanager")
        client.put_secret_value(SecretId=secret, SecretString=json.dumps(value))

    def stock(self) -> None:
        """What a person does on the first day: keys into the pool, or the admin credential."""
        if self.stack.template.parameters["KeyIssuer"] == "key-pool":
            made = [self.vendor.keys.create() for _ in range(3)]
            entries = [{"apiKeyId": one.id, "apiKey": one.material} for one in made]
            self.put_value(self.stack.output("PoolSecretName"), {"keys": entries})
        else:
            admin = self.vendor.keys.create(role=Role.ADMIN)
            credential = {"apiKey": admin.material, "apiKeyId": admin.id}
            self.put_value(self.stack.output("AdminSecretArn"), credential)

    def current(self) -> dict[str, Any]:
        """The value that applications read."""
        answer = self.cloud.client("secretsmanager").get_secret_value(
            SecretId=self.stack.output("SecretArn"), VersionStage="AWSCURRENT"
        )
        value: dict[str, Any] = json.loads(answer["SecretString"])
        return value

    def rotate(self) -> PortalKey:
        """Rotate, and give the vendor's key that is current then."""
        secret = self.stack.output("SecretArn")
        answer = self.cloud.client("secretsmanager").rotate_secret(SecretId=secret)
        outcome = self.cloud.wait_for_rotation(secret, answer["VersionId"], timedelta(seconds=120))
        assert outcome.succeeded, outcome.error
        self.cloud.wait_for_events(timedelta(seconds=120))
        key = self.vendor.keys.accepted(self.current()["apiKeyId"])
        assert key is not None
        return key

    def invoke(self, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """Invoke a function by its name, and give its answer, which is no error."""
        answer = self.cloud.client("lambda").invoke(
            FunctionName=function, Payload=json.dumps(event).encode()
        )
        told: dict[str, Any] = json.loads(answer["Payload"].read())
        assert answer.get("FunctionError") is None, told
        return told

    def put_source(self, key: str, content: bytes) -> str:
        """A document into the source bucket; its version."""
        answer = self.cloud.client("s3").put_object(
            Bucket=self.stack.output("SourceBucketName"), Key=key, Body=content
        )
        return str(answer["VersionId"])

    def sealed(self, key: str, source: bytes) -> None:
        """Check that the destination bucket holds the source and one trusted seal over all."""
        bucket = self.stack.output("DestinationBucketName")
        content = self.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        report, *_ = verify(content, self.trust_root)
        assert content.startswith(source)
        assert (report.problem, report.trusted) == (None, True)

    def seal(self, key: str, content: bytes) -> None:
        """What an application does: take the key, and ask the sealing function."""
        parameters = self.stack.template.parameters
        source = f"{parameters['SourcePrefix']}{key}"
        destination = f"{parameters['DestinationPrefix']}{key}"
        self.put_source(source, content)
        held = self.current()
        answer = self.invoke(
            self.stack.output("SealingFunctionName"),
            {
                "source": {"bucket": self.stack.output("SourceBucketName"), "key": source},
                "destination": {
                    "bucket": self.stack.output("DestinationBucketName"),
                    "key": destination,
                },
                "credential": {name: held[name] for name in ("apiKey", "apiKeyId")},
            },
        )
        assert answer["status"] == "sealed", answer
        self.sealed(destination, content)

    def deliver_arrivals(self) -> None:
        """What Lambda's poller does with the mapping that the stack has."""
        [mapping] = self.stack.mappings
        sqs: Any = self.cloud.client("sqs")  # type: ignore[call-overload]
        queue = sqs.get_queue_url(QueueName=mapping["EventSourceArn"].rpartition(":")[2])
        found = sqs.receive_message(
            QueueUrl=queue["QueueUrl"],
            MaxNumberOfMessages=int(mapping["BatchSize"]),
            AttributeNames=["All"],
        )
        records = [as_record(message) for message in found["Messages"]]
        answer = self.invoke(mapping["FunctionName"], {"Records": records})
        assert answer == {"batchItemFailures": []}

    def force(self, leaked: str) -> dict[str, Any]:
        """What a responder does: one command. A person who is asked for it revokes the key."""

        def revoke(run: StepRun) -> None:
            if run.step == "finishSecret" and run.error is None:
                self.vendor.keys.revoke(leaked)

        self.cloud.watch_rotations(revoke)
        finished = subprocess.run(
            [
                *(str(SCRIPTS / "rotation"), "force", self.stack.output("SecretArn")),
                *("--reason", "key-compromise", "--json"),
                *("--reconcile-function", self.stack.output("ReconcileFunctionName")),
            ],
            env={"PATH": "/usr/bin:/bin", **self.cloud.environment()},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        told: dict[str, Any] = json.loads(finished.stdout)
        return told


@dataclass
class Site:
    """Where a stack is deployed: the sandbox's AWS, the vendor, and what runs functions."""

    cloud: Cloud
    vendor: VendorEmulator
    services: ValidationServices
    folder: Path
    built: Path
    runtime: Path
    interface_emulator_binary: Path

    def deploy(self, **parameters: str) -> Deployed:
        """Create the stack."""
        stack = Stack(self.cloud, Template.read(**parameters), self._function).create()
        return Deployed(stack, self.cloud, self.vendor, self.services.pki.root_pem)

    def _function(self, name: str, called: str, properties: Mapping[str, Any]) -> FunctionRunner:
        variables = properties["Environment"]["Variables"]
        return EmulatedFunction(
            artifact=self.built / properties["Code"]["S3Key"].split("/")[1].removesuffix(".zip"),
            handler=properties["Handler"],
            environment={
                **{variable: str(value) for variable, value in variables.items()},
                **self.cloud.environment(),
                # The vendor is here, without TLS, and nobody waits a minute for it.
                "VENDOR_URL": self.vendor.url,
                "ADMIN_API_URL": "",
                "EGRESS_PROXY": "",
                "EGRESS_CA": "",
                "PROPAGATION_LIMIT_SECONDS": "0.5",
            },
            runtime=self.runtime,
            emulator=self.interface_emulator_binary,
            log=self.folder / f"{name}.log",
            name=called,
            timeout=timedelta(seconds=int(properties["Timeout"])),
        ).start()


@pytest.fixture
def site(
    built_with_repair: Path, runtime: Path, interface_emulator_binary: Path, tmp_path: Path
) -> Iterator[Site]:
    """Nothing is deployed yet. The artifact can repair, as the fullest set asks for."""
    services = ValidationServices(Pki.create(_now()), clock=_now)
    vendor = VendorEmulator(services.pki, clock=_now)
    with ExitStack() as running:
        running.enter_context(services)
        running.enter_context(vendor)
        cloud = running.enter_context(Cloud(retries=RetryPolicy(())))
        yield Site(
            cloud,
            vendor,
            services,
            tmp_path,
            built_with_repair,
            runtime,
            interface_emulator_binary,
        )


def test_the_shortest_stack_rotates_and_seals(site: Site) -> None:
    """One address given: rotation, reconciliation, seals small and large, and a forced rotation."""
    deployed = site.deploy(**SHORTEST)
    assert [run.error for run in site.cloud.rotations] == [None], "the pool may be empty"
    deployed.stock()
    leaked = deployed.rotate()
    deployed.seal("small.pdf", pdf())
    deployed.seal("large.pdf", large(IN_MEMORY))
    told = deployed.force(leaked.id)
    assert deployed.vendor.keys.accepted(leaked.id) is None
    assert deployed.current()["apiKeyId"] != leaked.id, told
    report = deployed.invoke(deployed.stack.output("ReconcileFunctionName"), {"action": "report"})
    [secret] = report["secrets"]
    assert secret["failures"] == []


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For files that a parameter names: a path in an environment must be short."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def test_the_fullest_stack_rotates_and_seals(site: Site, short_folder: Path) -> None:
    """Everything turned on: the same, and what arrives and what a job names is sealed too."""
    _create_what_is_given(site.cloud)
    image, anchors = short_folder / "seal.png", short_folder / "signer-anchors.pem"
    image.write_bytes(png(20, 10))
    anchors.write_bytes(site.services.pki.root_pem)
    deployed = site.deploy(
        **{
            **FULLEST,
            **_created_network(site.cloud),
            "SignerTrustAnchors": str(anchors),
            "ValidationHosts": site.services.host,
            "TsaUrl": site.services.tsa_url,
            "SealVisibleImage": str(image),
        }
    )
    deployed.stock()
    leaked = deployed.rotate()
    deployed.seal("small.pdf", pdf())
    deployed.seal("large.pdf", large(IN_MEMORY))
    version = deployed.put_source("incoming/arrived.pdf", pdf())
    deployed.deliver_arrivals()
    deployed.sealed(f"sealed/incoming/arrived.pdf/{version}.pdf", pdf())
    version = deployed.put_source("incoming/in-bulk.txt", pdf())
    asked = task(deployed.stack.output("SourceBucketName"), "incoming/in-bulk.txt", version)
    function = deployed.stack.output("SealBatchFunctionArn").rpartition(":")[2]
    [result] = deployed.invoke(function, asked)["results"]
    assert result["resultCode"] == "Succeeded", result
    deployed.sealed(f"sealed/incoming/in-bulk.txt/{version}.pdf", pdf())
    told = deployed.force(leaked.id)
    assert deployed.vendor.keys.accepted(leaked.id) is None
    assert deployed.current()["apiKeyId"] != leaked.id, told


def _create_what_is_given(cloud: Cloud) -> None:
    """The bus, the ledger's bucket, and the one for access logs, which admits S3.

    Who deploys has them.
    """
    logs, s3 = FULLEST["AccessLogBucketName"], cloud.client("s3")
    for name in (logs, FULLEST["LedgerBucketName"]):
        s3.create_bucket(Bucket=name)
    events: Any = cloud.client("events")  # type: ignore[call-overload]
    events.create_event_bus(Name=FULLEST["PhaseEventsBusName"])
    admit = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{logs}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [admit]}
    s3.put_bucket_policy(Bucket=logs, Policy=json.dumps(policy))


def _created_network(cloud: Cloud) -> dict[str, str]:
    """The VPC that the functions are in: whoever deploys has it."""
    ec2: Any = cloud.client("ec2")  # type: ignore[call-overload]
    cidr = FULLEST["VpcCidr"]
    vpc = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr)["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    return {"VpcId": vpc, "SubnetIds": subnet, "RouteTableIds": table}
