"""DocMDP and FieldMDP: what earlier signatures forbid, and how a seal certifies a document.

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
    PdfObject,
    pdf_name,
    pdf_string,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfReadError

from rotation.errors import CertifiedPdfError, InvalidRequestError, UnsupportedPdfError
from rotation.privacy.printable import outside_text
from rotation.sealing.pdf.fields import SignedField, field_names, signature_fields
from rotation.sealing.pdf.objects import (
    array_at,
    as_text,
    dictionary_at,
    get_value,
    integer_at,
    is_dictionary,
    is_name,
)
from rotation.sealing.request import ALL, Certification

#: The entry P of the transform parameters (ISO 32000-2, table 257).
_PERMISSIONS: Final[Mapping[Certification, int]] = {
    Certification.NO_CHANGES: 1,
    Certification.FORM_FILLING: 2,
    Certification.ANNOTATIONS: 3,
}
#: Where the catalog's Perms keeps signatures (ISO 32000-2, 12.8.6, and PDF 1.5's usage rights).
_SIGNATURES_IN_PERMS: Final = ("/DocMDP", "/UR3", "/UR")


def refuse_if_no_changes_allowed(root: DictionaryObject) -> None:
    """Refuse a document that allows no changes at all (DocMDP, ISO 32000-2, 12.8.2.2).

    Raises:
        CertifiedPdfError: a signature of the document allows no changes.
    """
    granted = [
        parameters
        for signature in _signatures(root)
        for parameters in _transform_parameters(signature, "/DocMDP")
    ]
    # PDF 2.0 lets the lock of an ordinary signature's field forbid changes too (12.7.5.5).
    granted += [
        dictionary_at(field.dictionary, "/Lock")
        for field in signature_fields(root)
        if field.signature
    ]
    no_changes = _PERMISSIONS[Certification.NO_CHANGES]
    if any(found is not None and integer_at(found, "/P") == no_changes for found in granted):
        raise CertifiedPdfError(
            "The file bears a signature that allows no changes at all (DocMDP, P=1): a seal would "
            "break it."
        )


def refuse_certifying_signed(root: DictionaryObject) -> None:
    """Refuse to certify a signed document (ISO 32000-2, 12.8.2.2.1).

    Raises:
        InvalidRequestError: the document bears a signature, of whatever kind.
    """
    signed = [field.name for field in signature_fields(root) if get_value(field.dictionary, "/V")]
    permissions = dictionary_at(root, "/Perms")
    # A signature that grants usage rights (12.8.2.3) is in no field.
    if permissions is not None:
        signed += [key for key in _SIGNATURES_IN_PERMS if dictionary_at(permissions, key)]
    if signed:
        raise InvalidRequestError(
            field="options.certify",
            problem=f"the document bears a signature already ({outside_text(signed[0])}), and only "
            "the first one can certify a document (DocMDP). Leave the option out, or certify a "
            "copy that nobody has signed.",
        )


def refuse_visible_if_certified(root: DictionaryObject) -> None:
    """Refuse a new visible field in a certified document.

    DocMDP allows signing, but strict validators do not count a new visible field as signing.

    Raises:
        InvalidRequestError: the document is certified.
    """
    if any(list(_transform_parameters(found, "/DocMDP")) for found in _signatures(root)):
        raise InvalidRequestError(
            field="options.visible",
            problem="the document is certified (DocMDP), and a new visible field would break that "
            "in strict validators. Name an empty signature field of the document, or leave the "
            "visible seal out.",
        )


def refuse_locked_field(root: DictionaryObject, field_name: str) -> None:
    """Refuse a field that an earlier signature locks (FieldMDP, ISO 32000-2, 12.8.2.4).

    Raises:
        UnsupportedPdfError: a signature locks the field.
    """
    for field in signature_fields(root):
        for parameters in _transform_parameters(field.signature, "/FieldMDP"):
            if parameters and _locks(parameters, field_name):
                raise UnsupportedPdfError(
                    f"The file's signature {outside_text(field.name)} locks the field {field_name} "
                    "(FieldMDP): a seal would break it."
                )


def certify(
    update: IncrementalPdfFileWriter,
    signature: DictionaryObject,
    reference: IndirectObject,
    certification: Certification,
) -> None:
    """Make ``signature``, which ``reference`` points to, certify the document."""
    signature[pdf_name("/Reference")] = ArrayObject(
        [_docmdp_reference(_PERMISSIONS[certification])]
    )
    permissions = dictionary_at(update.root, "/Perms")
    if permissions is None:
        permissions = DictionaryObject()
        update.root[pdf_name("/Perms")] = permissions
        update.update_root()
    permissions[pdf_name("/DocMDP")] = reference
    update.update_container(permissions)


def lock_fields(
    update: IncrementalPdfFileWriter,
    signature: DictionaryObject,
    signed_field: SignedField,
    lock: tuple[str, ...],
) -> None:
    """Have ``signature`` forbid changes of fields (FieldMDP, ISO 32000-2, 12.8.2.4).

    A new field also gets the entry Lock, which says the same (12.7.5.5).

    Raises:
        InvalidRequestError: the form has no field of one of the names.
    """
    missing = [name for name in lock if name != ALL and name not in field_names(update.root)]
    if missing:
        raise InvalidRequestError(
            field="options.lock", problem=f"the document has no form field {missing[0]}."
        )
    fields = ArrayObject(pdf_string(name) for name in lock)
    named: dict[str, PdfObject] = {"/Action": pdf_name("/All")}
    if ALL not in lock:
        named = {"/Action": pdf_name("/Include"), "/Fields": fields}
    root = update.root_ref
    reference = {
        "/Type": pdf_name("/SigRef"),
        "/TransformMethod": pdf_name("/FieldMDP"),
        "/TransformParams": _dictionary(
            {"/Type": pdf_name("/TransformParams"), "/V": pdf_name("/1.2"), **named}
        ),
        # Table 256: what the changes are looked for in.
        "/Data": IndirectObject(root.idnum, root.generation, update),
    }
    before = array_at(signature, "/Reference")
    signature[pdf_name("/Reference")] = ArrayObject([*before, _dictionary(reference)])
    if signed_field.is_new:
        locked = _dictionary({"/Type": pdf_name("/SigFieldLock"), **named})
        signed_field.widget[pdf_name("/Lock")] = update.add_object(locked)


def _dictionary(entries: Mapping[str, PdfObject]) -> DictionaryObject:
    return DictionaryObject({pdf_name(key): value for key, value in entries.items()})


def _docmdp_reference(permission: int) -> DictionaryObject:
    """The signature reference dictionary that grants ``permission`` (tables 256 and 257)."""
    parameters = {
        "/Type": pdf_name("/TransformParams"),
        "/V": pdf_name("/1.2"),
        "/P": NumberObject(permission),
    }
    reference = {
        "/Type": pdf_name("/SigRef"),
        "/TransformMethod": pdf_name("/DocMDP"),
        "/TransformParams": DictionaryObject({pdf_name(k): v for k, v in parameters.items()}),
    }
    return DictionaryObject({pdf_name(k): v for k, v in reference.items()})


def _signatures(root: DictionaryObject) -> Iterator[DictionaryObject | None]:
    """The signature that the catalog names as its certification, and those in the fields."""
    permissions = dictionary_at(root, "/Perms")
    if permissions:
        yield dictionary_at(permissions, "/DocMDP")
    yield from (field.signature for field in signature_fields(root))


def _transform_parameters(
    signature: DictionaryObject | None, method: str
) -> Iterator[DictionaryObject | None]:
    """The parameters of each signature reference with that transform method (table 256)."""
    for entry in array_at(signature, "/Reference") if signature else ():
        reference = entry.get_object()
        if is_dictionary(reference) and is_name(get_value(reference, "/TransformMethod"), method):
            yield dictionary_at(reference, "/TransformParams")


def _locks(parameters: DictionaryObject, field_name: str) -> bool:
    """Whether parameters of FieldMDP lock the field (ISO 32000-2, table 258)."""
    action = get_value(parameters, "/Action")
    if is_name(action, "/All"):
        return True
    named = {as_text(field.get_object()) for field in array_at(parameters, "/Fields")}
    # The name of a field also stands for all fields below it.
    is_named = any(name and f"{field_name}.".startswith(f"{name}.") for name in named)
    if is_name(action, "/Include"):
        return is_named
    if is_name(action, "/Exclude"):
        return not is_named
    raise PdfReadError("FieldMDP without an action")
