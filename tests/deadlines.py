"""Deadlines whose remaining time a test decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from rotation.deadline import Deadline


def deadline_of(time_left: Callable[[], timedelta]) -> Deadline:
    """A deadline with ``time_left()`` until it comes: its clock counts down to zero."""
    return Deadline(0.0, lambda: -time_left().total_seconds())
