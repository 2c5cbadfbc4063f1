"""Checks options that hold for many documents, before the first document is read.

A wrong option would fail every document, one after the other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Final

from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions

# Stands for the place of a signature field, whose size is known only from the document.
_LARGE_BOX: Final = (0.0, 0.0, 1000.0, 1000.0)
_AT: Final = datetime(2000, 1, 1, tzinfo=UTC)


def validate_options(options: SealOptions) -> SealOptions:
    """Check ``options`` as a request's are checked, and draw a visible seal on an empty page.

    Does NOT check whether a document has the page of a visible seal, or room for its box there.

    Returns:
        The same options.

    Raises:
        InvalidRequestError: an option is not what it must be, lacks another, or cannot be drawn.
    """
    checked = SealOptions.parse(options.members())
    if checked.visible:
        box = checked.visible.box or _LARGE_BOX
        prepare(
            BytesIO(_empty_page(box[2], box[3])),
            SealOptions(visible=replace(checked.visible, page=1, box=box)),
            _AT,
        )
    return checked


def _empty_page(width: float, height: float) -> bytes:
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:f} {height:f}] >>".encode(),
    )
    page = b"%PDF-1.7\n"
    rows = b"0000000000 65535 f \n"
    for number, content in enumerate(objects, start=1):
        rows += b"%010d 00000 n \n" % len(page)
        page += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"xref\n0 %d\n%btrailer\n<< /Size %d /Root 1 0 R >>\n" % (4, rows, 4)
    return page + table + b"startxref\n%d\n%%%%EOF\n" % len(page)
