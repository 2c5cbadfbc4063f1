"""The limits of what reading a document may cost; a document beyond them is refused.

A small file can unpack to gigabytes, refer to itself, or nest without end. With these limits every
document gets an answer within the function's time and memory.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pyhanko.pdf_utils.decode_limits import DecodeLimits, DocumentDecodeBudget, StreamDecodeLimits

from rotation.errors import DocumentTooLargeError

_MIB: Final = 1024 * 1024
#: A queue hands on so many messages at once (Lambda developer guide, services-sqs-configure).
_MOST_AT_ONCE: Final = 10
#: The memory of a function with the costliest document, and what each further document may need.
_ALONE_MIB: Final = 768
_SHARED_MIB: Final = 100


@dataclass(frozen=True)
class Limits:
    """What one document may cost.

    Attributes:
        objects: the entries of its cross-reference tables, all revisions together.
        decoded_bytes: the decoded size of its streams, all streams that must be read together.
        nesting: arrays and dictionaries within one another, or levels of a tree.
        time: how long reading may take, all attempts together, without the digest.
    """

    objects: int = 1_000_000
    decoded_bytes: int = 64 * _MIB
    nesting: int = 100
    time: timedelta = timedelta(seconds=20)

    def shared(self) -> Limits:
        """The limits of a document that is read while others are read in the same memory."""
        return Limits(
            objects=min(self.objects, 100_000),
            decoded_bytes=min(self.decoded_bytes, 16 * _MIB),
            nesting=self.nesting,
            time=min(self.time, timedelta(seconds=5)),
        )


def documents_at_once(memory_mib: int) -> int:
    """How many documents a function with so much memory seals at the same time: 1 to 10.

    One document may be as costly as `Limits` allows, and the others as `Limits.shared` does. ``make
    bench`` measures what that takes. Does NOT look at how much memory is in use.
    """
    return max(1, min(_MOST_AT_ONCE, (memory_mib - _ALONE_MIB) // _SHARED_MIB))


class ReadBudget:
    """Counts what reading one document has cost, and refuses it when a limit is exceeded.

    Args:
        limits: what reading may cost.
        since: when reading began, in monotonic seconds; None means now.

    Attributes:
        since: when reading began, in monotonic seconds.
    """

    def __init__(self, limits: Limits, *, since: float | None = None) -> None:
        self.limits = limits
        self.since = time.monotonic() if since is None else since
        self._end = self.since + limits.time.total_seconds()
        self._objects = 0

    def check_time(self) -> None:
        """Raise DocumentTooLargeError when the time is over."""
        if time.monotonic() > self._end:
            raise DocumentTooLargeError(
                f"The document takes longer to read than {self.limits.time.total_seconds():g} "
                "seconds: it is built in a way that makes readers work without end."
            )

    def check_nesting(self, depth: int) -> None:
        """Raise DocumentTooLargeError when ``depth`` is beyond the limit."""
        if depth > self.limits.nesting:
            raise DocumentTooLargeError(
                f"The document nests its objects more than {self.limits.nesting} levels deep."
            )

    def count_objects(self, more: int) -> None:
        """Count ``more`` objects; raise DocumentTooLargeError when they are too many."""
        self._objects += more
        if self._objects > self.limits.objects:
            raise DocumentTooLargeError(
                f"The document has more than {self.limits.objects} objects."
            )

    def decode_limits(self) -> DecodeLimits:
        """The limits for pyHanko, which decodes the streams."""
        most = self.limits.decoded_bytes
        return DecodeLimits(
            per_stream=StreamDecodeLimits(max_ratio=None, max_output_size=most),
            per_purpose={},
            expected_size_slack=None,
            document_budget=DocumentDecodeBudget(base_allowance=most, max_ratio=0),
        )
