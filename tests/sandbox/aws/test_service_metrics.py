"""What Lambda and SQS publish to CloudWatch of what happened. Each test names the AWS page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud
from tests.sandbox.aws.rotating import Clock, InProcess

MINUTE = timedelta(minutes=1)


def values(
    cloud: Cloud, clock: Clock, metric: str, statistic: str = "Sum", **dimensions: str
) -> list[tuple[float, str]]:
    """Each minute's statistic of a metric within the last day, and its unit."""
    client: Any = cloud.client
    answer = client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SQS" if "QueueName" in dimensions else "AWS/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=clock.now - timedelta(days=1),
        EndTime=clock.now + MINUTE,
        Period=60,
        Statistics=[statistic],
    )
    return [(one[statistic], one["Unit"]) for one in answer["Datapoints"]]


@pytest.fixture
def function(cloud: Cloud) -> InProcess:
    """A function ``f`` with five minutes, of which one runs at once."""
    runner = InProcess(lambda event: event)
    cloud.add_function("f", runner, timeout=timedelta(minutes=5))
    return runner


def invoke(cloud: Cloud, **members: str) -> Any:
    """Invoke ``f``."""
    return cloud.client("lambda").invoke(FunctionName="f", **members)  # type: ignore[arg-type]


@contextmanager
def busy(cloud: Cloud, function: InProcess) -> Iterator[Event]:
    """While one invocation of ``f`` is under way, and no more may be; set the event to end it."""
    began, go_on = Event(), Event()

    def hold(_: Any) -> None:
        began.set()
        assert go_on.wait(300)

    function.handle = hold
    cloud.client("lambda").put_function_concurrency(
        FunctionName="f", ReservedConcurrentExecutions=1
    )
    thread = Thread(target=invoke, args=(cloud,))
    thread.start()
    assert began.wait(300)
    function.handle = lambda event: event
    try:
        yield go_on
    finally:
        go_on.set()
        thread.join()


def test_an_invocation_is_counted(cloud: Cloud, function: InProcess, clock: Clock) -> None:
    """monitoring-metrics-types: Invocations and Duration, in milliseconds; a 0 is not sent."""

    def run(_: Any) -> None:
        clock.now += MINUTE

    function.handle = run
    invoke(cloud)
    assert values(cloud, clock, "Invocations", FunctionName="f") == [(1, "Count")]
    assert values(cloud, clock, "Duration", "Maximum", FunctionName="f") == [
        (60_000, "Milliseconds")
    ]
    assert values(cloud, clock, "Errors", FunctionName="f") == []
    assert values(cloud, clock, "Throttles", FunctionName="f") == []
    assert values(cloud, clock, "Invocations", FunctionName="g") == []


def test_a_metric_is_dated_when_the_invocation_began(
    cloud: Cloud, function: InProcess, clock: Clock
) -> None:
    """monitoring-metrics: the timestamp on a metric reflects when the function was invoked."""
    began = clock.now

    def run(_: Any) -> None:
        clock.now += 4 * MINUTE

    function.handle = run
    invoke(cloud)
    client: Any = cloud.client
    [point] = client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Duration",
        Dimensions=[{"Name": "FunctionName", "Value": "f"}],
        StartTime=began,
        EndTime=began + MINUTE,
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    assert (point["Timestamp"], point["Maximum"]) == (began, 240_000)


def test_no_duration_is_longer_than_the_timeout(
    cloud: Cloud, function: InProcess, clock: Clock
) -> None:
    """monitoring-metrics-types: a function that takes longer is ended at its timeout."""

    def run(_: Any) -> None:
        clock.now += 30 * MINUTE

    function.handle = run
    invoke(cloud)
    assert values(cloud, clock, "Duration", "Maximum", FunctionName="f") == [
        (300_000, "Milliseconds")
    ]


@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
def test_an_error_is_counted_each_time(
    cloud: Cloud, function: InProcess, clock: Clock, kind: str
) -> None:
    """monitoring-metrics-types: an invocation with an error; a repeated event is one each."""

    def fail(_: Any) -> None:
        raise ValueError("no")

    function.handle = fail
    invoke(cloud, InvocationType=kind)
    cloud.wait_for_events()
    times = {"RequestResponse": 1, "Event": 3}[kind]
    assert values(cloud, clock, "Errors", FunctionName="f") == [(times, "Count")]
    assert values(cloud, clock, "Invocations", FunctionName="f") == [(times, "Count")]


def test_what_finds_no_free_concurrency_is_throttled(
    cloud: Cloud, function: InProcess, clock: Clock
) -> None:
    """API_Invoke, TooManyRequestsException: neither an invocation nor an error is counted.

    The client asks again, and each time counts.
    """
    with busy(cloud, function), pytest.raises(ClientError) as caught:
        invoke(cloud)
    answer: Any = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    attempts = answer["ResponseMetadata"]["RetryAttempts"] + 1
    assert values(cloud, clock, "Throttles", FunctionName="f") == [(attempts, "Count")]
    assert values(cloud, clock, "Invocations", FunctionName="f") == [(1, "Count")]
    assert values(cloud, clock, "Errors", FunctionName="f") == []
    assert function.events == [{}]


def test_an_event_waits_for_free_concurrency(
    cloud: Cloud, function: InProcess, clock: Clock
) -> None:
    """invocation-async-error-handling: an event that is throttled goes back, and is not lost.

    It has no attempts left after an error, and needs none.
    """
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName="f", MaximumRetryAttempts=0
    )
    with busy(cloud, function) as go_on:
        cloud.client("lambda").invoke(
            FunctionName="f", InvocationType="Event", Payload=b'{"waited": true}'
        )
        while not values(cloud, clock, "Throttles", FunctionName="f"):
            Event().wait(0.01)
        go_on.set()
        cloud.wait_for_events()
    assert function.events == [{}, {"waited": True}]


def test_nothing_is_throttled_when_nothing_is_reserved(
    cloud: Cloud, function: InProcess, clock: Clock
) -> None:
    """API_DeleteFunctionConcurrency: the limit is gone."""
    with busy(cloud, function):
        cloud.client("lambda").delete_function_concurrency(FunctionName="f")
        invoke(cloud)
    assert values(cloud, clock, "Throttles", FunctionName="f") == []


def test_no_concurrency_stops_a_function(cloud: Cloud, function: InProcess, clock: Clock) -> None:
    """configuration-concurrency: with a reserved concurrency of 0, no event is processed."""
    cloud.client("lambda").put_function_concurrency(
        FunctionName="f", ReservedConcurrentExecutions=0
    )
    with pytest.raises(ClientError):
        invoke(cloud)
    assert function.events == []


@pytest.fixture
def queue(cloud: Cloud) -> str:
    """The URL of a queue ``q`` with one message, which is visible again after half an hour."""
    sqs: Any = cloud.client("sqs")  # type: ignore[call-overload]
    url: str = sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "1800"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="1")
    return url


def received(cloud: Cloud, queue: str) -> Any:
    """What is received of the queue now."""
    sqs: Any = cloud.client("sqs")  # type: ignore[call-overload]
    return sqs.receive_message(QueueUrl=queue).get("Messages", [])


def measured(cloud: Cloud, clock: Clock, after: timedelta) -> dict[str, float | None]:
    """What SQS publishes of ``q`` so much later; None: nothing."""
    clock.now += after
    cloud.measure_queues()
    found = {
        name: values(cloud, clock, metric, "Maximum", QueueName="q")
        for name, metric in (
            ("visible", "ApproximateNumberOfMessagesVisible"),
            ("age", "ApproximateAgeOfOldestMessage"),
        )
    }
    return {name: one[-1][0] if one else None for name, one in found.items()}


def test_a_queue_tells_what_waits_and_how_long(cloud: Cloud, clock: Clock, queue: str) -> None:
    """sqs-available-cloudwatch-metrics: messages that are visible, and the age of the oldest."""
    assert measured(cloud, clock, 60 * MINUTE) == {"visible": 1, "age": 3600}
    assert received(cloud, queue)
    assert measured(cloud, clock, MINUTE) == {"visible": 0, "age": 3660}
    assert measured(cloud, clock, 30 * MINUTE) == {"visible": 1, "age": 5460}


def test_a_message_that_fails_three_times_has_no_age(
    cloud: Cloud, clock: Clock, queue: str
) -> None:
    """sqs-available-cloudwatch-metrics: the metric then tells the age of another message."""
    for _ in range(3):
        assert received(cloud, queue)
        clock.now += 30 * MINUTE + timedelta(seconds=1)
    assert measured(cloud, clock, timedelta(0)) == {"visible": 1, "age": None}
