"""A document and what is appended to it, read as one file."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Joined(io.RawIOBase):
    """``size`` bytes of ``source``, then ``tail``; raw, for a buffered reader."""

    def __init__(self, source: BinaryIO, size: int, tail: bytes) -> None:
        self._source = source
        self._size = size
        self._tail = tail
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """As any file's."""
        end = self._size + len(self._tail)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: end}[whence]
        if base + offset < 0:
            raise ValueError(f"there is no position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read from either, up to its end."""
        view = memoryview(buffer).cast("B")
        if self._position < self._size:
            self._source.seek(self._position)
            part = self._source.read(min(len(view), self._size - self._position))
        else:
            start = self._position - self._size
            part = self._tail[start : start + len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)
