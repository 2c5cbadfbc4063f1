"""When a secret is rotated: RotationRules checked, and the next date computed.

The rules are AWS's: the API page "RotationRulesType" and the User Guide page
"rotate-secrets_schedule". Times are aware UTC. Pure; no clock of its own.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

LEAST_HOURS: Final = 4
MOST_RULE_DAYS: Final = 1000
MOST_RATE_DAYS: Final = 999

_rate = re.compile(r"rate\((\d+) (hours?|days?)\)")
_cron = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_duration = re.compile(r"(\d{1,2})h")
_months = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_weekdays = {
    name: number
    for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)
}


class ScheduleError(ValueError):
    """The RotationRules are not ones that Secrets Manager accepts."""


@dataclass(frozen=True)
class Schedule:
    """A checked rotation schedule.

    Attributes:
        rules: the RotationRules as they were given; DescribeSecret gives them back.
        days: the interval, where the rules are a number of days.
        hours: the interval, where the rules are a number of hours.
        cron: the windows' opening times, where the rules are a ``cron()`` expression.
        window: how long a window is open; None for "until the end of the UTC day".
    """

    rules: Mapping[str, Any]
    days: int | None
    hours: int | None
    cron: Cron | None
    window: timedelta | None

    def next_date(self, after: datetime) -> datetime:
        """The end of the first window that opens after ``after``: NextRotationDate.

        DescribeSecret: the next rotation happens on or before this date.
        """
        midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.cron is not None:
            opens = self.cron.next_opening(after)
        elif self.days is not None:
            opens = midnight + timedelta(days=self.days)
        else:
            opens = midnight
            while opens <= after:
                opens += timedelta(hours=self.hours or LEAST_HOURS)
        end_of_day = opens.replace(hour=0) + timedelta(days=1)
        closes = end_of_day if self.window is None else opens + self.window
        return closes - timedelta(seconds=1)


def parse_rules(rules: Mapping[str, Any]) -> Schedule:
    """Check RotationRules as RotateSecret does.

    Raises:
        ScheduleError: no interval or two, more often than every four hours, a malformed
            expression, or a window that runs into the next one or into the next UTC day.
    """
    days = rules.get("AutomaticallyAfterDays")
    expression = rules.get("ScheduleExpression")
    if (days is None) == (expression is None):
        raise ScheduleError("Give either AutomaticallyAfterDays or ScheduleExpression, not both.")
    if days is not None:
        if not 1 <= days <= MOST_RULE_DAYS:
            raise ScheduleError("AutomaticallyAfterDays must be from 1 to 1000.")
        return _schedule(rules, days=days)
    if match := _rate.fullmatch(expression or ""):
        number = int(match[1])
        if match[2].startswith("day"):
            if not 1 <= number <= MOST_RATE_DAYS:
                raise ScheduleError("A rate in days must be from 1 to 999 days.")
            return _schedule(rules, days=number)
        if number < LEAST_HOURS:
            raise ScheduleError("A secret is rotated every four hours at most.")
        return _schedule(rules, hours=number)
    if match := _cron.fullmatch(expression or ""):
        return _schedule(rules, cron=_parse_cron(match.groups()))
    raise ScheduleError("ScheduleExpression must be rate(… hours|days) or cron(…).")


def _schedule(
    rules: Mapping[str, Any],
    *,
    days: int | None = None,
    hours: int | None = None,
    cron: Cron | None = None,
) -> Schedule:
    gap = hours if cron is None else cron.hours_between()
    window = timedelta(hours=1) if gap is not None else None
    if (text := rules.get("Duration")) is not None:
        match = _duration.fullmatch(text)
        length = int(match[1]) if match else 0
        latest_start = max(cron.hours) if cron is not None else 0
        room = gap if gap is not None else 24 - latest_start
        if not 1 <= length <= room:
            raise ScheduleError(f"Duration must be from 1h to {room}h with this schedule.")
        window = timedelta(hours=length)
    return Schedule(rules=dict(rules), days=days, hours=hours, cron=cron, window=window)


@dataclass(frozen=True)
class Cron:
    """The opening times of a ``cron()`` expression; minute 0, every year.

    Attributes:
        hours: hours of the day, 0 to 23.
        days: days of the month, ``L`` for the last; None for every day.
        months: months, 1 to 12.
        weekdays: days of the week, 1 (Sunday) to 7; None for every day.
        nth: (weekday, which one in the month), -1 for the last: ``3#2``, ``6L``.
    """

    hours: frozenset[int]
    days: frozenset[int | str] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None
    nth: tuple[int, int] | None

    def hours_between(self) -> int | None:
        """The shortest gap between two openings of a day; None for one opening a day."""
        if len(self.hours) == 1:
            return None
        ordered = sorted(self.hours)
        following = [*ordered[1:], ordered[0] + 24]
        return min(later - earlier for earlier, later in zip(ordered, following, strict=True))

    def next_opening(self, after: datetime) -> datetime:
        """The first opening later than ``after``.

        Raises:
            ScheduleError: none in the next eight years, such as on 30 February.
        """
        day = after.replace(hour=0, minute=0, second=0, microsecond=0)
        for offset in range(8 * 366):
            candidate = day + timedelta(days=offset)
            if self._opens_on(candidate):
                for hour in sorted(self.hours):
                    if (opening := candidate.replace(hour=hour)) > after:
                        return opening
        raise ScheduleError("The cron expression names no date.")

    def _opens_on(self, day: datetime) -> bool:
        last = calendar.monthrange(day.year, day.month)[1]
        weekday = day.isoweekday() % 7 + 1
        if day.month not in self.months:
            return False
        if self.days is not None:
            return day.day in self.days or ("L" in self.days and day.day == last)
        if self.nth is not None:
            which = -1 if day.day + 7 > last and self.nth[1] == -1 else (day.day - 1) // 7 + 1
            return (weekday, which) == self.nth
        return self.weekdays is None or weekday in self.weekdays


def _parse_cron(fields: Sequence[str]) -> Cron:
    minutes, hours, day, month, weekday, year = fields
    if minutes != "0":
        raise ScheduleError("A rotation window opens on the hour: the minutes must be 0.")
    if year != "*":
        raise ScheduleError("A rotation schedule has no year: the year must be *.")
    if day not in "?*" and weekday not in "?*":
        raise ScheduleError("Give a day of the month or a day of the week, and ? for the other.")
    last_day = frozenset("L") if day == "L" else None
    cron = Cron(
        hours=_numbers(hours, 0, 23),
        days=last_day or (None if day in "?*" else _numbers(day, 1, 31)),
        months=_numbers(month, 1, 12, _months),
        weekdays=None if weekday in "?*" or _nth(weekday) else _numbers(weekday, 1, 7, _weekdays),
        nth=_nth(weekday),
    )
    gap = cron.hours_between()
    if gap is not None and gap < LEAST_HOURS:
        raise ScheduleError("A secret is rotated every four hours at most.")
    return cron


def _nth(weekday: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"([1-7]|[A-Z]{3})(?:#([1-5])|(L))", weekday)
    if match is None:
        return None
    number = _weekdays.get(match[1]) or (int(match[1]) if match[1].isdigit() else 0)
    return (number, int(match[2]) if match[2] else -1) if number else None


def _numbers(
    text: str, least: int, most: int, names: Mapping[str, int] | None = None
) -> frozenset[int]:
    """The numbers that a cron field names: ``*``, lists, ranges, and steps such as ``0/4``."""
    numbers: set[int] = set()
    for part in text.split(","):
        extent, slash, step = part.partition("/")
        if extent == "*":
            first, last = least, most
        else:
            start, dash, end = extent.partition("-")
            first = _number(start, names)
            last = _number(end, names) if dash else (most if slash else first)
        if not least <= first <= last <= most or (slash and not step.isdigit()) or step == "0":
            raise ScheduleError(f"{text} is not a cron field of {least} to {most}.")
        numbers.update(range(first, last + 1, int(step or 1)))
    return frozenset(numbers)


def _number(text: str, names: Mapping[str, int] | None) -> int:
    if names and text in names:
        return names[text]
    return int(text) if text.isdigit() else -1
