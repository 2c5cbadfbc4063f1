"""A pool that leaked: condemned, asked about, probed, recorded, and never forgotten alive."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from rotation.core.ports import Revocation
from rotation.credential import ApiKey, iso_utc
from rotation.errors import KeyPoolEmptyError
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
