"""Documents that were sealed and then extended: each kind of tail, over each kind of document.

A tail is written by pyHanko's writer, which shares none of our code that judges it, or byte by byte
where a writer would not write such a thing.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from io import BytesIO
from itertools import product
from typing import Any, Final

from asn1crypto import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.crypt import (
    StandardSecurityHandler,
    StandardSecuritySettingsRevision,
)
from pyhanko.pdf_utils.generic import (
    ArrayObject,
    BooleanObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NumberObject,
    Reference,
    StreamObject,
    TextStringObject,
    pdf_name,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PdfFileWriter, copy_into_new_writer
from pyhanko.sign.fields import SigFieldSpec, append_signature_field
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore

from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.request import Certification, SealOptions
from tests.sealing.pdfs import cms_over, pdf, signer_of

Writer = Any

_XMP: Final = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF "
    b"xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' "
    b"xmlns:xmp='http://ns.adobe.com/xap/1.0/'><xmp:CreatorTool>a tool</xmp:CreatorTool>"
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
_FORM: Final = {
    1: b"<< /Type /Catalog /Pages 2 0 R /Metadata 8 0 R "
    b"/AcroForm << /Fields [6 0 R 7 0 R] /DA (/Helv 0 Tf 0 g) >> >>",
    6: b"<< /FT /Sig /T (Here) /Type /Annot /Subtype /Widget /Rect [0 0 0 0] /P 3 0 R >>",
    7: b"<< /FT /Tx /T (Name) /V (somebody) /Type /Annot /Subtype /Widget /Rect [10 10 90 30] "
    b"/P 3 0 R >>",
    3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R "
    b"/Annots [6 0 R 7 0 R] >>",
    8: b"<< /Type /Metadata /Subtype /XML /Length %d >>\nstream\n%b\nendstream" % (len(_XMP), _XMP),
}


def _bookmarks() -> dict[int, bytes]:
    """A list of 1,000 bookmarks, each of which refers to the next."""
    first, count = 10, 1_000
    entries = {
        first + at: b"<< /Title (%d) /Parent 9 0 R /Dest [3 0 R /Fit]%b%b >>"
        % (
            at,
            b" /Prev %d 0 R" % (first + at - 1) if at else b"",
            b" /Next %d 0 R" % (first + at + 1) if at < count - 1 else b"",
        )
        for at in range(count)
    }
    return (
        entries
        | {
            1: b"<< /Type /Catalog /Pages 2 0 R /Outlines 9 0 R >>",
            9: b"<< /Type /Outlines /First %d 0 R /Last %d 0 R /Count %d >>"
            % (first, first + count - 1, count),
        }
        | dict.fromkeys((6, 7, 8), b"null")
    )


#: The documents that are sealed.
BASES: Final[dict[str, Callable[[], bytes]]] = {
    "plain": pdf,
    "form": lambda: pdf(_FORM),
    "page listed twice": lambda: pdf({2: b"<< /Type /Pages /Kids [3 0 R 3 0 R] /Count 2 >>"}),
    "bookmarks": lambda: pdf(_bookmarks()),
    "compressed": lambda: _rewritten(pdf(_FORM), "none", streams=True),
}
CERTIFICATIONS: Final[tuple[Certification | None, ...]] = (None, *Certification)
ENCRYPTIONS: Final = ("none", "AES-256", "RC4-128")


def _rewritten(document: bytes, encryption: str, *, streams: bool = False) -> bytes:
    writer: Writer = copy_into_new_writer(
        PdfFileReader(BytesIO(document), strict=False), writer_kwargs={"stream_xrefs": streams}
    )
    if encryption == "AES-256":
        writer.encrypt("the owner's", "", pdf_mac=False)
    elif encryption == "RC4-128":
        _encrypt_by_rc4(writer)
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


def _encrypt_by_rc4(writer: PdfFileWriter) -> None:
    handler = StandardSecurityHandler.build_from_pw_legacy(
        StandardSecuritySettingsRevision.RC4_OR_AES128,
        writer._document_id[0].original_bytes,
        "the owner's",
        "",
        keylen_bytes=16,
        use_aes128=False,
    )
    writer._assign_security_handler(handler)


@dataclass(frozen=True)
class Base:
    """A document, sealed in one way.

    Attributes:
        document: its name in `BASES`.
        certification: the level of the seal.
        encryption: one of `ENCRYPTIONS`; all open with the empty password.
    """

    document: str
    certification: Certification | None
    encryption: str

    def __str__(self) -> str:
        return f"{self.document}, {self.certification or 'not certified'}, {self.encryption}"


class Tails:
    """Makes tails, by one vendor's certificates.

    Args:
        pki: the vendor's certificates.
    """

    def __init__(self, pki: Pki) -> None:
        self.pki = pki
        self.signer = signer_of(pki.signer)
        self.sealed = cache(self._sealed)

    @cached_property
    def certificates(self) -> list[x509.Certificate]:
        each = (self.pki.root, self.pki.issuing, self.pki.signer)
        return [x509.Certificate.load(one.certificate.public_bytes(Encoding.DER)) for one in each]

    def _sealed(self, base: Base) -> bytes:
        document = BASES[base.document]()
        if base.encryption != "none":
            streams = base.document == "compressed"
            document = _rewritten(document, base.encryption, streams=streams)
        return self.seal(document, certify=base.certification)

    def seal(self, document: bytes, **options: Any) -> bytes:
        prepared = prepare(BytesIO(document), SealOptions(**options), datetime.now(UTC))
        return prepared.embed(cms_over(prepared.digest, self.signer))

    def stamp(self, document: bytes) -> bytes:
        """The document with a document timestamp."""
        tsa = signer_of(self.pki.tsa)
        authority = DummyTimeStamper(tsa.signing_cert, tsa.signing_key, tsa.cert_registry)
        stamped = PdfTimeStamper(authority).timestamp_pdf(writer_of(document), "sha256")
        return bytes(stamped.getvalue())

    def made(self, kind: str, base: Base) -> bytes:
        """The sealed document with a tail of that kind."""
        return KINDS[kind].make(self, self.sealed(base))


def writer_of(document: bytes) -> Writer:
    """A writer that appends to a document, encrypted or not."""
    writer: Writer = IncrementalPdfFileWriter(BytesIO(document), strict=False)
    if writer.prev.encrypted:
        writer.encrypt("")
    return writer


def written(writer: Writer) -> bytes:
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


@dataclass(frozen=True)
class Kind:
    """A kind of tail.

    Attributes:
        make: makes it, from a sealed document.
        allowed: the levels of certification that allow it; None stands for no certification.
        applies: the documents that it can be made of; empty: all.
        not_for: the levels of certification for which it cannot be made.
        plain: whether it is made of documents alone that are not encrypted.
    """

    make: Callable[[Tails, bytes], bytes]
    allowed: frozenset[Certification | None] = frozenset()
    applies: frozenset[str] = frozenset()
    not_for: frozenset[Certification | None] = frozenset()
    plain: bool = False


def _updated(change: Callable[[Writer], object]) -> Callable[[Tails, bytes], bytes]:
    """Makes a tail by one change with pyHanko's writer."""

    def make(_: Tails, document: bytes) -> bytes:
        writer = writer_of(document)
        change(writer)
        return written(writer)

    return make


def _dictionary(**entries: Any) -> DictionaryObject:
    return DictionaryObject({pdf_name(f"/{key}"): value for key, value in entries.items()})


def _numbers(*numbers: int) -> ArrayObject:
    return ArrayObject(map(NumberObject, numbers))


def _page(writer: Writer) -> Any:
    reference, _ = writer.find_page_for_modification(0)
    writer.mark_update(reference)
    return reference.get_object()


def _change_root(writer: Writer, key: str, value: Any) -> None:
    writer.root[pdf_name(key)] = value
    writer.update_root()


def _field(writer: Writer, name: str = "X", **entries: Any) -> Any:
    """Add a signature field that nobody signs."""
    append_signature_field(writer, SigFieldSpec(name, box=entries.pop("box", None)))
    form = writer.root["/AcroForm"]
    field = form["/Fields"][-1].get_object()
    for key, value in entries.items():
        field[pdf_name(f"/{key}")] = value
    return field


def _appearance(writer: Writer) -> DictionaryObject:
    stream = StreamObject(
        {
            pdf_name("/Type"): NameObject("/XObject"),
            pdf_name("/Subtype"): NameObject("/Form"),
            pdf_name("/BBox"): _numbers(0, 0, 200, 200),
        },
        stream_data=b"1 g 0 0 200 200 re f",
    )
    return _dictionary(N=writer.add_object(stream))


def _overlay(writer: Writer) -> None:
    _field(writer, box=(0, 0, 200, 200), AP=_appearance(writer))


def _script() -> DictionaryObject:
    return _dictionary(S=NameObject("/JavaScript"), JS=TextStringObject("app.alert(1)"))


def _field_with_action(writer: Writer) -> None:
    _field(writer, AA=_dictionary(E=_script()))


def _text_field(writer: Writer) -> Any:
    for entry in writer.root["/AcroForm"]["/Fields"]:
        field = entry.get_object()
        if "/T" in field and field["/T"] == "Name":
            writer.update_container(field)
            return field
    raise LookupError("Name")


def _fill(writer: Writer) -> None:
    _text_field(writer)[pdf_name("/V")] = TextStringObject("somebody else")


def _move_field(writer: Writer) -> None:
    _text_field(writer)[pdf_name("/Rect")] = _numbers(10, 10, 190, 190)


def _need_appearances(writer: Writer) -> None:
    form = writer.root["/AcroForm"]
    form[pdf_name("/NeedAppearances")] = BooleanObject(True)
    writer.update_container(form)
    writer.update_root()


def _metadata(writer: Writer) -> None:
    stream = StreamObject(
        {pdf_name("/Type"): NameObject("/Metadata"), pdf_name("/Subtype"): NameObject("/XML")},
        stream_data=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>another</x:xmpmeta>",
    )
    _change_root(writer, "/Metadata", writer.add_object(stream))


def _title(writer: Writer) -> None:
    writer.set_info(writer.add_object(_dictionary(Title=TextStringObject("Another title"))))


def _annotate(kind: str, **entries: Any) -> Callable[[Writer], None]:
    def change(writer: Writer) -> None:
        page = _page(writer)
        comment = _dictionary(
            Type=NameObject("/Annot"),
            Subtype=NameObject(kind),
            Rect=_numbers(20, 20, 60, 60),
            Contents=TextStringObject("a comment"),
            **entries,
        )
        listed = ArrayObject(page["/Annots"]) if "/Annots" in page else ArrayObject()
        page[pdf_name("/Annots")] = ArrayObject([*listed, writer.add_object(comment)])

    return change


def _replace_contents(writer: Writer) -> None:
    page = _page(writer)
    page[pdf_name("/Contents")] = writer.add_object(StreamObject(stream_data=b"0 0 99 99 re f"))


def _overwrite_contents(writer: Writer) -> None:
    contents = writer.find_page_for_modification(0)[0].get_object().raw_get("/Contents")
    stream = contents.get_object()
    stream._data = b"0 0 99 99 re f"
    stream._encoded_data = None
    writer.mark_update(contents)


def _rotate(writer: Writer) -> None:
    _page(writer)[pdf_name("/Rotate")] = NumberObject(90)


def _add_page(writer: Writer) -> None:
    pages = writer.root.raw_get("/Pages")
    tree = pages.get_object()
    page = _dictionary(Type=NameObject("/Page"), Parent=pages, MediaBox=_numbers(0, 0, 9, 9))
    tree[pdf_name("/Kids")] = ArrayObject([*tree["/Kids"], writer.add_object(page)])
    tree[pdf_name("/Count")] = NumberObject(int(tree["/Count"]) + 1)
    writer.mark_update(pages)


def _rewrite_catalog(writer: Writer) -> None:
    writer.update_root()


def _store(tails: Tails, document: bytes) -> bytes:
    writer = writer_of(document)
    DocumentSecurityStore.supply_dss_in_writer(
        writer, b"contents", certs=tails.certificates, ocsps=[], crls=[]
    )
    return written(writer)


def _own_store(*, certificate: bool = True, **entries: Any) -> Callable[[Tails, bytes], bytes]:
    """A DSS that is not as it must be."""

    def make(tails: Tails, document: bytes) -> bytes:
        writer = writer_of(document)
        held = tails.certificates[0].dump() if certificate else b"no certificate"
        stream: IndirectObject = writer.add_object(StreamObject(stream_data=held))
        store = _dictionary(Type=NameObject("/DSS"), Certs=ArrayObject([stream]))
        for key, value in entries.items():
            store[pdf_name(f"/{key}")] = value
        _change_root(writer, "/DSS", writer.add_object(store))
        return written(writer)

    return make


def _forged_stamp(tails: Tails, document: bytes) -> bytes:
    """A document timestamp whose authority's signature is not right."""
    stamped = bytearray(tails.stamp(document))
    start = stamped.index(b"/Contents <", len(document))
    end = stamped.index(b">", start)
    filled = len(bytes(stamped[start:end]).rstrip(b"0"))
    at = start + filled - 20
    stamped[at] = ord("1") if stamped[at] == ord("0") else ord("0")
    return bytes(stamped)


def _appended(tail: bytes) -> Callable[[Tails, bytes], bytes]:
    return lambda _, document: document + tail


def _untabled(_: Tails, document: bytes) -> bytes:
    """Objects that replace others, and a table that does not name them."""
    start = document.rindex(b"startxref")
    previous = document[start:].split()[1]
    trailer = re.sub(rb"/Prev\s+\d+", b"", document[document.rindex(b"trailer") : start])
    objects = b"4 0 obj\n<< /Length 14 >>\nstream\n0 0 99 99 re f\nendstream\nendobj\n"
    table = b"xref\n0 0\n" + trailer.replace(b"<<", b"<< /Prev %b" % previous, 1)
    at = len(document) + len(objects)
    return document + objects + table + b"startxref\n%d\n%%%%EOF\n" % at


def _page_again(
    change: Callable[[bytes], bytes] = lambda page: page,
    *,
    header: bytes = b"3 0 obj\n",
    startxref: int = 0,
    prev: int = 0,
) -> Callable[[Tails, bytes], bytes]:
    """The page is written again, byte by byte, in a form that viewers read in different ways."""

    def make(_: Tails, document: bytes) -> bytes:
        start = document.rindex(b"startxref")
        previous = int(document[start:].split()[1])
        trailer = re.sub(rb"/Prev\s+\d+", b"", document[document.rindex(b"trailer") : start])
        trailer = trailer.replace(b"<<", b"<< /Prev %d" % (previous + prev), 1)
        page = header + change(_as_written(document, 3)) + b"\nendobj\n"
        table = b"xref\n3 1\n%010d 00000 n \n" % len(document) + trailer
        at = len(document) + len(page) + startxref
        return document + page + table + b"startxref\n%d\n%%%%EOF\n" % at

    return make


def _as_written(document: bytes, number: int) -> bytes:
    """An object without texts, as bytes."""
    output = BytesIO()
    reader: Any = PdfFileReader(BytesIO(document), strict=False)
    if reader.encrypted:
        reader.decrypt("")
    reader.get_object(Reference(number, 0, reader)).write_to_stream(output, None)
    return output.getvalue().rstrip()


def _first(entries: bytes) -> Callable[[bytes], bytes]:
    """The dictionary with these entries before its own."""
    return lambda dictionary: b"<< " + entries + dictionary[2:]


def _twice_in_a_stream(_: Tails, document: bytes) -> bytes:
    """An object stream with two pages of one number, of which the table names the first."""
    page = _as_written(document, 3)
    bodies = [page, _first(b"/Rotate 90 ")(page)]
    head = b"3 0 3 %d " % (len(bodies[0]) + 1)
    data = head + b" ".join(bodies)
    at = len(document)
    document += (
        b"900 0 obj\n<< /Type /ObjStm /N 2 /First %d /Length %d >>\nstream\n%b\nendstream\nendobj\n"
        % (len(head), len(data), data)
    )
    rows = [(2, 900, 0), (1, at, 0), (1, len(document), 0)]
    table = b"".join(
        bytes([form]) + one.to_bytes(4, "big") + bytes([two]) for form, one, two in rows
    )
    start = document.rindex(b"startxref", 0, at)
    trailer = document[document.rindex(b"trailer", 0, at) : start]
    [root, info] = [re.search(rb"/%b \d+ 0 R" % name, trailer) for name in (b"Root", b"Info")]
    entries = b" ".join(found[0] for found in (root, info) if found is not None)
    return document + (
        b"901 0 obj\n<< /Type /XRef /W [1 4 1] /Index [3 1 900 2] /Size 902 %b /Prev %b "
        b"/Length %d >>\nstream\n%b\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n"
        % (entries, document[start:].split()[1], len(table), table, len(document))
    )


def _letters_in_the_gap(_: Tails, document: bytes) -> bytes:
    """Letters where no signature covers the file, after the signature's own value."""
    start = document.rindex(b"0" * 1000)
    return document[:start] + b"xyz" + document[start + 3 :]


def _fill_by_the_page(writer: Writer) -> None:
    """A field is filled in, and what shows its value is the page's contents too."""
    _fill(writer)
    contents = writer.find_page_for_modification(0)[0].get_object().raw_get("/Contents")
    _text_field(writer)[pdf_name("/AP")] = _dictionary(N=contents)
    _overwrite_contents(writer)


def _second_seal(tails: Tails, document: bytes) -> bytes:
    return tails.seal(document)


def _filled_and_sealed(tails: Tails, document: bytes) -> bytes:
    return tails.seal(_updated(_fill)(tails, document))


_ANY: Final = frozenset(CERTIFICATIONS)
_FORMS: Final = frozenset({"form", "compressed"})
_FILLING: Final = frozenset({Certification.FORM_FILLING, Certification.ANNOTATIONS})
_NO_CHANGES: Final = frozenset({Certification.NO_CHANGES})
_CLASSIC: Final = frozenset(BASES) - {"compressed"}

#: What came after the seal, by name.
KINDS: Final[dict[str, Kind]] = {
    "nothing": Kind(lambda _, document: document, _ANY),
    "validation data": Kind(_store, _ANY),
    "document timestamp": Kind(lambda tails, document: tails.stamp(document), _ANY),
    "validation data and document timestamp": Kind(
        lambda tails, document: tails.stamp(_store(tails, document)), _ANY
    ),
    "second seal": Kind(_second_seal, _ANY - _NO_CHANGES, not_for=_NO_CHANGES),
    "form filled in": Kind(_updated(_fill), _FILLING, _FORMS),
    "form filled in and sealed": Kind(
        _filled_and_sealed, _ANY - _NO_CHANGES, _FORMS, not_for=_NO_CHANGES
    ),
    "comment": Kind(_updated(_annotate("/Text")), frozenset({Certification.ANNOTATIONS})),
    "link": Kind(_updated(_annotate("/Link", A=_script()))),
    "empty field": Kind(_updated(_field)),
    "field with an action": Kind(
        _updated(lambda writer: _field(writer, AA=_dictionary(E=_script())))
    ),
    "unsigned field over the page": Kind(_updated(_overlay)),
    "form field moved": Kind(_updated(_move_field), applies=_FORMS),
    "NeedAppearances": Kind(_updated(_need_appearances)),
    "new XMP": Kind(_updated(_metadata)),
    "new Info": Kind(_updated(_title)),
    "dates alone": Kind(_updated(_rewrite_catalog)),
    "unreferenced stream": Kind(
        _updated(lambda writer: writer.add_object(StreamObject(stream_data=b"hidden")))
    ),
    "page's contents exchanged": Kind(_updated(_replace_contents)),
    "page's contents overwritten": Kind(_updated(_overwrite_contents)),
    "page rotated": Kind(_updated(_rotate)),
    "page added": Kind(_updated(_add_page)),
    "script when opened": Kind(
        _updated(lambda writer: _change_root(writer, "/OpenAction", _script()))
    ),
    "validation data without a certificate": Kind(_own_store(Certs=ArrayObject())),
    "validation data that is none": Kind(_own_store(certificate=False)),
    "validation data with a foreign entry": Kind(_own_store(OpenAction=_script())),
    "forged document timestamp": Kind(_forged_stamp),
    "comment of the file format": Kind(_appended(b"% a comment\n")),
    "bytes at the end": Kind(_appended(b"more")),
    "line end at the end": Kind(_appended(b"\n")),
    "object after the end": Kind(_appended(b"4 0 obj\n<< >>\nendobj\n")),
    "objects that no table names": Kind(_untabled, applies=_CLASSIC),
    "page's number malformed": Kind(
        _page_again(_first(b"/Rotate 9-0 ")), applies=_CLASSIC, plain=True
    ),
    "page's key twice": Kind(
        _page_again(_first(b"/Rotate 90 /Rotate 0 ")), applies=_CLASSIC, plain=True
    ),
    "page of another generation": Kind(
        _page_again(_first(b"/Rotate 90 "), header=b"3 7 obj\n"), applies=_CLASSIC, plain=True
    ),
    "startxref beside the table": Kind(_page_again(startxref=1), applies=_CLASSIC, plain=True),
    "Prev beside the table": Kind(_page_again(prev=-5), applies=_CLASSIC, plain=True),
    "page twice in an object stream": Kind(_twice_in_a_stream, applies=_CLASSIC, plain=True),
    "letters in the gap": Kind(_letters_in_the_gap, applies=_CLASSIC, plain=True),
    "form filled in by the page's contents": Kind(_updated(_fill_by_the_page), applies=_FORMS),
    "page's contents exchanged, then timestamped": Kind(
        lambda tails, document: tails.stamp(_updated(_replace_contents)(tails, document))
    ),
    "empty field, then timestamped": Kind(
        lambda tails, document: tails.stamp(_updated(_field)(tails, document))
    ),
    "comment of the file format, then timestamped": Kind(
        lambda tails, document: tails.stamp(document + b"% a comment\n")
    ),
}


def combinations() -> Iterator[tuple[str, Base]]:
    """Every tail that can be made."""
    for name, document, certification, encryption in product(
        KINDS, BASES, CERTIFICATIONS, ENCRYPTIONS
    ):
        kind = KINDS[name]
        if kind.applies and document not in kind.applies:
            continue
        if kind.plain and encryption != "none":
            continue
        if certification not in kind.not_for:
            yield name, Base(document, certification, encryption)
