"""Invocations through the Lambda API. Each test names the AWS page."""

import json
from threading import Event

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud
from tests.sandbox.aws.rotating import InProcess, StepEvent


@pytest.fixture
def function(cloud: Cloud) -> InProcess:
    """A function ``f`` that answers with its event."""
    runner = InProcess(lambda event: event)
    cloud.add_function("f", runner)
    return runner


def raising(event: StepEvent) -> None:
    """Fail."""
    raise ValueError("no")


def test_request_response(cloud: Cloud, function: InProcess) -> None:
    """API_Invoke: the function's answer, and no FunctionError."""
    answer = cloud.client("lambda").invoke(FunctionName="f", Payload=b'{"a": 1}')
    assert json.loads(answer["Payload"].read()) == {"a": 1}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer


def test_function_error(cloud: Cloud, function: InProcess) -> None:
    """API_Invoke: an error is HTTP 200 with X-Amz-Function-Error, and the error as payload."""
    function.handle = raising
    answer = cloud.client("lambda").invoke(FunctionName="f", Payload=b"{}")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.loads(answer["Payload"].read()) == {
        "errorType": "ValueError",
        "errorMessage": "no",
    }


def test_by_arn_and_without_payload(cloud: Cloud, function: InProcess) -> None:
    """API_Invoke, FunctionName: name or ARN; no payload is an empty object."""
    arn = cloud.client("lambda").get_function(FunctionName="f")["Configuration"]["FunctionArn"]
    assert arn == f"arn:aws:lambda:us-east-1:{cloud.account}:function:f"
    answer = cloud.client("lambda").invoke(FunctionName=arn)
    assert answer["Payload"].read() == b"{}"


def test_an_alias_is_invoked_by_its_qualifier(cloud: Cloud, function: InProcess) -> None:
    """API_Invoke, Qualifier: the alias runs; one that does not exist is refused."""
    cloud.add_alias("f", "night", InProcess(lambda _: {"night": True}))
    invoke = cloud.client("lambda").invoke
    answer = invoke(FunctionName="f", Qualifier="night", Payload=b'{"a": 1}')
    assert json.loads(answer["Payload"].read()) == {"night": True}
    assert json.loads(invoke(FunctionName="f", Payload=b'{"a": 1}')["Payload"].read()) == {"a": 1}
    with pytest.raises(ClientError) as caught:
        invoke(FunctionName="f", Qualifier="day")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_unknown_function(cloud: Cloud) -> None:
    """API_Invoke, ResourceNotFoundException."""
    with pytest.raises(ClientError) as caught:
        cloud.client("lambda").invoke(FunctionName="f")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_dry_run(cloud: Cloud, function: InProcess) -> None:
    """API_Invoke, DryRun: 204, and the function does not run."""
    answer = cloud.client("lambda").invoke(FunctionName="f", InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert function.events == []


def test_event_is_asynchronous(cloud: Cloud, function: InProcess) -> None:
    """API_Invoke, Event: 202 while the function has not even begun."""
    go_on = Event()
    function.handle = lambda event: go_on.wait(300)
    answer = cloud.client("lambda").invoke(
        FunctionName="f", InvocationType="Event", Payload=b'{"a": 1}'
    )
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    go_on.set()
    cloud.wait_for_events()
    assert function.events == [{"a": 1}]


def test_event_is_tried_three_times(cloud: Cloud, function: InProcess) -> None:
    """Developer Guide invocation-async-error-handling: two more attempts after an error."""
    function.handle = raising
    cloud.client("lambda").invoke(FunctionName="f", InvocationType="Event")
    cloud.wait_for_events()
    assert function.events == [{}, {}, {}]


def test_success_ends_the_retries(cloud: Cloud, function: InProcess) -> None:
    """Developer Guide invocation-async-error-handling: only errors are retried."""
    function.handle = lambda event: raising(event) if len(function.events) == 1 else None
    cloud.client("lambda").invoke(FunctionName="f", InvocationType="Event")
    cloud.wait_for_events()
    assert function.events == [{}, {}]


@pytest.mark.parametrize(("attempts", "expected"), [(0, 1), (1, 2)])
def test_retry_attempts_are_configured(
    cloud: Cloud, function: InProcess, attempts: int, expected: int
) -> None:
    """API_PutFunctionEventInvokeConfig: MaximumRetryAttempts; the last configuration holds."""
    function.handle = raising
    client = cloud.client("lambda")
    client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=2)
    client.put_function_event_invoke_config(
        FunctionName="f", MaximumRetryAttempts=attempts, MaximumEventAgeInSeconds=60
    )
    client.invoke(FunctionName="f", InvocationType="Event")
    cloud.wait_for_events()
    assert len(function.events) == expected


def test_deleted_function_cannot_be_invoked(cloud: Cloud, function: InProcess) -> None:
    """API_DeleteFunction: afterwards there is no such function."""
    client = cloud.client("lambda")
    client.delete_function(FunctionName="f")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="f")
    assert function.events == []
