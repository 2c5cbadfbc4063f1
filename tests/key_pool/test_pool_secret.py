"""Many change one pool at once: nothing is lost or doubled, whatever fails in between."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from rotation.errors import InvalidCredentialError, KeyPoolError, SecretStoreError
from rotation.key_pool.document import Pool
from rotation.key_pool.editing import adding, removing
from rotation.sandbox.aws.traffic import AwsError, Dropped
from tests.key_pool.stock import NAME, Stock, entry
from tests.rotation_fixture import new_token
from tests.vendor.conftest import as_api_key

YEAR = timedelta(days=364)


class KilledError(BaseException):
    """The process ends here; nothing after it runs."""


class Mortal:
    """A client whose process is killed at a call, before or after it took effect."""

    def __init__(self, client: Any, method: str, when: str) -> None:
        self._client = client
        self._method = method
        self._when = when

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name != self._method:
            return method

        def killed(**arguments: Any) -> None:
            if self._when == "after":
                method(**arguments)
            raise KilledError

        return killed


def test_eight_leases_at_once_get_eight_keys(stock: Stock) -> None:
    """Each thread gets a key of its own, every lease is in the pool, no label is left."""
    made = stock.fill([YEAR] * 8)
    tokens = [new_token() for _ in range(8)]
    start = Barrier(8)

    def lease(token: str) -> str:
        pool = stock.issuer(stock.over(stock.rotation_fixture.cloud.client("secretsmanager")))
        start.wait(30)
        return pool.issue(stock.label(token), YEAR).id

    with ThreadPoolExecutor(8) as threads:
        leased = dict(zip(tokens, threads.map(lease, tokens), strict=True))
    assert sorted(leased.values()) == sorted(key.id for key in made)
    held = {e.lease.label.token: e.key.id for e in stock.read().keys if e.lease is not None}
    assert held == leased
    assert stock.stages() == []
    refused = (
        Counter(call.operation for call in stock.rotation_fixture.cloud.calls)["PutSecretValue"] - 9
    )
    assert refused >= 1, "they did get into each other's way"
    assert stock.pauses


def test_leases_and_additions_at_once_lose_nothing(stock: Stock) -> None:
    """People add keys while rotations lease: every key is there in the end, in the right state."""
    first = stock.fill([YEAR] * 4)
    more = [stock.rotation_fixture.vendor.keys.create() for _ in range(4)]
    start = Barrier(8)

    def act(number: int) -> None:
        secret = stock.over(stock.rotation_fixture.cloud.client("secretsmanager"))
        start.wait(30)
        if number % 2:
            secret.change(adding(as_api_key(more[number // 2]), stock.rotation_fixture.now()))
        else:
            stock.issuer(secret).issue(stock.label(), YEAR)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(act, range(8)))
    states = stock.states()
    assert states.keys() == {key.id for key in first + more}
    assert Counter(states.values()) == {"leased": 4, "free": 4}


def test_the_first_additions_to_an_empty_secret_race_well(stock: Stock) -> None:
    """The first value of a secret is current at once (API_PutSecretValue); no other one is lost."""
    made = [stock.rotation_fixture.vendor.keys.create() for _ in range(4)]
    start = Barrier(4)

    def add(number: int) -> bool:
        secret = stock.over(stock.rotation_fixture.cloud.client("secretsmanager"))
        start.wait(30)
        return secret.change(adding(as_api_key(made[number]), stock.rotation_fixture.now()))

    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(add, range(4)))) == 4
    assert stock.states() == {key.id: "free" for key in made}
    assert stock.stages() == []


def test_a_change_is_these_calls(stock: Stock) -> None:
    """Read, look for old labels, put, move, take the label off; a read alone is one call."""
    stock.fill([YEAR])
    seen = len(stock.rotation_fixture.cloud.calls)
    stock.read()
    stock.lease()
    calls = [call for call in stock.rotation_fixture.cloud.calls[seen:] if call.secret_id == NAME]
    assert [call.operation for call in calls] == [
        "GetSecretValue",
        "GetSecretValue",
        "ListSecretVersionIds",
        "PutSecretValue",
        "UpdateSecretVersionStage",
        "UpdateSecretVersionStage",
    ]


def test_an_edit_that_changes_nothing_writes_nothing(stock: Stock) -> None:
    """The same lease again is one read."""
    stock.fill([YEAR])
    token = new_token()
    stock.lease(token)
    seen = len(stock.rotation_fixture.cloud.calls)
    stock.lease(token)
    assert [call.operation for call in stock.rotation_fixture.cloud.calls[seen:]] == [
        "GetSecretValue"
    ]


@pytest.mark.parametrize(
    ("method", "when"),
    [
        ("put_secret_value", "before"),
        ("put_secret_value", "after"),
        ("update_secret_version_stage", "before"),
        ("update_secret_version_stage", "after"),
    ],
)
def test_a_process_killed_in_a_change_loses_and_doubles_no_key(
    stock: Stock, method: str, when: str
) -> None:
    """The retry gets one key, another token another one; both are leased once, none is gone."""
    made = stock.fill([YEAR] * 3)
    token = new_token()
    dying = stock.issuer(stock.over(Mortal(stock.rotation_fixture.client, method, when)))
    with pytest.raises(KilledError):
        dying.issue(stock.label(token), YEAR)
    other = stock.lease()
    key = stock.lease(token)
    assert stock.lease(token).id == key.id != other.id
    assert Counter(stock.states().values()) == {"leased": 2, "free": 1}
    assert stock.states().keys() == {key.id for key in made}


def test_labels_of_a_crash_are_swept_by_a_later_change(stock: Stock) -> None:
    """They stay for five minutes, in case somebody is at work, and go with the next change."""
    stock.fill([YEAR] * 4)
    dying = stock.over(
        Mortal(stock.rotation_fixture.client, "update_secret_version_stage", "before")
    )
    for _ in range(3):
        with pytest.raises(KilledError):
            stock.issuer(dying).issue(stock.label(), YEAR)
    assert len(stock.stages()) == 3
    stock.lease()
    assert len(stock.stages()) == 3
    stock.rotation_fixture.later(timedelta(minutes=6))
    stock.lease()
    assert stock.stages() == []
    assert Counter(stock.states().values()) == {"leased": 2, "free": 2}


def test_sweeping_that_is_refused_stops_no_change(stock: Stock) -> None:
    """Old labels are an untidiness, not a reason to have no key."""
    stock.fill([YEAR])
    stock.rotation_fixture.cloud.faults.before(
        "ListSecretVersionIds", AwsError("AccessDeniedException")
    )
    stock.lease()
    assert Counter(stock.states().values()) == {"leased": 1}


@pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecretVersionStage"])
@pytest.mark.parametrize("fault", [Dropped(), AwsError("InternalServiceError", status=500)])
def test_one_lost_reply_is_made_good(stock: Stock, operation: str, fault: Any) -> None:
    """The SDK repeats the call; a move that is then refused had happened, and is found."""
    stock.fill([YEAR] * 2)
    token = new_token()
    stock.rotation_fixture.cloud.faults.after(operation, fault)
    key = stock.lease(token)
    assert stock.lease(token).id == key.id
    assert Counter(stock.states().values()) == {"leased": 1, "free": 1}
    assert stock.stages() == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecretVersionStage"])
def test_replies_lost_for_good_cost_no_key(stock: Stock, operation: str, when: str) -> None:
    """The error may be tried again; the retry finds the lease, or makes it, once."""
    stock.fill([YEAR] * 2)
    token = new_token()
    getattr(stock.rotation_fixture.cloud.faults, when)(operation, Dropped(), times=30)
    with pytest.raises(SecretStoreError) as failed:
        stock.lease(token)
    assert failed.value.retryable
    stock.rotation_fixture.cloud.faults.clear()
    key = stock.lease(token)
    assert stock.lease(token).id == key.id
    assert Counter(stock.states().values()) == {"leased": 1, "free": 1}


def test_a_move_that_is_refused_for_ever_ends(stock: Stock) -> None:
    """The attempts are bounded and their pauses grow; the label of each is taken off again."""
    stock.fill([YEAR])

    class Elsewhere:
        """AWSCURRENT is always somewhere else by the time it is to be moved."""

        def __getattr__(self, name: str) -> Any:
            return getattr(stock.rotation_fixture.client, name)

        def update_secret_version_stage(self, **arguments: Any) -> Any:
            if arguments["VersionStage"] == "AWSCURRENT":
                arguments["RemoveFromVersionId"] = new_token()
            return stock.rotation_fixture.client.update_secret_version_stage(**arguments)

    with pytest.raises(SecretStoreError, match="refused 20 times") as failed:
        stock.issuer(stock.over(Elsewhere())).issue(stock.label(), YEAR)
    assert failed.value.retryable
    assert len(stock.pauses) == 19
    assert max(stock.pauses) <= 1
    assert stock.stages() == []
    assert Counter(stock.states().values()) == {"free": 1}


@pytest.mark.parametrize(
    ("operation", "code"),
    [("GetSecretValue", "DecryptionFailure"), ("PutSecretValue", "AccessDeniedException")],
)
def test_a_refused_call_is_not_tried_again(stock: Stock, operation: str, code: str) -> None:
    """What only a person can mend is said at once, with the right that is missing."""
    stock.fill([YEAR])
    seen = len(stock.rotation_fixture.cloud.calls)
    stock.rotation_fixture.cloud.faults.before(operation, AwsError(code))
    with pytest.raises(SecretStoreError, match=operation) as failed:
        stock.lease()
    assert failed.value.aws_code == code
    operations = [call.operation for call in stock.rotation_fixture.cloud.calls[seen:]]
    assert operations.count(operation) == 1
    assert stock.stages() == []


def test_a_missing_secret_is_told_from_an_empty_one(stock: Stock) -> None:
    """No value is an empty pool; no secret is an error that names it."""
    assert stock.read() == Pool()
    stock.rotation_fixture.client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
    with pytest.raises(SecretStoreError, match=NAME) as failed:
        stock.read()
    assert failed.value.aws_code == "ResourceNotFoundException"


def test_a_value_that_is_no_pool_is_left_alone(stock: Stock) -> None:
    """Nothing is written over what could not be read."""
    stock.put({"keys": "none"})
    with pytest.raises(InvalidCredentialError, match=NAME):
        stock.lease()
    assert stock.value() == {"keys": "none"}


def test_a_pool_that_grows_too_large_is_refused_with_its_size(stock: Stock) -> None:
    """65,536 bytes is what a secret holds (UserGuide reference_limits); nothing is stored."""
    [key] = stock.fill([YEAR])
    stock.put({"keys": [entry(key)], "note": "x" * 65_200})
    before = stock.labels()
    with pytest.raises(KeyPoolError, match="65536 at most"):
        stock.lease()
    assert stock.labels() == before


def test_a_person_cannot_fill_a_pool_so_that_leases_would_not_fit(stock: Stock) -> None:
    """Adding leaves room for a lease of every free key."""
    [key] = stock.fill([YEAR])
    stock.put({"keys": [entry(key)], "note": "x" * 63_400})
    another = as_api_key(stock.rotation_fixture.vendor.keys.create())
    with pytest.raises(KeyPoolError, match="full"):
        stock.secret.change(adding(another, stock.rotation_fixture.now()))
    stock.lease()
    assert stock.states() == {key.id: "leased"}


def test_adding_is_idempotent_and_suspicious(stock: Stock) -> None:
    """The same key again is nothing new; one id with two keys, or one key with two ids, is."""
    key, other = (as_api_key(stock.rotation_fixture.vendor.keys.create()) for _ in range(2))
    now = stock.rotation_fixture.now()
    assert stock.secret.change(adding(key, now))
    assert not stock.secret.change(adding(key, now))
    mixed = [type(key)(key.id, other.material), type(key)(other.id, key.material)]
    for wrong in mixed:
        with pytest.raises(KeyPoolError, match=key.id):
            stock.secret.change(adding(wrong, now))
    assert stock.states() == {key.id: "free"}


def test_only_a_key_that_no_secret_holds_is_taken_out(stock: Stock) -> None:
    """A leased key stays until it has expired; an unknown one is named."""
    first, second = stock.fill([YEAR, YEAR])
    leased = stock.lease().id
    [free] = {first.id, second.id} - {leased}
    with pytest.raises(KeyPoolError, match=f"leased to {stock.rotation_fixture.arn}"):
        stock.secret.change(removing(leased, stock.rotation_fixture.now()))
    stock.secret.change(removing(free, stock.rotation_fixture.now()))
    assert stock.states() == {leased: "leased"}
    with pytest.raises(KeyPoolError, match="not in the pool"):
        stock.secret.change(removing(free, stock.rotation_fixture.now()))
    stock.secret.change(removing(leased, stock.rotation_fixture.now() + timedelta(days=365)))
    assert stock.states() == {}
