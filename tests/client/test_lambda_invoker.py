"""The adapter to Lambda, over sockets: what is sent, and what becomes of what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from rotation.client.lambda_invoker import LambdaInvoker, lambda_client
from rotation.credential import ApiKey
from rotation.errors import ConfigurationError, SealingError
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sealing.request import ObjectLocation, SealOptions, SealRequest
from tests.client.parts import client_of

REQUEST = SealRequest(
    ObjectLocation("documents", "Übersicht.pdf"),
    ObjectLocation("sealed-documents", "a.pdf"),
    ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "7b" * 32),
    SealOptions(reason="ja"),
)


class Recorder:
    """A function that keeps what it was sent and answers what the test says."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.result = InvocationResult(b'{"status": "sealed"}')

    def invoke(self, payload: bytes) -> InvocationResult:
        self.events.append(payload)
        return self.result

    def close(self) -> None:
        """Nothing runs."""


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[Cloud, Recorder]]:
    """An AWS with nothing in it but the function "seal"."""
    function = Recorder()
    with Cloud() as cloud:
        cloud.add_function("seal", function)
        yield cloud, function


@pytest.fixture
def cloud(deployed: tuple[Cloud, Recorder]) -> Cloud:
    """The same, without what the test before has left."""
    deployed[0].reset()
    return deployed[0]


@pytest.fixture
def function(deployed: tuple[Cloud, Recorder]) -> Recorder:
    """The function, as if it had never been asked."""
    Recorder.__init__(deployed[1])
    return deployed[1]


@pytest.fixture
def invoker(cloud: Cloud) -> LambdaInvoker:
    """Asks it."""
    return LambdaInvoker("seal", lambda: client_of(cloud, "lambda"))


def test_the_request_arrives_whole_and_the_answer_comes_back(
    function: Recorder, invoker: LambdaInvoker
) -> None:
    """One synchronous invocation, whose payload is a request that the function parses."""
    assert invoker.invoke(REQUEST) == {"status": "sealed"}
    [event] = function.events
    assert SealRequest.parse(json.loads(event)) == REQUEST


@pytest.mark.parametrize("payload", [b"", b"null", b"[1]", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_an_empty_answer(
    function: Recorder, invoker: LambdaInvoker, payload: bytes
) -> None:
    """The contract then says what is missing; nothing here breaks on it."""
    function.result = InvocationResult(payload)
    assert invoker.invoke(REQUEST) == {}


def test_a_function_that_crashed_says_so_and_is_not_repeated(
    function: Recorder, invoker: LambdaInvoker
) -> None:
    """Out of time, out of memory: the same document would end the same."""
    function.result = InvocationResult.failure("Sandbox.Timedout", "Task timed out")
    with pytest.raises(SealingError, match=r"Sandbox\.Timedout") as failed:
        invoker.invoke(REQUEST)
    assert failed.value.retryable is False
    assert len(function.events) == 1


def test_a_function_whose_process_was_killed_may_be_asked_again(
    function: Recorder, invoker: LambdaInvoker
) -> None:
    """Lambda begins another process, and a seal that is repeated is worth the same."""
    function.result = InvocationResult.failure("Runtime.ExitError", "Runtime exited: killed")
    with pytest.raises(SealingError, match=r"Runtime\.ExitError") as failed:
        invoker.invoke(REQUEST)
    assert failed.value.retryable is True


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (AwsError("TooManyRequestsException", status=429), ("TooManyRequests", True)),
        (AwsError("ServiceException", status=500), ("ServiceException", True)),
        (AwsError("ResourceConflictException", status=409), ("ResourceConflict", True)),
        (AwsError("AccessDeniedException", status=403), ("lambda:InvokeFunction", False)),
        (AwsError("RequestTooLargeException", status=413), ("RequestTooLarge", False)),
        (Dropped(), ("brought no answer", True)),
    ],
    ids=["throttled", "broken", "updating", "denied", "too large", "dropped"],
)
def test_an_invocation_that_fails_is_made_once(
    cloud: Cloud,
    function: Recorder,
    invoker: LambdaInvoker,
    fault: AwsError | Dropped,
    expected: tuple[str, bool],
) -> None:
    """Nothing below repeats it: whether to ask again is the sealing client's to decide."""
    told, retryable = expected
    cloud.faults.before("Invoke", fault, times=5)
    with pytest.raises(SealingError, match=told) as failed:
        invoker.invoke(REQUEST)
    assert failed.value.retryable is retryable
    assert failed.value.__cause__ is failed.value.__context__ is None
    assert [call.operation for call in cloud.calls].count("Invoke") == 1
    assert function.events == []


def test_an_unknown_function_is_named(cloud: Cloud, function: Recorder) -> None:
    """A typing error in the name is told as one."""
    with pytest.raises(SealingError, match="no-such-function failed: ResourceNotFound") as failed:
        LambdaInvoker("no-such-function", lambda: client_of(cloud, "lambda")).invoke(REQUEST)
    assert failed.value.retryable is False


def test_a_client_that_repeats_by_itself_is_refused(cloud: Cloud, function: Recorder) -> None:
    """After a read timeout botocore would have the document sealed twice."""
    invoker = LambdaInvoker("seal", lambda: cloud.client("lambda"))
    with pytest.raises(ConfigurationError, match="total_max_attempts"):
        invoker.invoke(REQUEST)
    assert function.events == []


def test_the_client_that_is_made_by_default_waits_for_the_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Longer than its timeout, and it asks once."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = lambda_client(timedelta(seconds=90)).meta.config
    assert config.read_timeout > 90  # type: ignore[attr-defined]
    assert config.retries["total_max_attempts"] == 1  # type: ignore[attr-defined]
