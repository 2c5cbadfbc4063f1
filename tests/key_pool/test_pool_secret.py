"""Many change one pool at once: nothing is lost or doubled, whatever fails in between."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event, Lock, Semaphore
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.core.ports import Revocation
from rotation.credential import ApiKey
from rotation.errors import InvalidCredentialError, KeyPoolError, SecretStoreError
from rotation.key_pool.document import PoolDocument, add_key, remove_key
from rotation.key_pool.pool_secret import CLAIM, PoolSecret
from rotation.key_pool.version_list import MOST_VERSIONS, VERSIONS_FOR_LEASES
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sandbox.vendor import PortalKey
from tests.deadlines import deadline_of
from tests.key_pool.pool_fixture import NAME, PoolFixture, entry
from tests.key_pool.virtual_time import VirtualTime
from tests.rotation_fixture import new_token
from tests.vendor.conftest import as_api_key

YEAR = timedelta(days=364)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


class KilledError(BaseException):
    """The process ends here; nothing after it runs."""


#: The calls of a change, in their order.
READ, LISTED, CLAIMED, PUT, MOVED, DROPPED = range(6)


class Mortal:
    """A client whose process is killed at its nth call, before or after that took effect."""

    def __init__(self, client: Any, call: int, when: str) -> None:
        self._client = client
        self._left = call
        self._when = when

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def called(**arguments: Any) -> Any:
            self._left -= 1
            if self._left >= 0:
                return method(**arguments)
            if self._when == "after":
                method(**arguments)
            raise KilledError

        return called


class Refusing:
    """A client whose nth call AWS refuses, and every later one of the same kind."""

    NAMES = ("read", "list", "claim", "put", "move", "drop")

    def __init__(self, client: Any, call: int, code: str) -> None:
        self._client = client
        self._code = code
        self.refused = self.NAMES[call]
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def called(**arguments: Any) -> Any:
            self.calls += 1
            if self._kind(name, arguments) != self.refused:
                return method(**arguments)
            raise ClientError({"Error": {"Code": self._code}}, name)

        return called

    def _kind(self, name: str, arguments: dict[str, Any]) -> str:
        if name != "update_secret_version_stage":
            return {"get_secret_value": "read", "put_secret_value": "put"}.get(name, "list")
        label = arguments["VersionStage"]
        return {"AWSCURRENT": "move", CLAIM: "claim"}.get(label, "drop")


class Cut:
    """A client whose answers to one method lack a member."""

    def __init__(self, client: Any, method: str, member: str) -> None:
        self._client = client
        self._method = method
        self._member = member

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name != self._method:
            return method

        def called(**arguments: Any) -> Any:
            answer = method(**arguments)
            del answer[self._member]
            return answer

        return called


def at_once(key_pool: PoolFixture, time: VirtualTime) -> PoolSecret:
    """The pool secret as another process has it, which waits by ``time``."""
    client = key_pool.rotation.cloud.client("secretsmanager")
    return PoolSecret(client, NAME, key_pool.rotation.now, time.sleep)


def test_twenty_leases_at_once_cost_twenty_versions(key_pool: PoolFixture) -> None:
    """Each process gets its own key; one claims the pool, and the others wait without a put."""
    made = key_pool.fill([YEAR] * 20)
    key_pool.put(
        key_pool.value() | {"note": "a second version, so that there is one to claim from"}
    )
    before = key_pool.versions()
    time = VirtualTime()
    tokens = [new_token() for _ in range(20)]

    def lease(token: str) -> str:
        return key_pool.issuer(at_once(key_pool, time)).issue(key_pool.label(token), YEAR).id

    leased = dict(zip(tokens, time.run([partial(lease, token) for token in tokens]), strict=True))
    assert sorted(leased.values()) == sorted(key.id for key in made)
    held = {e.lease.label.token: e.key.id for e in key_pool.read().keys if e.lease is not None}
    assert held == leased
    assert key_pool.stages() == []
    assert key_pool.versions() - before == 20
    assert time.seconds < 60


class CountedLock:
    """A lock that tells how often it was given back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.given_back = Semaphore(0)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self.given_back.release()


def test_what_the_threads_of_one_process_ask_for_is_stored_together(key_pool: PoolFixture) -> None:
    """Eight that come while one is under way cost one version; a refused one spoils no other."""
    made = key_pool.fill([YEAR] * 8)
    before = key_pool.versions()
    wrong = ApiKey(made[0].id, as_api_key(key_pool.rotation.vendor.keys.create()).material)
    requests = CountedLock()

    class Waiting:
        """Answers the first read when eight more changes were asked for."""

        first = True

        def __getattr__(self, name: str) -> Any:
            return getattr(key_pool.rotation.client, name)

        def get_secret_value(self, **arguments: Any) -> Any:
            if self.first:
                self.first = False
                asked.set()
                for _ in range(10):  # the leader's own two, and the eight of the others
                    assert requests.given_back.acquire(timeout=120)
            return key_pool.rotation.client.get_secret_value(**arguments)

    asked = Event()
    secret = key_pool.over(Waiting())
    secret._requesting = requests  # type: ignore[assignment] # the moment of asking is inside
    pool = key_pool.issuer(secret)
    with ThreadPoolExecutor(9) as threads:
        leased = [threads.submit(pool.issue, key_pool.label(), YEAR)]
        assert asked.wait(120)
        refused = threads.submit(secret.change, partial(add_key, key=wrong, now=YESTERDAY))
        leased += [threads.submit(pool.issue, key_pool.label(), YEAR) for _ in range(7)]
        ids = {one.result(120).id for one in leased}
    assert ids == {key.id for key in made}
    with pytest.raises(KeyPoolError, match="other material"):
        refused.result()
    assert key_pool.versions() - before == 2


def test_leases_and_additions_at_once_lose_nothing(key_pool: PoolFixture) -> None:
    """People add keys while rotations lease: every key is there in the end, in the right state."""
    first = key_pool.fill([YEAR] * 4)
    more = [key_pool.rotation.vendor.keys.create() for _ in range(4)]
    time = VirtualTime()

    def act(number: int) -> None:
        secret = at_once(key_pool, time)
        if number % 2:
            secret.change(
                lambda pool: add_key(pool, as_api_key(more[number // 2]), key_pool.rotation.now())
            )
        else:
            key_pool.issuer(secret).issue(key_pool.label(), YEAR)

    time.run([partial(act, number) for number in range(8)])
    states = key_pool.states()
    assert states.keys() == {key.id for key in first + more}
    assert Counter(states.values()) == {"leased": 4, "free": 4}


def test_the_first_additions_to_an_empty_secret_race_well(key_pool: PoolFixture) -> None:
    """The first value of a secret is current at once (API_PutSecretValue); no other one is lost."""
    made = [key_pool.rotation.vendor.keys.create() for _ in range(4)]
    time = VirtualTime()

    def add(number: int) -> bool:
        return at_once(key_pool, time).change(
            partial(add_key, key=as_api_key(made[number]), now=key_pool.rotation.now())
        )

    assert time.run([partial(add, number) for number in range(4)]) == [True] * 4
    assert key_pool.states() == {key.id: "free" for key in made}
    assert key_pool.stages() == []


def test_a_change_is_these_calls(key_pool: PoolFixture) -> None:
    """Read, list, claim, put, move, take the label off; a read alone is one call."""
    key_pool.fill([YEAR] * 3)
    for _ in range(2):
        key_pool.lease()
    seen = len(key_pool.rotation.cloud.calls)
    key_pool.read()
    key_pool.lease()
    calls = [call for call in key_pool.rotation.cloud.calls[seen:] if call.secret_id == NAME]
    assert [call.operation for call in calls] == [
        "GetSecretValue",
        "GetSecretValue",
        "ListSecretVersionIds",
        "UpdateSecretVersionStage",
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


CALLS_OF_A_CHANGE = 6


def stock(key_pool: PoolFixture, free: int) -> list[PortalKey]:
    """A pool with so many free keys that has been changed before: the claim lies on a version."""
    made = key_pool.fill([YEAR] * (free + 2))
    for _ in range(2):
        key_pool.lease()
    return made


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", range(CALLS_OF_A_CHANGE))
def test_a_process_killed_in_a_change_loses_and_doubles_no_key(
    key_pool: PoolFixture, call: int, when: str
) -> None:
    """At whichever call: the retry gets one key, another token another one, and no label stays."""
    made = stock(key_pool, 4)
    token = new_token()
    dying = key_pool.issuer(key_pool.over(Mortal(key_pool.rotation.client, call, when)))
    with pytest.raises(KilledError):
        dying.issue(key_pool.label(token), YEAR)
    other = key_pool.lease()
    key = key_pool.lease(token)
    assert key_pool.lease(token).id == key.id != other.id
    assert Counter(key_pool.states().values()) == {"leased": 4, "free": 2}
    assert key_pool.states().keys() == {key.id for key in made}
    key_pool.rotation.later(timedelta(minutes=6))
    key_pool.lease()
    assert key_pool.stages() == []


@pytest.mark.parametrize("call", range(CALLS_OF_A_CHANGE))
@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "EncryptionFailure", "InvalidRequestException"]
)
def test_a_definite_refusal_leaves_nothing_half_done(
    key_pool: PoolFixture, call: int, code: str
) -> None:
    """At whichever call: it fails at once, no label stays, and the next change does not wait."""
    stock(key_pool, 4)
    before, states = key_pool.versions(), key_pool.states()
    client = Refusing(key_pool.rotation.client, call, code)
    pauses: list[float] = []
    pool = key_pool.issuer(PoolSecret(client, NAME, key_pool.rotation.now, pauses.append))  # type: ignore[arg-type]
    if client.refused in {"read", "claim", "put", "move"}:
        with pytest.raises(SecretStoreError) as failed:
            pool.issue(key_pool.label(), YEAR)
        assert (failed.value.aws_code, failed.value.retryable) == (code, False)
        assert client.calls <= call + 3, "it does not go on"
        assert key_pool.states() == states
        assert key_pool.versions() == before + (client.refused == "move")
    else:
        pool.issue(key_pool.label(), YEAR)
        assert Counter(key_pool.states().values()) == {"leased": 3, "free": 3}
    # Whoever may not remove a label leaves it to the next change that may.
    assert len(key_pool.stages()) == (client.refused == "drop")
    key_pool.lease()
    assert pauses == key_pool.pauses == []


def test_labels_of_a_crash_are_swept_by_a_later_change(key_pool: PoolFixture) -> None:
    """They stay for five minutes, in case somebody is at work, and go with the next change."""
    stock(key_pool, 4)
    for _ in range(3):
        token = new_token()
        key_pool.rotation.client.put_secret_value(
            SecretId=NAME,
            ClientRequestToken=token,
            SecretString="what a process stored before it died",
            VersionStages=[f"rotation-pool-{token}"],
        )
    assert len(key_pool.stages()) == 3
    key_pool.lease()
    assert len(key_pool.stages()) == 3
    key_pool.rotation.later(timedelta(minutes=6))
    key_pool.lease()
    assert key_pool.stages() == []
    assert Counter(key_pool.states().values()) == {"leased": 4, "free": 2}


def test_the_claim_of_a_dead_process_is_waited_for_and_then_ignored(key_pool: PoolFixture) -> None:
    """At most twenty seconds, once; the next change finds no claim."""
    stock(key_pool, 4)
    dying = key_pool.over(Mortal(key_pool.rotation.client, CLAIMED, "after"))
    with pytest.raises(KilledError):
        key_pool.issuer(dying).issue(key_pool.label(), YEAR)
    before = key_pool.versions()
    key_pool.lease()
    assert 10 <= sum(key_pool.pauses) <= 21
    key_pool.pauses.clear()
    key_pool.lease()
    assert key_pool.pauses == []
    assert key_pool.versions() - before == 2


def test_a_change_ends_with_its_deadline(key_pool: PoolFixture) -> None:
    """Waiting for somebody else never takes the time that the invocation does not have."""
    stock(key_pool, 4)
    dying = key_pool.over(Mortal(key_pool.rotation.client, CLAIMED, "after"))
    with pytest.raises(KilledError):
        key_pool.issuer(dying).issue(key_pool.label(), YEAR)
    pauses: list[float] = []
    secret = PoolSecret(
        key_pool.rotation.client,
        NAME,
        key_pool.rotation.now,
        pauses.append,
        deadline=deadline_of(lambda: timedelta(seconds=5 - sum(pauses))),
    )
    with pytest.raises(SecretStoreError, match="Try again") as failed:
        key_pool.issuer(secret).issue(key_pool.label(), YEAR)
    assert failed.value.retryable
    assert 4 <= sum(pauses) <= 5


def test_a_day_s_versions_used_up_is_named_with_the_time_when_it_ends(
    key_pool: PoolFixture,
) -> None:
    """It is not something that passes in seconds, and nothing was changed."""
    key_pool.fill([YEAR] * 3)
    oldest = key_pool.rotation.now()
    while key_pool.versions() < MOST_VERSIONS:
        key_pool.put(key_pool.value() | {"note": new_token()})
    with pytest.raises(KeyPoolError, match="quota: versions of a secret") as failed:
        key_pool.lease()
    assert not failed.value.retryable
    free_at = re.search(r"becomes free at (\S+)\.", str(failed.value))
    assert free_at is not None
    promised = datetime.fromisoformat(free_at[1])
    assert abs(promised - oldest - timedelta(hours=24)) < timedelta(minutes=10)
    assert set(key_pool.states().values()) == {"free"}
    assert key_pool.stages() == []


def test_the_last_versions_of_a_day_are_for_leases_and_incidents(key_pool: PoolFixture) -> None:
    """What reconciliation only tidies up waits, and says for what."""
    key_pool.fill([YEAR] * 4)
    leased = key_pool.lease()
    while key_pool.versions() <= MOST_VERSIONS - VERSIONS_FOR_LEASES:
        key_pool.put(key_pool.value() | {"note": new_token()})
    with pytest.raises(KeyPoolError, match="19 of the 100 versions"):
        key_pool.pool.forget(leased.id)
    assert leased.id in key_pool.states()
    key_pool.lease()
    assert key_pool.pool.revoke(leased.id) is Revocation.MANUAL_ACTION_NEEDED
    key_pool.rotation.later(timedelta(hours=25))
    key_pool.pool.forget(leased.id)
    assert leased.id not in key_pool.states()


def test_a_full_set_of_labels_is_named(key_pool: PoolFixture) -> None:
    """Labels of others do not pass in seconds: the error says what to remove."""
    key_pool.fill([YEAR] * 4)
    key_pool.put(key_pool.value())
    current = key_pool.rotation.client.get_secret_value(SecretId=NAME)["VersionId"]
    for number in range(18):
        key_pool.rotation.client.update_secret_version_stage(
            SecretId=NAME, VersionStage=f"theirs-{number}", MoveToVersionId=current
        )
    with pytest.raises(KeyPoolError, match="20 staging labels") as failed:
        key_pool.lease()
    assert not failed.value.retryable
    assert set(key_pool.states().values()) == {"free"}


@pytest.mark.parametrize(
    ("method", "member"),
    [
        ("get_secret_value", "VersionId"),
        ("get_secret_value", "VersionStages"),
        ("get_secret_value", "SecretString"),
        ("list_secret_version_ids", "Versions"),
    ],
)
def test_an_answer_that_lacks_a_member_changes_nothing_wrongly(
    key_pool: PoolFixture, method: str, member: str
) -> None:
    """A cut answer with status 200 counts as none: it is never an empty pool."""
    key_pool.fill([YEAR] * 4)
    key_pool.lease()
    client = Cut(key_pool.rotation.client, method, member)
    pool = key_pool.issuer(key_pool.over(client))
    if method == "get_secret_value":
        with pytest.raises(SecretStoreError, match="not whole") as failed:
            pool.issue(key_pool.label(), YEAR)
        assert failed.value.retryable
        assert Counter(key_pool.states().values()) == {"leased": 1, "free": 3}
    else:
        pool.issue(key_pool.label(), YEAR)
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
    """The attempts are bounded, since each costs a version; their labels are taken off again."""
    key_pool.fill([YEAR])

    class Elsewhere:
        """AWSCURRENT is always somewhere else by the time it is to be moved."""

        def __getattr__(self, name: str) -> Any:
            return getattr(key_pool.rotation.client, name)

        def update_secret_version_stage(self, **arguments: Any) -> Any:
            if arguments["VersionStage"] == "AWSCURRENT":
                arguments["RemoveFromVersionId"] = new_token()
            return key_pool.rotation.client.update_secret_version_stage(**arguments)

    before = key_pool.versions()
    with pytest.raises(SecretStoreError, match="refused 5 times") as failed:
        key_pool.issuer(key_pool.over(Elsewhere())).issue(key_pool.label(), YEAR)
    assert failed.value.retryable
    assert len(key_pool.pauses) == 5
    assert max(key_pool.pauses) <= 1
    assert key_pool.versions() - before == 5
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
    """The same free key again is nothing new; one id with two keys, or one key with two ids, is."""
    key, other = (as_api_key(key_pool.rotation.vendor.keys.create()) for _ in range(2))
    now = key_pool.rotation.now()
    assert key_pool.secret.change(partial(add_key, key=key, now=now))
    assert not key_pool.secret.change(partial(add_key, key=key, now=YESTERDAY))
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
