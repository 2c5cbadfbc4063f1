"""The event history, and before it another source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from rotation.errors import AccountReadError
from rotation.exposure.older_calls import LongHistory, keeps_reads

BOUNDARY: Final = datetime(2026, 6, 1, tzinfo=UTC)


class Calls:
    """Calls at given times. An `OlderCalls`."""

    name = "some calls"

    def __init__(self, *times: datetime, problem: AccountReadError | None = None) -> None:
        self.times = times
        self.problem = problem
        self.asked: list[tuple[datetime, datetime]] = []

    def events(self, name: str, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        self.asked.append((since, until))
        yield from ({"name": name, "at": one} for one in self.times if since <= one < until)
        if self.problem is not None:
            raise self.problem

    def missing(self) -> list[str]:
        return []


def hours(*numbers: int) -> list[datetime]:
    return [BOUNDARY + timedelta(hours=one) for one in numbers]


def told(history: LongHistory, since: datetime, until: datetime) -> Sequence[datetime]:
    return sorted(one["at"] for one in history.events("GetSecretValue", since, until))


def test_each_call_is_told_by_one_of_the_two() -> None:
    """Although both have it: what the event history has is asked of the event history."""
    every = hours(-30, -1, 0, 1, 30)
    history = LongHistory(Calls(*every), Calls(*every), BOUNDARY)
    assert told(history, *hours(-40, 40)) == every


def test_the_older_source_is_asked_for_nothing_that_is_not_older() -> None:
    """It may cost money."""
    older = Calls()
    history = LongHistory(Calls(*hours(1)), older, BOUNDARY)
    assert told(history, *hours(0, 40)) == hours(1)
    assert older.asked == []
    assert told(history, *hours(-9, 40)) == hours(1)
    assert older.asked == [(BOUNDARY - timedelta(hours=9), BOUNDARY)]


def test_a_time_that_is_over_before_the_history_begins_asks_the_older_source_alone() -> None:
    """As of an incident that was closed long ago."""
    recent = Calls(*hours(1))
    history = LongHistory(recent, Calls(*hours(-5)), BOUNDARY)
    assert told(history, *hours(-9, -2)) == hours(-5)
    assert recent.asked == []


def test_newer_calls_are_told_although_the_older_source_fails() -> None:
    """So are those that it told before it failed; what failed is said once."""
    problem = AccountReadError("s3:GetObject failed.", aws_code="AccessDenied")
    history = LongHistory(Calls(*hours(1)), Calls(*hours(-5), problem=problem), BOUNDARY)
    assert told(history, *hours(-9, 40)) == hours(-5, 1)
    assert told(history, *hours(-9, 40)) == hours(-5, 1)
    assert history.missing() == ["Not all of them could be read. s3:GetObject failed."]


MANAGEMENT: Final = {"Field": "eventCategory", "Equals": ["Management"]}


@pytest.mark.parametrize(
    ("selectors", "kept"),
    [
        ({"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}]}, True),
        (
            {"EventSelectors": [{"ReadWriteType": "ReadOnly", "IncludeManagementEvents": True}]},
            True,
        ),
        (
            {"EventSelectors": [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}]},
            False,
        ),
        ({"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": False}]}, False),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [MANAGEMENT]}]}, True),
        (
            {
                "AdvancedEventSelectors": [
                    {"FieldSelectors": [MANAGEMENT, {"Field": "readOnly", "Equals": ["true"]}]}
                ]
            },
            True,
        ),
        (
            {
                "AdvancedEventSelectors": [
                    {"FieldSelectors": [MANAGEMENT, {"Field": "readOnly", "Equals": ["false"]}]}
                ]
            },
            False,
        ),
        (
            {
                "AdvancedEventSelectors": [
                    {
                        "FieldSelectors": [
                            MANAGEMENT,
                            {"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]},
                        ]
                    }
                ]
            },
            True,
        ),
        (
            {
                "AdvancedEventSelectors": [
                    {
                        "FieldSelectors": [
                            MANAGEMENT,
                            {"Field": "eventSource", "NotEquals": ["secretsmanager.amazonaws.com"]},
                        ]
                    }
                ]
            },
            False,
        ),
        (
            {
                "AdvancedEventSelectors": [
                    {
                        "FieldSelectors": [
                            MANAGEMENT,
                            {"Field": "eventName", "Equals": ["PutObject"]},
                        ]
                    }
                ]
            },
            False,
        ),
        (
            {
                "AdvancedEventSelectors": [
                    {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}
                ]
            },
            False,
        ),
        ({}, False),
    ],
)
def test_who_keeps_reads_is_told_by_the_selectors(selectors: dict[str, Any], *, kept: bool) -> None:
    """A trail that keeps only what writes would say that nobody read."""
    assert keeps_reads(selectors) is kept
