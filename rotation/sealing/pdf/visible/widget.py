"""Makes a signature field visible: its place on a page, and its appearance."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from typing import Final

from pyhanko.pdf_utils.generic import (
    DictionaryObject,
    NumberObject,
    pdf_name,
    pdf_string,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from rotation.errors import InvalidRequestError
from rotation.sealing.pdf.certification import refuse_visible_if_certified
from rotation.sealing.pdf.fields import SignedField
from rotation.sealing.pdf.objects import dictionary_at, get_value, integer_at, number_array
from rotation.sealing.pdf.pages import Page, rectangle_in
from rotation.sealing.pdf.pdf_a import claims_pdf_a
from rotation.sealing.pdf.visible.appearance import build_appearance, empty_appearance
from rotation.sealing.pdf.visible.images import Image, parse_image
from rotation.sealing.request import SealOptions
from rotation.sealing.visible_seal import VisibleSeal

# Flags of an annotation (ISO 32000-2, table 167): those that hide it, and the one that prints it.
_HIDING: Final = 1 | 2 | 32
_PRINT: Final = 4


def make_visible(
    update: IncrementalPdfFileWriter,
    signed_field: SignedField,
    page: Page,
    options: SealOptions,
    visible: VisibleSeal,
) -> None:
    """Give the signed field the appearance that ``visible`` asks for.

    Args:
        update: the update that the field is in.
        signed_field: the field; one that the document had before keeps its place.
        page: the page for a new field.
        options: the request.
        visible: the part of it that says what is seen.

    Raises:
        InvalidRequestError: the request cannot be carried out in this document.
    """
    widget = signed_field.widget
    image = _parse_image(update.root, visible)
    if signed_field.is_new:
        refuse_visible_if_certified(update.root)
        size, rotation = _place_new_widget(widget, page, visible)
    else:
        size, rotation = _size_of_existing(widget, visible)
    form = build_appearance(update, size, rotation, visible.text, image)
    widget[pdf_name("/AP")] = DictionaryObject({pdf_name("/N"): form})
    if signed_field.is_new:
        widget[pdf_name("/TU")] = pdf_string(describe(options))
    flags = integer_at(widget, "/F") or 0
    widget[pdf_name("/F")] = NumberObject(flags & ~_HIDING | _PRINT)
    update.update_container(widget)


def describe(options: SealOptions) -> str:
    """What a seal is, for people who do not see it: the drawn letters are not text for them."""
    text = options.visible.text if options.visible else None
    return " ".join((text or options.reason or "Electronic seal").split())


def give_empty_appearance(update: IncrementalPdfFileWriter, widget: DictionaryObject) -> None:
    """Give an invisible field an appearance that shows nothing, unless it has an appearance.

    PDF/A-1 demands one of every field (ISO 19005-1, 6.9).
    """
    if dictionary_at(widget, "/AP") is None:
        form = empty_appearance(update, rectangle_in(get_value(widget, "/Rect")))
        widget[pdf_name("/AP")] = DictionaryObject({pdf_name("/N"): form})
        update.update_container(widget)


def _parse_image(root: DictionaryObject, visible: VisibleSeal) -> Image | None:
    if visible.image is None:
        return None
    found = parse_image(visible.image)
    # ISO 19005-1, 6.4; later parts allow it only with an output intent or a group's color space.
    if found.opacity and claims_pdf_a(root):
        raise InvalidRequestError(
            field="options.visible.image",
            problem="is transparent, which the document, a PDF/A, does not allow. Put the image on "
            "a white ground.",
        )
    return found


def _place_new_widget(
    widget: DictionaryObject, page: Page, visible: VisibleSeal
) -> tuple[tuple[float, float], int]:
    """Give a new field its place; return its size as viewers show it, and its page's rotation."""
    if visible.box is None:
        raise InvalidRequestError(
            field="options.visible",
            problem="needs page and box, since the document has no signature field of the given "
            "name.",
        )
    left, bottom, right, top = visible.box
    widget[pdf_name("/Rect")] = number_array(*page.rectangle(visible.box))
    widget[pdf_name("/MK")] = DictionaryObject({pdf_name("/R"): NumberObject(page.rotation)})
    return (right - left, top - bottom), page.rotation


def _size_of_existing(
    widget: DictionaryObject, visible: VisibleSeal
) -> tuple[tuple[float, float], int]:
    """The size and the rotation of a field that the document had before."""
    if visible.box is not None:
        raise InvalidRequestError(
            field="options.visible",
            problem="the signature field of the given name has a place of its own in the document. "
            "Leave page and box out, or name a new field.",
        )
    place = rectangle_in(get_value(widget, "/Rect"))
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
