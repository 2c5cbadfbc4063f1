"""What every issuer promises, whichever it is: the administration interface, and the key pool.

Both are real: one over an emulated vendor, the other over Secrets Manager on this machine with
keys that the emulated vendor made in its portal.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, timedelta
from threading import Barrier

import pytest

from rotation.core.ports import KeyIssuer, KeyLabel, Revocation
from rotation.credential import ApiKey
from rotation.errors import CredentialRejectedError, KeyIssueError, RotationError
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import VendorFault
from tests.key_pool.pool_fixture import PoolFixture
from tests.privacy.canary import Canary, everything_said
from tests.rotation_fixture import RotationFixture, new_token

LIFE = timedelta(days=90)


@dataclass
class Contract:
    """One issuer, and how to make it run out of keys or fail."""

    rotation_fixture: RotationFixture
    issuer: KeyIssuer
    run_out: Callable[[], None]
    fail_once: Callable[[], None]

    def label(self, arn: str | None = None, installation: str = "fixture") -> KeyLabel:
        return KeyLabel(installation, arn or self.rotation_fixture.arn, new_token())

    def listed(self) -> dict[str, KeyLabel]:
        """The ids and labels of the fixture's keys."""
        return {
            key.id: key.label
            for key in self.issuer.list_keys("fixture", self.rotation_fixture.arn).keys
        }


def over_admin_api(rotation_fixture: RotationFixture) -> Contract:
    def run_out() -> None:
        rotation_fixture.vendor.keys.quota = 0

    return Contract(
        rotation_fixture,
        rotation_fixture.issuer,
        run_out,
        lambda: rotation_fixture.vendor.faults.next("create", VendorFault.FORBIDDEN),
    )


def over_key_pool(rotation_fixture: RotationFixture) -> Contract:
    key_pool = PoolFixture(rotation_fixture)
    key_pool.fill([timedelta(days=364)] * 10)
    denied = AwsError("AccessDeniedException")
    return Contract(
        rotation_fixture,
        key_pool.pool,
        lambda: key_pool.put({"keys": []}),
        lambda: rotation_fixture.cloud.faults.before("PutSecretValue", denied),
    )


@pytest.fixture(params=[over_admin_api, over_key_pool], ids=["admin-api", "key-pool"])
def contract(request: pytest.FixtureRequest, rotation_fixture: RotationFixture) -> Contract:
    """Each issuer in turn."""
    made: Contract = request.param(rotation_fixture)
    return made


def test_an_issued_key_signs_and_lives_long_enough(contract: Contract) -> None:
    """It works at once, says when it was issued, and lives as long as was asked for."""
    key = contract.issuer.issue(contract.label(), LIFE)
    assert contract.rotation_fixture.prover.prove(key, "rotation test seal").identity_checked
    assert key.issued_at is not None
    assert abs(key.issued_at - contract.rotation_fixture.now()) < timedelta(minutes=1)
    assert key.expires_at is not None
    assert key.expires_at - contract.rotation_fixture.now() > LIFE - timedelta(minutes=1)


def test_an_issued_key_is_found_by_its_label(contract: Contract) -> None:
    """Id, label, age and expiry are what issuing said; the key is active."""
    label = contract.label()
    key = contract.issuer.issue(label, LIFE)
    listing = contract.issuer.list_keys("fixture", contract.rotation_fixture.arn)
    [listed] = listing.keys
    assert (listed.id, listed.label, listed.active) == (key.id, label, True)
    assert listed.expires_at == key.expires_at
    assert abs(listing.vendor_time - listed.created_at) < timedelta(minutes=1)
    assert listing.vendor_time.tzinfo is UTC


def test_no_key_of_others_is_listed(contract: Contract) -> None:
    """Another secret's, another installation's, and an ARN that begins alike stay out."""
    mine = contract.issuer.issue(contract.label(), LIFE)
    contract.issuer.issue(contract.label(contract.rotation_fixture.arn + "2"), LIFE)
    contract.issuer.issue(contract.label(installation="house2"), LIFE)
    assert contract.listed().keys() == {mine.id}


def test_two_tokens_never_share_a_key(contract: Contract) -> None:
    """One after the other, or at once."""
    start = Barrier(4)

    def issue(_: int) -> ApiKey:
        label = contract.label()
        start.wait(300)
        return contract.issuer.issue(label, LIFE)

    with ThreadPoolExecutor(4) as threads:
        keys = list(threads.map(issue, range(4)))
    assert len({key.id for key in keys}) == 4
    assert contract.listed().keys() == {key.id for key in keys}


def test_a_token_that_asks_again_loses_no_key_from_sight(contract: Contract) -> None:
    """The same key or another one: whatever was given for the token is listed under it."""
    label = contract.label()
    given = {contract.issuer.issue(label, LIFE).id for _ in range(3)}
    assert contract.listed() == dict.fromkeys(given, label)


def test_revoking_never_pretends(contract: Contract) -> None:
    """Said to be revoked, the key is rejected; else it stays listed, and says who must act."""
    key = contract.issuer.issue(contract.label(), LIFE)
    outcome = contract.issuer.revoke(key.id)
    listing = contract.issuer.list_keys("fixture", contract.rotation_fixture.arn)
    active = {listed.id for listed in listing.keys if listed.active}
    if outcome is Revocation.REVOKED:
        with pytest.raises(CredentialRejectedError):
            contract.rotation_fixture.prover.prove(key, "rotation test seal")
        assert active == set()
    else:
        assert outcome is Revocation.MANUAL_ACTION_NEEDED
        assert contract.rotation_fixture.prover.prove(key, "rotation test seal").identity_checked
        assert active == {key.id}
        assert all(listed.revocation_asked for listed in listing.keys)


def test_revoking_again_is_harmless(contract: Contract) -> None:
    """The second answer claims no more than the first."""
    key = contract.issuer.issue(contract.label(), LIFE)
    outcomes = [contract.issuer.revoke(key.id) for _ in range(3)]
    assert outcomes[1] is outcomes[2]
    assert outcomes[1] in {Revocation.ALREADY_GONE, Revocation.MANUAL_ACTION_NEEDED}


def test_an_unknown_key_is_gone_already(contract: Contract) -> None:
    """Nothing is asked of anybody for a key that is not there."""
    assert contract.issuer.revoke(new_token()) is Revocation.ALREADY_GONE


def test_forgetting_is_idempotent_and_touches_no_other_key(contract: Contract) -> None:
    """After proof of death; a key that is not there is no error."""
    dead = contract.issuer.issue(contract.label(), LIFE)
    alive = contract.issuer.issue(contract.label(), LIFE)
    contract.issuer.revoke(dead.id)
    contract.rotation_fixture.vendor.keys.revoke(dead.id)
    for _ in range(2):
        contract.issuer.forget(dead.id)
    listing = contract.issuer.list_keys("fixture", contract.rotation_fixture.arn)
    assert {key.id for key in listing.keys if key.active} == {alive.id}


def test_running_out_of_keys_is_a_key_issue_error(contract: Contract) -> None:
    """Whether a quota or a pool: one kind of error, with something to do about it."""
    contract.run_out()
    with pytest.raises(KeyIssueError, match=r"[Rr]evoke keys|rotation pool add"):
        contract.issuer.issue(contract.label(), LIFE)
    assert contract.listed() == {}


def test_a_failure_is_typed_gives_no_key_away_and_leaves_no_trace(contract: Contract) -> None:
    """The next attempt with the same label succeeds, and one key is active."""
    label = contract.label()
    contract.fail_once()
    with pytest.raises(RotationError) as failed:
        contract.issuer.issue(label, LIFE)
    canary = Canary()
    for made in contract.rotation_fixture.vendor.keys.all():
        canary.plant(made.material, f"key {made.id}")
    assert canary.find(everything_said(failed.value)) is None
    key = contract.issuer.issue(label, LIFE)
    assert contract.listed() == {key.id: label}
