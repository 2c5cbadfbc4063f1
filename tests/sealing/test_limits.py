"""A document that asks for too much ends in an answer, within the function's time and memory."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

from rotation.errors import DocumentTooLargeError, NoPagesError, SealingError
from rotation.sealing.pdf import Limits, prepare
from rotation.sealing.request import SealOptions
from tests.sealing.odd import form, streamed
from tests.sealing.pdfs import CATALOG, PAGE, PAGES, pdf

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
ROOT = Path(__file__).parent.parent.parent
MEMORY = 1769 * 1024 * 1024  # what template.yaml gives the function
SECONDS = 15


def refused(document: bytes, limits: Limits | None = None) -> SealingError:
    with pytest.raises(SealingError) as failed:
        prepare(BytesIO(document), SealOptions(), AT, limits=limits)
    return failed.value


def bomb(size: int) -> bytes:
    """A cross-reference stream that unpacks to ``size`` zeros."""

    def pack(_: bytes) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        piece = packer.compress(bytes(1024 * 1024)) + packer.flush(zlib.Z_FULL_FLUSH)
        return b"\x78\xda" + piece * (size // (1024 * 1024))

    return streamed(pack=pack)


def many_objects(number: int) -> bytes:
    """A sound document of that many objects."""
    few = pdf()
    rest = b"".join(b"%08d 0 obj null endobj\n" % more for more in range(6, number))
    start = few.index(b"xref")
    rows = (b"%010d 00000 n \n" % (start + 25 * more) for more in range(number - 6))
    table, trailer = few[start:].split(b"trailer")
    table = table.replace(b"0 6", b"0 %d" % number) + b"".join(rows)
    trailer = trailer.replace(b"/Size 6", b"/Size %d" % number)
    trailer = re.sub(rb"startxref\n\d+", b"startxref\n%d" % (start + len(rest)), trailer)
    return few[:start] + rest + table + b"trailer" + trailer


def test_a_bomb_is_not_unpacked() -> None:
    """Streams may unpack to so much together, and no more."""
    problem = refused(bomb(8 * 1024 * 1024), Limits(decoded_bytes=1024 * 1024))
    assert isinstance(problem, DocumentTooLargeError)
    assert "1048576 bytes" in str(problem)


def test_too_many_objects_are_not_read() -> None:
    """The entries of all tables are counted before they are kept."""
    problem = refused(many_objects(2000), Limits(objects=1000))
    assert isinstance(problem, DocumentTooLargeError)
    assert "1000 objects" in str(problem)
    sound = prepare(BytesIO(many_objects(2000)), SealOptions(), AT, limits=Limits(objects=2000))
    assert len(sound.digest) == 32


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b"<< /A ", b">>")])
def test_nesting_has_an_end(opening: bytes, closing: bytes) -> None:
    """At the limit a document is sealed, one level beyond it is refused, far beyond it too."""

    def nested(depth: int) -> bytes:
        inner = opening * depth + b" 1 " + closing * depth
        return pdf({3: PAGE.removesuffix(b">>") + b"/Note " + inner + b" >>"})

    sound = prepare(BytesIO(nested(19)), SealOptions(), AT, limits=Limits(nesting=20))
    assert len(sound.digest) == 32
    for depth in (20, 100_000):
        problem = refused(nested(depth), Limits(nesting=20))
        assert isinstance(problem, DocumentTooLargeError)
        assert "20 levels" in str(problem)


def test_time_has_an_end() -> None:
    """When the time for reading is over, reading ends."""
    problem = refused(pdf(), Limits(time=timedelta(0)))
    assert isinstance(problem, DocumentTooLargeError)
    assert "takes longer to read" in str(problem)


@pytest.mark.parametrize(
    "document",
    [
        pdf({1: b"1 0 R"}),
        pdf({1: CATALOG.replace(b"2 0 R", b"6 0 R"), 6: b"7 0 R", 7: b"6 0 R"}),
        pdf({2: b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"}),
        pdf({2: PAGES.replace(b"3 0 R", b"6 0 R"), 6: b"<< /Kids [2 0 R] >>"}),
        pdf({2: b"<< /Type /Pages /Kids 2 0 R /Count 1 >>"}),
        pdf({1: CATALOG.replace(b"2 0 R", b"3 0 R"), 3: b"<< /Kids [3 0 R 3 0 R] >>"}),
    ],
)
def test_references_in_a_circle_have_an_end(document: bytes) -> None:
    """A document that refers to itself is refused, not followed."""
    assert refused(document).code in {"damaged_pdf", "no_pages", "document_too_large"}


def test_a_form_in_a_circle_is_read_once() -> None:
    """Fields that are one another's kids are looked at once each."""
    document = form(b"6 0 R 7 0 R", {6: b"<< /T (A) /Kids [7 0 R] >>", 7: b"<< /Kids [6 0 R] >>"})
    assert prepare(BytesIO(document), SealOptions(), AT).digest


def test_a_wide_page_tree_without_pages_is_read_once() -> None:
    """Nodes that refer to one another a million times over are visited once each."""
    kids = b" ".join([b"%d 0 R" % number for number in range(6, 206)] * 5)
    node = b"<< /Kids [" + kids + b"] >>"
    document = pdf({2: node} | dict.fromkeys(range(6, 206), node))
    assert isinstance(refused(document), NoPagesError)


PROGRAM = """
import resource, sys, time
from datetime import UTC, datetime, timedelta
from rotation.errors import SealingError
from rotation.sealing.pdf import Limits, prepare
from rotation.sealing.request import SealOptions
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
started = time.monotonic()
try:
    with open(sys.argv[1], "rb") as document:
        limits = Limits(time=timedelta(seconds=5))
        prepare(document, SealOptions(), datetime.now(UTC), limits=limits)
    print("prepared")
except SealingError as error:
    print(error.code)
print(round(time.monotonic() - started, 2), file=sys.stderr)
"""

HOSTILE = {
    "a bomb of 2 MB": lambda: bomb(2000 * 1024 * 1024),
    "300,000 objects": lambda: many_objects(300_000),
    "one array of 16 MiB": lambda: pdf(
        {3: PAGE.removesuffix(b">>") + b"/Note [" + b"1 " * (8 * 1024 * 1024) + b"] >>"}
    ),
    "16 MiB of brackets": lambda: pdf({3: b"[" * (16 * 1024 * 1024)}),
    "300,000 headers without an object": lambda: (
        b"%PDF-1.7\n" + b"1 0 obj ( " * 300_000 + b"trailer << >> startxref\n0\n%%EOF\n"
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_end_in_an_answer(name: str, tmp_path: Path) -> None:
    """With the function's memory and five seconds for reading: a seal, or a typed refusal, soon."""
    path = tmp_path / "hostile.pdf"
    path.write_bytes(HOSTILE[name]())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(memory=MEMORY), str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * SECONDS,
        cwd=ROOT,
    )
    expected = {"prepared", "damaged_pdf", "document_too_large"}
    assert done.stdout.strip() in expected, done.stderr
    assert float(done.stderr.split()[-1]) < SECONDS
