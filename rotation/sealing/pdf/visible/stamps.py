"""Shows a seal on every page: stamps beside the one signature field.

A signature field has one widget: validators know no other kind (ISO 32000-2, 12.7.5.5). So the
other pages get annotations that look the same, are covered by the signature, and cannot be moved.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from typing import Final

from pyhanko.pdf_utils.generic import (
    DictionaryObject,
    IndirectObject,
    NumberObject,
    pdf_name,
    pdf_string,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from rotation.errors import InvalidRequestError
from rotation.sealing.pdf.accessibility import keep_accessible
from rotation.sealing.pdf.fields import append_to_array
from rotation.sealing.pdf.objects import number_array
from rotation.sealing.pdf.pages import Page, all_pages
from rotation.sealing.pdf.visible.appearance import build_appearance
from rotation.sealing.pdf.visible.images import parse_image
from rotation.sealing.visible_seal import VisibleSeal

#: Each page is written anew, and the update is held in memory.
MOST_PAGES: Final = 2_000
# Flags of an annotation (ISO 32000-2, table 167): printed, read-only, locked, with its contents.
_FLAGS: Final = 4 | 64 | 128 | 512


def stamp_other_pages(
    update: IncrementalPdfFileWriter,
    signed_page: Page,
    visible: VisibleSeal,
    description: str,
    *,
    signed: bool,
) -> None:
    """Show the seal in the same box of every page but the one with its field.

    Args:
        update: the update that the stamps are added to.
        signed_page: the page with the field.
        visible: what is shown, and where.
        description: the same, in words.
        signed: whether the document bore a signature before.

    Raises:
        InvalidRequestError: the box does not fit a page, there are too many pages, or the document
            bears a signature, which stamps would break.
    """
    if signed:
        raise InvalidRequestError(
            field="options.visible.everyPage",
            problem="the document bears a signature already, and new annotations would break it "
            "in strict validators. Leave the option out.",
        )
    pages = all_pages(update.root, MOST_PAGES)
    if len(pages) > MOST_PAGES:
        raise InvalidRequestError(
            field="options.visible.everyPage",
            problem=f"the document has more than {MOST_PAGES} pages. Leave the option out.",
        )
    assert visible.box is not None
    left, bottom, right, top = visible.box
    image = parse_image(visible.image) if visible.image else None
    appearances: dict[int, IndirectObject] = {}
    for page in pages:
        if page.dictionary is signed_page.dictionary:
            continue
        rectangle = page.rectangle(visible.box)
        turned = page.rotation
        if turned not in appearances:
            size = right - left, top - bottom
            appearances[turned] = build_appearance(update, size, turned, visible.text, image)
        stamp = update.add_object(
            DictionaryObject(
                {
                    pdf_name("/Type"): pdf_name("/Annot"),
                    pdf_name("/Subtype"): pdf_name("/Stamp"),
                    pdf_name("/Rect"): number_array(*rectangle),
                    pdf_name("/F"): NumberObject(_FLAGS),
                    pdf_name("/Contents"): pdf_string(description),
                    pdf_name("/AP"): DictionaryObject({pdf_name("/N"): appearances[turned]}),
                }
            )
        )
        if page.reference is not None:
            stamp.get_object()[pdf_name("/P")] = page.reference
        append_to_array(update, page.dictionary, "/Annots", stamp)
        keep_accessible(update, stamp, page, description, visible=True, signed=False)
