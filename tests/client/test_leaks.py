"""No key of the client's in any repr, log, error, or frame that a traceback could show."""

from __future__ import annotations

import io
import json
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest

from rotation.client.credential_cache import CredentialCache
from rotation.client.lambda_invoker import LambdaInvoker
from rotation.client.sealing_client import SealingClient
from rotation.client.secret_source import SecretsManager
from rotation.credential import ApiKey
from rotation.errors import RotationError
from rotation.privacy.library_logs import protect_process
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sealing.request import ObjectLocation
from tests.client.fixtures import NAME, Clock, client_of, is_idle, wait_until
from tests.privacy.canary import Canary, debug_log, everything_said
from tests.rotation_fixture import RotationFixture

MATERIAL = "5d41402abc4b2a76b9719d911017c592ae25f1c0d3b94e6a8f7c1e2d3b4a5968"
VALUE = {"apiKey": MATERIAL, "apiKeyId": "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"}
PLACES = ObjectLocation("documents", "a.pdf"), ObjectLocation("sealed-documents", "a.pdf")


@pytest.fixture
def canary() -> Canary:
    """Knows the key."""
    canary = Canary()
    canary.plant(MATERIAL, "the key")
    return canary


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """What this process logs at DEBUG, botocore's own words scrubbed as in any process of ours."""
    protect_process()
    with debug_log() as text:
        yield text


def failing_acts(
    rotation_fixture: RotationFixture, cache: CredentialCache, clock: Clock
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Everything that can go wrong where the key is at hand."""

    def put(value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        rotation_fixture.client.put_secret_value(SecretId=NAME, SecretString=text)
        clock.advance(2)

    def lambda_fails() -> object:
        invoker = LambdaInvoker("no-such", lambda: client_of(rotation_fixture.cloud, "lambda"))
        return SealingClient(invoker, cache, NAME, sleep=clock.advance).seal(*PLACES)

    for value in (json.dumps(VALUE)[:-1], [VALUE], VALUE | {"apiKeyId": 7}):
        put(value)
        yield "malformed", lambda: cache.get(NAME)
    put(VALUE)
    version = cache.get(NAME).version
    for fault in (AwsError("AccessDeniedException"), AwsError("ThrottlingException"), Dropped()):
        rotation_fixture.cloud.faults.before("GetSecretValue", fault)
        clock.advance(2)
        yield "get", lambda: cache.refresh(NAME, if_version=version)
    clock.advance(2)
    yield "unknown function", lambda_fails
    for times, kind in ((1, AwsError("AccessDeniedException", status=403)), (9, Dropped())):
        rotation_fixture.cloud.faults.before("Invoke", kind, times=times)
        yield "invoke", lambda_fails
        rotation_fixture.cloud.faults.clear()
    yield (
        "repeating client",
        lambda: SealingClient(
            LambdaInvoker("seal", lambda: rotation_fixture.cloud.client("lambda")), cache, NAME
        ).seal(*PLACES),
    )


def test_no_error_and_no_log_line_carries_the_key(
    rotation_fixture: RotationFixture, canary: Canary
) -> None:
    """Message, attributes, causes, contexts, locals of every frame, and the log at DEBUG."""
    clock = Clock()
    failed = 0
    with everything_logged() as text:
        source = SecretsManager(lambda: client_of(rotation_fixture.cloud, "secretsmanager"))
        cache = CredentialCache(source, clock=clock)
        for what, act in failing_acts(rotation_fixture, cache, clock):
            try:
                act()
            except RotationError as error:
                caught = error
            else:
                pytest.fail(f"{what} should have failed")
            found = canary.find(everything_said(caught))
            assert found is None, f"{what}: {found}"
            failed += 1
    assert failed == 10
    assert "Response body" in text.getvalue(), "botocore's own debugging is in what is searched"
    assert "GetSecretValue" in text.getvalue()
    assert canary.find(text.getvalue().encode()) is None


def test_nothing_that_is_handed_out_or_kept_shows_the_key(
    rotation_fixture: RotationFixture, canary: Canary
) -> None:
    """The credential, the entry it lies in, and the result of a fetch: repr and pickle."""
    rotation_fixture.client.put_secret_value(SecretId=NAME, SecretString=json.dumps(VALUE))
    fallback = ApiKey.from_text(VALUE["apiKeyId"], MATERIAL)
    source = SecretsManager(lambda: client_of(rotation_fixture.cloud, "secretsmanager"))
    cache = CredentialCache(source, fallback={NAME: fallback, "another": fallback})
    credential = cache.get(NAME)
    with everything_logged() as text:
        assert cache.get("another").key == fallback
    wait_until(lambda: is_idle(cache))
    shown = [repr(one) for one in (credential, cache, cache._entries, vars(cache._single_flight))]
    assert VALUE["apiKeyId"] in shown[0]
    assert canary.find("\n".join([*shown, text.getvalue()]).encode()) is None
    with pytest.raises(TypeError):
        pickle.dumps(credential)


def test_a_refreshing_thread_that_fails_shows_no_key(
    rotation_fixture: RotationFixture, canary: Canary, capfd: pytest.CaptureFixture[str]
) -> None:
    """The frames of a background fetch, looked at from outside, and what it prints."""
    rotation_fixture.client.put_secret_value(SecretId=NAME, SecretString=json.dumps(VALUE))
    clock = Clock()
    cache = CredentialCache(
        SecretsManager(lambda: client_of(rotation_fixture.cloud, "secretsmanager")), clock=clock
    )
    cache.get(NAME)
    rotation_fixture.client.put_secret_value(SecretId=NAME, SecretString=json.dumps(VALUE)[:-1])
    clock.advance(301)
    with everything_logged() as text:
        cache.get(NAME)
        wait_until(lambda: is_idle(cache))
    [entry] = cache._entries.values()
    assert entry.error is not None
    assert entry.error.__traceback__ is None
    said = text.getvalue() + "".join(capfd.readouterr())
    assert "not refreshed" in said
    assert canary.find(said.encode()) is None


def test_the_search_finds_a_key_in_a_frame(canary: Canary) -> None:
    """The search bites: a careless caller's local variable is found."""

    def careless() -> None:
        key = MATERIAL
        raise RuntimeError(str(len(key)))

    caught: list[BaseException] = []

    def run() -> None:
        try:
            careless()
        except RuntimeError as error:
            caught.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert traceback.format_exception(caught[0])
    assert canary.find(everything_said(caught[0]))
