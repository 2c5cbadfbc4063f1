"""A visible seal tried on an empty page, so that what no document could bear is found out first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Final

from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from rotation.sealing.visible_seal import VisibleSeal

# Where nobody knows yet how large the place is: letters and images are looked at all the same.
_ANYWHERE: Final = (0.0, 0.0, 1000.0, 1000.0)
_AT: Final = datetime(2000, 1, 1, tzinfo=UTC)


def rehearse(visible: VisibleSeal) -> None:
    """See whether the text can be drawn and fits into the box, and whether the image can be read.

    Does NOT see whether a document has that page, or room for the box on it.

    Raises:
        InvalidRequestError: it cannot be drawn anywhere.
    """
    box = visible.box or _ANYWHERE
    prepare(
        BytesIO(_empty_page(box[2], box[3])),
        SealOptions(visible=replace(visible, page=1, box=box)),
        _AT,
    )


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
