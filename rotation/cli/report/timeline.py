"""Where the lives of keys stand on a common axis of time. It does no IO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

#: What an event begins; the other events change nothing in the bar of a key.
_BEGINS: Final = {
    "issued": "pending",
    "seen": "pending",
    "current": "current",
    "in-use": "current",
    "displaced": "grace",
    "suspect": "suspect",
    "asked": "revoked",
    "dead": "",
    "attested": "",
    "void": "revoked",
}


def drawn_lives(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The bars of all keys, in permille of the axis.

    Args:
        facts: the report.

    Returns:
        ``begin`` and ``end`` of the axis as ISO 8601, and ``keys``: for each key its ``keyId`` and
        ``parts``, each with ``kind``, ``left`` and ``width``. A key that is alive has a bar to the
        end.
    """
    end = datetime.fromisoformat(facts["madeAt"])
    times = [_time(event) for key in facts["keys"] for event in key["events"]]
    begin = min([*times, end - timedelta(hours=1)])
    length = (end - begin) / timedelta(milliseconds=1)

    def place(time: datetime) -> int:
        return round(1000 * min(max((time - begin) / timedelta(milliseconds=1), 0) / length, 1))

    return {
        "begin": begin.isoformat(),
        "end": end.isoformat(),
        "keys": [
            {"keyId": key["keyId"], "parts": _parts(key["events"], place, end)}
            for key in facts["keys"]
        ],
    }


def _parts(
    events: list[dict[str, Any]], place: Callable[[datetime], int], end: datetime
) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    turns: list[tuple[datetime, str]] = []
    for one in events:
        kind = _BEGINS.get(one["event"])
        # A key can be current before a run sees it, or before the value says it was issued.
        if kind is not None and (kind != "pending" or not turns):
            turns.append((_time(one), kind))
    for number, (at, kind) in enumerate(turns):
        until = turns[number + 1][0] if number + 1 < len(turns) else end
        if kind and until >= at:
            left = place(at)
            parts.append({"kind": kind, "left": left, "width": max(place(until) - left, 2)})
    return parts


def _time(event: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(event["at"])
