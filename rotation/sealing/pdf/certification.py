"""What earlier signatures allow, and how a seal certifies: DocMDP and FieldMDP.

pyHanko checks none of this when it embeds a signature.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pyhanko.pdf_utils.generic import (
    ArrayObject,
    DictionaryObject,
    IndirectObject,
    NumberObject,
    pdf_name,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfReadError

from rotation.errors import CertifiedPdfError, InvalidRequestError, UnsupportedPdfError
from rotation.sealing.pdf.fields import SignatureField, signature_fields
from rotation.sealing.pdf.objects import (
    array_at,
    dictionary_at,
    integer_at,
    is_dictionary,
    same,
    text_of,
    value,
)
from rotation.sealing.request import Certification

# The entry P of table 257.
_GRANTS: Final[Mapping[Certification, int]] = {
    Certification.NO_CHANGES: 1,
    Certification.FORM_FILLING: 2,
    Certification.ANNOTATIONS: 3,
}
# The lowest permission of DocMDP (ISO 32000-2, table 257).
_NO_CHANGES: Final = 1
#: Where the catalog's Perms keeps signatures (ISO 32000-2, 12.8.6, and PDF 1.5's usage rights).
_PERMISSIONS: Final = ("/DocMDP", "/UR3", "/UR")


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


def refuse_late_certification(root: DictionaryObject) -> None:
    """Refuse to certify what is signed: only the first signature may (ISO 32000-2, 12.8.2.2.1).

    Raises:
        InvalidRequestError: the document bears a signature, of whatever kind.
    """
    signed = [field.name for field in signature_fields(root) if value(field.dictionary, "/V")]
    permissions = dictionary_at(root, "/Perms")
    # One that grants usage rights (12.8.2.3) is in no field.
    if permissions is not None:
        signed += [key for key in _PERMISSIONS if dictionary_at(permissions, key)]
    if signed:
        raise InvalidRequestError(
            field="options.certify",
            problem=f"the document bears a signature already ({signed[0]}), and only the first one "
            "can certify a document (DocMDP). Leave the option out, or certify a copy that nobody "
            "has signed.",
        )


def refuse_new_sight(root: DictionaryObject) -> None:
    """Refuse a new visible field in a certified document.

    DocMDP allows signing, and strict validators take a new thing to be seen for more than that.

    Raises:
        InvalidRequestError: the document is certified.
    """
    permissions = dictionary_at(root, "/Perms")
    certification = dictionary_at(permissions, "/DocMDP") if permissions else None
    signatures = [certification, *(field.signature for field in signature_fields(root))]
    if any(_certifies(signature) for signature in signatures if signature):
        raise InvalidRequestError(
            field="options.visible",
            problem="the document is certified (DocMDP), and a new visible field would break that "
            "in strict validators. Name an empty signature field of the document, or leave the "
            "visible seal out.",
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
            if parameters and _locks(parameters, field_name):
                raise UnsupportedPdfError(
                    f"The file's signature {field.name} locks the field {field_name} (FieldMDP): "
                    "a seal would break it."
                )


def certify(
    update: IncrementalPdfFileWriter,
    signature: DictionaryObject,
    reference: IndirectObject,
    certification: Certification,
) -> None:
    """Have ``signature``, which is at ``reference``, certify the document."""
    signature[pdf_name("/Reference")] = ArrayObject([_grant(_GRANTS[certification])])
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


def _freezes(signature: DictionaryObject | None) -> bool:
    return signature is not None and any(
        _no_changes(dictionary_at(reference, "/TransformParams"))
        for reference in _certifications(signature)
    )


def _certifies(signature: DictionaryObject) -> bool:
    return any(True for _ in _certifications(signature))


def _certifications(signature: DictionaryObject) -> Iterator[DictionaryObject]:
    for reference in _dictionaries(signature):
        if same(value(reference, "/TransformMethod"), "/DocMDP"):
            yield reference


def _references(field: SignatureField) -> Iterator[DictionaryObject]:
    if field.signature:
        yield from _dictionaries(field.signature)


def _dictionaries(signature: DictionaryObject) -> Iterator[DictionaryObject]:
    for entry in array_at(signature, "/Reference"):
        reference = entry.get_object()
        if is_dictionary(reference):
            yield reference


def _no_changes(parameters: DictionaryObject | None) -> bool:
    return parameters is not None and integer_at(parameters, "/P") == _NO_CHANGES


def _locks(parameters: DictionaryObject, field_name: str) -> bool:
    """Whether parameters of FieldMDP lock the field (ISO 32000-2, table 258)."""
    action = value(parameters, "/Action")
    named = {text_of(field.get_object()) for field in array_at(parameters, "/Fields")}
    # A field stands for those beneath it.
    within = any(name and f"{field_name}.".startswith(f"{name}.") for name in named)
    if same(action, "/All"):
        return True
    if same(action, "/Include"):
        return within
    if same(action, "/Exclude"):
        return not within
    raise PdfReadError("FieldMDP without an action")
