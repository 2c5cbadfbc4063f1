"""Takes from a run whatever would make it differ from the last one: time, chance and threads."""

from __future__ import annotations

import functools
import logging
import random
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from moto.moto_api._internal import mock_random

from rotation.journal import keeper
from rotation.journal.document import parse
from rotation.privacy.observability import logger, metrics

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_chance = random.Random()
_sleepers: list[Callable[[float], bool]] = []


class InlineExecutor:
    """What of ThreadPoolExecutor the product uses, without a thread: one call after the other."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """As many workers as are asked for would do the same."""

    def __enter__(self) -> InlineExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to wait for."""

    def map(
        self, act: Callable[[_Item], _Result], items: Iterable[_Item], **_: Any
    ) -> Iterator[_Result]:
        """The results, in the order of the items."""
        return iter([act(item) for item in items])


def seed(text: str) -> None:
    """Begin chance anew: every id, key and jitter follows from ``text``."""
    _chance.seed(text)
    random.seed(text)
    mock_random.seed(text)


@contextmanager
def deterministic(sleep: Callable[[float], bool]) -> Iterator[None]:
    """Ids and keys follow from `seed`, pauses go to ``sleep``, nothing is logged.

    Args:
        sleep: makes a pause of the thread that asks, and returns True; False: the thread is not
            one of the explorer's, and really sleeps.
    """
    really = time.sleep

    def pause(seconds: float) -> None:
        if not sleep(seconds):
            really(seconds)

    def new_id() -> uuid.UUID:
        return uuid.UUID(int=_chance.getrandbits(128), version=4)

    def new_material(size: int = 32) -> str:
        return f"{_chance.getrandbits(8 * size):0{2 * size}x}"

    places: list[tuple[Any, str, Any]] = [
        (time, "sleep", pause),
        (uuid, "uuid4", new_id),
        (secrets, "token_hex", new_material),
        # A pure function of the document, its secret and its revision: each is parsed once.
        (keeper, "parse", functools.lru_cache(maxsize=4096)(parse)),
        # Without a dimension nothing is counted; with one, a hundred values would be printed.
        (metrics, "add_dimension", lambda **_: None),
        (logger, "error", _say_nothing),
        (logger, "info", _say_nothing),
        (logger, "warning", _say_nothing),
        (logger, "exception", _say_nothing),
    ]
    places += [
        (module, "ThreadPoolExecutor", InlineExecutor)
        for name, module in list(sys.modules.items())
        if name.startswith("rotation.") and hasattr(module, "ThreadPoolExecutor")
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    for owner, name, ours in places:
        setattr(owner, name, ours)
    try:
        yield
    finally:
        logging.disable(level)
        for owner, name, theirs in before:
            setattr(owner, name, theirs)


def _say_nothing(*_: Any, **__: Any) -> None:
    """Text that nobody reads takes a third of the time of a run."""
