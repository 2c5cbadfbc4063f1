"""What Secrets Manager asks a rotation function for, as the function reads it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from rotation.errors import InvalidEventError, RotationError, VersionStateError
from rotation.handlers.step_invocation import StepRequest, run_step

ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:trusted-signatures-api-AbCdEf"
CONTEXT: Any = SimpleNamespace(
    function_name="rotate",
    invoked_function_arn="arn:aws:lambda:us-east-1:012345678912:function:rotate",
    get_remaining_time_in_millis=lambda: 60_000,
)


def asked_for(token: str) -> StepRequest:
    """What is asked for, as far as the event is read; nothing is done."""
    requests: list[StepRequest] = []

    def stop(request: StepRequest) -> NoReturn:
        requests.append(request)
        raise VersionStateError("nothing is done here")

    event = {"Step": "createSecret", "SecretId": ARN, "ClientRequestToken": token}
    with pytest.raises(VersionStateError):
        run_step(event, CONTEXT, stop)
    return requests[0]


@pytest.mark.parametrize(
    "token",
    [
        "a token with spaces, and more than that",
        "installation|arn:aws:secretsmanager:eu-west-1|x",
        "../../../../../etc/passwd?versionId=%00",
        "zażółć gęślą jaźń, 鍵のローテーション, 🔑🔑🔑🔑",
        "t" * 32,
        "t" * 64,
    ],
)
def test_a_token_has_any_characters(token: str) -> None:
    """API_RotateSecret gives its least and its greatest length, and no pattern."""
    assert asked_for(token).token == token


@pytest.mark.parametrize("token", ["", "t" * 31, "t" * 65, "\ud800" * 32, 7, None])
def test_what_is_no_token_is_refused(token: Any) -> None:
    """Too short, too long, no text, or text that UTF-8 cannot carry."""
    event = {"Step": "createSecret", "SecretId": ARN, "ClientRequestToken": token}
    with pytest.raises(InvalidEventError, match="32 to 64 characters"):
        run_step(event, CONTEXT, lambda _: pytest.fail("the event was believed"))


def test_a_failure_that_cannot_be_noted_leaves_the_step_s_error_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A client that cannot be made is a warning; what is raised is why the step failed."""
    step_error = VersionStateError("the secret was deleted")

    def fail(_: StepRequest) -> NoReturn:
        raise step_error

    def cannot_note(_: StepRequest, __: RotationError) -> NoReturn:
        raise ValueError("Invalid endpoint: nonsense")

    event = {"Step": "createSecret", "SecretId": ARN, "ClientRequestToken": "t" * 32}
    with pytest.raises(VersionStateError) as raised:
        run_step(event, CONTEXT, fail, cannot_note)
    assert raised.value is step_error
    assert raised.value.__context__ is None
    warning = caplog.records[-1]
    assert warning.getMessage() == "the failure of the step was not noted"
    assert warning.__dict__["reason"] == "ValueError"
