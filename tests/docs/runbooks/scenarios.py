"""What has happened when somebody opens a runbook, prepared in the sandbox: one scenario a page.

A scenario also has what a page leaves to its reader: what stands for the words in CAPITALS, what
is typed at a prompt, and what goes on elsewhere before a step, in the vendor's portal or at AWS.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rotation.credential import iso_utc
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import (
    SECRET,
    SOURCE_BUCKET,
    Deployment,
)
from rotation.sandbox.vendor import Outage, PortalKey, Role
from tests.cli.readers import READ, ReaderAccounts, policy
from tests.docs.runbooks.regions import OTHER_REGION, STACK, TwoRegions
from tests.paths import ROOT
from tests.reused_deployment import ReusedDeployment

#: A whole rotation is tried once, and a death takes two seconds to prove.
RETRIES: Final = RetryPolicy(())
PROPAGATION_LIMIT: Final = timedelta(seconds=0.5)
PDF: Final = ROOT / "rotation" / "sandbox" / "documents" / "inspection.pdf"

#: What the leaver of that runbook may read.
READ_FEW: Final = {
    **READ,
    "Resource": [
        f"arn:aws:secretsmanager:*:*:secret:{name}-*" for name in (SECRET, "archive-database")
    ],
}

Act = Callable[[], None]


@dataclass(frozen=True)
class Scenario:
    """One page's circumstances. Steps are counted through the whole page, from 1.

    Attributes:
        fill: what the reader puts for the words in CAPITALS.
        typed: what is typed in a step.
        meanwhile: what happens elsewhere before a step.
        left_running: the steps whose command goes on while the next step is done, and what it
            prints when that is so.
        environment: variables that the reader has exported.
    """

    fill: Mapping[str, str] = field(default_factory=dict)
    typed: Mapping[int, str] = field(default_factory=dict)
    meanwhile: Mapping[int, Act] = field(default_factory=dict)
    left_running: Mapping[int, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def deploy(folder: Path) -> ReusedDeployment:
    return ReusedDeployment(folder, retries=RETRIES, propagation_limit=PROPAGATION_LIMIT)


def deploy_with_pool(folder: Path) -> Deployment:
    return Deployment(folder, retries=RETRIES, propagation_limit=PROPAGATION_LIMIT, key_pool=True)


def deploy_in_two_regions(folder: Path) -> TwoRegions:
    return TwoRegions(folder, retries=RETRIES, propagation_limit=PROPAGATION_LIMIT)


def leaked_key(deployment: Deployment) -> Scenario:
    """Two secrets; the second bears the tag of a team."""
    _first_key(deployment)
    secrets = deployment.cloud.client("secretsmanager")
    secrets.create_secret(Name="archive-signatures-api", Tags=[{"Key": "team", "Value": "archive"}])
    _store(deployment, "archive-signatures-api", deployment.vendor.keys.create())
    function = secrets.describe_secret(SecretId=SECRET)["RotationLambdaARN"]
    _rotate(
        deployment,
        SecretId="archive-signatures-api",
        RotationLambdaARN=function,
        RotationRules={"AutomaticallyAfterDays": 30},
        RotateImmediately=False,
    )
    return Scenario()


def rehearse_a_leak(deployment: Deployment) -> Scenario:
    """A secret with a key and a schedule, and nothing is wrong with it."""
    _first_key(deployment)
    return Scenario()


def leaked_pool(deployment: Deployment) -> Scenario:
    """A pool of three keys, one of them leased; people revoke what leaked, an hour passes."""
    keys = deployment.vendor.keys
    pooled = [keys.create() for _ in range(3)]
    deployment.stock_pool(*pooled)
    deployment.turn_on_rotation()
    assert _rotate(deployment, SecretId=SECRET)
    fresh = keys.create()

    def revoke() -> None:
        for key in pooled:
            keys.revoke(key.id)

    def an_hour_passes() -> None:
        deployment.reconcile()

    return Scenario(
        fill={"YYYY-MM-DD": f"{fresh.expires_at - timedelta(days=1):%Y-%m-%d}"},
        typed={2: f"{fresh.id}\n{fresh.material}\n"},
        left_running={1: "waiting for"},
        meanwhile={4: revoke, 5: an_hour_passes},
        environment={
            "VENDOR_URL": deployment.vendor.url,
            "SIGNER_TRUST_ANCHORS": str(deployment.trust_root),
        },
    )


def stuck_rotation(deployment: Deployment) -> Scenario:
    """A rotation failed for good, because the vendor's account is full of keys."""
    _first_key(deployment)
    deployment.vendor.keys.quota = 1
    assert not _rotate(deployment, SecretId=SECRET)

    def mend() -> None:
        deployment.vendor.keys.quota = 20

    return Scenario(meanwhile={3: mend})


def vendor_outage(deployment: Deployment) -> Scenario:
    """The vendor answers 503; a rotation began and failed meanwhile, and so did a seal."""
    _first_key(deployment)
    deployment.cloud.client("s3").put_object(
        Bucket=SOURCE_BUCKET, Key="document.pdf", Body=PDF.read_bytes()
    )
    deployment.vendor.outage = Outage.UNAVAILABLE
    assert not _rotate(deployment, SecretId=SECRET)
    assert _seal(deployment) == ("vendor_unavailable", True)

    def end() -> None:
        deployment.vendor.outage = None

    def sealed() -> None:
        assert _seal(deployment) == (None, None)

    return Scenario(meanwhile={2: end, 3: sealed})


def lost_admin_credential(deployment: Deployment) -> Scenario:
    """The admin credential was revoked; another one was made."""
    _first_key(deployment)
    keys = deployment.vendor.keys
    for key in keys.all():
        if key.role is Role.ADMIN:
            keys.revoke(key.id)
    new = keys.create(role=Role.ADMIN)
    return Scenario(
        typed={3: f"{new.id}\n{iso_utc(new.expires_at)}\n{new.material}\n"},
    )


def expired_key(deployment: Deployment) -> Scenario:
    """The current key expired: no document can be sealed with it."""
    deployment.turn_on_rotation()
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    key = deployment.vendor.keys.create(expires_at=soon)
    _store(deployment, SECRET, key)
    deployment.cloud.client("s3").put_object(
        Bucket=SOURCE_BUCKET, Key="document.pdf", Body=PDF.read_bytes()
    )
    while datetime.now(UTC) < key.expires_at:
        time.sleep(0.05)
    assert _seal(deployment) == ("credential_rejected", False)

    def sealed() -> None:
        assert _seal(deployment) == (None, None)

    return Scenario(meanwhile={3: sealed})


def deleted_secret(deployment: Deployment) -> Scenario:
    """Somebody deleted the secret; later, after its restoration, without a recovery window."""
    _first_key(deployment)
    secrets = deployment.cloud.client("secretsmanager")
    function = secrets.describe_secret(SecretId=SECRET)["RotationLambdaARN"]
    secrets.delete_secret(SecretId=SECRET)

    def delete_for_good() -> None:
        secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)

    return Scenario(
        fill={"ROTATION_FUNCTION_ARN": function},
        meanwhile={5: delete_for_good},
    )


def promoted_replica(deployment: Deployment) -> Scenario:
    """A replica in another Region was promoted; a stack of its own is deployed there."""
    assert isinstance(deployment, TwoRegions)
    _first_key(deployment)
    deployment.promote_replica()
    function = deployment.deploy_stack()
    shared = deployment.key_id("AWSCURRENT")
    alive = deployment.vendor.keys.accepted

    def held() -> None:
        deployment.reconcile_after_the_grace()
        assert alive(shared)
        assert deployment.key_id("AWSCURRENT") != shared

    return Scenario(
        meanwhile={5: deployment.reconcile_after_the_grace, 7: held},
        fill={
            "YYYY-MM-DD": f"{datetime.now(UTC) + timedelta(days=14):%Y-%m-%d}",
            "OTHER_REGION": OTHER_REGION,
            "OTHER_RECONCILE": f"{STACK}-reconcile",
            "OTHER_ROTATION_ARN": function,
        },
    )


def somebody_leaves(deployment: Deployment) -> Scenario:
    """A user may read two secrets, one of which nothing rotates; the user is deleted in time."""
    deployment.cloud.event_history.latency = timedelta(0)
    _first_key(deployment)
    accounts = ReaderAccounts(deployment)
    accounts.create_user("alice")
    accounts.iam.put_user_policy(
        UserName="alice", PolicyName="read", PolicyDocument=policy(READ_FEW)
    )
    deployment.cloud.client("secretsmanager").create_secret(Name="archive-database")
    accounts.client("secretsmanager", "alice").get_secret_value(SecretId=SECRET)

    def delete() -> None:
        accounts.iam.delete_user_policy(UserName="alice", PolicyName="read")

    return Scenario(fill={"NAME": "alice"}, meanwhile={3: delete})


PREPARE: Final[
    Mapping[str, tuple[Callable[[Path], Deployment], Callable[[Deployment], Scenario]]]
] = {
    "deleted-secret": (deploy, deleted_secret),
    "expired-key": (deploy, expired_key),
    "leaked-key": (deploy, leaked_key),
    "leaked-pool": (deploy_with_pool, leaked_pool),
    "lost-admin-credential": (deploy, lost_admin_credential),
    "promoted-replica": (deploy_in_two_regions, promoted_replica),
    "rehearse-a-leak": (deploy, rehearse_a_leak),
    "somebody-leaves": (deploy, somebody_leaves),
    "stuck-rotation": (deploy, stuck_rotation),
    "vendor-outage": (deploy, vendor_outage),
}


def _first_key(deployment: Deployment) -> None:
    deployment.store_first_key()
    deployment.turn_on_rotation()


def _store(deployment: Deployment, secret: str, key: PortalKey) -> None:
    """Put a key into a secret by hand, with its expiry."""
    members = {
        "apiKey": key.material,
        "apiKeyId": key.id,
        "expiresAt": iso_utc(key.expires_at),
    }
    deployment.cloud.client("secretsmanager").put_secret_value(
        SecretId=secret, SecretString=json.dumps(members)
    )


def _rotate(deployment: Deployment, **arguments: Any) -> bool:
    """Begin a rotation and wait for its end; whether it succeeded."""
    answer = deployment.cloud.client("secretsmanager").rotate_secret(**arguments)
    outcome = deployment.cloud.wait_for_rotation(answer["ARN"], answer["VersionId"])
    # The function has each failed step noted by an event.
    deployment.cloud.wait_for_events()
    return outcome.succeeded


def _seal(deployment: Deployment) -> tuple[str | None, bool | None]:
    """Seal a document as an application does: the error's code and whether to ask again."""
    error = deployment.seal("document.pdf", "sealed.pdf").get("error", {})
    return error.get("code"), error.get("retryable")
