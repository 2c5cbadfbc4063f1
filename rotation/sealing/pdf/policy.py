"""What may not be sealed, although it can be read: promises that a seal would break.

pyHanko's embedder checks none of this.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyhanko.pdf_utils.generic import DictionaryObject
from pyhanko.sign.fields import FieldMDPSpec, MDPPerm

from rotation.errors import CertifiedPdfError, UnsupportedPdfError
from rotation.sealing.pdf.fields import SignatureField, signature_fields
from rotation.sealing.pdf.objects import array_at, dictionary_at, integer_at, same, value


def refuse_frozen(root: DictionaryObject) -> None:
    """Refuse a document that allows no changes at all (DocMDP, ISO 32000-2, 12.8.2.2).

    Raises:
        CertifiedPdfError: it bears such a signature.
    """
    permissions = dictionary_at(root, "/Perms")
    certification = dictionary_at(permissions, "/DocMDP") if permissions else None
    signed = [field for field in signature_fields(root) if field.signature]
    frozen = any(_freezes(found) for found in [certification, *(f.signature for f in signed)])
    # PDF 2.0 lets an ordinary signature do the same, by its field's lock (12.7.5.5).
    frozen |= any(_no_changes(dictionary_at(field.dictionary, "/Lock")) for field in signed)
    if frozen:
        raise CertifiedPdfError(
            "The file bears a signature that allows no changes at all (DocMDP, P=1): a seal would "
            "break it."
        )


def refuse_locked(root: DictionaryObject, field_name: str) -> None:
    """Refuse a field that an earlier signature locks (FieldMDP, ISO 32000-2, 12.8.2.4).

    Raises:
        UnsupportedPdfError: a signature locks it.
    """
    for field in signature_fields(root):
        for reference in _references(field):
            if not same(value(reference, "/TransformMethod"), "/FieldMDP"):
                continue
            parameters = dictionary_at(reference, "/TransformParams")
            if parameters and FieldMDPSpec.from_pdf_object(parameters).is_locked(field_name):
                raise UnsupportedPdfError(
                    f"The file's signature {field.name} locks the field {field_name} (FieldMDP): "
                    "a seal would break it."
                )


def _freezes(signature: DictionaryObject | None) -> bool:
    return signature is not None and any(
        same(value(reference, "/TransformMethod"), "/DocMDP")
        and _no_changes(dictionary_at(reference, "/TransformParams"))
        for reference in _dictionaries(signature)
    )


def _references(field: SignatureField) -> Iterator[DictionaryObject]:
    if field.signature:
        yield from _dictionaries(field.signature)


def _dictionaries(signature: DictionaryObject) -> Iterator[DictionaryObject]:
    for entry in array_at(signature, "/Reference"):
        reference = entry.get_object()
        if isinstance(reference, DictionaryObject):
            yield reference


def _no_changes(parameters: DictionaryObject | None) -> bool:
    return parameters is not None and integer_at(parameters, "/P") == MDPPerm.NO_CHANGES.value
