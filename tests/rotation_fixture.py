"""The four steps against AWS and the vendor on this machine, called one at a time.

Secrets Manager here runs a rotation function that only fails, once: what is left is what every
step begins with, a version that is staged as AWSPENDING and has no value.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from rotation.core.invocation import Rotation
from rotation.core.policy import RotationPolicy
from rotation.credential import ApiKey, SecretDocument
from rotation.journal.keeper import JournalKeeper
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.vendor import Pki, PortalKey, Role, VendorEmulator
from rotation.secrets_manager.allowed import ANY_SECRET
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from rotation.secrets_manager.versions import SecretVersions
from rotation.vendor.admin_api import AdminApi
from rotation.vendor.http import VendorHttp
from rotation.vendor.key_prover import TestSealProver
from rotation.vendor.signature_log import AdminSignatureLog
from rotation.vendor.signer import SignerPolicy
from rotation.vendor.signing_api import SigningApi
from tests.deadlines import deadline_of
from tests.journal.memory_store import MemoryJournalStore


class FailsOnce:
    """A rotation function that never gets anywhere."""

    def invoke(self, payload: bytes) -> InvocationResult:
        return InvocationResult.failure("Parked", "the test calls the steps itself")

    def close(self) -> None:
        """Nothing runs."""


@lru_cache(maxsize=1)
def _function_arn(cloud: Cloud) -> str:
    """Asked once for the tests that share a cloud: making a client takes longer than a call."""
    function = cloud.client("lambda").get_function(FunctionName="rotate")
    return function["Configuration"]["FunctionArn"]


@dataclass
class RotationFixture:
    """A secret, its rotation and the vendor, with time in the test's hands."""

    cloud: Cloud
    vendor: VendorEmulator
    pki: Pki
    offset: timedelta = timedelta(0)
    pauses: list[float] = field(default_factory=list)
    time_left: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        self.client = self.cloud.client("secretsmanager")
        self.function_arn = _function_arn(self.cloud)
        self.arn = self.client.create_secret(Name="trusted-signatures-api")["ARN"]
        http = VendorHttp(
            self.vendor.url,
            connect_timeout=timedelta(seconds=60),
            read_timeout=timedelta(seconds=60),
            clock=self.now,
            sleep=lambda _: None,
        )
        admin = self.vendor.keys.create(role=Role.ADMIN)
        admin_key = ApiKey.from_text(admin.id, admin.material)
        self.issuer = AdminApi(http, "/v1/keys", lambda: admin_key, self.now)
        self.signatures = AdminSignatureLog(http, "/v1/keys", lambda: admin_key)
        policy = SignerPolicy.from_pem(self.pki.root_pem, "Trusted Signatures Sandbox")
        self.signing = SigningApi(http, "/v1/sign")
        self.prover = TestSealProver(self.signing, policy, self.now)
        self.journal_store = MemoryJournalStore()
        self.journals = JournalKeeper(self.journal_store)
        self.policy = RotationPolicy(
            installation="fixture",
            key_lifetime=timedelta(days=90),
            grace=timedelta(hours=2),
            propagation_limit=timedelta(seconds=60),
            rotated_secrets=ANY_SECRET,
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def later(self, time: timedelta) -> None:
        """Our clock and the vendor's move on together."""
        self.offset += time
        self.vendor.clock_offset += time

    def pause(self, seconds: float) -> None:
        """What a step's pause does here: time passes, its own too, and nobody waits."""
        self.pauses.append(seconds)
        self.later(timedelta(seconds=seconds))
        self.time_left -= timedelta(seconds=seconds)

    def store(self, **members: Any) -> PortalKey:
        """A hand-made key becomes current."""
        key = self.vendor.keys.create()
        self.put({"apiKey": key.material, "apiKeyId": key.id} | members)
        return key

    def put(self, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self.client.put_secret_value(SecretId=self.arn, SecretString=text)

    def stage(self) -> str:
        """Begin a rotation: the token, staged, without a value."""
        token = self.client.rotate_secret(
            SecretId=self.arn,
            RotationLambdaARN=self.function_arn,
            RotationRules={"AutomaticallyAfterDays": 30},
        )["VersionId"]
        assert not self.cloud.wait_for_rotation(self.arn, token).succeeded
        return token

    def rotation(self, token: str, **changes: Any) -> Rotation:
        rotation = Rotation(
            secret=SecretVersions(self.client, self.arn),
            token=token,
            function_arn=self.function_arn,
            journal=self.journals,
            issuer=self.issuer,
            prover=self.prover,
            policy=self.policy,
            deadline=deadline_of(lambda: self.time_left),
            clock=self.now,
            sleep=self.pause,
        )
        return replace(rotation, **changes)

    def labels(self) -> dict[str, set[str]]:
        described = self.client.describe_secret(SecretId=self.arn)
        return {version: set(labels) for version, labels in described["VersionIdsToStages"].items()}

    def version(self, label: str) -> str | None:
        return next((v for v, has in self.labels().items() if label in has), None)

    def value(self, stage: str) -> dict[str, Any]:
        answer = self.client.get_secret_value(SecretId=self.arn, VersionStage=stage)
        held: dict[str, Any] = json.loads(answer["SecretString"])
        return held

    def active_keys(self) -> set[str]:
        """The ids of the keys that rotation issued and that still live at the vendor."""
        listing = self.issuer.list_keys("fixture", self.arn)
        return {key.id for key in listing.keys if key.active}

    def listed_keys(self) -> set[str]:
        """The ids of all keys that were issued for the secret, dead ones too."""
        return {key.id for key in self.issuer.list_keys("fixture", self.arn).keys}

    def stage_key(self, token: str, **times: Any) -> ApiKey:
        """A key of this token, issued and stored as AWSPENDING without createSecret."""
        made = self.vendor.keys.create(label=f"fixture|{self.arn}|{token}")
        key = ApiKey.from_text(made.id, made.material, **times)
        SecretVersions(self.client, self.arn).put_pending(token, SecretDocument.empty(key))
        return key

    def promoted(self) -> None:
        """What a finished rotation looks like."""
        assert self.version(AWSCURRENT) is not None
        assert self.version(AWSPENDING) is None


def new_token() -> str:
    return str(uuid.uuid4())
