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
from rotation.key_pool.issuer import StepsKeyPool
from rotation.sandbox.vendor import Fault
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from tests.key_pool.stock import Stock

YEAR = timedelta(days=364)


def rotation(stock: Stock, token: str) -> Rotation:
    return stock.rotation_fixture.rotation(token, issuer=StepsKeyPool(stock.pool))


def run_all(stock: Stock, token: str) -> None:
    for step in STEPS.values():
        step(rotation(stock, token))


def test_a_rotation_promotes_a_key_of_the_pool(stock: Stock) -> None:
    """The leased key is current, the hand-made one AWSPREVIOUS, and no key call was made."""
    old = stock.rotation_fixture.store(team="archive")
    stock.fill([YEAR] * 3)
    token = stock.rotation_fixture.stage()
    run_all(stock, token)
    value = stock.rotation_fixture.value(AWSCURRENT)
    assert stock.states()[value["apiKeyId"]] == "leased"
    assert value["team"] == "archive"
    assert stock.rotation_fixture.value("AWSPREVIOUS")["apiKeyId"] == old.id
    stock.rotation_fixture.promoted()
    assert {request.operation for request in stock.rotation_fixture.vendor.requests} == {"sign"}


@pytest.mark.parametrize("times", [2, 3])
def test_every_step_may_run_again(stock: Stock, times: int) -> None:
    """However often steps and process are repeated: one key is leased, and one promoted."""
    stock.rotation_fixture.store()
    stock.fill([YEAR] * 3)
    token = stock.rotation_fixture.stage()
    for step in STEPS.values():
        for _ in range(times):
            step(rotation(stock, token))
    run_all(stock, token)
    assert sorted(stock.states().values()) == ["free", "free", "leased"]
    stock.rotation_fixture.promoted()


def test_a_key_that_a_person_was_asked_to_revoke_is_not_promoted(stock: Stock) -> None:
    """Its token lost AWSPENDING, was retired, and is staged again: it is abandoned, for it dies."""
    old = stock.rotation_fixture.store()
    stock.fill([YEAR] * 3)
    token = stock.rotation_fixture.stage()
    create_secret(rotation(stock, token))
    key = str(stock.rotation_fixture.value(AWSPENDING)["apiKeyId"])
    rotation(stock, token).secret.unstage_pending(token)
    stock.pool.revoke(key)
    rotation(stock, token).secret.attach(AWSPENDING, token)
    with pytest.raises(VersionStateError, match="was asked to revoke"):
        run_all(stock, token)
    assert stock.rotation_fixture.version(AWSPENDING) is None
    assert stock.rotation_fixture.value(AWSCURRENT)["apiKeyId"] == old.id


def test_the_loser_of_a_race_stores_the_same_value(stock: Stock) -> None:
    """Two invocations of one token share the lease, so no key is a stray."""
    stock.rotation_fixture.store()
    stock.fill([YEAR] * 3)
    token = stock.rotation_fixture.stage()
    pool = StepsKeyPool(stock.pool)

    class Overtaken:
        """Another invocation runs all of createSecret between our lease and our put."""

        def issue(self, *args: Any) -> Any:
            key = pool.issue(*args)
            create_secret(rotation(stock, token))
            return key

        def __getattr__(self, name: str) -> Any:
            return getattr(pool, name)

    create_secret(stock.rotation_fixture.rotation(token, issuer=Overtaken()))
    run_all(stock, token)
    stock.rotation_fixture.promoted()
    assert sorted(stock.states().values()) == ["free", "free", "leased"]


def test_a_key_given_up_by_one_invocation_may_be_stored_by_another(stock: Stock) -> None:
    """Unstaged for one, staged again by the other's put: nobody asks for its revocation."""
    stock.rotation_fixture.store()
    stock.fill([YEAR] * 3)
    token = stock.rotation_fixture.stage()
    pool = StepsKeyPool(stock.pool)

    class Unstaged:
        def issue(self, *args: Any) -> Any:
            key = pool.issue(*args)
            stock.rotation_fixture.rotation(token).secret.unstage_pending(token)
            return key

        def __getattr__(self, name: str) -> Any:
            return getattr(pool, name)

    with pytest.raises(VersionStateError, match="unstaged while"):
        create_secret(stock.rotation_fixture.rotation(token, issuer=Unstaged()))
    assert sorted(stock.states().values()) == ["free", "free", "leased"]
    assert stock.inbox.about("Revoke") == []


def test_an_empty_pool_leaves_the_current_key_alone(stock: Stock) -> None:
    """The rotation fails with the command to run; once it was run, the retry succeeds."""
    old = stock.rotation_fixture.store()
    token = stock.rotation_fixture.stage()
    with pytest.raises(KeyPoolEmptyError, match="rotation pool add"):
        create_secret(rotation(stock, token))
    assert stock.rotation_fixture.value(AWSCURRENT)["apiKeyId"] == old.id
    stock.fill([YEAR] * 2)
    run_all(stock, token)
    stock.rotation_fixture.promoted()


def test_a_dead_key_of_the_pool_is_abandoned_and_the_next_one_tried(stock: Stock) -> None:
    """Somebody revoked it in the portal before its turn: a new rotation leases another."""
    stock.rotation_fixture.store()
    longest, other = stock.fill([YEAR, YEAR - timedelta(days=1)])
    stock.rotation_fixture.vendor.keys.revoke(longest.id)
    token = stock.rotation_fixture.stage()
    create_secret(rotation(stock, token))
    assert stock.rotation_fixture.value(AWSPENDING)["apiKeyId"] == longest.id
    with pytest.raises(CredentialRejectedError):
        steps.test_secret(rotation(stock, token))
    assert stock.rotation_fixture.version(AWSPENDING) is None
    run_all(stock, stock.rotation_fixture.stage())
    assert stock.rotation_fixture.value(AWSCURRENT)["apiKeyId"] == other.id


def test_the_first_key_of_an_empty_secret_comes_from_the_pool(stock: Stock) -> None:
    """A vendor that cannot prove it just now costs no key: the retry gets the same one."""
    stock.fill([YEAR] * 2)
    token = stock.rotation_fixture.stage()
    stock.rotation_fixture.vendor.faults.next("sign", Fault.STRANGER)
    with pytest.raises(RotationError):
        create_secret(rotation(stock, token))
    run_all(stock, token)
    assert stock.rotation_fixture.version(AWSCURRENT) == token
    assert sorted(stock.states().values()) == ["free", "leased"]
