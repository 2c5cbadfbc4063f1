"""The adapter to Lambda, over sockets: what is sent, and what becomes of what comes back."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.config import Config
from botocore.response import StreamingBody

from rotation.client.lambda_invoker import LambdaInvoker, lambda_client
from rotation.credential import ApiKey
from rotation.errors import ConfigurationError, SealingError, SealingUnavailableError
from rotation.sandbox.aws.cloud import Cloud, isolated_session
from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sealing.request import ObjectLocation, SealOptions, SealRequest
from tests.cli.doctor.faulty_ports import closed_port
from tests.client.fixtures import client_of
from tests.privacy.canary import Canary, everything_said

REQUEST = SealRequest(
    ObjectLocation("documents", "Übersicht.pdf"),
    ObjectLocation("sealed-documents", "a.pdf"),
    ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "7b" * 32),
    SealOptions(reason="ja"),
)


def failure(invoker: LambdaInvoker) -> SealingError:
    """What an invocation fails with; no frame of a test's is in its traceback."""
    try:
        invoker.invoke(REQUEST)
    except SealingError as error:
        return error
    pytest.fail("it should have failed")


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
def test_what_is_no_object_is_an_answer_that_was_cut(
    function: Recorder, invoker: LambdaInvoker, payload: bytes
) -> None:
    """The document may have been sealed; to ask again does no harm."""
    function.result = InvocationResult(payload)
    assert failure(invoker).retryable is True


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


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("TooManyRequestsException", 429),
        ("ThrottlingException", 400),
        ("ResourceConflictException", 409),
        ("SnapStartNotReadyException", 409),
    ],
)
def test_a_function_that_was_not_run_is_told_from_one_that_may_have_sealed(
    cloud: Cloud, invoker: LambdaInvoker, code: str, status: int
) -> None:
    """Throttled or not ready yet: asking again can buy nothing twice."""
    cloud.faults.before("Invoke", AwsError(code, status=status))
    with pytest.raises(SealingUnavailableError, match=code):
        invoker.invoke(REQUEST)


@pytest.mark.slow
def test_a_service_that_is_not_reached_has_sealed_nothing() -> None:
    """No connection: the request cannot have arrived."""
    with closed_port() as port:
        there = f"http://127.0.0.1:{port}"
        once = Config(retries={"total_max_attempts": 1})
        session = isolated_session()
        client = session.client(
            "lambda",
            endpoint_url=there,
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=once,
        )
        invoker = LambdaInvoker("seal", lambda: client)
        with pytest.raises(SealingUnavailableError, match="EndpointConnectionError"):
            invoker.invoke(REQUEST)


@pytest.mark.parametrize("missing", ["Region", "credentials"])
def test_what_is_not_configured_is_told(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Not as a lost answer: nothing was sent, and what to set is said."""
    for name in [one for one in os.environ if one.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    if missing == "credentials":
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(SealingError, match="was not invoked") as failed:
        LambdaInvoker("seal").invoke(REQUEST)
    assert missing in str(failed.value)
    assert "network" not in str(failed.value)
    assert failed.value.retryable is False


def test_an_answer_that_breaks_off_may_be_asked_for_again(cloud: Cloud, function: Recorder) -> None:
    """It is lost like one that never began."""
    function.result = InvocationResult(b'{"status": "sealed"}')

    def cut(parsed: dict[str, Any], **_: object) -> None:
        parsed["Payload"] = StreamingBody(io.BytesIO(b'{"status"'), content_length=20)

    client = client_of(cloud, "lambda")
    client.meta.events.register("after-call.lambda.Invoke", cut)
    with pytest.raises(SealingError, match="brought no answer: IncompleteRead") as failed:
        LambdaInvoker("seal", lambda: client).invoke(REQUEST)
    assert failed.value.retryable is True


def test_what_nobody_foresaw_is_of_our_tree_and_holds_no_request(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    """A tracer's hook in the client breaks: its words are in the log, and no frame has the key."""

    def breaks(**_: object) -> None:
        raise ZeroDivisionError(f"by zero, {REQUEST.key.material.reveal()}")

    client = client_of(cloud, "lambda")
    client.meta.events.register("before-send.lambda.Invoke", breaks)
    error = failure(LambdaInvoker("seal", lambda: client))
    assert "ZeroDivisionError" in str(error)
    assert "by zero" in caplog.text
    canary = Canary()
    canary.plant(REQUEST.key.material.reveal(), "the key")
    assert canary.find(everything_said(error) + caplog.text.encode()) is None


def test_a_function_that_crashes_with_the_key_on_its_lips(
    function: Recorder, invoker: LambdaInvoker
) -> None:
    """A wrong function may repeat the request in the type of its error, cut off or not."""
    key = REQUEST.key.material.reveal()
    canary = Canary()
    canary.plant(key, "the key")
    for kind in (key, "x" * 70 + key, "x" * 90 + " " + key):
        function.result = InvocationResult.failure(kind, key)
        assert canary.find(everything_said(failure(invoker))) is None


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


@pytest.mark.slow
def test_the_client_that_is_made_by_default_waits_for_the_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Longer than its timeout, it asks once, and a pool of threads keeps its connections."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = lambda_client(timedelta(seconds=90)).meta.config
    assert config.max_pool_connections >= 40  # type: ignore[attr-defined]
    assert config.read_timeout > 90  # type: ignore[attr-defined]
    assert config.retries["total_max_attempts"] == 1  # type: ignore[attr-defined]
