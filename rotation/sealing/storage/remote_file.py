"""A document in S3 as a seekable file, which is read in ranges and never held in memory.

A PDF is sealed by an incremental update (ISO 32000-2, 7.5.6), which only adds to its end. So the
source is read and never written.

A reader of PDFs jumps from place to place while it follows references. So the blocks that were read
last are kept, and reading in order starts to read ahead. The digest needs all bytes in order:
`RemoteDocument.chunks` gives them, in the buffers that they were read into.

Memory: `BLOCKS` blocks of `BLOCK` bytes (4 MiB), and the window of `RangedObject.stream` (16 MiB)
while reading straight on.
"""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Final

from rotation.sealing.storage.ranges import RangedObject

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK: Final = 256 * 1024
BLOCKS: Final = 16

# After so many bytes in order, reading is expected to go on in order.
_FORWARD: Final = 4 * BLOCK
# pyHanko reads cross-reference streams byte by byte.
_BUFFER: Final = 64 * 1024


class RemoteStream(io.RawIOBase):
    """The raw stream. For one thread at a time."""

    def __init__(self, source: RangedObject) -> None:
        self._source = source
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        # How far the last reads went straight on, and to where.
        self._run = 0
        self._reached = 0
        # Reading ahead: what is left of the chunk at hand begins at the byte that was reached.
        self._ahead: Generator[memoryview] | None = None
        self._chunk = memoryview(b"")

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
        """As any file's; past the end is allowed."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            raise ValueError(f"there is no position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read all that is asked for and is there.

        Raises:
            SealingError: the source cannot be read, as `RangedObject.read` says.
        """
        self._checkClosed()
        view = memoryview(buffer).cast("B")
        view = view[: max(0, self._source.size - self._position)]
        if view:
            self._read_source(view)
        self._position += len(view)
        return len(view)

    def close(self) -> None:
        """End reading ahead, drop what was read, and close the stream."""
        self.rest()
        super().close()

    def rest(self) -> None:
        """End reading ahead and drop what was read; reading may go on later."""
        self._stop()
        self._blocks.clear()

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


class RemoteDocument(io.BufferedReader):
    """`RemoteStream`, buffered: a document to prepare, whatever its size.

    Attributes:
        source: the version that is read.
    """

    def __init__(self, source: RangedObject) -> None:
        self.source = source
        self._stream = RemoteStream(source)
        super().__init__(self._stream, _BUFFER)

    def chunks(self) -> Generator[memoryview]:
        """All of it, in order, each piece good until the next one is asked for.

        Whoever does not come to the end closes the generator. Where the document is read does not
        matter, and does not change.

        Raises:
            SealingError: the source cannot be read, as `RangedObject.read` says.
        """
        self._stream.rest()
        with closing(self.source.stream(0, self.source.size)) as chunks:
            yield from chunks
