"""The documents that are measured, made in code: pages of scans, and one of very many objects."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

KB: Final = 1000
MB: Final = 1000**2
GB: Final = 1000**3

_LARGEST_SCAN: Final = MB


def write_scans(path: Path, size: int) -> None:
    """A PDF of about ``size`` bytes: pages with one stream each that no filter makes smaller."""
    pages = max(10, size // _LARGEST_SCAN)
    scan = random.Random(1).randbytes(size // pages - 200)

    def objects() -> Iterator[bytes]:
        kids = b" ".join(b"%d 0 R" % (3 + 2 * page) for page in range(pages))
        yield b"<< /Type /Catalog /Pages 2 0 R >>"
        yield b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, pages)
        for page in range(pages):
            content = 4 + 2 * page
            box = b"/MediaBox [0 0 595 842] /Resources << >>"
            yield b"<< /Type /Page /Parent 2 0 R %b /Contents %d 0 R >>" % (box, content)
            yield b"<< /Length %d >>\nstream\n%b\nendstream" % (len(scan), scan)

    _write(path, objects())


def write_many_objects(path: Path, objects: int = 300_000) -> None:
    """A PDF of many objects, a structure tree of paragraphs, each of which is in the table."""

    def written() -> Iterator[bytes]:
        yield b"<< /Type /Catalog /Pages 2 0 R /StructTreeRoot 5 0 R >>"
        yield b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
        yield b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>"
        yield b"<< /Length 20 >>\nstream\n10 10 50 50 re f Q q\nendstream"
        paragraphs = range(6, objects + 1)
        kids = b" ".join(b"%d 0 R" % number for number in paragraphs)
        yield b"<< /Type /StructTreeRoot /K [%b] >>" % kids
        for number in paragraphs:
            yield b"<< /Type /StructElem /S /P /P 5 0 R /Pg 3 0 R /K %d >>" % (number - 6)

    _write(path, written())


def write_all(folder: Path) -> dict[str, str]:
    """Every document but the sparse one, by its name in the figures."""
    sizes = {"50kb": 50 * KB, "5mb": 5 * MB, "100mb": 100 * MB, "1gb": GB}
    for name, size in sizes.items():
        write_scans(folder / f"{name}.pdf", size)
    write_many_objects(folder / "300k_objects.pdf")
    return {name: str(folder / f"{name}.pdf") for name in (*sizes, "300k_objects")}


def _write(path: Path, objects: Iterator[bytes]) -> None:
    """The objects, numbered from 1, the first of which is the catalog; and their table."""
    positions: list[int] = []
    with path.open("wb") as file:
        file.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        for number, body in enumerate(objects, start=1):
            positions.append(file.tell())
            file.write(b"%d 0 obj\n%b\nendobj\n" % (number, body))
        table = file.tell()
        size = len(positions) + 1
        file.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
        file.writelines(b"%010d 00000 n \n" % position for position in positions)
        file.write(b"trailer\n<< /Size %d /Root 1 0 R >>\n" % size)
        file.write(b"startxref\n%d\n%%%%EOF\n" % table)
