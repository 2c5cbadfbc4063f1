"""Decodes the Flate streams that hold a document's structure (ISO 32000-2, 7.4.4).

pyHanko decodes intact Flate streams, and of the predictors only PNG's None, Sub and Up. Real files
also use PNG's other predictors and TIFF's (7.4.4.4), and have Flate streams whose checksum or last
bytes are missing.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pyhanko.pdf_utils.decode_limits import check_output_size
from pyhanko.pdf_utils.filters import Decoder
from pyhanko.pdf_utils.generic import StreamObject
from pyhanko.pdf_utils.misc import PdfReadError

_FLATE: Final = frozenset({"/FlateDecode", "/Fl"})


class Stream(StreamObject):
    """A stream that decodes its data with our Flate decoder instead of pyHanko's."""

    def _stream_decoders(self) -> Iterator[tuple[Decoder, Any]]:
        filters = [kind for kind, _ in self._filters()]
        if not any(kind in _FLATE for kind in filters):
            yield from super()._stream_decoders()
            return
        if "/Crypt" in filters:
            # The structure of a document may only have the crypt filter that changes nothing.
            yield from super()._stream_decoders()
            return
        known = super()._stream_decoders()
        for kind, (decoder, parameters) in zip(filters, known, strict=True):
            yield (_Flate() if kind in _FLATE else decoder), parameters


class _Flate(Decoder):
    def decode(self, data: bytes, decode_params: Any) -> bytes:
        return self.decode_bounded(data, decode_params, None)

    def decode_bounded(self, data: bytes, decode_params: Any, max_output_size: int | None) -> bytes:
        unpacked = _inflate(bytes(data), max_output_size)
        check_output_size(len(unpacked), max_output_size)
        return _undo_predictor(
            unpacked, decode_params if isinstance(decode_params, Mapping) else {}
        )


def _inflate(data: bytes, most: int | None) -> bytes:
    unpacking = zlib.decompressobj()
    unpacked = bytearray()
    # Decoded in small pieces, so that the data before a damaged place is kept.
    for start in range(0, len(data), 1024):
        room = 0 if most is None else most + 1 - len(unpacked)
        try:
            unpacked += unpacking.decompress(
                unpacking.unconsumed_tail + data[start : start + 1024], room
            )
        except zlib.error:
            break
        if unpacking.eof or (most is not None and len(unpacked) > most):
            break
    if data and not unpacked:
        raise PdfReadError("a Flate stream cannot be decoded")
    return bytes(unpacked)


def _undo_predictor(data: bytes, parameters: Mapping[str, Any]) -> bytes:
    predictor = _number(parameters, "/Predictor", 1)
    if predictor < 2:
        return data
    colors = _number(parameters, "/Colors", 1)
    bits = _number(parameters, "/BitsPerComponent", 8)
    width = (_number(parameters, "/Columns", 1) * colors * bits + 7) // 8
    pixel = max(1, colors * bits // 8)
    if width < 1:
        raise PdfReadError("a predictor without columns")
    if predictor >= 10:
        return _png(data, width, pixel)
    if bits != 8:
        raise PdfReadError("a TIFF predictor for components that are not bytes")
    return _tiff(data, width, pixel)


def _number(parameters: Mapping[str, Any], key: str, default: int) -> int:
    found = parameters.get(key, default)
    return int(found) if isinstance(found, int) else default


def _tiff(data: bytes, width: int, pixel: int) -> bytes:
    out = bytearray(data)
    for start in range(0, len(out), width):
        for at in range(start + pixel, min(start + width, len(out))):
            out[at] = (out[at] + out[at - pixel]) & 0xFF
    return bytes(out)


def _png(data: bytes, width: int, pixel: int) -> bytes:
    out = bytearray()
    above = bytes(width)
    for start in range(0, len(data), width + 1):
        row = bytearray(data[start + 1 : start + 1 + width].ljust(width, b"\0"))
        _undo_png_filter(data[start], row, above, pixel)
        out += row
        above = bytes(row)
    return bytes(out)


def _undo_png_filter(kind: int, row: bytearray, above: bytes, pixel: int) -> None:
    """Undo a PNG filter (W3C PNG, 9.2) in place; an unknown filter counts as None."""
    if kind == 2:
        row[:] = bytes((here + up) & 0xFF for here, up in zip(row, above, strict=True))
        return
    if kind not in {1, 3, 4}:
        return
    for at, here in enumerate(row):
        left = row[at - pixel] if at >= pixel else 0
        if kind == 1:
            predicted = left
        elif kind == 3:
            predicted = (left + above[at]) // 2
        else:
            predicted = _paeth(left, above[at], above[at - pixel] if at >= pixel else 0)
        row[at] = (here + predicted) & 0xFF


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    distances = (abs(estimate - left), abs(estimate - up), abs(estimate - corner))
    return (left, up, corner)[distances.index(min(distances))]
