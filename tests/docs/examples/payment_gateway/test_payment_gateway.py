"""The whole life of another vendor's keys: rotated, retired, forced, and proven dead."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from payment_gateway.gateway import GATEWAY_KEY, GatewayApi, GatewayIssuer, GatewayProver
from rotation.core.ports import KeyLabel, Revocation
from rotation.credential import ApiKey
from rotation.errors import (
    CredentialRejectedError,
    InvalidCredentialError,
    VendorRefusedError,
    VendorUnavailableError,
)
from rotation.incident.containment import Containment, WaitClock, contain
from rotation.incident.declaration import from_free_text
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import create_evidence_bucket
from tests.client.fixtures import wait_until
from tests.docs.examples.payment_gateway.emulator import GatewayEmulator, GatewayKey, served
from tests.paths import ROOT

SECRET = "prod/payment/gateway-key"
ADMIN_SECRET = "prod/payment/gateway-admin"
EVIDENCE = "payment-evidence"
ROTATE, RECONCILE = "gateway-rotate", "gateway-reconcile"


@pytest.fixture
def gateway() -> Iterator[GatewayEmulator]:
    """A gateway with an account of the test's own."""
    with served() as running:
        yield running


class GatewayDeployment:
    """The example's functions, each in a process of its own, and the secret that they rotate."""

    def __init__(self, cloud: Cloud, gateway: GatewayEmulator, folder: Path) -> None:
        self.cloud = cloud
        self.gateway = gateway
        self.folder = folder
        self.secrets = cloud.client("secretsmanager")
        create_evidence_bucket(cloud.client("s3"), EVIDENCE)
        admin = gateway.create(admin=True)
        self.secrets.create_secret(Name=ADMIN_SECRET, SecretString=held(admin))
        self.first_key = gateway.create()
        #: A key of somebody else in the same account.
        self.strange_key = gateway.create(metadata={"team": "shop"})
        answer = self.secrets.create_secret(
            Name=SECRET, SecretString=held(self.first_key, team="x")
        )
        self.arn = answer["ARN"]
        self.function_arn = self._add(ROTATE, "rotate")
        self._add(RECONCILE, "reconcile", ROTATION_FUNCTION=self.function_arn)
        self._configure()

    def _add(self, name: str, handler: str, **more: str) -> str:
        runner = ProcessFunction(
            f"payment_gateway.functions.{handler}",
            environment={
                **self.cloud.environment(),
                "PYTHONPATH": os.pathsep.join([str(ROOT / "docs" / "examples"), str(ROOT)]),
                "GATEWAY_URL": self.gateway.url,
                "ADMIN_SECRET": ADMIN_SECRET,
                "EVIDENCE_BUCKET": EVIDENCE,
                "GRACE_HOURS": "0",
                "PROPAGATION_SECONDS": "1",
                "POWERTOOLS_LOG_LEVEL": "INFO",
                **more,
            },
            log_path=self.folder / f"{name}.log",
            timeout=timedelta(seconds=300),
            name=name,
        )
        return self.cloud.add_function(name, runner, timeout=timedelta(seconds=300))

    def _configure(self) -> None:
        """Turn rotation on; Secrets Manager tries testSecret alone."""
        answer = self.secrets.rotate_secret(
            SecretId=SECRET,
            RotationLambdaARN=self.function_arn,
            RotationRules={"AutomaticallyAfterDays": 30},
            RotateImmediately=False,
        )
        outcome = self.cloud.wait_for_rotation(SECRET, answer["VersionId"], timedelta(minutes=5))
        assert outcome.succeeded, outcome

    def rotate(self) -> None:
        """What the schedule does."""
        answer = self.secrets.rotate_secret(SecretId=SECRET)
        outcome = self.cloud.wait_for_rotation(SECRET, answer["VersionId"], timedelta(minutes=5))
        assert outcome.succeeded, outcome

    def reconcile(self, *secrets: str) -> dict[str, Any]:
        """What the hourly schedule does: the report on the secret."""
        event = {"action": "reconcile"} | ({"secrets": list(secrets)} if secrets else {})
        [one] = self._invoke(event)["secrets"]
        assert one["failures"] == [], one
        return dict(one)

    def _invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = self.cloud.client("lambda").invoke(
            FunctionName=RECONCILE, Payload=json.dumps(event).encode()
        )
        report: dict[str, Any] = json.loads(answer["Payload"].read())
        assert not answer.get("FunctionError"), report
        return report

    def _ask(self, action: str, arn: str, **members: Any) -> dict[str, Any]:
        return self._invoke({"action": action, "secrets": [arn], **members})

    def force(self) -> Containment:
        """What a responder does, who may not read the secret."""
        return contain(
            self.arn,
            from_free_text(datetime.now(UTC), "key-compromise", "ada"),
            self._ask,
            log_act=lambda _: None,
            limit=timedelta(seconds=60),
            clocks=WaitClock(),
        )

    def value(self) -> dict[str, str]:
        """What applications are given."""
        answer = self.secrets.get_secret_value(SecretId=SECRET)
        return dict(json.loads(answer["SecretString"]))

    def evidence(self) -> list[dict[str, Any]]:
        """Every record that was kept."""
        s3 = self.cloud.client("s3")
        listed = s3.list_objects_v2(Bucket=EVIDENCE, Prefix="incidents/").get("Contents", [])
        bodies = (s3.get_object(Bucket=EVIDENCE, Key=one["Key"])["Body"] for one in listed)
        return [json.loads(body.read()) for body in bodies]


def held(key: GatewayKey, **more: str) -> str:
    return json.dumps({"keyId": key.id, "secretKey": key.secret, **more})


@pytest.fixture
def deployment(gateway: GatewayEmulator, tmp_path: Path) -> Iterator[GatewayDeployment]:
    """A deployment whose secret holds a key that a person made."""
    with Cloud(retries=RetryPolicy(delays=(timedelta(0),))) as cloud:
        yield GatewayDeployment(cloud, gateway, tmp_path)


def test_the_keys_of_another_vendor_live_and_die_by_the_same_steps(
    deployment: GatewayDeployment,
) -> None:
    """Rotated, retired after the grace, forced after a leak; each old key is proven dead."""
    gateway = deployment.gateway
    deployment.rotate()
    rotated = deployment.value()
    second = gateway.keys[rotated["keyId"]]
    assert rotated["secretKey"] == second.secret
    assert rotated["team"] == "x"
    assert second.metadata["secret_arn"] == deployment.arn
    assert gateway.accepts(deployment.first_key)

    assert deployment.reconcile()["done"]["revoked"] == []
    assert gateway.accepts(deployment.first_key)
    wait_until(lambda: deployment.reconcile()["done"]["provenDead"] == [deployment.first_key.id])
    assert not gateway.accepts(deployment.first_key)
    assert gateway.accepts(second)

    gateway.unavailable = 1
    contained = deployment.force()
    assert contained.contained, contained
    assert second.id in contained.proven_dead
    assert not gateway.accepts(second)
    third = gateway.keys[deployment.value()["keyId"]]
    assert gateway.accepts(third)
    [record] = deployment.evidence()
    proofs = {key["keyId"]: key["death"]["proof"] for key in record["keys"]}
    assert proofs[second.id]["verdict"] == "dead"

    assert gateway.accepts(deployment.strange_key)
    logs = "".join(path.read_text() for path in deployment.folder.glob("*.log"))
    assert "key promoted" in logs
    assert "key proven dead" in logs
    for key in gateway.keys.values():
        assert key.secret[:20] not in logs


def test_a_key_of_another_account_is_noticed(deployment: GatewayDeployment) -> None:
    """The account is the identity of a key: one that differs from the current key's is logged."""
    log = deployment.folder / f"{ROTATE}.log"
    deployment.rotate()
    assert "another identity" not in log.read_text()
    deployment.gateway.new_keys_belong_to("acct_2")
    deployment.rotate()
    [line] = [json.loads(line) for line in log.read_text().splitlines() if "another iden" in line]
    assert (line["identity"], line["current_identity"]) == ("acct_2", "acct_1")


class GatewayClient:
    """The example's issuer and prover in this process."""

    def __init__(self, gateway: GatewayEmulator) -> None:
        api = GatewayApi(gateway.url)
        admin = gateway.create(admin=True)
        admin_key = ApiKey.from_text(admin.id, admin.secret, key_format=GATEWAY_KEY)
        self.issuer = GatewayIssuer(api, lambda: admin_key)
        self.prover = GatewayProver(api)


@pytest.fixture
def client(gateway: GatewayEmulator) -> GatewayClient:
    """Speaks to the gateway as an admin."""
    return GatewayClient(gateway)


def test_an_issued_key_is_listed_used_and_revoked(client: GatewayClient) -> None:
    """Every page of the list is read; keys of other secrets are left out; revoking is final."""
    label = KeyLabel("payments", "arn:mine", "a-token")
    keys = [client.issuer.issue(label, timedelta(days=30)) for _ in range(5)]
    client.issuer.issue(KeyLabel("payments", "arn:other", "a-token"), timedelta(days=30))
    listing = client.issuer.list_keys("payments", "arn:mine")
    assert [key.id for key in listing.keys] == [key.id for key in keys]
    assert {key.label for key in listing.keys} == {label}
    assert client.prover.prove(keys[0], "why").identity == "acct_1"
    assert client.issuer.revoke(keys[0].id) is Revocation.REVOKED
    with pytest.raises(CredentialRejectedError) as rejected:
        client.prover.prove(keys[0], "why")
    assert rejected.value.vendor_time is not None
    assert client.issuer.revoke("key_0000000000000000") is Revocation.ALREADY_GONE


def test_refusals_are_told_apart_and_hold_no_bearer_token(
    client: GatewayClient, gateway: GatewayEmulator
) -> None:
    """An outage says nothing about a key; a key without rights is refused, and not rejected."""
    ordinary = gateway.create()
    key = ApiKey.from_text(ordinary.id, ordinary.secret, key_format=GATEWAY_KEY)
    gateway.unavailable = 1
    with pytest.raises(VendorUnavailableError):
        client.prover.prove(key, "why")
    with pytest.raises(VendorRefusedError):
        GatewayIssuer(GatewayApi(gateway.url), lambda: key).list_keys("payments", "arn:mine")
    nowhere = GatewayProver(GatewayApi("http://127.0.0.1:9"))
    with pytest.raises(VendorUnavailableError) as failed:
        nowhere.prove(key, "why")
    assert failed.value.__context__ is None


def test_a_key_of_another_form_is_refused(gateway: GatewayEmulator) -> None:
    """A test key, or a key of another vendor, is not stored in the secret of the gateway."""
    key = gateway.create()
    with pytest.raises(InvalidCredentialError, match='"secretKey" is not sk_live_'):
        ApiKey.from_text(key.id, key.secret.replace("live", "test"), key_format=GATEWAY_KEY)
