"""A seal that certifies its document: it says what may still be done to it (ISO 32000-2, 12.8.2.2).

Does NOT check whether it may: that is `rotation.sealing.pdf.policy`.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, IndirectObject, pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.signers.cms_embedder import docmdp_reference_dictionary

from rotation.sealing.pdf.objects import dictionary_at
from rotation.sealing.request import Certification

_PERMISSIONS: Final[Mapping[Certification, MDPPerm]] = {
    Certification.NO_CHANGES: MDPPerm.NO_CHANGES,
    Certification.FORM_FILLING: MDPPerm.FILL_FORMS,
    Certification.ANNOTATIONS: MDPPerm.ANNOTATE,
}


def certify(
    update: IncrementalPdfFileWriter,
    signature: DictionaryObject,
    reference: IndirectObject,
    certification: Certification,
) -> None:
    """Have ``signature``, which is at ``reference``, certify the document."""
    granted = docmdp_reference_dictionary(_PERMISSIONS[certification])
    signature[pdf_name("/Reference")] = ArrayObject([granted])
    permissions = dictionary_at(update.root, "/Perms")
    if permissions is None:
        permissions = DictionaryObject()
        update.root[pdf_name("/Perms")] = permissions
        update.update_root()
    permissions[pdf_name("/DocMDP")] = reference
    update.update_container(permissions)
