"""What the archival format PDF/A (ISO 19005) asks of a seal, beyond what ISO 32000 asks."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.generic import DictionaryObject, StreamObject

from rotation.sealing.notices import NoticeCode, SealNotice
from rotation.sealing.pdf.objects import get_value

#: The longest string of a PDF/A, in bytes (ISO 19005-2, 6.1.13). Part 1 allows twice as much.
LONGEST_STRING: Final = 32_767


def claims_pdf_a(root: DictionaryObject) -> bool:
    """Whether the document's XMP says that it is a PDF/A, of any part (ISO 19005)."""
    metadata = get_value(root, "/Metadata")
    if not isinstance(metadata, StreamObject):
        return False
    # In UTF-16 each character of the namespace has a zero byte beside it.
    xmp = metadata.read_data(DecodePurpose.XMP_METADATA).replace(b"\0", b"")
    return b"http://www.aiim.org/pdfa/ns/id/" in xmp


def notice_long_string(root: DictionaryObject, reserve: int) -> Iterator[SealNotice]:
    """A notice if a PDF/A gets a signature that is a longer string than PDF/A allows.

    Args:
        root: the document's catalog.
        reserve: the length of the placeholder for the signature, in bytes.
    """
    if reserve > LONGEST_STRING and claims_pdf_a(root):
        yield SealNotice(
            NoticeCode.LONG_STRING,
            f"The signature needs {reserve:,} bytes, and a PDF/A has no string of more than "
            f"{LONGEST_STRING:,} (ISO 19005-2, 6.1.13): a checker of PDF/A may complain about the "
            "sealed document. The seal itself is sound.",
        )
