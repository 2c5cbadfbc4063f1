"""A seal that certifies its document: it says what may still be done to it (ISO 32000-2, 12.8.2.2).

Does NOT check whether it may: that is `rotation.sealing.pdf.policy`.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pyhanko.pdf_utils.generic import (
    ArrayObject,
    DictionaryObject,
    IndirectObject,
    NumberObject,
    pdf_name,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from rotation.sealing.pdf.objects import dictionary_at
from rotation.sealing.request import Certification

# The entry P of table 257.
_PERMISSIONS: Final[Mapping[Certification, int]] = {
    Certification.NO_CHANGES: 1,
    Certification.FORM_FILLING: 2,
    Certification.ANNOTATIONS: 3,
}


def certify(
    update: IncrementalPdfFileWriter,
    signature: DictionaryObject,
    reference: IndirectObject,
    certification: Certification,
) -> None:
    """Have ``signature``, which is at ``reference``, certify the document."""
    signature[pdf_name("/Reference")] = ArrayObject([_grant(_PERMISSIONS[certification])])
    permissions = dictionary_at(update.root, "/Perms")
    if permissions is None:
        permissions = DictionaryObject()
        update.root[pdf_name("/Perms")] = permissions
        update.update_root()
    permissions[pdf_name("/DocMDP")] = reference
    update.update_container(permissions)


def _grant(permission: int) -> DictionaryObject:
    """The signature's reference to what it allows (tables 256 and 257)."""
    parameters = {
        "/Type": pdf_name("/TransformParams"),
        "/V": pdf_name("/1.2"),
        "/P": NumberObject(permission),
    }
    granted = {
        "/Type": pdf_name("/SigRef"),
        "/TransformMethod": pdf_name("/DocMDP"),
        "/TransformParams": DictionaryObject({pdf_name(k): v for k, v in parameters.items()}),
    }
    return DictionaryObject({pdf_name(k): v for k, v in granted.items()})
