"""Counts the work of Python code: the lines that it runs, and the calls that it makes.

A count is the same on every machine and under every load. What one call into C does is not in it:
the regular expressions are counted by `tests.pattern_work`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(act: Callable[[], object]) -> int:
    """How many lines and calls ``act`` takes, in every frame below it; what it raises passes on."""
    counted = 0

    def trace(_: FrameType, event: str, __: Any) -> Any:
        nonlocal counted
        counted += event in {"line", "call"}
        return trace

    def profile(_: FrameType, event: str, __: Any) -> None:
        nonlocal counted
        counted += event == "c_call"

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return counted
