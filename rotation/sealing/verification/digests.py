"""The digests of what signatures cover, for all signatures of a file in one pass over it.

The signatures of a file cover its beginning, each of them more of it: what they share is hashed
once, and a signature's own hash goes on from where its Contents stand. That is one pass for the
beginnings, and as much again as the signatures cover after their Contents, which is little in a
file that was signed by updates. A file that was made to cost more is not hashed to its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import BinaryIO, Final

ByteRange = tuple[int, ...]
Wanted = tuple[ByteRange, str]

_CHUNK: Final = 1024 * 1024
#: How often a file may be read beyond its first pass, all signatures together.
_MOST_PASSES: Final = 4


class SignedBytes:
    """Computes digests over parts of a file.

    Args:
        file: readable and seekable.
        size: its length.
        check_time: called once for each chunk; raises when the time is over.

    Attributes:
        hashed: how many bytes were hashed so far.
    """

    def __init__(self, file: BinaryIO, size: int, check_time: Callable[[], None]) -> None:
        self._file = file
        self._size = size
        self._check_time = check_time
        self._left = _MOST_PASSES * size + _CHUNK
        self.hashed = 0

    def digests(self, wanted: Iterable[Wanted]) -> dict[Wanted, bytes]:
        """The digest of each range by each algorithm; what would cost too much is missing.

        Args:
            wanted: ByteRanges within the file, each with an algorithm that hashlib names.
        """
        each = sorted(set(wanted))
        found: dict[Wanted, bytes] = {}
        for algorithm in sorted({algorithm for _, algorithm in each}):
            shared = hashlib.new(algorithm)
            position = 0
            for ranges, name in each:
                if name != algorithm:
                    continue
                if ranges[0] != 0 or ranges[1] < position:
                    own, rest = hashlib.new(algorithm), ranges
                else:
                    self._feed(shared, position, ranges[1])
                    position = ranges[1]
                    own, rest = shared.copy(), ranges[2:]
                cost = sum(rest[1::2])
                if cost > self._left:
                    continue
                self._left -= cost
                for start, length in zip(rest[::2], rest[1::2], strict=True):
                    self._feed(own, start, start + length)
                found[ranges, algorithm] = own.digest()
        return found

    def _feed(self, digest: hashlib._Hash, start: int, end: int) -> None:
        self._file.seek(start)
        while start < end:
            self._check_time()
            chunk = self._file.read(min(_CHUNK, end - start))
            if not chunk:
                raise OSError("The file became shorter while it was read.")
            digest.update(chunk)
            start += len(chunk)
            self.hashed += len(chunk)
