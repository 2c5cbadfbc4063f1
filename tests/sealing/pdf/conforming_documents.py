"""Documents that keep the rules of PDF/A and PDF/UA: what a seal must not break."""

from __future__ import annotations

from tests.sealing.pdfs import pdf

_XMP = (
    "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>"
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
    "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>{}</rdf:RDF></x:xmpmeta>"
    "<?xpacket end='w'?>"
)
_DESCRIPTION = "<rdf:Description rdf:about='' {}>{}</rdf:Description>"
_TITLE = _DESCRIPTION.format(
    "xmlns:dc='http://purl.org/dc/elements/1.1/'",
    "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>An inspection</rdf:li></rdf:Alt></dc:title>",
)
_INFO = b"<< /Title (An inspection) >>"
_EMPTY = b"<< /Length 0 >>\nstream\n\nendstream"


def _metadata(standard: str, properties: str) -> bytes:
    claim = _DESCRIPTION.format(
        f"xmlns:pdf{standard}id='http://www.aiim.org/pdf{standard}/ns/id/'", properties
    )
    content = _XMP.format(claim + _TITLE).encode()
    return b"<< /Type /Metadata /Subtype /XML /Length %d >>\nstream\n%b\nendstream" % (
        len(content),
        content,
    )


def pdf_a(part: int, *, page: bytes = b"") -> bytes:
    """A PDF/A of that part, level B (ISO 19005); its page has the entries ``page`` too."""
    level = "" if part == 4 else "<pdfaid:conformance>B</pdfaid:conformance>"
    revision = "<pdfaid:rev>2020</pdfaid:rev>" if part == 4 else ""
    document = pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R /Metadata 6 0 R >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R "
            b"/Resources << >> " + page + b" >>",
            4: _EMPTY,
            5: _INFO,
            6: _metadata("a", f"<pdfaid:part>{part}</pdfaid:part>{level}{revision}"),
        }
    )
    version = {1: b"%PDF-1.4", 4: b"%PDF-2.0"}.get(part, b"%PDF-1.7")
    identity = b"/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]"
    if part == 4:  # which has no Info (ISO 19005-4, 6.1.3)
        document = document.replace(b"/Info 5 0 R", b"")
    document = document.replace(b"/Root 1 0 R", b"/Root 1 0 R " + identity)
    return version + document.removeprefix(b"%PDF-1.7")


#: Structure trees that tagging programs write: objects 7 and above.
ONE_DOCUMENT = {
    7: b"<< /Type /StructTreeRoot /K [8 0 R] /ParentTree 9 0 R /ParentTreeNextKey 1 >>",
    8: b"<< /Type /StructElem /S /Document /P 7 0 R /K [10 0 R] >>",
    9: b"<< /Nums [0 [10 0 R]] >>",
    10: b"<< /Type /StructElem /S /P /P 8 0 R /Pg 3 0 R /K 0 >>",
}
STRUCTURES = {
    "a document with many elements": ONE_DOCUMENT,
    "a single element, no array": ONE_DOCUMENT
    | {
        7: b"<< /Type /StructTreeRoot /K 8 0 R /ParentTree 9 0 R >>",
        8: b"<< /Type /StructElem /S /Document /P 7 0 R /K 10 0 R >>",
    },
    "several elements at the top": ONE_DOCUMENT
    | {
        7: b"<< /Type /StructTreeRoot /K [8 0 R 10 0 R] /ParentTree 9 0 R /ParentTreeNextKey 1 >>",
        8: b"<< /Type /StructElem /S /Sect /P 7 0 R >>",
        10: b"<< /Type /StructElem /S /P /P 7 0 R /Pg 3 0 R /K 0 >>",
    },
    "a parent tree of several nodes": ONE_DOCUMENT
    | {
        9: b"<< /Kids [11 0 R 12 0 R] >>",
        11: b"<< /Limits [0 0] /Nums [0 [10 0 R]] >>",
        12: b"<< /Limits [5 7] /Nums [5 null 7 null] >>",
    },
    "a next key that is too small": ONE_DOCUMENT | {9: b"<< /Nums [0 [10 0 R] 41 null] >>"},
    "the namespace of PDF 2.0": ONE_DOCUMENT
    | {
        7: b"<< /Type /StructTreeRoot /K [8 0 R] /ParentTree 9 0 R /Namespaces [11 0 R] >>",
        8: b"<< /Type /StructElem /S /Document /P 7 0 R /NS 11 0 R /K [10 0 R] >>",
        11: b"<< /Type /Namespace /NS (http://iso.org/pdf2/ssn) >>",
    },
}


def pdf_ua(part: int = 1, *, structure: dict[int, bytes] | None = None, page: bytes = b"") -> bytes:
    """A tagged document of one paragraph (ISO 14289); its page has the entries ``page`` too."""
    revision = "<pdfuaid:rev>2024</pdfuaid:rev>" if part == 2 else ""
    text = b"/P <</MCID 0>> BDC 10 10 50 50 re f EMC"
    document = pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R /Metadata 6 0 R /MarkInfo << /Marked true >> "
            b"/Lang (en) /ViewerPreferences << /DisplayDocTitle true >> /StructTreeRoot 7 0 R >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [-50 -50 200 200] /Contents 4 0 R "
            b"/StructParents 0 " + page + b" >>",
            4: b"<< /Length %d >>\nstream\n%b\nendstream" % (len(text), text),
            5: _INFO,
            6: _metadata("ua", f"<pdfuaid:part>{part}</pdfuaid:part>{revision}"),
            **(ONE_DOCUMENT if structure is None else structure),
        }
    )
    return (b"%PDF-2.0" if part == 2 else b"%PDF-1.7") + document.removeprefix(b"%PDF-1.7")
