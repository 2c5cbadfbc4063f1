"""How often a seal is asked for, with which key, and what is raised in the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from rotation.client.contract import Seal
from rotation.client.credential_cache import CredentialCache
from rotation.client.sealing_client import SealingClient
from rotation.errors import (
    ClockSkewError,
    CredentialRejectedError,
    DestinationError,
    RotationError,
    SealingError,
    SealingUnavailableError,
    SecretStoreError,
    SourceNotFoundError,
    VendorUnavailableError,
)
from rotation.sealing.request import ObjectLocation, SealOptions, SealRequest
from tests.client.fixtures import NAME, Clock, FakeSecrets, full_jitter, no_jitter

SOURCE = ObjectLocation("documents", "a.pdf")
DESTINATION = ObjectLocation("sealed-documents", "a.pdf")

Behaviour = Callable[[SealRequest], Mapping[str, Any]]


def sealed(request: SealRequest) -> dict[str, Any]:
    """The answer of a function that sealed."""
    return {
        "status": "sealed",
        "source": {"bucket": "documents", "key": "a.pdf", "etag": "e1"},
        "destination": {"bucket": "sealed-documents", "key": "a.pdf", "etag": "e2"},
        "keyId": request.key.id,
        "digest": "wriYLGsKP7H91843t7svOIfoxxErUkJWdemTY1yQs1E=",
        "signer": {"subject": "CN=Example", "organization": None, "chained": False},
        "timestampedAt": None,
        "bytes": 100,
    }


def refuses(code: str, *, retryable: bool = False) -> Behaviour:
    """A function that answers with an error."""
    error = {"code": code, "message": "why", "retryable": retryable}
    return lambda request: {"status": "error", "error": error}


def crashes(request: SealRequest) -> Mapping[str, Any]:
    """An invocation that brings no answer."""
    error = SealingError("no answer")
    error.retryable = True
    raise error


@dataclass
class SealingClientFixture:
    """A client whose invoker does what the test says, and whose time is the test's."""

    fake: FakeSecrets
    cache: CredentialCache
    clock: Clock
    behaviour: list[Behaviour] = field(default_factory=list)
    accepts: set[str] | None = None
    keys: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    takes: float = 0.0
    jitter: Callable[[float, float], float] = no_jitter
    patience: timedelta = timedelta(minutes=2)

    def invoke(self, request: SealRequest) -> Mapping[str, Any]:
        self.clock.advance(self.takes)
        self.keys.append(request.key.id)
        if self.behaviour:
            return self.behaviour.pop(0)(request)
        if self.accepts is not None and request.key.id not in self.accepts:
            return refuses("credential_rejected")(request)
        return sealed(request)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)

    def seal(self, options: SealOptions | None = None, **arguments: Any) -> Seal:
        """Seal with a client of its own."""
        return self.client().seal(SOURCE, DESTINATION, options, **arguments)

    def client(self) -> SealingClient:
        return SealingClient(
            self,
            self.cache,
            NAME,
            patience=self.patience,
            clock=self.clock,
            sleep=self.sleep,
            jitter=self.jitter,
        )

    def key_of(self, stage: str = "AWSCURRENT") -> str:
        return CredentialCache(self.fake).get(NAME, stage).key.id


@pytest.fixture
def client_fixture(fake: FakeSecrets, cache: CredentialCache, clock: Clock) -> SealingClientFixture:
    """A client, a secret and a function that seals."""
    return SealingClientFixture(fake, cache, clock)


def test_a_seal_uses_the_current_key(client_fixture: SealingClientFixture) -> None:
    """Once, with the options as given, and without a pause."""
    seal = client_fixture.seal(SealOptions(reason="Final"))
    assert client_fixture.keys == [seal.key_id] == [client_fixture.key_of()]
    assert client_fixture.pauses == []


@pytest.mark.parametrize(
    "trouble",
    [
        refuses("vendor_unavailable", retryable=True),
        refuses("destination", retryable=True),
        crashes,
    ],
)
def test_what_passes_is_waited_out(
    client_fixture: SealingClientFixture, trouble: Behaviour
) -> None:
    """Three failures, three pauses that grow, and a seal."""
    client_fixture.behaviour = [trouble] * 3
    assert client_fixture.seal().size == 100
    assert len(client_fixture.keys) == 4
    assert client_fixture.pauses == [0.5, 1.0, 2.0]


def test_what_does_not_pass_in_four_attempts_is_raised(
    client_fixture: SealingClientFixture,
) -> None:
    """The last error, with its class."""
    client_fixture.behaviour = [crashes, *[refuses("destination", retryable=True)] * 9]
    with pytest.raises(DestinationError):
        client_fixture.seal()
    assert len(client_fixture.keys) == 4


@pytest.mark.parametrize("jitter", [no_jitter, full_jitter])
def test_an_outage_is_waited_out_however_the_dice_fall(
    client_fixture: SealingClientFixture, jitter: Callable[[float, float], float]
) -> None:
    """A vendor that is away for 100 seconds costs no seal; pauses never exceed 8 seconds."""
    client_fixture.jitter, client_fixture.takes = jitter, 1.5
    back = client_fixture.clock.now + 100

    def away(request: SealRequest) -> Mapping[str, Any]:
        if client_fixture.clock.now >= back:
            return sealed(request)
        client_fixture.behaviour.append(away)
        return refuses("vendor_unavailable", retryable=True)(request)

    client_fixture.behaviour = [away]
    assert client_fixture.seal().size == 100
    assert max(client_fixture.pauses) == (8.0 if jitter is no_jitter else 0.0)


def test_a_function_that_is_not_run_is_waited_for(client_fixture: SealingClientFixture) -> None:
    """More callers than the function's concurrency: all of them come to their turn."""

    def throttled(request: SealRequest) -> Mapping[str, Any]:
        raise SealingUnavailableError("throttled")

    client_fixture.behaviour = [throttled] * 8
    assert client_fixture.seal().size == 100
    assert len(client_fixture.keys) == 9


def test_an_outage_that_ends_just_before_the_patience_does_is_outlasted(
    client_fixture: SealingClientFixture,
) -> None:
    """Whatever the pauses are, the last attempt begins when the patience is over."""
    busy = refuses("vendor_unavailable", retryable=True)
    for seed in range(50):
        client_fixture.jitter, client_fixture.patience = (
            random.Random(seed).uniform,
            timedelta(seconds=20),
        )
        begun, client_fixture.behaviour = client_fixture.clock.now, [busy] * 99
        with pytest.raises(VendorUnavailableError):
            client_fixture.seal()
        assert client_fixture.clock.now - begun >= 20


@pytest.mark.parametrize(
    ("patience", "within", "attempts"),
    [(0, 120, 4), (20, 120, 7), (120, 20, 7), (20, 20, 7), (120, 1, 2)],
)
def test_an_outage_is_waited_out_for_as_long_as_is_said(
    client_fixture: SealingClientFixture, patience: int, within: int, attempts: int
) -> None:
    """Four attempts at least, then until the patience or the time is over, and once then."""
    client_fixture.behaviour = [refuses("vendor_unavailable", retryable=True)] * 99
    client_fixture.patience = timedelta(seconds=patience)
    with pytest.raises(VendorUnavailableError):
        client_fixture.seal(within=timedelta(seconds=within))
    assert client_fixture.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 4.5][: attempts - 1]


@pytest.mark.parametrize("code", ["source_not_found", "unsupported_pdf", "internal", "vendor"])
def test_what_will_not_pass_is_raised_at_once(
    client_fixture: SealingClientFixture, code: str
) -> None:
    """Asking again would buy nothing but another bill."""
    client_fixture.behaviour = [refuses(code)]
    with pytest.raises(RotationError) as refused:
        client_fixture.seal()
    assert len(client_fixture.keys) == 1
    assert isinstance(refused.value, SourceNotFoundError) is (code == "source_not_found")


def test_the_answer_says_whether_it_may_pass(client_fixture: SealingClientFixture) -> None:
    """`destination` is either: the instance decides, not the class."""
    client_fixture.behaviour = [refuses("destination", retryable=False)]
    with pytest.raises(SealingError):
        client_fixture.seal()
    assert len(client_fixture.keys) == 1


def test_an_answer_that_is_no_answer_is_not_asked_for_again(
    client_fixture: SealingClientFixture,
) -> None:
    """The document may have been sealed: a person has to look."""
    client_fixture.behaviour = [lambda request: {"status": "sealed"}]
    with pytest.raises(SealingError, match=r"docs/sealing\.md"):
        client_fixture.seal()
    assert len(client_fixture.keys) == 1


def test_pauses_have_full_jitter(client_fixture: SealingClientFixture) -> None:
    """Many callers that failed together do not come back together."""
    client_fixture.jitter = random.Random(1).uniform
    for _ in range(100):
        client_fixture.behaviour = [crashes]
        client_fixture.seal()
    assert 0 <= min(client_fixture.pauses) < 0.05
    assert 0.45 < max(client_fixture.pauses) <= 0.5


def test_no_attempt_begins_after_the_deadline(client_fixture: SealingClientFixture) -> None:
    """Twenty seconds each, thirty in all: two attempts, and the second error is raised."""
    client_fixture.takes = 20
    client_fixture.behaviour = [crashes] * 9
    begun = client_fixture.clock.now
    with pytest.raises(SealingError):
        client_fixture.seal(within=timedelta(seconds=30))
    assert len(client_fixture.keys) == 2
    assert client_fixture.clock.now - begun < 50


def test_a_rejected_key_is_replaced_and_the_seal_tried_once_more(
    client_fixture: SealingClientFixture,
) -> None:
    """Rotated and revoked since the last fetch: one GetSecretValue, no pause, a seal."""
    client_fixture.seal()
    old = client_fixture.key_of()
    client_fixture.fake.put()
    client_fixture.accepts = {client_fixture.key_of()}
    before = client_fixture.fake.count()
    seal = client_fixture.seal()
    assert client_fixture.keys[-2:] == [old, seal.key_id]
    assert client_fixture.pauses == []
    assert client_fixture.fake.count() == before + 1
    client_fixture.seal()
    assert len(client_fixture.keys) == 4, "the new key is used from then on"


def test_stray_rejections_of_the_current_key_cost_pauses_and_no_seal(
    client_fixture: SealingClientFixture,
) -> None:
    """Secrets Manager has no other key, so the same one is sent again, and is taken."""
    client_fixture.behaviour = [refuses("credential_rejected")] * 2
    seal = client_fixture.seal()
    assert client_fixture.keys == [seal.key_id] * 3
    assert client_fixture.pauses == [0.5, 1.0]
    assert client_fixture.fake.count() == 4


@pytest.mark.parametrize("patience", [timedelta(0), timedelta(minutes=2)], ids=str)
def test_a_new_key_that_half_of_the_nodes_accept_costs_no_seal(
    client_fixture: SealingClientFixture, patience: timedelta
) -> None:
    """Every node knows it after a quarter of a minute; no draw of nodes makes a seal fail."""
    client_fixture.patience = patience
    for seed in range(200):
        nodes = random.Random(seed)
        client_fixture.jitter = nodes.uniform
        client_fixture.fake.put()
        everywhere_at = client_fixture.clock.now + 15

        def node(
            request: SealRequest, nodes: random.Random = nodes, at: float = everywhere_at
        ) -> Mapping[str, Any]:
            client_fixture.behaviour.append(node)
            known = client_fixture.clock.now >= at or nodes.random() < 0.5
            return sealed(request) if known else refuses("credential_rejected")(request)

        client_fixture.behaviour = [node]
        assert client_fixture.seal().size == 100


@pytest.mark.parametrize("within", [timedelta(seconds=5), timedelta(minutes=2)], ids=str)
def test_a_key_that_stays_rejected_is_given_up_after_half_a_minute(
    client_fixture: SealingClientFixture, within: timedelta
) -> None:
    """Or when the time is over, if that is less; the error names the key, and what to do."""
    client_fixture.accepts = set()
    begun, limit = client_fixture.clock.now, min(30, within.total_seconds())
    with pytest.raises(CredentialRejectedError, match=r"has no other: .* Rotate it") as rejected:
        client_fixture.seal(within=within)
    assert client_fixture.clock.now - begun == limit
    assert set(client_fixture.keys) == {client_fixture.key_of()}
    assert client_fixture.keys[0] in str(rejected.value)
    assert max(client_fixture.pauses) <= 2.0
    assert client_fixture.fake.count() <= 9


@pytest.mark.parametrize("trouble", ["ThrottlingException", "InternalServiceError"])
def test_a_stray_rejection_during_an_outage_of_secrets_manager_costs_no_seal(
    client_fixture: SealingClientFixture, trouble: str
) -> None:
    """Whether there is another key cannot be asked: the one that is held is sent again."""
    client_fixture.seal()
    client_fixture.fake.fail(trouble, times=99)
    client_fixture.behaviour = [refuses("credential_rejected")] * 2
    client_fixture.seal()
    assert len(set(client_fixture.keys)) == 1
    assert client_fixture.pauses == [0.5, 1.0]


def test_a_stray_rejection_costs_no_seal_while_the_current_value_is_no_key(
    client_fixture: SealingClientFixture,
) -> None:
    """Somebody stored junk: the key from before it works through its grace."""
    client_fixture.seal()
    client_fixture.fake.put("junk")
    client_fixture.behaviour = [refuses("credential_rejected")]
    client_fixture.seal()
    assert len(set(client_fixture.keys)) == 1


def test_a_refusal_of_secrets_manager_after_a_rejection_is_raised(
    client_fixture: SealingClientFixture,
) -> None:
    """Who may not have the key any more does not go on with the one that is held."""
    client_fixture.seal()
    client_fixture.fake.fail("AccessDeniedException")
    client_fixture.behaviour = [refuses("credential_rejected")]
    with pytest.raises(SecretStoreError):
        client_fixture.seal()
    assert len(client_fixture.keys) == 2


def test_two_keys_that_are_rejected_are_asked_about_again(
    client_fixture: SealingClientFixture,
) -> None:
    """The next key is tried at once, and then with pauses, as any key."""
    client_fixture.seal()
    client_fixture.fake.put()
    client_fixture.behaviour = [refuses("credential_rejected")] * 3
    seal = client_fixture.seal()
    assert client_fixture.keys[2:] == [client_fixture.key_of()] * 3 == [seal.key_id] * 3
    assert client_fixture.pauses == [0.5, 1.0]


def test_a_new_key_that_shows_late_is_used(client_fixture: SealingClientFixture) -> None:
    """Secrets Manager is eventually consistent: its first answer may be the old version."""
    old = client_fixture.key_of()
    client_fixture.accepts = set()
    sleep = client_fixture.sleep

    def rotates_meanwhile(seconds: float) -> None:
        sleep(seconds)
        if len(client_fixture.pauses) == 2:
            client_fixture.fake.put()
            client_fixture.accepts = {client_fixture.key_of()}

    client_fixture.sleep = rotates_meanwhile  # type: ignore[method-assign]
    seal = client_fixture.seal()
    assert client_fixture.keys == [old, old, seal.key_id]


def test_a_client_asks_about_a_dead_key_for_half_a_minute_and_not_for_each_document(
    client_fixture: SealingClientFixture,
) -> None:
    """For five minutes each document is tried once; then the client asks with pauses again."""
    client_fixture.accepts = set()
    client, clock = client_fixture.client(), client_fixture.clock

    def time_of_a_rejection() -> float:
        begun = clock.now
        with pytest.raises(CredentialRejectedError, match="has no other"):
            client.seal(SOURCE, DESTINATION)
        return clock.now - begun

    assert time_of_a_rejection() == 30
    tried = len(client_fixture.keys)
    assert [time_of_a_rejection() for _ in range(9)] == [0] * 9
    assert len(client_fixture.keys) - tried == 9
    clock.advance(301)
    assert time_of_a_rejection() == 30


def test_a_key_that_was_given_up_and_is_accepted_again_is_asked_about_as_before(
    client_fixture: SealingClientFixture,
) -> None:
    """So a stray rejection later costs pauses, and no seal."""
    client_fixture.accepts = set()
    client = client_fixture.client()
    with pytest.raises(CredentialRejectedError):
        client.seal(SOURCE, DESTINATION)
    client_fixture.accepts = None
    assert client.seal(SOURCE, DESTINATION).size == 100
    client_fixture.behaviour = [refuses("credential_rejected")]
    assert client.seal(SOURCE, DESTINATION).size == 100


def test_a_loop_of_rejections_does_not_hammer_secrets_manager(
    client_fixture: SealingClientFixture,
) -> None:
    """Ten clients with a dead key, half a minute each: one fetch in ten seconds."""
    client_fixture.accepts = set()
    begun = client_fixture.clock.now
    for _ in range(10):
        with pytest.raises(CredentialRejectedError):
            client_fixture.seal()
    assert client_fixture.clock.now - begun == pytest.approx(300)
    assert client_fixture.fake.count() <= 36


def test_clocks_that_differ_are_no_reason_for_another_key(
    client_fixture: SealingClientFixture,
) -> None:
    """clock_skew is a 401 as well, and says nothing about the key."""
    client_fixture.behaviour = [refuses("clock_skew", retryable=True)] * 9
    with pytest.raises(ClockSkewError):
        client_fixture.seal()
    assert len(set(client_fixture.keys)) == 1
    assert len(client_fixture.keys) == 4
    assert client_fixture.fake.count() == 1


def test_an_outage_of_secrets_manager_is_waited_out(client_fixture: SealingClientFixture) -> None:
    """At the first fetch, and at the one after a rejection."""
    client_fixture.fake.fail("ThrottlingException")
    client_fixture.seal()
    assert client_fixture.pauses == [0.5, 1.0]
    client_fixture.fake.put()
    client_fixture.accepts = {client_fixture.key_of()}
    client_fixture.fake.fail("InternalServiceError")
    assert client_fixture.seal().key_id in client_fixture.accepts
    assert client_fixture.pauses == [0.5, 1.0, 0.5, 1.0]


def test_a_refusal_of_secrets_manager_is_raised_at_once(
    client_fixture: SealingClientFixture,
) -> None:
    """Nothing is sealed without a key."""
    client_fixture.fake.fail("AccessDeniedException")
    with pytest.raises(SecretStoreError):
        client_fixture.seal()
    assert client_fixture.keys == []
    assert client_fixture.pauses == []


def test_trouble_after_a_replaced_key_keeps_the_new_key(
    client_fixture: SealingClientFixture,
) -> None:
    """Rejected, replaced, then a vendor that is busy: the next attempts use the new key."""
    client_fixture.seal()
    client_fixture.fake.put()
    client_fixture.accepts = {client_fixture.key_of()}
    busy = refuses("vendor_unavailable", retryable=True)
    client_fixture.behaviour = [refuses("credential_rejected"), busy, busy]
    client_fixture.seal()
    assert client_fixture.keys[2:] == [client_fixture.key_of()] * 3
    assert client_fixture.pauses == [0.5, 1.0]
