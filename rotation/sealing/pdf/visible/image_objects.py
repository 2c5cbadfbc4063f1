"""Colors and images as objects of a document."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

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

from rotation.sealing.pdf.visible.images import Packed, Picture

# sRGB by its white point and its primaries (IEC 61966-2-1); its curve is nearly a gamma of 2.2.
_WHITE: Final = (0.9505, 1.0, 1.089)
_PRIMARIES: Final = (0.4124, 0.2126, 0.0193, 0.3576, 0.7152, 0.1192, 0.1805, 0.0722, 0.9505)
_GAMMA: Final = 2.2


def numbers(*found: float) -> ArrayObject:
    """An array of numbers, to a ten-thousandth."""
    return ArrayObject(FloatObject(f"{number:.4f}") for number in found)


def color_space(channels: int) -> ArrayObject:
    """Gray (one channel) or colors (three) that no device changes (ISO 32000-2, 8.6.5)."""
    white = {pdf_name("/WhitePoint"): numbers(*_WHITE)}
    if channels == 1:
        gray = DictionaryObject({**white, pdf_name("/Gamma"): FloatObject(str(_GAMMA))})
        return ArrayObject([pdf_name("/CalGray"), gray])
    curves = {pdf_name("/Gamma"): numbers(*[_GAMMA] * 3)}
    matrix = {pdf_name("/Matrix"): numbers(*_PRIMARIES)}
    return ArrayObject([pdf_name("/CalRGB"), DictionaryObject({**white, **curves, **matrix})])


def add_image(update: IncrementalPdfFileWriter, image: Picture) -> IndirectObject:
    """An image XObject (8.9.5), with a soft mask where the image is not opaque."""
    colors: PdfObject = color_space(image.pixels.channels)
    if image.palette is not None:
        last = NumberObject(len(image.palette) // 3 - 1)
        table = ByteStringObject(image.palette)
        colors = ArrayObject([pdf_name("/Indexed"), color_space(3), last, table])
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
