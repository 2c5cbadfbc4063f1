"""What a visible seal looks like: its appearance stream (ISO 32000-2, 12.5.5).

Fit for PDF/A as it is (ISO 19005): no font, and colors that do not depend on a device, whatever
output intent the document has.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import unicodedata
from typing import Final

from pyhanko.pdf_utils.generic import (
    ArrayObject,
    ByteStringObject,
    DictionaryObject,
    FloatObject,
    IndirectObject,
    NumberObject,
    PdfObject,
    StreamObject,
    pdf_name,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from rotation.errors import InvalidRequestError
from rotation.sealing.pdf.visible.glyphs import UNITS_PER_EM, Glyph, glyph_for
from rotation.sealing.pdf.visible.images import Packed, Picture
from rotation.sealing.visible_seal import Box

_INK: Final = pdf_name("/Ink")
_IMAGE: Final = pdf_name("/Image")

# sRGB by its white point and its primaries (IEC 61966-2-1); its curve is nearly a gamma of 2.2.
_WHITE: Final = (0.9505, 1.0, 1.089)
_PRIMARIES: Final = (0.4124, 0.2126, 0.0193, 0.3576, 0.7152, 0.1192, 0.1805, 0.0722, 0.9505)
_GAMMA: Final = 2.2

_PADDING: Final = 2.0
#: An image with text beside it gets so much of the box's width at most.
_IMAGE_SHARE: Final = 0.4
# Of the size of the type: from one line to the next, and from a line's top to its base.
_LEADING: Final = 1.2
_ASCENT: Final = 0.95
#: What is smaller than this many points is not read by anybody.
_SMALLEST: Final = 3.0

# Counter-clockwise, into the quadrant that the width and the height of the seal open.
_TURNED: Final = {
    0: (1, 0, 0, 1, 0, 0),
    90: (0, 1, -1, 0, 1, 0),
    180: (-1, 0, 0, -1, 1, 1),
    270: (0, -1, 1, 0, 0, 1),
}


def appearance(
    update: IncrementalPdfFileWriter,
    size: tuple[float, float],
    rotation: int,
    text: str | None,
    image: Picture | None,
) -> IndirectObject:
    """A form XObject that shows ``text``, ``image``, or the image with the text to its right.

    Args:
        update: what it is added to.
        size: width and height as they are seen, in points.
        rotation: by how many degrees viewers turn the page clockwise.
        text: lines; each is set on one line.
        image: any shape; its proportions are kept.

    Raises:
        InvalidRequestError: the text does not fit, or has a character that cannot be drawn.
    """
    width, height = size
    left, bottom, right, top = _PADDING, _PADDING, width - _PADDING, height - _PADDING
    colors = DictionaryObject({_INK: _color_space(3)})
    resources = DictionaryObject({pdf_name("/ColorSpace"): colors})
    content = b""
    if image:
        share = _IMAGE_SHARE if text else 1.0
        place = _fitted(image, (left, bottom, left + (right - left) * share, top))
        content += _placed(place)
        left = place[2] + 2 * _PADDING
        drawn = DictionaryObject({_IMAGE: _add_image(update, image)})
        resources[pdf_name("/XObject")] = drawn
    if text:
        content += _written(text, (left, bottom, right, top))
    across, up = (height, width) if rotation % 180 else (width, height)
    a, b, c, d, e, f = _TURNED[rotation]
    form = StreamObject(
        {
            pdf_name("/Type"): pdf_name("/XObject"),
            pdf_name("/Subtype"): pdf_name("/Form"),
            pdf_name("/BBox"): numbers(0, 0, width, height),
            pdf_name("/Matrix"): numbers(a, b, c, d, e * across, f * up),
            pdf_name("/Resources"): resources,
        },
        stream_data=content,
    )
    form.compress()
    return update.add_object(form)


def _fitted(image: Picture, area: Box) -> Box:
    """The largest place for ``image`` in the middle of ``area``."""
    left, bottom, right, top = area
    scale = min((right - left) / image.width, (top - bottom) / image.height)
    if scale <= 0:
        raise InvalidRequestError(field="options.visible.box", problem="is too small for an image.")
    width, height = scale * image.width, scale * image.height
    left, bottom = (left + right - width) / 2, (bottom + top - height) / 2
    return left, bottom, left + width, bottom + height


def _placed(place: Box) -> bytes:
    left, bottom, right, top = place
    scaled = f"{right - left:.3f} 0 0 {top - bottom:.3f} {left:.3f} {bottom:.3f}"
    return f"q {scaled} cm {_IMAGE} Do Q\n".encode()


def _written(text: str, area: Box) -> bytes:
    """``text`` as large as ``area`` allows, in the middle of its height."""
    lines = [_glyphs(line) for line in unicodedata.normalize("NFC", text).split("\n")]
    widths = [sum(glyph.advance for glyph in line) / UNITS_PER_EM for line in lines]
    left, bottom, right, top = area
    pitch = _LEADING * len(lines)
    size = min((top - bottom) / pitch, (right - left) / max(*widths, 0.001))
    if size < _SMALLEST:
        raise InvalidRequestError(
            field="options.visible.text",
            problem=f"does not fit into its box: it would be less than {_SMALLEST:g} points high. "
            "Make the box larger, or the text shorter.",
        )
    base = (top + bottom + pitch * size) / 2 - _ASCENT * size
    content = f"{_INK} cs 0 0 0 sc\n"
    for line in lines:
        scale = size / UNITS_PER_EM
        content += f"q {scale:.6f} 0 0 {scale:.6f} {left:.3f} {base:.3f} cm\n"
        for glyph in line:
            path = glyph.path()
            content += f"{path} f\n" if path else ""
            content += f"1 0 0 1 {glyph.advance} 0 cm\n"
        content += "Q\n"
        base -= _LEADING * size
    return content.encode()


def _glyphs(line: str) -> list[Glyph]:
    found: list[Glyph] = []
    for character in line:
        glyph = glyph_for(character)
        if glyph is None:
            raise InvalidRequestError(
                field="options.visible.text",
                problem=f"the character U+{ord(character):04X} cannot be drawn. Only Latin, Greek "
                "and Cyrillic ones can. Draw the text yourself, and give it as an image.",
            )
        found.append(glyph)
    return found


def numbers(*found: float) -> ArrayObject:
    """An array of numbers, to a ten-thousandth."""
    return ArrayObject(FloatObject(f"{number:.4f}") for number in found)


def _color_space(channels: int) -> ArrayObject:
    """Gray (one channel) or colors (three) that no device changes (ISO 32000-2, 8.6.5)."""
    white = {pdf_name("/WhitePoint"): numbers(*_WHITE)}
    if channels == 1:
        gray = DictionaryObject({**white, pdf_name("/Gamma"): FloatObject(str(_GAMMA))})
        return ArrayObject([pdf_name("/CalGray"), gray])
    curves = {pdf_name("/Gamma"): numbers(*[_GAMMA] * 3)}
    matrix = {pdf_name("/Matrix"): numbers(*_PRIMARIES)}
    return ArrayObject([pdf_name("/CalRGB"), DictionaryObject({**white, **curves, **matrix})])


def _add_image(update: IncrementalPdfFileWriter, image: Picture) -> IndirectObject:
    """An image XObject (8.9.5), with a soft mask where the image is not opaque."""
    colors: PdfObject = _color_space(image.pixels.channels)
    if image.palette is not None:
        last = NumberObject(len(image.palette) // 3 - 1)
        table = ByteStringObject(image.palette)
        colors = ArrayObject([pdf_name("/Indexed"), _color_space(3), last, table])
    found = _samples(image, image.pixels, colors)
    if image.opacity is not None:
        # How much is seen is no color: a soft mask is in DeviceGray (11.6.5.2).
        mask = _samples(image, image.opacity, pdf_name("/DeviceGray"))
        found[pdf_name("/SMask")] = update.add_object(mask)
    return update.add_object(found)


def _samples(image: Picture, packed: Packed, colors: PdfObject) -> StreamObject:
    found = StreamObject(
        {
            pdf_name("/Type"): pdf_name("/XObject"),
            pdf_name("/Subtype"): pdf_name("/Image"),
            pdf_name("/Width"): NumberObject(image.width),
            pdf_name("/Height"): NumberObject(image.height),
            pdf_name("/BitsPerComponent"): NumberObject(packed.bits),
            pdf_name("/ColorSpace"): colors,
            pdf_name("/Filter"): pdf_name(packed.filter),
        },
        encoded_data=packed.data,
    )
    if packed.predicted:
        found[pdf_name("/DecodeParms")] = DictionaryObject(
            {
                pdf_name("/Predictor"): NumberObject(15),  # PNG's, each row by its own filter
                pdf_name("/Colors"): NumberObject(packed.channels),
                pdf_name("/BitsPerComponent"): NumberObject(packed.bits),
                pdf_name("/Columns"): NumberObject(image.width),
            }
        )
    return found
