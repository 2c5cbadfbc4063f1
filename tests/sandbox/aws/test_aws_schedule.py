"""Rotation schedules, by the pages RotationRulesType and rotate-secrets_schedule."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rotation.sandbox.aws.schedule import ScheduleError, parse_rules

# A Saturday.
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"AutomaticallyAfterDays": 1}, "2026-01-11T23:59:59"),
        ({"AutomaticallyAfterDays": 30, "Duration": "3h"}, "2026-02-09T02:59:59"),
        ({"ScheduleExpression": "rate(10 days)"}, "2026-01-20T23:59:59"),
        ({"ScheduleExpression": "rate(1 day)", "Duration": "24h"}, "2026-01-11T23:59:59"),
        ({"ScheduleExpression": "rate(4 hours)"}, "2026-01-10T16:59:59"),
        ({"ScheduleExpression": "rate(12 hours)", "Duration": "6h"}, "2026-01-11T05:59:59"),
        ({"ScheduleExpression": "cron(0 8 * * ? *)"}, "2026-01-11T23:59:59"),
        ({"ScheduleExpression": "cron(0 8 1 * ? *)", "Duration": "2h"}, "2026-02-01T09:59:59"),
        ({"ScheduleExpression": "cron(0 16 1,15 * ? *)"}, "2026-01-15T23:59:59"),
        ({"ScheduleExpression": "cron(0 4/12 * * ? *)"}, "2026-01-10T16:59:59"),
        ({"ScheduleExpression": "cron(0 0 L * ? *)"}, "2026-01-31T23:59:59"),
        ({"ScheduleExpression": "cron(0 0 L FEB ? *)"}, "2026-02-28T23:59:59"),
        ({"ScheduleExpression": "cron(0 0 ? * SUN *)"}, "2026-01-11T23:59:59"),
        ({"ScheduleExpression": "cron(0 0 ? * MON-FRI *)"}, "2026-01-12T23:59:59"),
        ({"ScheduleExpression": "cron(0 0 ? 1/3 3#2 *)"}, "2026-01-13T23:59:59"),
        ({"ScheduleExpression": "cron(0 0 ? * 6L *)"}, "2026-01-30T23:59:59"),
    ],
)
def test_next_date(rules: Any, expected: str) -> None:
    """The next rotation date is the end of the next window, which closes with the UTC day."""
    schedule = parse_rules(rules)
    assert schedule.next_date(NOON).isoformat() == f"{expected}+00:00"
    assert schedule.rules == rules


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"Duration": "3h"},
        {"AutomaticallyAfterDays": 0},
        {"AutomaticallyAfterDays": 1001},
        {"AutomaticallyAfterDays": 7, "ScheduleExpression": "rate(7 days)"},
        {"AutomaticallyAfterDays": 7, "Duration": "25h"},
        {"AutomaticallyAfterDays": 7, "Duration": "0h"},
        {"AutomaticallyAfterDays": 7, "Duration": "three hours"},
        {"ScheduleExpression": ""},
        {"ScheduleExpression": "rate(3 hours)"},
        {"ScheduleExpression": "rate(0 days)"},
        {"ScheduleExpression": "rate(1000 days)"},
        {"ScheduleExpression": "rate(2 weeks)"},
        {"ScheduleExpression": "rate(4 hours)", "Duration": "5h"},
        {"ScheduleExpression": "cron(30 8 * * ? *)"},
        {"ScheduleExpression": "cron(0 8 * * ? 2027)"},
        {"ScheduleExpression": "cron(0 8 * *)"},
        {"ScheduleExpression": "cron(0 24 * * ? *)"},
        {"ScheduleExpression": "cron(0 8 0 * ? *)"},
        {"ScheduleExpression": "cron(0 8 ? 13 1 *)"},
        {"ScheduleExpression": "cron(0 8 1 * MON *)"},
        {"ScheduleExpression": "cron(0 8 ? * someday *)"},
        {"ScheduleExpression": "cron(0 0/3 * * ? *)"},
        {"ScheduleExpression": "cron(0 0,22 * * ? *)"},
        {"ScheduleExpression": "cron(0 20 * * ? *)", "Duration": "5h"},
    ],
)
def test_refused(rules: Any) -> None:
    """Neither or both intervals, under four hours, a bad expression, or a window too long."""
    with pytest.raises(ScheduleError):
        parse_rules(rules)


def test_date_that_never_comes() -> None:
    """A cron expression that names no day is an error, not an endless search."""
    with pytest.raises(ScheduleError):
        parse_rules({"ScheduleExpression": "cron(0 0 30 2 ? *)"}).next_date(NOON)
