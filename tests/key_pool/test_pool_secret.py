"""Many change one pool at once: nothing is lost or doubled, whatever fails in between."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from rotation.errors import InvalidCredentialError, KeyPoolError, SecretStoreError
from rotation.key_pool.document import PoolDocument, add_key, remove_key
from rotation.sandbox.aws.traffic import AwsError, Dropped
from tests.key_pool.pool_fixture import NAME, PoolFixture, entry
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


def test_eight_leases_at_once_get_eight_keys(key_pool: PoolFixture) -> None:
    """Each thread gets a key of its own, every lease is in the pool, no label is left."""
    made = key_pool.fill([YEAR] * 8)
    tokens = [new_token() for _ in range(8)]
    start = Barrier(8)

    def lease(token: str) -> str:
        pool = key_pool.issuer(key_pool.over(key_pool.rotation.cloud.client("secretsmanager")))
        start.wait(60)
        return pool.issue(key_pool.label(token), YEAR).id

    with ThreadPoolExecutor(8) as threads:
        leased = dict(zip(tokens, threads.map(lease, tokens), strict=True))
    assert sorted(leased.values()) == sorted(key.id for key in made)
    held = {e.lease.label.token: e.key.id for e in key_pool.read().keys if e.lease is not None}
    assert held == leased
    assert key_pool.stages() == []
    refused = (
        Counter(call.operation for call in key_pool.rotation.cloud.calls)["PutSecretValue"] - 9
    )
    assert refused >= 1, "they did get into each other's way"
    assert key_pool.pauses


def test_leases_and_additions_at_once_lose_nothing(key_pool: PoolFixture) -> None:
    """People add keys while rotations lease: every key is there in the end, in the right state."""
    first = key_pool.fill([YEAR] * 4)
    more = [key_pool.rotation.vendor.keys.create() for _ in range(4)]
    start = Barrier(8)

    def act(number: int) -> None:
        secret = key_pool.over(key_pool.rotation.cloud.client("secretsmanager"))
        start.wait(60)
        if number % 2:
            secret.change(
                lambda pool: add_key(pool, as_api_key(more[number // 2]), key_pool.rotation.now())
            )
        else:
            key_pool.issuer(secret).issue(key_pool.label(), YEAR)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(act, range(8)))
    states = key_pool.states()
    assert states.keys() == {key.id for key in first + more}
    assert Counter(states.values()) == {"leased": 4, "free": 4}


def test_the_first_additions_to_an_empty_secret_race_well(key_pool: PoolFixture) -> None:
    """The first value of a secret is current at once (API_PutSecretValue); no other one is lost."""
    made = [key_pool.rotation.vendor.keys.create() for _ in range(4)]
    start = Barrier(4)

    def add(number: int) -> bool:
        secret = key_pool.over(key_pool.rotation.cloud.client("secretsmanager"))
        start.wait(60)
        return secret.change(
            partial(add_key, key=as_api_key(made[number]), now=key_pool.rotation.now())
        )

    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(add, range(4)))) == 4
    assert key_pool.states() == {key.id: "free" for key in made}
    assert key_pool.stages() == []


def test_a_change_is_these_calls(key_pool: PoolFixture) -> None:
    """Read, look for old labels, put, move, take the label off; a read alone is one call."""
    key_pool.fill([YEAR])
    seen = len(key_pool.rotation.cloud.calls)
    key_pool.read()
    key_pool.lease()
    calls = [call for call in key_pool.rotation.cloud.calls[seen:] if call.secret_id == NAME]
    assert [call.operation for call in calls] == [
        "GetSecretValue",
        "GetSecretValue",
        "ListSecretVersionIds",
        "PutSecretValue",
        "UpdateSecretVersionStage",
        "UpdateSecretVersionStage",
    ]


def test_an_edit_that_changes_nothing_writes_nothing(key_pool: PoolFixture) -> None:
    """The same lease again is one read."""
    key_pool.fill([YEAR])
    token = new_token()
    key_pool.lease(token)
    seen = len(key_pool.rotation.cloud.calls)
    key_pool.lease(token)
    assert [call.operation for call in key_pool.rotation.cloud.calls[seen:]] == ["GetSecretValue"]


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
    key_pool: PoolFixture, method: str, when: str
) -> None:
    """The retry gets one key, another token another one; both are leased once, none is gone."""
    made = key_pool.fill([YEAR] * 3)
    token = new_token()
    dying = key_pool.issuer(key_pool.over(Mortal(key_pool.rotation.client, method, when)))
    with pytest.raises(KilledError):
        dying.issue(key_pool.label(token), YEAR)
    other = key_pool.lease()
    key = key_pool.lease(token)
    assert key_pool.lease(token).id == key.id != other.id
    assert Counter(key_pool.states().values()) == {"leased": 2, "free": 1}
    assert key_pool.states().keys() == {key.id for key in made}


def test_labels_of_a_crash_are_swept_by_a_later_change(key_pool: PoolFixture) -> None:
    """They stay for five minutes, in case somebody is at work, and go with the next change."""
    key_pool.fill([YEAR] * 4)
    dying = key_pool.over(Mortal(key_pool.rotation.client, "update_secret_version_stage", "before"))
    for _ in range(3):
        with pytest.raises(KilledError):
            key_pool.issuer(dying).issue(key_pool.label(), YEAR)
    assert len(key_pool.stages()) == 3
    key_pool.lease()
    assert len(key_pool.stages()) == 3
    key_pool.rotation.later(timedelta(minutes=6))
    key_pool.lease()
    assert key_pool.stages() == []
    assert Counter(key_pool.states().values()) == {"leased": 2, "free": 2}


def test_sweeping_that_is_refused_stops_no_change(key_pool: PoolFixture) -> None:
    """Old labels are an untidiness, not a reason to have no key."""
    key_pool.fill([YEAR])
    key_pool.rotation.cloud.faults.before("ListSecretVersionIds", AwsError("AccessDeniedException"))
    key_pool.lease()
    assert Counter(key_pool.states().values()) == {"leased": 1}


@pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecretVersionStage"])
@pytest.mark.parametrize("fault", [Dropped(), AwsError("InternalServiceError", status=500)])
def test_one_lost_reply_is_made_good(key_pool: PoolFixture, operation: str, fault: Any) -> None:
    """The SDK repeats the call; a move that is then refused had happened, and is found."""
    key_pool.fill([YEAR] * 2)
    token = new_token()
    key_pool.rotation.cloud.faults.after(operation, fault)
    key = key_pool.lease(token)
    assert key_pool.lease(token).id == key.id
    assert Counter(key_pool.states().values()) == {"leased": 1, "free": 1}
    assert key_pool.stages() == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecretVersionStage"])
def test_replies_lost_for_good_cost_no_key(
    key_pool: PoolFixture, operation: str, when: str
) -> None:
    """The error may be tried again; the retry finds the lease, or makes it, once."""
    key_pool.fill([YEAR] * 2)
    token = new_token()
    getattr(key_pool.rotation.cloud.faults, when)(operation, Dropped(), times=30)
    with pytest.raises(SecretStoreError) as failed:
        key_pool.lease(token)
    assert failed.value.retryable
    key_pool.rotation.cloud.faults.clear()
    key = key_pool.lease(token)
    assert key_pool.lease(token).id == key.id
    assert Counter(key_pool.states().values()) == {"leased": 1, "free": 1}


def test_a_move_that_is_refused_for_ever_ends(key_pool: PoolFixture) -> None:
    """The attempts are bounded and their pauses grow; the label of each is taken off again."""
    key_pool.fill([YEAR])

    class Elsewhere:
        """AWSCURRENT is always somewhere else by the time it is to be moved."""

        def __getattr__(self, name: str) -> Any:
            return getattr(key_pool.rotation.client, name)

        def update_secret_version_stage(self, **arguments: Any) -> Any:
            if arguments["VersionStage"] == "AWSCURRENT":
                arguments["RemoveFromVersionId"] = new_token()
            return key_pool.rotation.client.update_secret_version_stage(**arguments)

    with pytest.raises(SecretStoreError, match="refused 20 times") as failed:
        key_pool.issuer(key_pool.over(Elsewhere())).issue(key_pool.label(), YEAR)
    assert failed.value.retryable
    assert len(key_pool.pauses) == 19
    assert max(key_pool.pauses) <= 1
    assert key_pool.stages() == []
    assert Counter(key_pool.states().values()) == {"free": 1}


@pytest.mark.parametrize(
    ("operation", "code"),
    [("GetSecretValue", "DecryptionFailure"), ("PutSecretValue", "AccessDeniedException")],
)
def test_a_refused_call_is_not_tried_again(
    key_pool: PoolFixture, operation: str, code: str
) -> None:
    """What only a person can mend is said at once, with the right that is missing."""
    key_pool.fill([YEAR])
    seen = len(key_pool.rotation.cloud.calls)
    key_pool.rotation.cloud.faults.before(operation, AwsError(code))
    with pytest.raises(SecretStoreError, match=operation) as failed:
        key_pool.lease()
    assert failed.value.aws_code == code
    operations = [call.operation for call in key_pool.rotation.cloud.calls[seen:]]
    assert operations.count(operation) == 1
    assert key_pool.stages() == []


def test_a_missing_secret_is_told_from_an_empty_one(key_pool: PoolFixture) -> None:
    """No value is an empty pool; no secret is an error that names it."""
    assert key_pool.read() == PoolDocument()
    key_pool.rotation.client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
    with pytest.raises(SecretStoreError, match=NAME) as failed:
        key_pool.read()
    assert failed.value.aws_code == "ResourceNotFoundException"


def test_a_value_that_is_no_pool_is_left_alone(key_pool: PoolFixture) -> None:
    """Nothing is written over what could not be read."""
    key_pool.put({"keys": "none"})
    with pytest.raises(InvalidCredentialError, match=NAME):
        key_pool.lease()
    assert key_pool.value() == {"keys": "none"}


def test_a_pool_that_grows_too_large_is_refused_with_its_size(key_pool: PoolFixture) -> None:
    """65,536 bytes is what a secret holds (UserGuide reference_limits); nothing is stored."""
    [key] = key_pool.fill([YEAR])
    key_pool.put({"keys": [entry(key)], "note": "x" * 65_200})
    before = key_pool.labels()
    with pytest.raises(KeyPoolError, match="65536 at most"):
        key_pool.lease()
    assert key_pool.labels() == before


def test_a_person_cannot_fill_a_pool_so_that_leases_would_not_fit(
    key_pool: PoolFixture,
) -> None:
    """Adding leaves room for a lease of every free key."""
    [key] = key_pool.fill([YEAR])
    key_pool.put({"keys": [entry(key)], "note": "x" * 63_400})
    another = as_api_key(key_pool.rotation.vendor.keys.create())
    with pytest.raises(KeyPoolError, match="full"):
        key_pool.secret.change(partial(add_key, key=another, now=key_pool.rotation.now()))
    key_pool.lease()
    assert key_pool.states() == {key.id: "leased"}


def test_adding_is_idempotent_and_suspicious(key_pool: PoolFixture) -> None:
    """The same key again is nothing new; one id with two keys, or one key with two ids, is."""
    key, other = (as_api_key(key_pool.rotation.vendor.keys.create()) for _ in range(2))
    now = key_pool.rotation.now()
    assert key_pool.secret.change(partial(add_key, key=key, now=now))
    assert not key_pool.secret.change(partial(add_key, key=key, now=now))
    mixed = [type(key)(key.id, other.material), type(key)(other.id, key.material)]
    for wrong in mixed:
        with pytest.raises(KeyPoolError, match=key.id):
            key_pool.secret.change(partial(add_key, key=wrong, now=now))
    assert key_pool.states() == {key.id: "free"}


def test_only_a_key_that_no_secret_holds_is_taken_out(key_pool: PoolFixture) -> None:
    """A leased key stays until it has expired; an unknown one is named."""
    first, second = key_pool.fill([YEAR, YEAR])
    leased = key_pool.lease().id
    [free] = {first.id, second.id} - {leased}
    with pytest.raises(KeyPoolError, match=f"leased to {key_pool.rotation.arn}"):
        key_pool.secret.change(partial(remove_key, key_id=leased, now=key_pool.rotation.now()))
    key_pool.secret.change(partial(remove_key, key_id=free, now=key_pool.rotation.now()))
    assert key_pool.states() == {leased: "leased"}
    with pytest.raises(KeyPoolError, match="not in the pool"):
        key_pool.secret.change(partial(remove_key, key_id=free, now=key_pool.rotation.now()))
    key_pool.secret.change(
        partial(remove_key, key_id=leased, now=key_pool.rotation.now() + timedelta(days=365))
    )
    assert key_pool.states() == {}
