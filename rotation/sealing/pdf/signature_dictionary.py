"""Builds an empty signature dictionary and its field (ISO 32000-2, 12.8 and 12.7).

pyHanko has both in its package for signing, which takes longer to import than sealing a document
takes. Little of that package is needed here.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import IO, Any, Final

from pyhanko.pdf_utils.generic import (
    ArrayObject,
    DictionaryObject,
    IndirectObject,
    NumberObject,
    PdfObject,
    pdf_date,
    pdf_name,
    pdf_string,
)

from rotation import __version__
from rotation.sealing.request import SealOptions

# Room for four numbers of 16 digits, brackets included.
_BYTE_RANGE: Final = 72
# Flags of an annotation (12.5.3): it is printed, and it cannot be removed.
_PRINTED: Final = 4
_LOCKED: Final = 128


class SubFilter(StrEnum):
    """What kind of CMS a signature dictionary announces (ISO 32000-2, table 260)."""

    #: A CMS as PAdES demands it (12.8.3.4).
    PADES = "ETSI.CAdES.detached"
    #: Any detached CMS (12.8.3.3).
    PKCS7 = "adbe.pkcs7.detached"


class ContentsPlaceholder(PdfObject):
    """The entry Contents: a hexadecimal string of zeros, which is never encrypted (7.6.2).

    Attributes:
        offsets: where it begins and ends in the stream that it was written to, brackets included.
    """

    def __init__(self, reserve: int) -> None:
        self._reserve = reserve
        self.offsets = 0, 0

    def write_to_stream(self, stream: IO[bytes], *_: Any, **__: Any) -> None:
        """Write the string, and remember its position."""
        start = stream.tell()
        stream.write(b"<" + b"00" * self._reserve + b">")
        self.offsets = start, stream.tell()


class ByteRangePlaceholder(PdfObject):
    """The entry ByteRange: all bytes but Contents. It is filled in when all else is written."""

    def __init__(self) -> None:
        self._start = 0

    def write_to_stream(self, stream: IO[bytes], *_: Any, **__: Any) -> None:
        """Write spaces to be filled in later, and remember their position."""
        self._start = stream.tell()
        stream.write(b"[]".ljust(_BYTE_RANGE))

    def fill(self, stream: IO[bytes], start: int, end: int, size: int) -> None:
        """Fill in the numbers.

        Args:
            stream: the stream that the entry was written to.
            start: the position in the document where the placeholder of Contents begins.
            end: the position where it ends.
            size: the length of the document.
        """
        stream.seek(self._start)
        stream.write(b"[0 %d %d %d]" % (start, end, size - end))


class SignatureDictionary(DictionaryObject):
    """An empty signature dictionary.

    Args:
        options: location, reason and contact.
        at: the claimed time of signing, aware UTC.
        signer: the name of the signer, where it is certain (Name); None: it is left out.
        reserve: the largest signature that will fit, in bytes of DER.
        sub_filter: what kind of CMS it announces.

    Attributes:
        contents: the placeholder for the signature.
        byte_range: the placeholder for the ranges that the signature covers.
    """

    def __init__(
        self, options: SealOptions, at: datetime, reserve: int, sub_filter: SubFilter
    ) -> None:
        self.contents = ContentsPlaceholder(reserve)
        self.byte_range = ByteRangePlaceholder()
        texts = {
            "/Location": options.location,
            "/Reason": options.reason,
            "/ContactInfo": options.contact,
            "/Name": options.signer_name,
        }
        super().__init__(
            {
                pdf_name("/Contents"): self.contents,
                pdf_name("/ByteRange"): self.byte_range,
                pdf_name("/Type"): pdf_name("/Sig"),
                pdf_name("/Filter"): pdf_name("/Adobe.PPKLite"),
                pdf_name("/SubFilter"): pdf_name(f"/{sub_filter}"),
                pdf_name("/M"): pdf_date(at),
                pdf_name("/Prop_Build"): _build(),
                **{pdf_name(key): pdf_string(text) for key, text in texts.items() if text},
            }
        )


def _build() -> DictionaryObject:
    """The build dictionary, which names this software (Adobe, Digital Signature Build Dictionary).

    Viewers show it; it proves nothing.
    """
    handler = DictionaryObject({pdf_name("/Name"): pdf_name("/Adobe.PPKLite")})
    software = DictionaryObject(
        {
            pdf_name("/Name"): pdf_name("/trusted-signatures-rotation"),
            pdf_name("/REx"): pdf_string(__version__),
        }
    )
    return DictionaryObject({pdf_name("/Filter"): handler, pdf_name("/App"): software})


class TimestampDictionary(DictionaryObject):
    """An empty document timestamp (ISO 32000-2, 12.8.5).

    Attributes:
        contents: the placeholder for the timestamp token.
        byte_range: as in `SignatureDictionary`.
    """

    def __init__(self, reserve: int) -> None:
        self.contents = ContentsPlaceholder(reserve)
        self.byte_range = ByteRangePlaceholder()
        super().__init__(
            {
                pdf_name("/Contents"): self.contents,
                pdf_name("/ByteRange"): self.byte_range,
                pdf_name("/Type"): pdf_name("/DocTimeStamp"),
                pdf_name("/Filter"): pdf_name("/Adobe.PPKLite"),
                pdf_name("/SubFilter"): pdf_name("/ETSI.RFC3161"),
            }
        )


def signature_field(name: str, page: PdfObject | None) -> DictionaryObject:
    """A new invisible signature field, which is its own widget.

    Args:
        name: the name of the field.
        page: the reference to the page that it is on, or None if the page is a direct object.
    """
    field = DictionaryObject(
        {
            pdf_name("/FT"): pdf_name("/Sig"),
            pdf_name("/T"): pdf_string(name),
            pdf_name("/Type"): pdf_name("/Annot"),
            pdf_name("/Subtype"): pdf_name("/Widget"),
            pdf_name("/F"): NumberObject(_PRINTED | _LOCKED),
            pdf_name("/Rect"): ArrayObject(NumberObject(0) for _ in range(4)),
        }
    )
    if isinstance(page, IndirectObject):
        field[pdf_name("/P")] = page
    return field
