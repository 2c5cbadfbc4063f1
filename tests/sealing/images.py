"""Small PNG and JPEG files, made by Pillow where it can, else by hand."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image

RED = (200, 0, 0, 255)
HALF_GREEN = (0, 160, 0, 128)


def image(mode: str = "RGB", size: tuple[int, int] = (8, 4)) -> Image.Image:
    """Left half red, right half green and half transparent, as far as ``mode`` can say so."""
    found = Image.new("RGBA", size, RED)
    found.paste(HALF_GREEN, (size[0] // 2, 0, size[0], size[1]))
    return found.convert(mode)


def saved(picture: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **how)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file (W3C PNG, 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int,
    height: int,
    *,
    bits: int = 8,
    color: int = 2,
    interlaced: int = 0,
    data: bytes | None = None,
    more: bytes = b"",
) -> bytes:
    """A PNG file that says this of itself, whatever is in it."""
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)
    packed = zlib.compress(bytes(height * (1 + 3 * width))) if data is None else data
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + more
        + chunk(b"IDAT", packed)
        + chunk(b"IEND", b"")
    )
