"""What a document says against being changed, although it does not forbid a seal.

Each of these documents is sealed, and the answer bears a notice. What forbids a seal is refused in
`rotation.sealing.pdf.certification`.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pyhanko.pdf_utils.generic import BooleanObject, DictionaryObject

from rotation.sealing.notices import NoticeCode, SealNotice
from rotation.sealing.pdf.objects import dictionary_at, get_value, integer_at

# Bits of the permissions (ISO 32000-2, table 22): change the document, annotate and fill in, fill
# in and sign existing fields.
_MODIFY: Final = 1 << 3
_ANNOTATE: Final = 1 << 5
_FILL_IN: Final = 1 << 8
#: The first revision of encryption whose permissions have the bit for filling in.
_FINE_PERMISSIONS: Final = 3


def restrictions(
    root: DictionaryObject, encryption: DictionaryObject | None, *, new_field: bool
) -> Iterator[SealNotice]:
    """A notice for each thing that speaks against changes.

    Args:
        root: the document's catalog.
        encryption: its encryption dictionary; None if it is not encrypted.
        new_field: whether the seal needs a new field, or signs one that the document has.
    """
    permissions = dictionary_at(root, "/Perms")
    if permissions and any(get_value(permissions, key) for key in ("/UR3", "/UR")):
        yield SealNotice(
            NoticeCode.USAGE_RIGHTS,
            "The document grants usage rights (ISO 32000-1, 12.8.2.3): Acrobat Reader may say that "
            "the document was changed, and turn the rights off.",
        )
    if _is_dynamic(root):
        yield SealNotice(
            NoticeCode.DYNAMIC_XFA,
            "The document is a dynamic XFA form: viewers that support XFA make its pages anew from "
            "the form's data, and may show neither the sealed pages nor the seal. PDF 2.0 has no "
            "XFA. Seal a flattened copy if people must see what was sealed.",
        )
    if encryption is not None and not _permitted(encryption, new_field=new_field):
        yield SealNotice(
            NoticeCode.PERMISSIONS,
            "The document's permissions do not allow what a seal does to it (ISO 32000-2, table "
            "22): whoever holds the owner password has forbidden changes, and some viewers may "
            "complain about the seal.",
        )


def _is_dynamic(root: DictionaryObject) -> bool:
    """Whether the document is an XFA form whose pages are made when it is opened."""
    form = dictionary_at(root, "/AcroForm")
    rendered = get_value(root, "/NeedsRendering")
    return (
        form is not None
        and get_value(form, "/XFA") is not None
        and isinstance(rendered, BooleanObject)
        and bool(rendered.value)
    )


def _permitted(encryption: DictionaryObject, *, new_field: bool) -> bool:
    granted = integer_at(encryption, "/P")
    if granted is None:
        return True
    if new_field:
        # Only both together allow a signature field to be made.
        return granted & _MODIFY != 0 and granted & _ANNOTATE != 0
    fine = (integer_at(encryption, "/R") or 0) >= _FINE_PERMISSIONS
    return granted & _ANNOTATE != 0 or (fine and granted & _FILL_IN != 0)
