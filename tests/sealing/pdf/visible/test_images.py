"""Images of visible seals: they are embedded as they are, or refused before decompression."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from rotation.errors import InvalidRequestError
from rotation.sealing.pdf import prepare
from rotation.sealing.pdf.visible.images import MOST_PIXELS, parse_image
from rotation.sealing.request import SealOptions
from rotation.sealing.visible_seal import VisibleSeal
from tests.sealing.images import image, png, saved
from tests.sealing.pdf_tools import render_page
from tests.sealing.pdfs import pdf

FRAME = b"\xff\xc0"
JPEG = saved(image(), "JPEG")
PALETTE = saved(image("RGB").quantize(4))


def framed(code: int, *, bits: int = 8, height: int = 4, channels: int = 3) -> bytes:
    """The JPEG file with another kind of frame, or another size."""
    at = JPEG.index(FRAME)
    (width,) = struct.unpack_from(">H", JPEG, at + 7)
    head = struct.pack(">BHHB", bits, height, width, channels)
    return JPEG[: at + 1] + bytes([code]) + JPEG[at + 2 : at + 4] + head + JPEG[at + 10 :]


@pytest.mark.parametrize(
    ("content", "filters", "channels", "opaque"),
    [
        (saved(image("L")), "/FlateDecode", 1, True),
        (saved(image("1")), "/FlateDecode", 1, True),
        (saved(image("RGB")), "/FlateDecode", 3, True),
        (PALETTE, "/FlateDecode", 1, True),
        (saved(image("LA")), "/FlateDecode", 1, False),
        (saved(image("RGBA")), "/FlateDecode", 3, False),
        (JPEG, "/DCTDecode", 3, True),
        (saved(image("L"), "JPEG"), "/DCTDecode", 1, True),
        (saved(image(), "JPEG", progressive=True), "/DCTDecode", 3, True),
    ],
)
def test_ordinary_images_are_taken(
    content: bytes, filters: str, channels: int, opaque: bool
) -> None:
    """Size, filter, number of channels and transparency are those of the file."""
    found = parse_image(content)
    assert (found.width, found.height) == (8, 4)
    assert (found.pixels.filter, found.pixels.channels) == (filters, channels)
    assert (found.opacity is None) is opaque
    assert (found.palette is None) is (content is not PALETTE)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_parted_from_color(mode: str) -> None:
    """Another program that combines colors and opacity gets the given image."""
    original = Image.effect_noise((37, 23), 90).convert(mode)
    original.putalpha(Image.effect_noise((37, 23), 90))
    found = parse_image(saved(original))
    assert found.opacity
    kinds = ((found.pixels, {1: 0, 3: 2}[found.pixels.channels]), (found.opacity, 0))
    colors, opacity = (
        Image.open(BytesIO(png(37, 23, color=color, data=part.data))) for part, color in kinds
    )
    colors.putalpha(opacity)
    assert colors.tobytes() == original.tobytes()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (png(4, 4)[:-20], "damaged"),
        (png(4, 4)[:20], "damaged"),
        (png(4, 4).replace(b"IDAT", b"IDAT"[::-1]), "damaged"),
        (png(0, 4), "damaged"),
        (png(4, 4, color=5), "damaged"),
        (png(4, 4, bits=3), "damaged"),
        (png(4, 4, data=b"no data"), "damaged"),
        (png(4, 4, data=zlib.compress(bytes(51))), "damaged"),
        (png(4, 4, data=zlib.compress(bytes(53))), "damaged"),
        (png(4, 4, data=zlib.compress(b"\x05" * 52)), "damaged"),
        (png(4, 4, color=3, data=zlib.compress(bytes(20))), "damaged"),
        (png(4, 4, interlaced=1), "interlaced"),
        (png(4, 4, bits=16, data=zlib.compress(bytes(100))), "16 bits"),
        (saved(image("RGB").quantize(4), transparency=0), "transparent color"),
        (JPEG[:100], "damaged"),
        (JPEG[:-60], "damaged"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\xff\xd8\xff\xe0\x00\x00\x00", "damaged"),
        (framed(0xC3), "few programs read"),
        (framed(0xC9), "few programs read"),
        (framed(0xC0, height=0), "damaged"),
        (framed(0xC0, bits=12), "for print"),
        (saved(image("RGB").convert("CMYK"), "JPEG"), "for print"),
        (framed(0xC0, height=60000), "8 by 60000 pixels"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(content: bytes, problem: str) -> None:
    """Damaged, of a rare kind, or too large: the message says what is wrong."""
    with pytest.raises(InvalidRequestError, match=problem) as refused:
        parse_image(content)
    assert str(refused.value).startswith("options.visible.image: ")


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    """A small file that claims too many pixels, or decompresses to more, is refused at once."""
    huge = zlib.compress(bytes(100 * 1024 * 1024), 9)
    started = time.process_time()
    with pytest.raises(InvalidRequestError, match=f"may have {MOST_PIXELS}"):
        parse_image(png(60_000, 60_000, data=huge))
    with pytest.raises(InvalidRequestError, match="damaged"):
        parse_image(png(4, 4, data=huge))
    assert time.process_time() - started < 0.5


def test_the_largest_image_is_parted_in_time() -> None:
    """Four million pixels with transparency take at most a few seconds."""
    data = zlib.compress(bytes(2000 * (1 + 4 * 2000)))
    tall = zlib.compress(bytes(10_000 * (1 + 4 * 400)))
    started = time.process_time()
    for content in (png(2000, 2000, color=6, data=data), png(400, 10_000, color=6, data=tall)):
        assert parse_image(content).opacity
    assert time.process_time() - started < 5


def oriented(orientation: int, kind: str = "JPEG") -> bytes:
    """A picture whose quarters differ, which says how it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(quarters(), kind, exif=exif.tobytes())


def quarters() -> Image.Image:
    found = Image.new("L", (40, 24), 0)
    for place, gray in (((20, 0, 40, 12), 80), ((0, 12, 20, 24), 160), ((20, 12, 40, 24), 240)):
        found.paste(gray, place)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_shown_as_its_camera_held_it(
    orientation: int, kind: str, tmp_path: Path
) -> None:
    """Each of EXIF's eight orientations looks as the same picture that was turned by Pillow."""
    content = oriented(orientation, kind)
    upright = saved(ImageOps.exif_transpose(Image.open(BytesIO(content))).convert("L"))
    assert parse_image(content).orientation == orientation
    pages = []
    for picture in (content, upright):
        visible = VisibleSeal(1, (0, 0, 200, 200), None, picture)
        prepared = prepare(BytesIO(pdf()), SealOptions(visible=visible), datetime.now(UTC))
        pages.append(render_page(prepared.embed(b""), tmp_path))
    differences = [abs(a - b) for a, b in zip(pages[0].grays, pages[1].grays, strict=True)]
    # The compression of a JPEG changes grays a little, at the borders of the quarters more.
    assert sum(difference > 24 for difference in differences) < len(differences) // 50


@pytest.mark.parametrize(
    "tiff",
    [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"XX*\0\x08\0\0\0", b"MM\0*\0\0\0\x08\xff\xff"],
)
def test_damaged_exif_data_turn_nothing(tiff: bytes) -> None:
    """What cannot be read, and an orientation that does not exist, count as upright."""
    segment = b"Exif\0\0" + tiff
    content = saved(quarters(), "JPEG")
    header = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    assert parse_image(content[:2] + header + content[2:]).orientation == 1
    assert parse_image(oriented(9)).orientation == 1


def damage() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    def flip(place: float, value: int) -> Callable[[bytes], bytes]:
        return lambda content: (
            content[: (at := int(place * len(content)))] + bytes([value]) + content[at + 1 :]
        )

    def cut(place: float) -> Callable[[bytes], bytes]:
        return lambda content: content[: int(place * len(content))]

    return st.builds(flip, st.floats(0, 1), st.integers(0, 255)) | st.builds(cut, st.floats(0, 1))


@given(
    st.sampled_from([JPEG, PALETTE, saved(image("RGBA")), saved(image("L"), "JPEG")]),
    st.lists(damage(), min_size=1, max_size=3),
)
def test_no_damage_raises_anything_but_a_typed_error(
    content: bytes, damages: list[Callable[[bytes], bytes]]
) -> None:
    """A damaged image is accepted or refused with a message, and never crashes."""
    for change in damages:
        content = change(content)
    try:
        found = parse_image(content)
    except InvalidRequestError as error:
        assert str(error).startswith("options.visible.image: ")  # noqa: PT017 - either is right
    else:
        assert found.width * found.height <= MOST_PIXELS
