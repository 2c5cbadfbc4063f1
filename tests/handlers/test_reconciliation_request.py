"""How a reconciliation is asked for: by schedules, and by the rotation function. No socket."""

from __future__ import annotations

import pytest

from rotation.errors import InvalidEventError
from rotation.handlers import rotate
from rotation.handlers.reconcile_events import Reconcile, parse


def scheduled_event(source: str, detail: object) -> dict[str, object]:
    """What AWS sends at the time of a schedule, whose target has no input of its own."""
    return {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": source,
        "account": "111122223333",
        "time": "2026-11-26T20:00:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:scheduler:eu-central-1:111122223333:schedule/default/hourly"],
        "detail": detail,
    }


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"action": "reconcile"},
        scheduled_event("aws.events", {}),
        scheduled_event("aws.scheduler", "{}"),
        scheduled_event("aws.scheduler", {}),
    ],
    ids=["empty", "by its name", "rule", "scheduler", "scheduler, detail as an object"],
)
def test_every_schedule_of_aws_reconciles_every_secret(event: object) -> None:
    """An EventBridge rule, EventBridge Scheduler without an input, and inputs that people give."""
    assert parse(event) == Reconcile()


@pytest.mark.parametrize("source", ["aws.s3", "my.application", None, ["aws.scheduler"]])
def test_another_service_s_event_is_refused(source: object) -> None:
    """Whatever its ``detail-type`` says."""
    event = scheduled_event("", "{}") | {"source": source}
    with pytest.raises(InvalidEventError):
        parse(event)


def test_an_unforeseen_error_does_not_fail_a_step_that_is_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is promoted by then: botocore's ValueError for a bad endpoint is a warning."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "nonsense")
    rotate._lambda.cache_clear()
    event = {"action": "reconcile", "secrets": ["arn:of-the-secret"]}
    rotate._ask_reconcile_function("reconcile", event)
    [record] = caplog.records
    assert record.getMessage() == "reconcile function was not asked"
    assert record.__dict__["reason"] == "ValueError"
