"""How much of anything a document may ask for before it is refused.

A small file can unpack to gigabytes, refer to itself, or nest without end. Whatever a document
does, it ends in an answer within the function's time and memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pyhanko.pdf_utils.decode_limits import DecodeLimits, DocumentDecodeBudget, StreamDecodeLimits

from rotation.errors import DocumentTooLargeError

_MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What one document may cost.

    Attributes:
        objects: entries of its cross-reference tables, all revisions together.
        decoded_bytes: what its streams may unpack to, all those together that must be read.
        nesting: arrays and dictionaries within one another, or levels of a tree.
        time: how long it may be read, whatever is tried, without the digest.
    """

    objects: int = 1_000_000
    decoded_bytes: int = 64 * _MIB
    nesting: int = 100
    time: timedelta = timedelta(seconds=20)


class Effort:
    """What reading one document has cost so far.

    Args:
        limits: what it may cost.
        clock: monotonic seconds.
        since: when the reading began, by that clock; None: now.

    Attributes:
        since: when the reading began.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        *,
        since: float | None = None,
    ) -> None:
        self.limits = limits
        self._clock = clock
        self.since = clock() if since is None else since
        self._end = self.since + limits.time.total_seconds()
        self._objects = 0

    def check_time(self) -> None:
        """Raise DocumentTooLargeError if the time is over."""
        if self._clock() > self._end:
            raise DocumentTooLargeError(
                f"The document takes longer to read than {self.limits.time.total_seconds():g} "
                "seconds: it is built in a way that makes readers work without end."
            )

    def check_nesting(self, depth: int) -> None:
        """Raise DocumentTooLargeError at a depth beyond the limit."""
        if depth > self.limits.nesting:
            raise DocumentTooLargeError(
                f"The document nests its objects more than {self.limits.nesting} levels deep."
            )

    def count_objects(self, more: int) -> None:
        """Raise DocumentTooLargeError if there are too many with these ``more``."""
        self._objects += more
        if self._objects > self.limits.objects:
            raise DocumentTooLargeError(
                f"The document has more than {self.limits.objects} objects."
            )

    def decode_limits(self) -> DecodeLimits:
        """The same for pyHanko, which unpacks streams."""
        most = self.limits.decoded_bytes
        return DecodeLimits(
            per_stream=StreamDecodeLimits(max_ratio=None, max_output_size=most),
            per_purpose={},
            expected_size_slack=None,
            document_budget=DocumentDecodeBudget(base_allowance=most, max_ratio=0),
        )


def unpacks_too_much(limits: Limits) -> DocumentTooLargeError:
    """The error for a document whose streams exceed the limit."""
    return DocumentTooLargeError(
        f"The document's structure unpacks to more than {limits.decoded_bytes} bytes."
    )
