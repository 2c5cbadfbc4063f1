"""Leasing, listing, retiring and forgetting: what a rotation and reconciliation get of a pool."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotation.core.ports import KeyLabel, Revocation
from rotation.errors import KeyIssueError, KeyPoolEmptyError, SecretStoreError
from rotation.key_pool.document import KeyState, Notice
from rotation.key_pool.issuer import KeyPool, StepsKeyPool
from rotation.sandbox.aws.traffic import AwsError
from tests.key_pool.stock import LIFE, Stock
from tests.rotation_fixture import new_token

DAY = timedelta(days=1)
YEAR = 364 * DAY


def test_the_same_label_gets_the_same_key(stock: Stock) -> None:
    """Retries and racing invocations of one token store one value, times included."""
    stock.fill([YEAR] * 3)
    token = new_token()
    first = stock.lease(token)
    stock.rotation_fixture.later(timedelta(hours=3))
    assert stock.lease(token) == first
    assert stock.lease().id != first.id


def test_a_lease_names_who_has_the_key(stock: Stock) -> None:
    """Installation, secret, token and time are in the document; the time is the key's issue."""
    stock.fill([YEAR])
    token = new_token()
    key = stock.lease(token)
    [held] = stock.read().keys
    assert held.lease is not None
    assert held.lease.label == KeyLabel("fixture", stock.rotation_fixture.arn, token)
    assert held.lease.at == key.issued_at
    assert abs(held.lease.at - stock.rotation_fixture.now()) < timedelta(seconds=30)


def test_the_key_that_expires_last_is_leased_first(stock: Stock) -> None:
    """Keys of unknown expiry come after all others."""
    short, undated, long, middle = stock.fill([50 * DAY, None, 300 * DAY, 200 * DAY])
    leased = [stock.lease().id for _ in range(4)]
    assert leased == [long.id, middle.id, short.id, undated.id]


def test_a_key_that_would_not_last_is_not_leased(stock: Stock) -> None:
    """What expires before the next rotation and its grace stays free, and the error counts it."""
    stock.fill([30 * DAY, 10 * DAY])
    with pytest.raises(KeyPoolEmptyError, match=r"lives 31\.0 days.*2 expire sooner") as failed:
        stock.lease()
    assert "rotation pool add" in str(failed.value)
    assert set(stock.states().values()) == {"free"}
    stock.needed = 9 * DAY
    assert stock.lease() is not None


def test_what_a_key_needs_is_asked_of_its_secret(stock: Stock) -> None:
    """Two secrets with two schedules need different keys; each is asked for by its ARN."""
    short, long = stock.fill([40 * DAY, 200 * DAY])
    asked: list[str] = []

    def needed(arn: str) -> timedelta:
        asked.append(arn)
        return 100 * DAY

    pool = KeyPool(stock.secret, needed, stock.inbox, stock.rotation_fixture.now)
    assert pool.issue(stock.label(), LIFE).id == long.id
    with pytest.raises(KeyPoolEmptyError):
        pool.issue(stock.label(), LIFE)
    assert asked == [stock.rotation_fixture.arn] * 2
    assert stock.states()[short.id] == "free"


@pytest.mark.parametrize("state", ["retired", "compromised"])
def test_a_lease_of_a_key_that_must_die_is_not_given_again(stock: Stock, state: str) -> None:
    """The same token gets another key."""
    stock.fill([YEAR] * 2)
    token = new_token()
    first = stock.lease(token)
    held = stock.read().find(first.id)
    assert held is not None
    marked = replace(held, state=KeyState(state))
    stock.secret.change(lambda pool: (pool.holding(marked), None))
    assert stock.lease(token).id != first.id


def test_an_expired_lease_is_not_given_again(stock: Stock) -> None:
    """A token that comes back after its key's death gets another key."""
    stock.needed = DAY
    stock.fill([30 * DAY, 20 * DAY])
    token = new_token()
    first = stock.lease(token)
    stock.rotation_fixture.later(31 * DAY)
    with pytest.raises(KeyPoolEmptyError):
        stock.lease(token)
    [listed] = stock.pool.list_keys("fixture", stock.rotation_fixture.arn).keys
    assert (listed.id, listed.active) == (first.id, False)


def test_an_empty_pool_says_what_to_do(stock: Stock) -> None:
    """The error is a KeyIssueError of its own, and names the pool and the command."""
    with pytest.raises(KeyPoolEmptyError, match=r"trusted-signatures-pool.*rotation pool add"):
        stock.lease()
    assert issubclass(KeyPoolEmptyError, KeyIssueError)
    assert not KeyPoolEmptyError.retryable


def test_a_pool_that_runs_low_asks_for_keys(stock: Stock) -> None:
    """With fewer than two keys left each new lease says so; the same lease again does not."""
    stock.fill([YEAR] * 4)
    for _ in range(2):
        stock.lease()
    assert stock.inbox.messages == []
    token = new_token()
    for _ in range(2):
        stock.lease(token)
    stock.lease()
    asked = stock.inbox.about("Add")
    assert [facts["free keys left"] for facts in asked] == ["1", "0"]
    assert "rotation pool add" in asked[0]["what to do"]


def test_nobody_to_tell_is_no_reason_to_fail(stock: Stock) -> None:
    """The lease stands although the message about what is left could not be sent."""
    stock.fill([YEAR])
    stock.inbox.failures = 1
    assert stock.lease().id in stock.states()


def test_leases_are_listed_by_secret_and_installation(stock: Stock) -> None:
    """Free keys and keys of others stay out; the clock is ours."""
    stock.fill([YEAR] * 4)
    token = new_token()
    mine = stock.lease(token)
    for label in (
        KeyLabel("fixture", stock.rotation_fixture.arn + "2", token),
        KeyLabel("house2", stock.rotation_fixture.arn, token),
    ):
        stock.pool.issue(label, LIFE)
    listing = stock.pool.list_keys("fixture", stock.rotation_fixture.arn)
    [listed] = listing.keys
    assert (listed.id, listed.label.token, listed.active) == (mine.id, token, True)
    assert listed.created_at == mine.issued_at
    assert listed.expires_at == mine.expires_at
    assert abs(listing.vendor_time - stock.rotation_fixture.now()) < timedelta(seconds=30)


def test_revoking_asks_a_person_once(stock: Stock) -> None:
    """The key still works, so the answer never says that it was revoked; one message is sent."""
    [made] = stock.fill([YEAR])
    stock.lease()
    stock.inbox.messages.clear()
    for _ in range(3):
        assert stock.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    stock.rotation_fixture.later(timedelta(days=30))
    assert stock.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    [facts] = stock.inbox.about("Revoke")
    assert facts["key id"] == made.id
    assert facts["secret"] == stock.rotation_fixture.arn
    assert "portal" in facts["what to do"]
    assert stock.states() == {made.id: "retired"}
    assert stock.rotation_fixture.vendor.keys.accepted(made.id)


def test_a_retired_key_stays_listed_until_it_is_forgotten(stock: Stock) -> None:
    """It may still work, so reconciliation must go on seeing it, and sees that it was asked for."""
    [made] = stock.fill([YEAR])
    stock.lease()
    [before] = stock.pool.list_keys("fixture", stock.rotation_fixture.arn).keys
    stock.pool.revoke(made.id)
    [after] = stock.pool.list_keys("fixture", stock.rotation_fixture.arn).keys
    assert (before.revocation_asked, after.revocation_asked) == (False, True)
    assert after.active
    key = stock.pool.find(made.id)
    assert key is not None
    assert stock.rotation_fixture.prover.prove(key, "rotation test seal").identity_checked
    for _ in range(2):
        stock.pool.forget(made.id)
    assert stock.pool.list_keys("fixture", stock.rotation_fixture.arn).keys == ()
    assert stock.pool.find(made.id) is None
    assert stock.pool.revoke(made.id) is Revocation.ALREADY_GONE


def test_a_message_that_could_not_be_sent_is_sent_later(stock: Stock) -> None:
    """Not within five minutes, for another call may be sending it; then once."""
    [made] = stock.fill([YEAR])
    stock.inbox.failures = 1
    assert stock.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    assert stock.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    assert stock.inbox.messages == []
    stock.rotation_fixture.later(timedelta(minutes=6))
    for _ in range(2):
        assert stock.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    assert len(stock.inbox.about("Revoke")) == 1


def test_a_message_whose_note_was_lost_is_sent_again(stock: Stock) -> None:
    """Rather twice than never: the note that it was sent could not be stored."""
    [made] = stock.fill([YEAR])

    class Unwritable:
        """Refuses the second put: the note."""

        puts = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(stock.rotation_fixture.client, name)

        def put_secret_value(self, **arguments: Any) -> Any:
            self.puts += 1
            if self.puts == 2:
                stock.rotation_fixture.cloud.faults.before(
                    "PutSecretValue", AwsError("AccessDeniedException")
                )
            return stock.rotation_fixture.client.put_secret_value(**arguments)

    pool = stock.issuer(stock.over(Unwritable()))
    assert pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    assert len(stock.inbox.messages) == 1
    stock.rotation_fixture.later(timedelta(minutes=6))
    pool.revoke(made.id)
    stock.rotation_fixture.later(timedelta(minutes=6))
    pool.revoke(made.id)
    assert len(stock.inbox.messages) == 2


def test_a_store_that_fails_leaves_the_key_unretired(stock: Stock) -> None:
    """Nothing was recorded, so nobody is told, and the caller knows."""
    [made] = stock.fill([YEAR])
    stock.rotation_fixture.cloud.faults.before("PutSecretValue", AwsError("AccessDeniedException"))
    with pytest.raises(SecretStoreError):
        stock.pool.revoke(made.id)
    assert stock.inbox.messages == []
    assert stock.states() == {made.id: "free"}


def test_a_free_key_that_is_revoked_is_never_leased(stock: Stock) -> None:
    """A leaked pool is emptied this way."""
    [made] = stock.fill([YEAR])
    stock.pool.revoke(made.id)
    with pytest.raises(KeyPoolEmptyError):
        stock.lease()
    [held] = stock.read().keys
    assert isinstance(held.notice, Notice)
    assert held.notice.sent


def test_a_step_retires_nothing(stock: Stock) -> None:
    """Another invocation of the token may have stored the key that this one would give up."""
    [made] = stock.fill([YEAR])
    steps = StepsKeyPool(stock.pool)
    token = new_token()
    assert steps.issue(stock.label(token), LIFE).id == made.id
    stock.inbox.messages.clear()
    assert steps.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    assert stock.states() == {made.id: "leased"}
    assert stock.inbox.messages == []
    assert [key.id for key in steps.list_keys("fixture", stock.rotation_fixture.arn).keys] == [
        made.id
    ]
