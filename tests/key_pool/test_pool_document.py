"""The pool secret's value: what is read, what is refused, and that nothing is shown or lost."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from rotation.core.ports import KeyLabel
from rotation.credential import Confidential, KeyFormat, KeyMember, matching
from rotation.errors import InvalidCredentialError, KeyPoolError
from rotation.key_pool.document import KeyState, Lease, Notice, PoolDocument, add_key
from tests.counted_steps import steps
from tests.privacy.canary import Canary, everything_said

ID = "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"
OTHER_ID = "0d8f3c1a-7b6e-4a5d-9c2b-1f0e8d7c6b5a"
MATERIAL = "5d41402abc4b2a76b9719d911017c592ae25f1c0d3b94e6a8f7c1e2d3b4a5968"
ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:trusted-signatures-api-AbCdEf"
KEY: dict[str, Any] = {"apiKeyId": ID, "apiKey": MATERIAL}
LEASE = {
    "installation": "fixture",
    "secretArn": ARN,
    "token": "t" * 32,
    "at": "2026-11-21T10:00:00Z",
}


def parse(value: Any) -> PoolDocument:
    text = value if isinstance(value, str) else json.dumps(value)
    return PoolDocument.parse(Confidential(text), of="the pool")


def stored(pool: PoolDocument) -> Any:
    return json.loads(pool.serialize().reveal())


def test_the_least_that_a_person_writes_is_a_free_key() -> None:
    """Key id and key are enough; everything else has a default."""
    [held] = parse({"keys": [KEY]}).keys
    assert (held.key.id, held.state, held.lease, held.added_at) == (ID, KeyState.FREE, None, None)
    assert held.key.material.reveal() == MATERIAL


@pytest.mark.parametrize("state", ["free", "compromised", "unknown"])
def test_twice_the_keys_are_twice_the_work(state: str) -> None:
    """Reading a pool, finding what may be leased and writing it are linear in its keys."""

    def work(keys: int) -> int:
        listed = [
            {"apiKeyId": str(UUID(int=one)), "apiKey": f"{one:064x}", "state": state}
            for one in range(keys)
        ]
        listed[0]["state"] = "free"
        text = Confidential(json.dumps({"keys": listed}))

        def act() -> None:
            pool = PoolDocument.parse(text, of="the pool")
            assert next(entry.key.id for entry in pool.leasable) == str(UUID(int=0))
            pool.serialize()

        return steps(act)

    assert work(200) <= 2.05 * work(100)


def test_members_of_others_survive_every_change() -> None:
    """What an organisation keeps beside the keys, or with one of them, is written back as it is."""
    value = {
        "keys": [KEY | {"madeBy": {"name": "Zoë", "ticket": [7, None]}}],
        "note": "Zoë, and half a pair: \ud83d",
    }
    pool = parse(value)
    [held] = pool.keys
    lease = Lease(KeyLabel("fixture", ARN, "t" * 32), datetime(2026, 11, 21, 10, tzinfo=UTC))
    changed = stored(pool.with_entry(replace(held, state=KeyState.LEASED, lease=lease)))
    assert changed["note"] == value["note"]
    assert changed["keys"][0]["madeBy"] == value["keys"][0]["madeBy"]  # type: ignore[index]


def test_what_is_written_is_read_again() -> None:
    """Lease, notice and times come back as they were."""
    full = KEY | {
        "state": "retired",
        "lease": LEASE,
        "notice": {"by": "me", "at": "2026-11-22T10:00:00.250Z", "sent": True},
        "addedAt": "2026-11-01T00:00:00+01:00",
        "expiresAt": "2027-11-01T00:00:00Z",
    }
    [held] = parse({"keys": [full]}).keys
    assert held.lease is not None
    assert held.lease.label == KeyLabel("fixture", ARN, "t" * 32)
    assert held.notice == Notice("me", datetime(2026, 11, 22, 10, 0, 0, 250000, UTC), sent=True)
    assert held.added_at == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert parse(stored(PoolDocument((held,)))).keys == (held,)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", 'not a JSON object with a list "keys"'),
        ("[" * 5000, 'not a JSON object with a list "keys"'),
        ("[]", 'a list "keys"'),
        ({}, 'a list "keys"'),
        ({"keys": {}}, 'a list "keys"'),
        ({"keys": [], "leaked": {"at": "now"}}, '"leaked" is not what docs/key-pool.md'),
    ],
)
def test_a_value_that_is_no_pool_is_refused_whole(value: Any, problem: str) -> None:
    """The message names the entry and the problem, and holds no key, nor does its traceback."""
    canary = Canary()
    canary.plant(MATERIAL, "the key")
    text = Confidential(value if isinstance(value, str) else json.dumps(value))
    del value
    with pytest.raises(InvalidCredentialError) as failed:
        PoolDocument.parse(text, of="the pool")
    assert problem in str(failed.value)
    # Up to this test's own frame, whose locals hold the parameters.
    failed.value.__traceback__ = failed.value.__traceback__ and failed.value.__traceback__.tb_next
    assert canary.find(everything_said(failed.value)) is None


SOUND: dict[str, Any] = {"apiKeyId": OTHER_ID, "apiKey": "ab" * 32}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (7, "it is not a JSON object"),
        ({"apiKeyId": ID}, '"apiKey" is missing'),
        ({"apiKeyId": ID, "apiKey": MATERIAL + "x"}, "not hexadecimal"),
        ({"apiKeyId": MATERIAL, "apiKey": MATERIAL}, "not a UUID"),
        (KEY | {"expiresAt": "2027-01-01"}, "not an ISO 8601 time with an offset"),
        (KEY | {"state": "given"}, "none of free, leased"),
        (KEY | {"state": ["free"]}, "none of free, leased"),
        (KEY | {"state": "leased"}, "does not agree"),
        (KEY | {"state": "free", "lease": LEASE}, "does not agree"),
        (KEY | {"state": "leased", "lease": {"at": LEASE["at"]}}, "key-pool.md"),
        (KEY | {"state": "leased", "lease": LEASE | {"token": 7}}, "key-pool.md"),
        (KEY | {"lease": MATERIAL}, "key-pool.md"),
        (KEY | {"addedAt": 7}, "key-pool.md"),
        (KEY | {"apiKeyId": OTHER_ID.upper()}, f"{OTHER_ID} is listed before"),
    ],
)
def test_an_entry_that_cannot_be_read_holds_up_no_other(entry: Any, problem: str) -> None:
    """It is named with its cause, shows no key, and is written back to the letter."""
    canary = Canary()
    canary.plant(MATERIAL, "the key")
    pool = parse({"keys": [SOUND, entry]})
    assert [held.key.id for held in pool.keys] == [OTHER_ID]
    [sick] = pool.unreadable
    assert str(sick).startswith("key 2 of 2: ")
    assert problem in str(sick)
    assert canary.find(f"{pool!r} {sick!r} {sick}".encode()) is None
    changed = stored(pool.with_entry(replace(pool.keys[0], state=KeyState.RETIRED)))
    assert changed["keys"][1] == entry
    assert parse(changed).unreadable == pool.unreadable


@pytest.mark.parametrize(
    "entry",
    [
        {"apiKeyId": OTHER_ID.upper(), "state": "leased"},
        {"apiKey": "ab" * 32, "apiKeyId": "lost", "lease": LEASE, "state": "leased"},
        SOUND | {"lease": "lost"},
    ],
)
def test_a_key_that_an_unreadable_entry_is_about_is_not_leased(entry: Any) -> None:
    """By its id or by its material: it may have been leased before. Nor is it added anew."""
    pool = parse({"keys": [SOUND, entry, KEY]})
    assert [held.key.id for held in pool.leasable] == [ID]
    key = pool.keys[0].key
    with pytest.raises(KeyPoolError, match="cannot be read"):
        add_key(parse({"keys": [entry]}), key, datetime(2026, 11, 21, tzinfo=UTC))


def test_a_pool_shows_no_key() -> None:
    """Its repr and str give ids and states; copies that could be taken apart are refused."""
    canary = Canary()
    canary.plant(MATERIAL, "the key")
    pool = parse({"keys": [KEY | {"password": MATERIAL}], "also": MATERIAL})
    assert ID in repr(pool)
    assert canary.find(f"{pool!r} {pool} {pool.keys!r}".encode()) is None
    with pytest.raises(TypeError):
        copy.deepcopy(pool)


def test_keys_are_found_replaced_added_and_taken_out() -> None:
    """A change gives a new pool and leaves the order of the others."""
    pool = parse({"keys": [KEY, {"apiKeyId": OTHER_ID, "apiKey": "ab" * 32}]})
    first, second = pool.keys
    retired = replace(first, state=KeyState.RETIRED)
    assert pool.with_entry(retired).keys == (retired, second)
    assert pool.without(ID).keys == (second,)
    assert pool.without(ID).with_entry(first).keys == (second, first)
    assert pool.find(OTHER_ID) is second
    assert pool.find("unknown") is None


@pytest.mark.parametrize(
    "text", ["1.10", "1e3", "12345678901234567890123456", "1e400", "-0.0", '"\\ud800"', "NaN"]
)
def test_values_of_others_survive_to_the_letter(text: str) -> None:
    """No number is read as a float and written as another one."""
    value = Confidential(
        f'{{"budget": {text}, "keys": [{{"apiKeyId": "{ID}", "apiKey": "{MATERIAL}", '
        f'"cost": [{{"each": {text}}}]}}]}}'
    )
    pool = PoolDocument.parse(value, of="the pool")
    [held] = pool.keys
    changed = pool.with_entry(replace(held, added_at=datetime(2026, 11, 21, tzinfo=UTC)))
    written = changed.serialize().reveal()
    assert f'"budget": {text},' in written
    assert f'"cost": [{{"each": {text}}}]' in written


def test_the_pool_of_another_vendor_has_its_members() -> None:
    """The names and the form of its keys are its `KeyFormat`'s; ours are another's to use there."""
    other = KeyFormat(
        id=KeyMember("login", "a name", matching("[a-z]+")),
        material=KeyMember("token", "digits", matching("[0-9]{8}")),
    )
    value = {"keys": [{"login": "anna", "token": "12345678", "apiKey": "theirs"}]}
    pool = PoolDocument.parse(Confidential(json.dumps(value)), of="the pool", key_format=other)
    [held] = pool.keys
    assert (held.key.id, held.key.material.reveal()) == ("anna", "12345678")
    [written] = stored(pool)["keys"]
    assert written | value["keys"][0] == written
    foreign = Confidential(json.dumps({"keys": [KEY]}))
    [sick] = PoolDocument.parse(foreign, of="the pool", key_format=other).unreadable
    assert '"login" is missing' in str(sick)
