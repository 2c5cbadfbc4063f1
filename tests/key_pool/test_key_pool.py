"""Leasing, listing, retiring and forgetting: what a rotation and reconciliation get of a pool."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotation.core.ports import KeyLabel, Revocation
from rotation.errors import KeyIssueError, KeyPoolEmptyError, SecretStoreError
from rotation.key_pool.document import KeyState, Notice
from rotation.key_pool.incident import PoolIncident
from rotation.key_pool.issuer import KeyPoolIssuer, LeaseOnlyIssuer
from rotation.sandbox.aws.traffic import AwsError
from tests.key_pool.pool_fixture import LIFE, PoolFixture
from tests.rotation_fixture import new_token

DAY = timedelta(days=1)
YEAR = 364 * DAY


def test_the_same_label_gets_the_same_key(key_pool: PoolFixture) -> None:
    """Retries and racing invocations of one token store one value, times included."""
    key_pool.fill([YEAR] * 3)
    token = new_token()
    first = key_pool.lease(token)
    key_pool.rotation.later(timedelta(hours=3))
    assert key_pool.lease(token) == first
    assert key_pool.lease().id != first.id


def test_a_lease_names_who_has_the_key(key_pool: PoolFixture) -> None:
    """Installation, secret, token and time are in the document; the time is the key's issue."""
    key_pool.fill([YEAR])
    token = new_token()
    key = key_pool.lease(token)
    [held] = key_pool.read().keys
    assert held.lease is not None
    assert held.lease.label == KeyLabel("fixture", key_pool.rotation.arn, token)
    assert held.lease.at == key.issued_at
    assert abs(held.lease.at - key_pool.rotation.now()) < timedelta(seconds=30)


def test_the_key_that_expires_last_is_leased_first(key_pool: PoolFixture) -> None:
    """Keys of unknown expiry come after all others."""
    short, undated, long, middle = key_pool.fill([50 * DAY, None, 300 * DAY, 200 * DAY])
    leased = [key_pool.lease().id for _ in range(4)]
    assert leased == [long.id, middle.id, short.id, undated.id]


def test_a_key_that_would_not_last_is_not_leased(key_pool: PoolFixture) -> None:
    """What expires before the next rotation and its grace stays free, and the error counts it."""
    key_pool.fill([30 * DAY, 10 * DAY])
    with pytest.raises(KeyPoolEmptyError, match=r"lives 31\.0 days.*2 expire sooner") as failed:
        key_pool.lease()
    assert "rotation pool add" in str(failed.value)
    assert set(key_pool.states().values()) == {"free"}
    key_pool.needed = 9 * DAY
    assert key_pool.lease() is not None


def test_what_a_key_needs_is_asked_of_its_secret(key_pool: PoolFixture) -> None:
    """Two secrets with two schedules need different keys; each is asked for by its ARN."""
    short, long = key_pool.fill([40 * DAY, 200 * DAY])
    asked: list[str] = []

    def needed(arn: str) -> timedelta:
        asked.append(arn)
        return 100 * DAY

    pool = KeyPoolIssuer(key_pool.secret, needed, key_pool.inbox, key_pool.rotation.now)
    assert pool.issue(key_pool.label(), LIFE).id == long.id
    with pytest.raises(KeyPoolEmptyError):
        pool.issue(key_pool.label(), LIFE)
    assert asked == [key_pool.rotation.arn] * 2
    assert key_pool.states()[short.id] == "free"


@pytest.mark.parametrize("state", ["retired", "compromised"])
def test_a_lease_of_a_key_that_must_die_is_not_given_again(
    key_pool: PoolFixture, state: str
) -> None:
    """The same token gets another key."""
    key_pool.fill([YEAR] * 2)
    token = new_token()
    first = key_pool.lease(token)
    held = key_pool.read().find(first.id)
    assert held is not None
    marked = replace(held, state=KeyState(state))
    key_pool.secret.change(lambda pool: (pool.with_entry(marked), None))
    assert key_pool.lease(token).id != first.id


def test_an_expired_lease_is_not_given_again(key_pool: PoolFixture) -> None:
    """A token that comes back after its key's death gets another key."""
    key_pool.needed = DAY
    key_pool.fill([30 * DAY, 20 * DAY])
    token = new_token()
    first = key_pool.lease(token)
    key_pool.rotation.later(31 * DAY)
    with pytest.raises(KeyPoolEmptyError):
        key_pool.lease(token)
    [listed] = key_pool.pool.list_keys("fixture", key_pool.rotation.arn).keys
    assert (listed.id, listed.active) == (first.id, False)


def test_an_empty_pool_says_what_to_do(key_pool: PoolFixture) -> None:
    """The error is a KeyIssueError of its own, and names the pool and the command."""
    with pytest.raises(KeyPoolEmptyError, match=r"trusted-signatures-pool.*rotation pool add"):
        key_pool.lease()
    assert issubclass(KeyPoolEmptyError, KeyIssueError)
    assert not KeyPoolEmptyError.retryable


def test_a_pool_that_runs_low_asks_for_keys(key_pool: PoolFixture) -> None:
    """With fewer than two keys left each new lease says so; the same lease again does not."""
    key_pool.fill([YEAR] * 4)
    for _ in range(2):
        key_pool.lease()
    assert key_pool.inbox.messages == []
    token = new_token()
    for _ in range(2):
        key_pool.lease(token)
    key_pool.lease()
    asked = key_pool.inbox.about("Add")
    assert [facts["free keys left"] for facts in asked] == ["1", "0"]
    assert "rotation pool add" in asked[0]["what to do"]


def test_nobody_to_tell_is_no_reason_to_fail(key_pool: PoolFixture) -> None:
    """The lease stands although the message about what is left could not be sent."""
    key_pool.fill([YEAR])
    key_pool.inbox.failures = 1
    assert key_pool.lease().id in key_pool.states()


def test_leases_are_listed_by_secret_and_installation(key_pool: PoolFixture) -> None:
    """Free keys and keys of others stay out; the clock is ours."""
    key_pool.fill([YEAR] * 4)
    token = new_token()
    mine = key_pool.lease(token)
    for label in (
        KeyLabel("fixture", key_pool.rotation.arn + "2", token),
        KeyLabel("house2", key_pool.rotation.arn, token),
    ):
        key_pool.pool.issue(label, LIFE)
    listing = key_pool.pool.list_keys("fixture", key_pool.rotation.arn)
    [listed] = listing.keys
    assert (listed.id, listed.label.token, listed.active) == (mine.id, token, True)
    assert listed.created_at == mine.issued_at
    assert listed.expires_at == mine.expires_at
    assert abs(listing.vendor_time - key_pool.rotation.now()) < timedelta(seconds=30)


def test_revoking_asks_a_person_once(key_pool: PoolFixture) -> None:
    """The key still works, so the answer never says that it was revoked; one message is sent."""
    [made] = key_pool.fill([YEAR])
    key_pool.lease()
    key_pool.inbox.messages.clear()
    for _ in range(3):
        assert key_pool.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    key_pool.rotation.later(timedelta(days=30))
    assert key_pool.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    [facts] = key_pool.inbox.about("Revoke")
    assert facts["key id"] == made.id
    assert facts["secret"] == key_pool.rotation.arn
    assert "portal" in facts["what to do"]
    assert key_pool.states() == {made.id: "retired"}
    assert key_pool.rotation.vendor.keys.accepted(made.id)


def test_a_retired_key_stays_listed_until_it_is_forgotten(key_pool: PoolFixture) -> None:
    """It may still work, so reconciliation must go on seeing it, and sees that it was asked for."""
    [made] = key_pool.fill([YEAR])
    key_pool.lease()
    [before] = key_pool.pool.list_keys("fixture", key_pool.rotation.arn).keys
    key_pool.pool.revoke(made.id)
    [after] = key_pool.pool.list_keys("fixture", key_pool.rotation.arn).keys
    assert (before.revocation_asked, after.revocation_asked) == (False, True)
    assert after.active
    key = key_pool.pool.find(made.id)
    assert key is not None
    assert key_pool.rotation.prover.prove(key, "rotation test seal").identity_checked
    for _ in range(2):
        key_pool.pool.forget(made.id)
    assert key_pool.pool.list_keys("fixture", key_pool.rotation.arn).keys == ()
    assert key_pool.pool.find(made.id) is None
    assert key_pool.pool.revoke(made.id) is Revocation.ALREADY_GONE


def test_a_message_that_could_not_be_sent_is_sent_later(key_pool: PoolFixture) -> None:
    """Not within five minutes, for another call may be sending it; then once."""
    [made] = key_pool.fill([YEAR])
    key_pool.inbox.failures = 1
    assert key_pool.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    assert key_pool.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    assert key_pool.inbox.messages == []
    key_pool.rotation.later(timedelta(minutes=6))
    for _ in range(2):
        assert key_pool.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    assert len(key_pool.inbox.about("Revoke")) == 1


def test_a_message_whose_note_was_lost_is_sent_again(key_pool: PoolFixture) -> None:
    """Rather twice than never: the note that it was sent could not be stored."""
    [made] = key_pool.fill([YEAR])

    class Unwritable:
        """Refuses the second put: the note."""

        puts = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(key_pool.rotation.client, name)

        def put_secret_value(self, **arguments: Any) -> Any:
            self.puts += 1
            if self.puts == 2:
                key_pool.rotation.cloud.faults.before(
                    "PutSecretValue", AwsError("AccessDeniedException")
                )
            return key_pool.rotation.client.put_secret_value(**arguments)

    pool = key_pool.issuer(key_pool.over(Unwritable()))
    assert pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    assert len(key_pool.inbox.messages) == 1
    key_pool.rotation.later(timedelta(minutes=6))
    pool.revoke(made.id)
    key_pool.rotation.later(timedelta(minutes=6))
    pool.revoke(made.id)
    assert len(key_pool.inbox.messages) == 2


def test_a_store_that_fails_leaves_the_key_unretired(key_pool: PoolFixture) -> None:
    """Nothing was recorded, so nobody is told, and the caller knows."""
    [made] = key_pool.fill([YEAR])
    key_pool.rotation.cloud.faults.before("PutSecretValue", AwsError("AccessDeniedException"))
    with pytest.raises(SecretStoreError):
        key_pool.pool.revoke(made.id)
    assert key_pool.inbox.messages == []
    assert key_pool.states() == {made.id: "free"}


def test_a_free_key_that_is_revoked_is_never_leased(key_pool: PoolFixture) -> None:
    """A leaked pool is emptied this way."""
    [made] = key_pool.fill([YEAR])
    key_pool.pool.revoke(made.id)
    with pytest.raises(KeyPoolEmptyError):
        key_pool.lease()
    [held] = key_pool.read().keys
    assert isinstance(held.notice, Notice)
    assert held.notice.sent


def test_a_step_retires_nothing(key_pool: PoolFixture) -> None:
    """Another invocation of the token may have stored the key that this one would give up."""
    [made] = key_pool.fill([YEAR])
    steps = LeaseOnlyIssuer(key_pool.pool)
    token = new_token()
    assert steps.issue(key_pool.label(token), LIFE).id == made.id
    key_pool.inbox.messages.clear()
    assert steps.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
    assert key_pool.states() == {made.id: "leased"}
    assert key_pool.inbox.messages == []
    assert [key.id for key in steps.list_keys("fixture", key_pool.rotation.arn).keys] == [made.id]


def test_a_suspect_key_is_retired_by_a_step(key_pool: PoolFixture) -> None:
    """It may never become current: a person is asked at once, and the token gets another key."""
    key_pool.fill([YEAR] * 2)
    suspects: list[str] = []
    steps = LeaseOnlyIssuer(key_pool.pool, suspects.__contains__)
    label = key_pool.label()
    leaked = steps.issue(label, LIFE).id
    suspects.append(leaked)
    assert steps.revoke(leaked) is Revocation.MANUAL_ACTION_NEEDED
    assert steps.issue(label, LIFE).id != leaked
    assert key_pool.states()[leaked] == "retired"
    assert [facts["key id"] for facts in key_pool.inbox.about("Revoke")] == [leaked]


@pytest.mark.parametrize("state", ["free", "leased", "retired", "compromised"])
def test_a_key_that_was_asked_to_be_revoked_is_kept_until_it_is_dead(
    key_pool: PoolFixture, state: str
) -> None:
    """Whatever it was before, no lease gets it, and a report names it as long as it may work."""
    made, _ = key_pool.fill([YEAR, 100 * DAY])
    if state != "free":
        assert key_pool.lease().id == made.id
    if state in {"retired", "compromised"}:
        held = key_pool.read().find(made.id)
        assert held is not None
        marked = replace(held, state=KeyState(state))
        key_pool.secret.change(lambda pool: (pool.with_entry(marked), None))
    for _ in range(2):
        assert key_pool.pool.revoke(made.id) is Revocation.MANUAL_ACTION_NEEDED
        assert key_pool.lease(new_token() if state == "free" else "t" * 32).id != made.id
        key_pool.pool.forget("unknown")
        listed = key_pool.pool.list_keys("fixture", key_pool.rotation.arn).keys
        incident = PoolIncident(key_pool.secret, key_pool.inbox, key_pool.rotation.now)
        reported = {key.id for key in listed if key.revocation_asked}
        reported |= {one.key.id for one in incident.condemned()}
        assert made.id in reported
        if state == "free":
            break
    assert len(key_pool.inbox.about("Revoke")) == 1


@pytest.mark.parametrize(
    "said",
    [
        {"notice": {"by": "me", "at": "2026-11-22T10:00:00Z", "sent": False}},
        {"declared": "leaked"},
        {"declaredAt": "2026-11-22T10:00:00Z"},
    ],
    ids=str,
)
def test_a_free_key_of_which_anything_is_said_is_not_leased(
    key_pool: PoolFixture, said: dict[str, Any]
) -> None:
    """Somebody edited the pool by hand: what was said of the key counts, and not only its state."""
    key_pool.fill([YEAR])
    value = key_pool.value()
    value["keys"][0] |= said
    key_pool.put(value)
    with pytest.raises(KeyPoolEmptyError):
        key_pool.lease()


@pytest.mark.parametrize("state", ["leased", "retired", "compromised"])
def test_a_key_that_lies_in_the_pool_twice_is_not_leased_again(
    key_pool: PoolFixture, state: str
) -> None:
    """The same material under another id is the same key."""
    first, _ = key_pool.fill([YEAR, 100 * DAY])
    leased = key_pool.lease()
    value = key_pool.value()
    value["keys"][0]["state"] = state
    value["keys"][1]["apiKey"] = first.material
    key_pool.put(value)
    with pytest.raises(KeyPoolEmptyError):
        key_pool.lease()
    assert key_pool.states()[leased.id] == state


def test_the_current_key_of_the_secret_is_not_leased_to_it(key_pool: PoolFixture) -> None:
    """A person added a key that the secret holds already: a rotation replaces it with another."""
    held, other = key_pool.fill([YEAR, 100 * DAY])
    pool = KeyPoolIssuer(
        key_pool.secret,
        lambda _: key_pool.needed,
        key_pool.inbox,
        key_pool.rotation.now,
        current_key={key_pool.rotation.arn: held.id}.get,
    )
    assert pool.issue(key_pool.label(), LIFE).id == other.id
    with pytest.raises(KeyPoolEmptyError):
        pool.issue(replace(key_pool.label(), secret_arn="another secret"), LIFE)
    listed = pool.list_keys("fixture", key_pool.rotation.arn).keys
    assert {key.id for key in listed} == {held.id, other.id}
