"""A seal that is seen: its place on a page, and what it shows there."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from typing import Final

from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.generic import (
    DictionaryObject,
    NumberObject,
    StreamObject,
    pdf_name,
    pdf_string,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from rotation.errors import InvalidRequestError
from rotation.sealing.pdf.certification import refuse_new_sight
from rotation.sealing.pdf.fields import Placed
from rotation.sealing.pdf.objects import dictionary_at, integer_at, value
from rotation.sealing.pdf.pages import Page, rectangle_in
from rotation.sealing.pdf.visible.appearance import appearance, numbers
from rotation.sealing.pdf.visible.images import Picture, picture
from rotation.sealing.visible_seal import VisibleSeal

# Flags of an annotation (ISO 32000-2, table 167): those that hide it, and the one that prints it.
_HIDING: Final = 1 | 2 | 32
_PRINT: Final = 4


def show(
    update: IncrementalPdfFileWriter, placed: Placed, page: Page, visible: VisibleSeal
) -> None:
    """Have a signature's field show what ``visible`` says.

    Args:
        update: what the field is in.
        placed: the field, and whether it is new: one that the document has stays where it is.
        page: where a new one goes.
        visible: as it was asked for.

    Raises:
        InvalidRequestError: it cannot be shown like that in this document.
    """
    widget = placed.widget
    image = _image(update.root, visible)
    if placed.made:
        refuse_new_sight(update.root)
        size, rotation = _put(widget, page, visible)
    else:
        size, rotation = _found(widget, visible)
    form = appearance(update, size, rotation, visible.text, image)
    widget[pdf_name("/AP")] = DictionaryObject({pdf_name("/N"): form})
    flags = integer_at(widget, "/F") or 0
    widget[pdf_name("/F")] = NumberObject(flags & ~_HIDING | _PRINT)
    update.update_container(widget)


def _image(root: DictionaryObject, visible: VisibleSeal) -> Picture | None:
    if visible.image is None:
        return None
    found = picture(visible.image)
    # ISO 19005-1, 6.4; later parts allow it only with an output intent or a group's color space.
    if found.opacity and _claims_archival(root):
        raise InvalidRequestError(
            field="options.visible.image",
            problem="is transparent, which the document, a PDF/A, does not allow. Put the image on "
            "a white ground.",
        )
    return found


def _claims_archival(root: DictionaryObject) -> bool:
    """Whether the document's XMP says that it is PDF/A, of whatever part (ISO 19005)."""
    metadata = value(root, "/Metadata")
    if not isinstance(metadata, StreamObject):
        return False
    # In UTF-16 each character of a namespace has a zero beside it.
    xmp = metadata.read_data(DecodePurpose.XMP_METADATA).replace(b"\0", b"")
    return b"http://www.aiim.org/pdfa/ns/id/" in xmp


def _put(
    widget: DictionaryObject, page: Page, visible: VisibleSeal
) -> tuple[tuple[float, float], int]:
    """Give a new field its place; its size as it is seen, and how its page is turned."""
    if visible.box is None:
        raise InvalidRequestError(
            field="options.visible",
            problem="needs page and box, since the document has no signature field of the given "
            "name.",
        )
    left, bottom, right, top = visible.box
    widget[pdf_name("/Rect")] = numbers(*page.rectangle(visible.box))
    widget[pdf_name("/MK")] = DictionaryObject({pdf_name("/R"): NumberObject(page.rotation)})
    if visible.text:
        # What a screen reader says, for which the drawn letters are no text.
        widget[pdf_name("/TU")] = pdf_string(" ".join(visible.text.split()))
    return (right - left, top - bottom), page.rotation


def _found(widget: DictionaryObject, visible: VisibleSeal) -> tuple[tuple[float, float], int]:
    """The same of a field that the document has."""
    if visible.box is not None:
        raise InvalidRequestError(
            field="options.visible",
            problem="the signature field of the given name has a place of its own in the document. "
            "Leave page and box out, or name a new field.",
        )
    place = rectangle_in(value(widget, "/Rect"))
    if place is None:
        raise InvalidRequestError(
            field="options.visible",
            problem="the signature field of the given name has no place on a page. Name a new "
            "field, with page and box.",
        )
    left, bottom, right, top = place
    look = dictionary_at(widget, "/MK")
    rotation = (integer_at(look, "/R") or 0) % 360 if look else 0
    rotation -= rotation % 90
    width, height = right - left, top - bottom
    return ((height, width) if rotation % 180 else (width, height)), rotation
