"""Parses PNG and JPEG files into what a PDF needs of them.

PDF has filters for the compression of both (ISO 32000-2, 7.4.4 and 7.4.8), so their pixels are not
decoded and encoded again. The claimed size is checked before anything is decompressed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from rotation.errors import InvalidRequestError

#: 2,000 by 2,000 pixels. A small file can claim many more, and checking it takes up to 48 MB.
MOST_PIXELS: Final = 4_000_000
LONGEST_SIDE: Final = 10_000

_GRAY: Final = 1
_COLOR: Final = 3

# PNG's color types (W3C PNG, 11.2.1): the number of channels, with and without transparency.
_CHANNELS: Final = {0: (1, _GRAY), 2: (3, _COLOR), 3: (1, _GRAY), 4: (2, _GRAY), 6: (4, _COLOR)}
_PALETTE: Final = 3
# JPEG markers (ITU-T T.81, table B.1): frames that every PDF reader decodes, other frames, markers
# without a segment, and the start of a scan.
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_OTHER_FRAMES: Final = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_SCAN: Final = 0xDA
# The segment with EXIF data, and what it begins with (CIPA DC-008, 4.7.2).
_APP1: Final = 0xE1
_EXIF: Final = b"Exif\0\0"
_ORIENTATION: Final = 0x0112


@dataclass(frozen=True)
class ImageSamples:
    """Compressed samples.

    Attributes:
        data: the compressed bytes.
        filter: the PDF filter that decompresses them.
        channels: 1 for gray or indices into a palette, 3 for color.
        bits: bits per sample.
        predicted: whether each row begins with a PNG filter type.
    """

    data: bytes = field(repr=False)
    filter: str
    channels: int
    bits: int = 8
    predicted: bool = False


@dataclass(frozen=True)
class Image:
    """An image.

    Attributes:
        width: in pixels.
        height: in pixels.
        pixels: gray, color, or indices into the palette.
        palette: red, green and blue of each color, if the pixels are indices.
        opacity: the alpha channel, if the image has one.
        orientation: how the pixels are to be turned and mirrored to be shown: 1 to 8, as EXIF has
            it (CIPA DC-008, 4.6.4); 1 means as they are.
    """

    width: int
    height: int
    pixels: ImageSamples
    palette: bytes | None = None
    opacity: ImageSamples | None = None
    orientation: int = 1

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as the image is shown."""
        turned = self.orientation > 4
        return (self.height, self.width) if turned else (self.width, self.height)


def parse_image(content: bytes) -> Image:
    """The image in a PNG or JPEG file.

    Raises:
        InvalidRequestError: the image is damaged, too large, or of an unsupported kind.
    """
    try:
        found = _jpeg(content) if content.startswith(b"\xff\xd8") else _png(content)
    except (struct.error, LookupError, zlib.error):
        found = None
    if found is None:
        raise _unsupported("is damaged", "It cannot be read to its end.")
    return found


def _unsupported(kind: str, instead: str) -> InvalidRequestError:
    return InvalidRequestError(field="options.visible.image", problem=f"{kind}. {instead}")


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise _unsupported(
            f"has {width} by {height} pixels",
            f"It may have {MOST_PIXELS}, and {LONGEST_SIDE} on a side: make it smaller.",
        )


def _jpeg(content: bytes) -> Image | None:
    at, orientation = 2, 1
    frame: Image | None = None
    while True:
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if marker in {0xFF, *_ALONE}:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _SCAN:
            # The pixels follow. Only a decoder could tell whether all of them are there.
            whole = frame is not None and b"\xff\xd9" in content[at:]
            return replace(frame, orientation=orientation) if frame and whole else None
        if marker in _OTHER_FRAMES:
            raise _unsupported("is a JPEG that few programs read", "Save it as an ordinary one.")
        if marker in _FRAMES:
            frame = _frame(content, at + 4)
            if frame is None:
                return None
        (length,) = struct.unpack_from(">H", content, at + 2)
        if marker == _APP1 and content.startswith(_EXIF, at + 4):
            orientation = _orientation(content[at + 4 + len(_EXIF) : at + 2 + length])
        at += 2 + length


def _orientation(tiff: bytes) -> int:
    """The tag Orientation of EXIF data; 1 where it is missing, or the data are damaged."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for number in range(count):
            tag, _, _, found = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * number)
            if tag == _ORIENTATION:
                return found if 1 <= found <= 8 else 1
    except struct.error:
        pass
    return 1


def _frame(content: bytes, at: int) -> Image | None:
    bits, height, width, channels = struct.unpack_from(">BHHB", content, at)
    if not width or not height:
        return None
    _check_size(width, height)
    if bits != 8 or channels not in {_GRAY, _COLOR}:
        raise _unsupported("is a JPEG for print", "Save it in gray or RGB, with 8 bits a channel.")
    return Image(width, height, ImageSamples(content, "/DCTDecode", channels))


def _png(content: bytes) -> Image | None:
    parts: dict[bytes, bytes] = {}
    for kind, data in _chunks(content):
        parts[kind] = parts.get(kind, b"") + data
    width, height, bits, kind, *_, interlaced = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    if not width or not height or kind not in _CHANNELS or bits not in {1, 2, 4, 8, 16}:
        return None
    _check_size(width, height)
    if interlaced:
        raise _unsupported("is an interlaced PNG", "Save it without interlacing.")
    if bits > 8:
        raise _unsupported("has 16 bits a channel", "Save it with 8.")
    if b"tRNS" in parts:
        raise _unsupported("has a transparent color", "Save it as RGBA, or without transparency.")
    # W3C PNG, 11.3.3.7: the chunk holds what follows JPEG's marker of EXIF data.
    orientation = _orientation(parts.get(b"eXIf", b""))
    channels, seen = _CHANNELS[kind]
    row = 1 + (width * channels * bits + 7) // 8
    packed = parts.get(b"IDAT", b"")
    samples = _decompressed(packed, row * height)
    if samples is None or not set(samples[::row]) <= set(range(5)):
        return None
    if channels == seen:
        palette = parts[b"PLTE"] if kind == _PALETTE else None
        pixels = ImageSamples(packed, "/FlateDecode", seen, bits, predicted=True)
        return Image(width, height, pixels, palette, orientation=orientation)
    pixels = _select_channels(samples, row, channels, range(seen))
    return Image(
        width,
        height,
        pixels,
        None,
        _select_channels(samples, row, channels, range(seen, channels)),
        orientation,
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, at)
        data = content[at + 8 : at + 8 + length]
        if struct.unpack_from(">I", content, at + 8 + length) != (zlib.crc32(kind + data),):
            raise struct.error("checksum")
        yield kind, data
        at += 12 + length


def _decompressed(packed: bytes, size: int) -> bytes | None:
    """The ``size`` bytes that ``packed`` decompresses to; None if they are fewer or more."""
    unpacking = zlib.decompressobj()
    samples = unpacking.decompress(packed, size + 1)
    return samples if len(samples) == size else None


def _select_channels(samples: bytes, row: int, channels: int, wanted: range) -> ImageSamples:
    """The ``wanted`` channels; rows keep their filter, which works on each channel alone."""
    height = len(samples) // row
    width = 1 + (row - 1) // channels * len(wanted)
    selected = bytearray(height * width)
    selected[::width] = samples[::row]
    for line in range(height):
        for place, channel in enumerate(wanted):
            target = slice(line * width + 1 + place, (line + 1) * width, len(wanted))
            selected[target] = samples[line * row + 1 + channel : (line + 1) * row : channels]
    return ImageSamples(zlib.compress(bytes(selected)), "/FlateDecode", len(wanted), predicted=True)
