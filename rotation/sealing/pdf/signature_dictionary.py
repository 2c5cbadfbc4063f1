"""The signature dictionary with room for a signature, and its field (ISO 32000-2, 12.8 and 12.7).

pyHanko has both. They come with all of its signing, which takes longer to import than a document
takes to be sealed; what is needed of it is little.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from datetime import datetime
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

from rotation.sealing.request import SealOptions

# Room for four numbers of 16 digits, brackets included.
_BYTE_RANGE: Final = 72
# Flags of an annotation (12.5.3): printed, if there is anything to print; not to be removed.
_PRINTED: Final = 4
_LOCKED: Final = 128


class Placeholder(PdfObject):
    """An empty hexadecimal string; never encrypted (7.6.2).

    Attributes:
        offsets: where it begins and ends in what it was written to, brackets included.
    """

    def __init__(self, reserve: int) -> None:
        self._reserve = reserve
        self.offsets = 0, 0

    def write_to_stream(self, stream: IO[bytes], *_: Any, **__: Any) -> None:
        """Write it, and remember where."""
        start = stream.tell()
        stream.write(b"<" + b"00" * self._reserve + b">")
        self.offsets = start, stream.tell()


class ByteRange(PdfObject):
    """The bytes that are signed: all but the placeholder. Known when the rest is written."""

    def __init__(self) -> None:
        self._start = 0

    def write_to_stream(self, stream: IO[bytes], *_: Any, **__: Any) -> None:
        """Write room for it, and remember where."""
        self._start = stream.tell()
        stream.write(b"[]".ljust(_BYTE_RANGE))

    def fill(self, stream: IO[bytes], start: int, end: int, size: int) -> None:
        """Write it into its room.

        Args:
            stream: what it was written to.
            start: where the placeholder begins in the document.
            end: where it ends.
            size: where the document ends.
        """
        stream.seek(self._start)
        stream.write(b"[0 %d %d %d]" % (start, end, size - end))


class Signature(DictionaryObject):
    """A signature of the kind ETSI.CAdES.detached (12.8.3.4), empty.

    Args:
        options: what it says of itself.
        at: the claimed time of signing, aware UTC.
        reserve: the largest signature that will fit, in bytes of DER.

    Attributes:
        contents: the room for the signature.
        byte_range: what it will cover.
    """

    def __init__(self, options: SealOptions, at: datetime, reserve: int) -> None:
        self.contents = Placeholder(reserve)
        self.byte_range = ByteRange()
        said = {
            "/Location": options.location,
            "/Reason": options.reason,
            "/ContactInfo": options.contact,
        }
        super().__init__(
            {
                pdf_name("/Contents"): self.contents,
                pdf_name("/ByteRange"): self.byte_range,
                pdf_name("/Type"): pdf_name("/Sig"),
                pdf_name("/Filter"): pdf_name("/Adobe.PPKLite"),
                pdf_name("/SubFilter"): pdf_name("/ETSI.CAdES.detached"),
                pdf_name("/M"): pdf_date(at),
                **{pdf_name(key): pdf_string(text) for key, text in said.items() if text},
            }
        )


def signature_field(name: str, page: PdfObject | None) -> DictionaryObject:
    """A new signature field, its widget within it, invisible.

    Args:
        name: its name.
        page: the reference to the page that it is on; None if the page is no object of its own.
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
