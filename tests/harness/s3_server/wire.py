"""The bodies of requests, and checksums."""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from collections.abc import Iterator
from email.message import Message
from typing import BinaryIO

PIECE = 1024 * 1024


class BadDigestError(Exception):
    """The body is not what its checksum says."""


class Chunks(io.RawIOBase):
    """A chunked body, of HTTP (RFC 9112, 7.1) or of S3 (aws-chunked): decoded, trailers kept."""

    def __init__(self, encoded: BinaryIO) -> None:
        self._encoded = encoded
        self._left = 0
        self._ended = False
        self.trailers: dict[str, str] = {}

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        size = PIECE if size < 0 else size
        if not self._left and not self._ended:
            self._left = int(self._encoded.readline().split(b";")[0], 16)
            if not self._left:
                self._ended = True
                while line := self._encoded.readline().strip():
                    name, _, value = line.decode().partition(":")
                    self.trailers[name.lower()] = value.strip()
        content = self._encoded.read(min(size, self._left))
        self._left -= len(content)
        if content and not self._left:
            self._encoded.readline()
        return content

    def readline(self, size: int | None = -1, /) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n") and (byte := self.read(1)):
            line += byte
        return bytes(line)


class Body:
    """The content of a request, whatever it is wrapped in, and its checksums."""

    def __init__(self, headers: Message, stream: BinaryIO) -> None:
        self._headers = headers
        #: Whether the checksums in the headers are this body's; those of a completion are not.
        self.checked = True
        self._layers: list[Chunks] = []
        self._plain = stream
        self._left: int | None = int(headers.get("Content-Length", 0))
        if "chunked" in headers.get("Transfer-Encoding", ""):
            self._left = None
            self._unwrap()
        if "aws-chunked" in headers.get("Content-Encoding", ""):
            self._left = None
            self._unwrap()
        self.md5 = hashlib.md5()
        self.crc32 = 0

    def _unwrap(self) -> None:
        layer = Chunks(self._plain)
        self._layers.append(layer)
        self._plain = layer  # type: ignore[assignment]

    def pieces(self) -> Iterator[bytes]:
        """The content. Raises BadDigestError at its end if a checksum is not its own."""
        sha256 = hashlib.sha256()
        while piece := self._plain.read(PIECE if self._left is None else min(self._left, PIECE)):
            if self._left is not None:
                self._left -= len(piece)
            self.md5.update(piece)
            sha256.update(piece)
            self.crc32 = zlib.crc32(piece, self.crc32)
            yield piece
        if self._left:
            # The client died in the middle: S3 carries nothing out.
            raise ConnectionResetError(f"{self._left} bytes of the body are missing")
        # The outer layer's own end is read too, or it would be taken for the next request.
        for layer in self._layers[:1]:
            while layer.read():
                pass
        ours = {
            "content-md5": self.md5.digest(),
            "x-amz-checksum-crc32": self.crc32.to_bytes(4, "big"),
            "x-amz-checksum-sha256": sha256.digest(),
        }
        theirs = {name.lower(): value for name, value in self._headers.items()}
        for layer in self._layers:
            theirs |= layer.trailers
        for name, digest in ours.items():
            if (
                self.checked
                and name in theirs
                and theirs[name] != base64.b64encode(digest).decode()
            ):
                raise BadDigestError(name)

    def all(self) -> bytes:
        return b"".join(self.pieces())


def combined(crc: int, following: int, length: int) -> int:
    """The CRC-32 of two pieces one after the other, the second ``length`` bytes long.

    Appending a zero bit to what a CRC covers is a linear map of the CRC's bits; squared as often as
    ``length`` is halved, it appends any number of zero bytes.
    """
    append = [0xEDB88320] + [1 << bit for bit in range(31)]
    for _ in range(3):
        append = _squared(append)
    while length:
        if length & 1:
            crc = _times(append, crc)
        append = _squared(append)
        length >>= 1
    return crc ^ following


def _times(matrix: list[int], vector: int) -> int:
    result = 0
    for row in matrix:
        if not vector:
            break
        if vector & 1:
            result ^= row
        vector >>= 1
    return result


def _squared(matrix: list[int]) -> list[int]:
    return [_times(matrix, row) for row in matrix]
