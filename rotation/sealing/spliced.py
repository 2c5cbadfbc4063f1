"""A document in S3 as a file that can be extended: the source in S3, what is added in memory.

A PDF is sealed by an incremental update (ISO 32000-2, 7.5.6), which only adds to its end. So the
source is never held: what is read below its end comes from S3 in ranges, what is written past its
end stays in memory, and nothing is ever written below.

A reader of PDFs jumps about while it follows references, and goes straight through from the first
byte to the last when it computes the digest. Both are served: blocks that were read lately are
kept, and reading straight on starts reading ahead.

Memory: `BLOCKS` blocks of `BLOCK` bytes (4 MiB), the window of `RangedObject.stream` (16 MiB) while
reading straight on, and the tail.
"""

from __future__ import annotations

import io
import os
import zlib
from collections import OrderedDict
from collections.abc import Generator
from typing import TYPE_CHECKING, Final

from rotation.sealing.ranges import RangedObject

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BLOCK: Final = 256 * 1024
BLOCKS: Final = 16

# Bytes read in a row after which reading is taken for going straight through.
_FORWARD: Final = 4 * BLOCK
# pyHanko reads cross-reference streams byte by byte.
_BUFFER: Final = 64 * 1024


class SplicedStream(io.RawIOBase):
    """The raw stream: a source that cannot be changed, and a tail that can.

    A raw stream may give fewer bytes than asked for where source and tail meet; `SplicedDocument`
    does not. Not for several threads.
    """

    def __init__(self, source: RangedObject) -> None:
        self._source = source
        self._tail = bytearray()
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        # How far the last reads went straight on, and to where.
        self._run = 0
        self._reached = 0
        # Reading ahead: what is left of the chunk at hand begins at the byte that was reached.
        self._ahead: Generator[memoryview] | None = None
        self._chunk = memoryview(b"")
        self._crc = 0
        self._crc_reached = 0

    @property
    def tail(self) -> bytes:
        """What was written past the source's end."""
        return bytes(self._tail)

    @property
    def source_crc32(self) -> int | None:
        """The CRC-32 of the source, once all of it has been read at least once from its start."""
        return self._crc if self._crc_reached == self._source.size else None

    def readable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """Yes, past the source's end."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """As any file's; past the end is allowed."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size()}[whence]
        if base + offset < 0:
            raise ValueError(f"there is no position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read from the source or from the tail, up to the end of either.

        Raises:
            SealingError: the source cannot be read, as `RangedObject.read` says.
        """
        self._checkClosed()
        view = memoryview(buffer).cast("B")
        in_source = self._source.size - self._position
        if in_source > 0:
            view = view[:in_source]
            self._read_source(view)
        else:
            part = memoryview(self._tail)[-in_source : len(view) - in_source]
            view = view[: len(part)]
            view[:] = part
        self._position += len(view)
        return len(view)

    def write(self, content: ReadableBuffer, /) -> int:
        """Write to the tail.

        Raises:
            io.UnsupportedOperation: the position lies in the source.
        """
        self._checkClosed()
        new = memoryview(content).cast("B")
        start = self._tail_offset(self._position)
        if start > len(self._tail):
            self._tail.extend(bytes(start - len(self._tail)))
        self._tail[start : start + len(new)] = new
        self._position += len(new)
        return len(new)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut the tail to make the whole ``size`` bytes long, or fill it up with zeros.

        Raises:
            io.UnsupportedOperation: the source would be cut.
        """
        size = self._position if size is None else size
        length = self._tail_offset(size)
        self._tail = self._tail[:length].ljust(length, b"\0")
        return size

    def close(self) -> None:
        """End reading ahead and let go of what was read; the tail stays."""
        self._stop()
        self._blocks.clear()
        super().close()

    def _size(self) -> int:
        return self._source.size + len(self._tail)

    def _tail_offset(self, position: int) -> int:
        if position < self._source.size:
            raise io.UnsupportedOperation(
                f"byte {position} belongs to the source, which ends at {self._source.size} and "
                "stays as it is"
            )
        return position - self._source.size

    def _read_source(self, view: memoryview) -> None:
        start = self._position
        if start != self._reached:
            self._stop()
            self._run = 0
        done = 0
        while done < len(view):
            piece = self._piece(start + done, len(view) - done)
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._reached = start + done
        self._run += done
        if start <= self._crc_reached < self._reached:
            self._crc = zlib.crc32(view[self._crc_reached - start :], self._crc)
            self._crc_reached = self._reached

    def _piece(self, start: int, wanted: int) -> memoryview:
        """At least one and at most ``wanted`` bytes from ``start`` on."""
        straight_on = self._run + wanted >= _FORWARD or self._ahead is not None
        if straight_on and not self._chunk:
            if self._ahead is None:
                self._ahead = self._source.stream(start, self._source.size)
            try:
                self._chunk = next(self._ahead)
            except BaseException:
                self._stop()
                raise
        if self._chunk:
            piece, self._chunk = self._chunk[:wanted], self._chunk[wanted:]
            if start + len(piece) == self._source.size:
                self._stop()
            return piece
        number, offset = divmod(start, BLOCK)
        return memoryview(self._block(number))[offset : offset + wanted]

    def _block(self, number: int) -> bytes:
        block = self._blocks.pop(number, None)
        if block is None:
            block = self._source.read(number * BLOCK, BLOCK)
        self._blocks[number] = block
        if len(self._blocks) > BLOCKS:
            self._blocks.popitem(last=False)
        return block

    def _stop(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
        self._ahead = None
        self._chunk = memoryview(b"")


class SplicedDocument(io.BufferedRandom):
    """`SplicedStream`, buffered: a document to prepare, whatever its size.

    Reads give all that was asked for and is there, as a file's. Closing it closes the raw stream.
    """

    def __init__(self, source: RangedObject) -> None:
        self._spliced = SplicedStream(source)
        super().__init__(self._spliced, _BUFFER)

    def tail(self) -> bytes:
        """Everything that was written past the source's end; reads what is still buffered too."""
        self.flush()
        return self._spliced.tail

    @property
    def source_crc32(self) -> int | None:
        """As `SplicedStream.source_crc32`: there once a digest has been computed over it."""
        return self._spliced.source_crc32
