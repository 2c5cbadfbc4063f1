"""A pool that leaked: condemned, asked about, probed, recorded, and never forgotten alive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from rotation.core.ports import Revocation
from rotation.credential import ApiKey, iso_utc
from rotation.errors import KeyPoolEmptyError, KeyPoolError
from rotation.key_pool.document import add_key
from rotation.key_pool.incident import PoolIncident
from rotation.key_pool.messages import NOTICE_TIMEOUT
from rotation.sandbox.aws.traffic import AwsError
from tests.key_pool.pool_fixture import NAME, PoolFixture

YEAR = timedelta(days=364)
DECLARED = "2026-11-22T02:00:00.000Z pool-leaked arn:aws:sts::012345678912:assumed-role/on-call/ann"


@pytest.fixture
def incident(key_pool: PoolFixture) -> PoolIncident:
    """What a responder and reconciliation do with the pool."""
    return PoolIncident(key_pool.secret, key_pool.inbox, key_pool.rotation.now)


def test_every_free_key_is_condemned_and_none_that_a_secret_holds(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """The answer names the condemned keys, and the secrets that hold others of the pool."""
    made = key_pool.fill([YEAR] * 3)
    leased = key_pool.lease()
    done = incident.condemn(DECLARED)
    free = {key.id for key in made} - {leased.id}
    assert set(done.keys) == free
    assert done.leased_to == (key_pool.rotation.arn,)
    assert done.asked
    assert key_pool.states() == {leased.id: "leased"} | dict.fromkeys(free, "compromised")


def test_a_condemned_key_is_never_leased(key_pool: PoolFixture, incident: PoolIncident) -> None:
    """The next rotation finds an empty pool, and a key that is added afterwards."""
    key_pool.fill([YEAR] * 2)
    incident.condemn(DECLARED)
    with pytest.raises(KeyPoolEmptyError):
        key_pool.lease()


def test_one_message_asks_for_all_of_them(key_pool: PoolFixture, incident: PoolIncident) -> None:
    """With the ids, why, and what to do afterwards; a second declaration asks nobody again."""
    made = key_pool.fill([YEAR] * 2)
    incident.condemn(DECLARED)
    assert incident.condemn("later").keys == tuple(key.id for key in made)
    [(subject, facts)] = key_pool.inbox.messages
    assert subject == "Revoke 2 leaked API keys"
    assert facts["key ids"].split() == [key.id for key in made]
    assert facts["why"] == DECLARED
    assert "rotation pool add" in facts["and then"]


def test_fresh_keys_are_spared_until_the_leaked_ones_are_dead(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """The command run again does not condemn what a person has just added; --again does."""
    [leaked] = key_pool.fill([YEAR])
    incident.condemn(DECLARED)
    key_pool.rotation.later(timedelta(minutes=1))
    fresh = key_pool.rotation.vendor.keys.create()
    key = ApiKey.from_text(fresh.id, fresh.material, expires_at=iso_utc(fresh.expires_at))
    key_pool.secret.change(partial(add_key, key=key, now=key_pool.rotation.now()))
    assert incident.condemn(DECLARED).keys == (leaked.id,)
    assert key_pool.states() == {leaked.id: "compromised", fresh.id: "free"}
    assert set(incident.condemn(DECLARED, again=True).keys) == {leaked.id, fresh.id}


def test_a_message_that_failed_is_sent_by_a_later_run(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """The declaration holds and says that nobody was asked; later one message goes out."""
    key_pool.fill([YEAR])
    key_pool.inbox.failures = 1
    assert not incident.condemn(DECLARED).asked
    incident.ask_for_revocation()
    assert key_pool.inbox.messages == []
    key_pool.rotation.later(NOTICE_TIMEOUT)
    incident.ask_for_revocation()
    incident.ask_for_revocation()
    assert len(key_pool.inbox.about("Revoke")) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_write_that_fails_leaves_all_keys_free_or_all_condemned(
    key_pool: PoolFixture, incident: PoolIncident, when: str
) -> None:
    """A declaration whose put is lost is made again by the same call, or by the next."""
    key_pool.fill([YEAR] * 3)
    plan = getattr(key_pool.rotation.cloud.faults, when)
    plan("UpdateSecretVersionStage", AwsError("InternalServiceError", status=500))
    incident.condemn(DECLARED)
    assert set(key_pool.states().values()) == {"compromised"}
    assert len(key_pool.inbox.about("Revoke")) == 1


def test_a_key_that_lives_on_is_asked_daily(key_pool: PoolFixture, incident: PoolIncident) -> None:
    """Each time on the first day; after that once a day, since each answer is a signature."""
    [key] = key_pool.fill([YEAR])
    incident.condemn(DECLARED)
    incident.note_alive([key.id])
    assert [one.due for one in incident.condemned()] == [True]
    key_pool.rotation.later(timedelta(days=1, minutes=1))
    incident.note_alive([key.id])
    assert [one.due for one in incident.condemned()] == [False]
    key_pool.rotation.later(timedelta(days=1))
    assert [one.due for one in incident.condemned()] == [True]


def test_only_a_condemned_key_can_be_forgotten(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """A proof about another key changes nothing; the dead one leaves the pool."""
    key_pool.fill([YEAR] * 2)
    leased = key_pool.lease()
    [condemned] = incident.condemn(DECLARED).keys
    incident.forget(leased.id)
    incident.forget(condemned)
    incident.forget(condemned)
    assert key_pool.states() == {leased.id: "leased"}


def test_a_key_that_somebody_condemned_by_hand_is_looked_after(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """An entry with that state and nothing else is asked about and probed like the others."""
    key_pool.fill([YEAR])
    value = key_pool.value()
    value["keys"][0]["state"] = "compromised"
    key_pool.put(value)
    assert [(one.declared, one.due) for one in incident.condemned()] == [("by hand", True)]
    incident.ask_for_revocation()
    assert len(key_pool.inbox.about("Revoke")) == 1


def test_a_condemned_key_still_counts_for_the_issuer(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """Nothing is revoked by declaring: asking for it again is a person's act too."""
    [key] = key_pool.fill([YEAR])
    incident.condemn(DECLARED)
    assert key_pool.pool.revoke(key.id) is Revocation.MANUAL_ACTION_NEEDED


def test_nothing_of_a_key_is_shown(
    key_pool: PoolFixture, incident: PoolIncident, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the message, the answer, the log or a repr."""
    [key] = key_pool.fill([YEAR])
    done = incident.condemn(DECLARED)
    shown: list[Any] = [key_pool.inbox.messages, done, incident.condemned(), caplog.text]
    assert key.material not in repr(shown)
    assert incident.name == NAME


def add(key_pool: PoolFixture) -> str:
    """A person adds a fresh key, a minute later."""
    key_pool.rotation.later(timedelta(minutes=1))
    made = key_pool.rotation.vendor.keys.create()
    key = ApiKey.from_text(made.id, made.material, expires_at=iso_utc(made.expires_at))
    key_pool.secret.change(partial(add_key, key=key, now=key_pool.rotation.now()))
    return made.id


@pytest.mark.parametrize("keys", [0, 1])
def test_fresh_keys_are_spared_where_no_free_key_leaked(
    key_pool: PoolFixture, incident: PoolIncident, keys: int
) -> None:
    """All keys were leased, or there was none: the command run again condemns no fresh key."""
    key_pool.fill([YEAR] * keys)
    for _ in range(keys):
        key_pool.lease()
    assert incident.condemn(DECLARED).keys == ()
    fresh = add(key_pool)
    done = incident.condemn(DECLARED)
    assert (done.keys, done.spared) == ((), (fresh,))
    assert incident.condemn(DECLARED, again=True).keys == (fresh,)


def test_fresh_keys_are_spared_although_people_had_to_be_asked_again(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """A later message is no later declaration."""
    [leaked] = key_pool.fill([YEAR])
    key_pool.inbox.failures = 1
    incident.condemn(DECLARED)
    fresh = add(key_pool)
    key_pool.rotation.later(NOTICE_TIMEOUT)
    incident.ask_for_revocation()
    done = incident.condemn(DECLARED)
    assert (done.keys, done.spared, done.asked) == ((leaked.id,), (fresh,), True)


def test_a_leak_after_the_last_one_is_over_is_a_new_one(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """A day later, when no key is left that had leaked, all free keys are condemned."""
    [leaked] = key_pool.fill([YEAR])
    incident.condemn(DECLARED)
    fresh = add(key_pool)
    incident.forget(leaked.id)
    assert incident.condemn(DECLARED).keys == ()
    key_pool.rotation.later(timedelta(days=1))
    assert incident.condemn("another leak").keys == (fresh,)


class Overtaken:
    """A client before whose first claim or put somebody else changes the pool."""

    def __init__(self, client: Any, first: Callable[[], object]) -> None:
        self._client = client
        self._first: Callable[[], object] | None = first

    def __getattr__(self, name: str) -> Any:
        if name in {"put_secret_value", "update_secret_version_stage"} and self._first:
            first, self._first = self._first, None
            first()
        return getattr(self._client, name)


def test_a_key_that_is_leased_during_the_declaration_is_reported_as_leased(
    key_pool: PoolFixture,
) -> None:
    """It is in no secret's and nobody's blind spot: the secret that got it is named."""
    made = key_pool.fill([YEAR] * 2)
    leased: list[str] = []
    client = Overtaken(key_pool.rotation.client, lambda: leased.append(key_pool.lease().id))
    secret = key_pool.over(client)
    done = PoolIncident(secret, key_pool.inbox, key_pool.rotation.now).condemn(DECLARED)
    assert set(done.keys) == {key.id for key in made} - set(leased)
    assert done.leased_to == (key_pool.rotation.arn,)


def test_a_lease_that_is_overtaken_by_the_declaration_gets_no_leaked_key(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """It chose a key that was condemned before it could store the lease: it finds none."""
    key_pool.fill([YEAR] * 2)
    client = Overtaken(key_pool.rotation.client, lambda: incident.condemn(DECLARED))
    with pytest.raises(KeyPoolEmptyError):
        key_pool.issuer(key_pool.over(client)).issue(key_pool.label(), YEAR)
    assert set(key_pool.states().values()) == {"compromised"}


def test_two_people_who_declare_at_once_condemn_once(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """Both are told of every key, the first declaration is kept, and one message asks for all."""
    made = key_pool.fill([YEAR] * 2)
    client = Overtaken(key_pool.rotation.client, lambda: incident.condemn("the first"))
    other = PoolIncident(key_pool.over(client), key_pool.inbox, key_pool.rotation.now)
    assert other.condemn("the second").keys == tuple(key.id for key in made)
    assert {one.declared for one in incident.condemned()} == {"the first"}
    assert len(key_pool.inbox.about("Revoke")) == 1


def test_a_living_key_costs_one_version_a_day(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """On its first day it is asked about at every run; only the first answer is written."""
    made = key_pool.fill([YEAR] * 3)
    incident.condemn(DECLARED)
    before = key_pool.versions()
    for _ in range(23):
        incident.ask_for_revocation()
        incident.note_alive([key.id for key in made])
        key_pool.rotation.later(timedelta(hours=1))
    assert key_pool.versions() - before == 1
    assert all(one.due for one in incident.condemned())


def test_a_leak_names_the_entries_that_cannot_be_read(
    key_pool: PoolFixture, incident: PoolIncident
) -> None:
    """Their keys leaked as well; those that can be read are condemned, and a person is asked."""
    [sound] = key_pool.fill([YEAR])
    value = key_pool.value()
    key_pool.put({"keys": [*value["keys"], {"apiKeyId": "lost"}]})
    done = incident.condemn(DECLARED)
    assert done.keys == (sound.id,)
    assert done.asked
    assert [one.partition(":")[0] for one in done.unreadable] == ["key 2 of 2"]
    with pytest.raises(KeyPoolError, match="key 2 of 2"):
        key_pool.pool.revoke("5f1f4b0e-0000-4000-8000-000000000001")
