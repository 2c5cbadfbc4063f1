"""Builds the appearance stream of a visible seal (ISO 32000-2, 12.5.5).

It may be put into a PDF/A (ISO 19005) with any output intent: it needs no font, and its colors do
not depend on a device.
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
from rotation.sealing.pdf.objects import number_array
from rotation.sealing.pdf.visible.glyphs import UNITS_PER_EM, Glyph, glyph_for
from rotation.sealing.pdf.visible.images import Image, ImageSamples
from rotation.sealing.visible_seal import Box

_INK: Final = pdf_name("/Ink")
_IMAGE: Final = pdf_name("/Image")

# sRGB: its white point and its primaries (IEC 61966-2-1). A gamma of 2.2 is close to its curve.
_WHITE: Final = (0.9505, 1.0, 1.089)
_PRIMARIES: Final = (0.4124, 0.2126, 0.0193, 0.3576, 0.7152, 0.1192, 0.1805, 0.0722, 0.9505)
_GAMMA: Final = 2.2

_PADDING: Final = 2.0
#: The largest part of the box's width for an image with text beside it.
_IMAGE_SHARE: Final = 0.4
# As parts of the text size: the distance of lines, and from the top of a line to its base line.
_LEADING: Final = 1.2
_ASCENT: Final = 0.95
#: In points; nobody can read smaller text.
_MIN_TEXT_SIZE: Final = 3.0

# Matrices that turn and mirror the unit square into itself, by an image's orientation.
_ORIENTATIONS: Final = {
    1: (1, 0, 0, 1, 0, 0),
    2: (-1, 0, 0, 1, 1, 0),
    3: (-1, 0, 0, -1, 1, 1),
    4: (1, 0, 0, -1, 0, 1),
    5: (0, -1, -1, 0, 1, 1),
    6: (0, -1, 1, 0, 0, 1),
    7: (0, 1, 1, 0, 0, 0),
    8: (0, 1, -1, 0, 1, 0),
}

# Matrices that rotate the unit square counter-clockwise and move it back to the origin.
_ROTATIONS: Final = {
    0: (1, 0, 0, 1, 0, 0),
    90: (0, 1, -1, 0, 1, 0),
    180: (-1, 0, 0, -1, 1, 1),
    270: (0, -1, 1, 0, 0, 1),
}


def build_appearance(
    update: IncrementalPdfFileWriter,
    size: tuple[float, float],
    rotation: int,
    text: str | None,
    image: Image | None,
) -> IndirectObject:
    """A form XObject that shows ``text``, ``image``, or the image with the text to its right.

    Args:
        update: the update that the form is added to.
        size: width and height as viewers show them, in points.
        rotation: by how many degrees viewers rotate the page clockwise.
        text: the lines, separated by newlines.
        image: the image, whose proportions are kept.

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
        place = _fit_image(image, (left, bottom, left + (right - left) * share, top))
        content += _draw_image(place, image.orientation)
        left = place[2] + 2 * _PADDING
        drawn = DictionaryObject({_IMAGE: _add_image(update, image)})
        resources[pdf_name("/XObject")] = drawn
    if text:
        content += _draw_text(text, (left, bottom, right, top))
    across, up = (height, width) if rotation % 180 else (width, height)
    a, b, c, d, e, f = _ROTATIONS[rotation]
    form = StreamObject(
        {
            pdf_name("/Type"): pdf_name("/XObject"),
            pdf_name("/Subtype"): pdf_name("/Form"),
            pdf_name("/BBox"): number_array(0, 0, width, height),
            pdf_name("/Matrix"): number_array(a, b, c, d, e * across, f * up),
            pdf_name("/Resources"): resources,
        },
        stream_data=content,
    )
    form.compress()
    return update.add_object(form)


def empty_appearance(update: IncrementalPdfFileWriter, place: Box | None) -> IndirectObject:
    """A form XObject that shows nothing.

    Args:
        update: the update that the form is added to.
        place: the rectangle of the field; None if it has no area.
    """
    width, height = (place[2] - place[0], place[3] - place[1]) if place else (0, 0)
    form = StreamObject(
        {
            pdf_name("/Type"): pdf_name("/XObject"),
            pdf_name("/Subtype"): pdf_name("/Form"),
            pdf_name("/BBox"): number_array(0, 0, width, height),
            pdf_name("/Resources"): DictionaryObject(),
        },
        stream_data=b"",
    )
    return update.add_object(form)


def _fit_image(image: Image, area: Box) -> Box:
    """The largest box for ``image`` in the middle of ``area``."""
    left, bottom, right, top = area
    across, up = image.shown_size
    scale = min((right - left) / across, (top - bottom) / up)
    if scale <= 0:
        raise InvalidRequestError(field="options.visible.box", problem="is too small for an image.")
    width, height = scale * across, scale * up
    left, bottom = (left + right - width) / 2, (bottom + top - height) / 2
    return left, bottom, left + width, bottom + height


def _draw_image(place: Box, orientation: int) -> bytes:
    left, bottom, right, top = place
    scaled = f"{right - left:.3f} 0 0 {top - bottom:.3f} {left:.3f} {bottom:.3f}"
    turned = " ".join(map(str, _ORIENTATIONS[orientation]))
    return f"q {scaled} cm {turned} cm {_IMAGE} Do Q\n".encode()


def _draw_text(text: str, area: Box) -> bytes:
    """Operators for ``text``, as large as ``area`` allows, in the middle of its height."""
    lines = [_glyphs_of(line) for line in unicodedata.normalize("NFC", text).split("\n")]
    widths = [sum(glyph.advance for glyph in line) / UNITS_PER_EM for line in lines]
    left, bottom, right, top = area
    pitch = _LEADING * len(lines)
    size = min((top - bottom) / pitch, (right - left) / max(*widths, 0.001))
    if size < _MIN_TEXT_SIZE:
        raise InvalidRequestError(
            field="options.visible.text",
            problem="does not fit into its box: it would be less than "
            f"{_MIN_TEXT_SIZE:g} points high. Make the box larger, or the text shorter.",
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


def _glyphs_of(line: str) -> list[Glyph]:
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


def _color_space(channels: int) -> ArrayObject:
    """A device-independent color space with one channel or three (ISO 32000-2, 8.6.5)."""
    white = {pdf_name("/WhitePoint"): number_array(*_WHITE)}
    if channels == 1:
        gray = DictionaryObject({**white, pdf_name("/Gamma"): FloatObject(str(_GAMMA))})
        return ArrayObject([pdf_name("/CalGray"), gray])
    curves = {pdf_name("/Gamma"): number_array(*[_GAMMA] * 3)}
    matrix = {pdf_name("/Matrix"): number_array(*_PRIMARIES)}
    return ArrayObject([pdf_name("/CalRGB"), DictionaryObject({**white, **curves, **matrix})])


def _add_image(update: IncrementalPdfFileWriter, image: Image) -> IndirectObject:
    """Add an image XObject (8.9.5), with a soft mask if the image has an alpha channel."""
    colors: PdfObject = _color_space(image.pixels.channels)
    if image.palette is not None:
        last = NumberObject(len(image.palette) // 3 - 1)
        table = ByteStringObject(image.palette)
        colors = ArrayObject([pdf_name("/Indexed"), _color_space(3), last, table])
    found = _image_object(image, image.pixels, colors)
    if image.opacity is not None:
        # A soft mask must be in DeviceGray (11.6.5.2).
        mask = _image_object(image, image.opacity, pdf_name("/DeviceGray"))
        found[pdf_name("/SMask")] = update.add_object(mask)
    return update.add_object(found)


def _image_object(image: Image, packed: ImageSamples, colors: PdfObject) -> StreamObject:
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
