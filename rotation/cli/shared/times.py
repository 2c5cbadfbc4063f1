"""Times as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def moment(time: datetime, now: datetime) -> str:
    """When something is, and how long until then: ``today 17:20 UTC, in 1 h 12 min``."""
    utc, today = time.astimezone(UTC), now.astimezone(UTC).date()
    days = {today: "today", today + timedelta(days=1): "tomorrow"}
    day = days.get(utc.date(), f"{utc:%Y-%m-%d}")
    return f"{day} {utc:%H:%M} UTC, {distance(time, now)}"


def distance(time: datetime, now: datetime) -> str:
    """How far a time is away: ``in 1 h 12 min``, ``3 d ago``."""
    seconds = abs((time - now).total_seconds())
    minutes = int(seconds // 60)
    if minutes < 1:
        length = f"{int(seconds)} s"
    elif minutes < 60:
        length = f"{minutes} min"
    elif minutes < 48 * 60:
        length = f"{minutes // 60} h {minutes % 60} min"
    else:
        length = f"{minutes // (24 * 60)} d"
    return f"in {length}" if time >= now else f"{length} ago"
