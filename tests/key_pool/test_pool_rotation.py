"""The four steps with keys from a pool, one at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rotation.core import steps
from rotation.core.invocation import Rotation
from rotation.core.steps import STEPS, create_secret
from rotation.errors import (
    CredentialRejectedError,
    KeyPoolEmptyError,
    RotationError,
    VersionStateError,
)
from rotation.key_pool.issuer import LeaseOnlyIssuer
from rotation.sandbox.vendor import VendorFault
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from tests.key_pool.pool_fixture import PoolFixture

YEAR = timedelta(days=364)


def rotation(key_pool: PoolFixture, token: str) -> Rotation:
    return key_pool.rotation.rotation(token, issuer=LeaseOnlyIssuer(key_pool.pool))


def run_all(key_pool: PoolFixture, token: str) -> None:
    for step in STEPS.values():
        step(rotation(key_pool, token))


def test_a_rotation_promotes_a_key_of_the_pool(key_pool: PoolFixture) -> None:
    """The leased key is current, the hand-made one AWSPREVIOUS, and no key call was made."""
    old = key_pool.rotation.store(team="archive")
    key_pool.fill([YEAR] * 3)
    token = key_pool.rotation.stage()
    run_all(key_pool, token)
    value = key_pool.rotation.value(AWSCURRENT)
    assert key_pool.states()[value["apiKeyId"]] == "leased"
    assert value["team"] == "archive"
    assert key_pool.rotation.value("AWSPREVIOUS")["apiKeyId"] == old.id
    key_pool.rotation.promoted()
    assert {request.operation for request in key_pool.rotation.vendor.requests} == {"sign"}


@pytest.mark.parametrize("times", [2, 3])
def test_every_step_may_run_again(key_pool: PoolFixture, times: int) -> None:
    """However often steps and process are repeated: one key is leased, and one promoted."""
    key_pool.rotation.store()
    key_pool.fill([YEAR] * 3)
    token = key_pool.rotation.stage()
    for step in STEPS.values():
        for _ in range(times):
            step(rotation(key_pool, token))
    run_all(key_pool, token)
    assert sorted(key_pool.states().values()) == ["free", "free", "leased"]
    key_pool.rotation.promoted()


def test_a_key_that_a_person_was_asked_to_revoke_is_not_promoted(key_pool: PoolFixture) -> None:
    """Its token lost AWSPENDING, was retired, and is staged again: it is abandoned, for it dies."""
    old = key_pool.rotation.store()
    key_pool.fill([YEAR] * 3)
    token = key_pool.rotation.stage()
    create_secret(rotation(key_pool, token))
    key = str(key_pool.rotation.value(AWSPENDING)["apiKeyId"])
    rotation(key_pool, token).secret.unstage_pending(token)
    key_pool.pool.revoke(key)
    rotation(key_pool, token).secret.add_label(AWSPENDING, token)
    with pytest.raises(VersionStateError, match="was asked to revoke"):
        run_all(key_pool, token)
    assert key_pool.rotation.version(AWSPENDING) is None
    assert key_pool.rotation.value(AWSCURRENT)["apiKeyId"] == old.id


def test_the_loser_of_a_race_stores_the_same_value(key_pool: PoolFixture) -> None:
    """Two invocations of one token share the lease, so no key is a stray."""
    key_pool.rotation.store()
    key_pool.fill([YEAR] * 3)
    token = key_pool.rotation.stage()
    pool = LeaseOnlyIssuer(key_pool.pool)

    class Overtaken:
        """Another invocation runs all of createSecret between our lease and our put."""

        def issue(self, *args: Any) -> Any:
            key = pool.issue(*args)
            create_secret(rotation(key_pool, token))
            return key

        def __getattr__(self, name: str) -> Any:
            return getattr(pool, name)

    create_secret(key_pool.rotation.rotation(token, issuer=Overtaken()))
    run_all(key_pool, token)
    key_pool.rotation.promoted()
    assert sorted(key_pool.states().values()) == ["free", "free", "leased"]


def test_a_key_given_up_by_one_invocation_may_be_stored_by_another(
    key_pool: PoolFixture,
) -> None:
    """Unstaged for one, staged again by the other's put: nobody asks for its revocation."""
    key_pool.rotation.store()
    key_pool.fill([YEAR] * 3)
    token = key_pool.rotation.stage()
    pool = LeaseOnlyIssuer(key_pool.pool)

    class Unstaged:
        def issue(self, *args: Any) -> Any:
            key = pool.issue(*args)
            key_pool.rotation.rotation(token).secret.unstage_pending(token)
            return key

        def __getattr__(self, name: str) -> Any:
            return getattr(pool, name)

    with pytest.raises(VersionStateError, match="unstaged while"):
        create_secret(key_pool.rotation.rotation(token, issuer=Unstaged()))
    assert sorted(key_pool.states().values()) == ["free", "free", "leased"]
    assert key_pool.inbox.about("Revoke") == []


def test_an_empty_pool_leaves_the_current_key_alone(key_pool: PoolFixture) -> None:
    """The rotation fails with the command to run; once it was run, the retry succeeds."""
    old = key_pool.rotation.store()
    token = key_pool.rotation.stage()
    with pytest.raises(KeyPoolEmptyError, match="rotation pool add"):
        create_secret(rotation(key_pool, token))
    assert key_pool.rotation.value(AWSCURRENT)["apiKeyId"] == old.id
    key_pool.fill([YEAR] * 2)
    run_all(key_pool, token)
    key_pool.rotation.promoted()


def test_a_dead_key_of_the_pool_is_abandoned_and_the_next_one_tried(
    key_pool: PoolFixture,
) -> None:
    """Somebody revoked it in the portal before its turn: a new rotation leases another."""
    key_pool.rotation.store()
    longest, other = key_pool.fill([YEAR, YEAR - timedelta(days=1)])
    key_pool.rotation.vendor.keys.revoke(longest.id)
    token = key_pool.rotation.stage()
    create_secret(rotation(key_pool, token))
    assert key_pool.rotation.value(AWSPENDING)["apiKeyId"] == longest.id
    with pytest.raises(CredentialRejectedError):
        steps.test_secret(rotation(key_pool, token))
    assert key_pool.rotation.version(AWSPENDING) is None
    run_all(key_pool, key_pool.rotation.stage())
    assert key_pool.rotation.value(AWSCURRENT)["apiKeyId"] == other.id


def test_the_first_key_of_an_empty_secret_comes_from_the_pool(key_pool: PoolFixture) -> None:
    """A vendor that cannot prove it just now costs no key: the retry gets the same one."""
    key_pool.fill([YEAR] * 2)
    token = key_pool.rotation.stage()
    key_pool.rotation.vendor.faults.next("sign", VendorFault.STRANGER)
    with pytest.raises(RotationError):
        create_secret(rotation(key_pool, token))
    run_all(key_pool, token)
    assert key_pool.rotation.version(AWSCURRENT) == token
    assert sorted(key_pool.states().values()) == ["free", "leased"]
