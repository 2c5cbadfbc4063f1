"""Both ends of a document: the header, and where its newest cross-reference table is."""

from __future__ import annotations

import os
import re
from typing import BinaryIO, Final

from pyhanko.pdf_utils.misc import PdfReadError

from rotation.errors import DamagedPdfError, UnsupportedPdfError
from rotation.sealing.pdf.reader.parser import SPACE

#: Where viewers look for %PDF- and for %%EOF (PDF Reference 1.7, appendix H, notes 13 and 18).
_EDGE: Final = 1024
#: How much may stand after %%EOF that is no part of the document.
_LATE: Final = 1024 * 1024

_startxref = re.compile(rb"startxref[%b]*(\d+)" % SPACE)
_object = re.compile(rb"\d+[%b]+\d+[%b]+obj\b" % (SPACE, SPACE))


def header_of(stream: BinaryIO) -> tuple[int, tuple[int, int]]:
    """The position of the header, and the version that it gives.

    Raises:
        DamagedPdfError: there is no header where viewers look for one.
        UnsupportedPdfError: nor is anything else of a PDF.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _EDGE))
    end = stream.read(_EDGE)
    stream.seek(0)
    start = stream.read(_EDGE + 8)
    if not start:
        raise UnsupportedPdfError("The file is empty.")
    found = re.search(rb"%PDF-(\d)?\.?(\d)?", start)
    if found is None and b"startxref" in end:
        raise DamagedPdfError("The file is damaged: there is no %PDF- at its beginning.")
    if found is None:
        raise UnsupportedPdfError("The file is not a PDF: there is no %PDF- at its beginning.")
    return found.start(), (int(found[1] or 1), int(found[2] or 4))


def startxref_of(stream: BinaryIO, size: int) -> int:
    """The position that the last ``startxref`` gives.

    Raises:
        DamagedPdfError: the end of the document is missing.
        PdfReadError: its end is there, without a position.
    """
    for reach in (_EDGE, _LATE):
        stream.seek(max(0, size - reach))
        tail = stream.read(reach)
        end = tail.rfind(b"%%EOF")
        if end >= 0:
            break
    # Objects after the last end: an update was begun and not finished.
    if end < 0 or _object.search(tail, end):
        raise DamagedPdfError("The file is cut off: the end of a PDF (%%EOF) is missing.")
    found = list(_startxref.finditer(tail, max(0, end - _EDGE), end))
    if not found:
        raise PdfReadError("no startxref")
    return int(found[-1][1])
