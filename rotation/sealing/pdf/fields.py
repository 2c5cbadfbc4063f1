"""The signature fields of a document: which one is signed, and how a new one is made.

Forms are read as viewers read them: an entry that is not a field is skipped, whatever it is.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Final

from pyhanko.pdf_utils.generic import (
    ArrayObject,
    DictionaryObject,
    IndirectObject,
    NumberObject,
    PdfObject,
    pdf_name,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from rotation.errors import InvalidRequestError, UnsupportedPdfError
from rotation.sealing.pdf.objects import (
    array_at,
    dictionary_at,
    get_value,
    integer_at,
    is_dictionary,
    is_name,
    text_at,
)
from rotation.sealing.pdf.pages import Page, all_pages
from rotation.sealing.pdf.signature_dictionary import signature_field

DEFAULT_FIELD_NAME: Final = "TrustedSignaturesSeal"
# No document that was looked at has as many, and each is read.
_MOST_PAGES_SEARCHED: Final = 10_000
_MOST_ANNOTATIONS_SEARCHED: Final = 10_000


@dataclass(frozen=True)
class SignatureField:
    """A signature field of the form.

    Attributes:
        name: the fully qualified name.
        dictionary: the field itself.
        reference: the reference to the field, or None if the field is a direct object.
        signature: the signature in the field, or None if the field is empty.
    """

    name: str
    dictionary: DictionaryObject
    reference: IndirectObject | None
    signature: DictionaryObject | None


@dataclass(frozen=True)
class SignedField:
    """A field that has been given a signature.

    Attributes:
        reference: the reference to the field.
        widget: the field's annotation on a page.
        is_new: whether the field is new.
    """

    reference: IndirectObject
    widget: DictionaryObject
    is_new: bool


def signature_fields(root: DictionaryObject) -> Iterator[SignatureField]:
    """Every signature field of the document, in the form's order."""
    for field, kind in _fields(root):
        if is_name(kind, "/Sig"):
            yield field


def fields_on_pages(root: DictionaryObject) -> Iterator[SignatureField]:
    """The signature fields that are annotations of pages, whether the form lists them or not.

    A form must list each of its fields (ISO 32000-2, 12.7.3), and some viewers show others too.
    Does NOT look past the first 10,000 pages and annotations, nor at what a field inherits.
    """
    annotations = (
        entry
        for page in all_pages(root, _MOST_PAGES_SEARCHED)
        for entry in array_at(page.dictionary, "/Annots")
    )
    for entry in islice(annotations, _MOST_ANNOTATIONS_SEARCHED):
        field = entry.get_object()
        if not is_dictionary(field) or not is_name(get_value(field, "/FT"), "/Sig"):
            continue
        name = text_at(field, "/T") or ""
        reference = entry if isinstance(entry, IndirectObject) else None
        yield SignatureField(name, field, reference, dictionary_at(field, "/V"))


def field_names(root: DictionaryObject) -> frozenset[str]:
    """The full name of every field of the form, those of groups of fields too."""
    return frozenset(field.name for field, _ in _fields(root))


def _fields(root: DictionaryObject) -> Iterator[tuple[SignatureField, PdfObject | None]]:
    """Every field with a name, as if it were a signature field, and its kind."""
    form = dictionary_at(root, "/AcroForm")
    if form is None:
        return
    seen: set[tuple[int, int]] = set()
    fields = reversed(array_at(form, "/Fields"))
    todo: list[tuple[PdfObject, str, PdfObject | None]] = [(field, "", None) for field in fields]
    while todo:
        entry, above, inherited = todo.pop()
        reference = entry if isinstance(entry, IndirectObject) else None
        if reference is not None:
            if (place := (reference.idnum, reference.generation)) in seen:
                continue
            seen.add(place)
        field = entry.get_object()
        if not is_dictionary(field):
            continue
        partial = text_at(field, "/T")
        name = ".".join(part for part in (above, partial) if part)
        kind = get_value(field, "/FT") or inherited
        # A kid without a name of its own is a widget of the field.
        if partial is not None:
            yield SignatureField(name, field, reference, dictionary_at(field, "/V")), kind
        kids = reversed(array_at(field, "/Kids"))
        todo += [(kid, name, kind) for kid in kids]


def choose_field_name(root: DictionaryObject, requested: str | None) -> str:
    """The name of the field to sign: the requested one, or our first default name that is free.

    Raises:
        InvalidRequestError: the requested field cannot be signed.
        UnsupportedPdfError: the requested field prescribes how it is to be signed, or is a direct
            object.
    """
    taken = _top_level_names(root)
    if requested is None:
        more = (f"{DEFAULT_FIELD_NAME}{number}" for number in count(2))
        names = chain([DEFAULT_FIELD_NAME], more)
        return next(name for name in names if name not in taken)
    for field in signature_fields(root):
        if field.name != requested:
            continue
        if get_value(field.dictionary, "/V"):
            raise InvalidRequestError(
                field="options.fieldName",
                problem=f"the document's field {requested} is signed already.",
            )
        if {"/SV", "/Lock"} & field.dictionary.keys():
            raise UnsupportedPdfError(
                f"The file's field {requested} prescribes how it is to be signed (seed values or a "
                "lock), which this function does not carry out. Name another field."
            )
        if field.reference is None:
            raise UnsupportedPdfError(
                f"The file's field {requested} is not an indirect object, and cannot be signed. "
                "Name another field."
            )
        return requested
    if requested in taken:
        raise InvalidRequestError(
            field="options.fieldName",
            problem=f"the document's field {requested} is not a signature field.",
        )
    if "." in requested:
        raise InvalidRequestError(
            field="options.fieldName",
            problem=f"the document has no signature field {requested}, and a new one cannot have a "
            "dot in its name.",
        )
    return requested


def put_signature(
    update: IncrementalPdfFileWriter, field_name: str, signature: IndirectObject, page: Page
) -> SignedField:
    """Put ``signature`` into the field of that name, which is made on ``page`` if it is missing."""
    existing = [field for field in signature_fields(update.root) if field.name == field_name]
    if existing and existing[0].reference is not None:
        found = existing[0].dictionary
        found[pdf_name("/V")] = signature
        update.mark_update(existing[0].reference)
        signed_field = SignedField(existing[0].reference, _widget_of(found), is_new=False)
    else:
        signed_field = _add_field(update, page, field_name, signature)
    _set_sig_flags(update)
    return signed_field


def _widget_of(field: DictionaryObject) -> DictionaryObject:
    """The widget of a field: the field itself, or its only kid (12.7.4.1)."""
    kids = [kid.get_object() for kid in array_at(field, "/Kids")]
    if "/Rect" not in field and len(kids) == 1 and is_dictionary(kids[0]):
        return kids[0]
    return field


def _set_sig_flags(update: IncrementalPdfFileWriter) -> None:
    """Set SignaturesExist and AppendOnly in the form (12.7.3)."""
    form = dictionary_at(update.root, "/AcroForm")
    # pyHanko removes NeedAppearances; without it viewers would show the other fields differently.
    if form is not None and (flags := integer_at(form, "/SigFlags") or 0) & 3 != 3:
        form[pdf_name("/SigFlags")] = NumberObject(flags | 3)
        update.update_container(form)


def _add_field(
    update: IncrementalPdfFileWriter, page: Page, name: str, signature: IndirectObject
) -> SignedField:
    field = signature_field(name, page.reference)
    field[pdf_name("/V")] = signature
    reference = update.add_object(field)
    root = update.root
    form = dictionary_at(root, "/AcroForm")
    if form is None:
        form = DictionaryObject()
        root[pdf_name("/AcroForm")] = update.add_object(form)
        update.update_root()
    append_to_array(update, form, "/Fields", reference)
    append_to_array(update, page.dictionary, "/Annots", reference)
    return SignedField(reference, field, is_new=True)


def append_to_array(
    update: IncrementalPdfFileWriter,
    dictionary: DictionaryObject,
    key: str,
    reference: IndirectObject,
) -> None:
    """Append to the array at ``key``; an array outside of the dictionary is replaced by a copy.

    Other dictionaries may refer to that array too, such as pages that share their annotations, and
    they must not change.
    """
    found = get_value(dictionary, key)
    entries = found.iterate() if isinstance(found, ArrayObject) else ()
    dictionary[pdf_name(key)] = ArrayObject([*entries, reference])
    update.update_container(dictionary)


def _top_level_names(root: DictionaryObject) -> set[str]:
    form = dictionary_at(root, "/AcroForm")
    fields = (entry.get_object() for entry in (array_at(form, "/Fields") if form else ()))
    return {name for field in fields if is_dictionary(field) and (name := text_at(field, "/T"))}
