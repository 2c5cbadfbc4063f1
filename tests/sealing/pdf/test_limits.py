"""Every document gets an answer within the function's time and memory."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

from rotation.errors import DocumentTooLargeError, NoPagesError, SealingError
from rotation.sealing.pdf import Limits, prepare
from rotation.sealing.request import Certification, SealOptions
from rotation.sealing.visible_seal import VisibleSeal
from tests.paths import ROOT
from tests.sealing.images import image, png, saved
from tests.sealing.pdf.odd_documents import ODD, form, streamed, updated
from tests.sealing.pdfs import CATALOG, PAGE, PAGES, pdf

pytestmark = pytest.mark.slow

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
MEMORY = 1769 * 1024 * 1024  # what template.yaml gives the function
SECONDS = 15


def refused(document: bytes, limits: Limits | None = None) -> SealingError:
    with pytest.raises(SealingError) as failed:
        prepare(BytesIO(document), SealOptions(), AT, limits=limits)
    return failed.value


def zeros(size: int) -> bytes:
    """A Flate stream of ``size`` zeros, which has about a thousandth of that size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(1024 * 1024)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\xda" + piece * (size // (1024 * 1024))


def bomb(size: int) -> bytes:
    """A cross-reference stream that unpacks to ``size`` zeros."""
    return streamed(pack=lambda _: zeros(size))


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
    """Streams may decode to a limited size, all streams together."""
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


def in_itself(number: int) -> bytes:
    """A cross-reference stream that says that an object lies in the object stream ``number``."""
    row = b"\2\0" + bytes([number]) + b"\0"
    return streamed(predict=lambda data: data[: 4 * number] + row + data[4 * number + 4 :])


CIRCLES = {
    "a table before itself": re.sub(
        rb"/Size 6 (?=/Root.*startxref\n(\d+))", rb"/Size 6 /Prev \1 ", pdf(), flags=re.DOTALL
    ),
    "a cross-reference stream before itself": re.sub(
        rb"/Size 8 (?=.*startxref\n(\d+))", rb"/Size 8 /Prev \1 ", streamed(), flags=re.DOTALL
    ),
    "two tables before one another": updated(b"5 0 obj\n<< >>\nendobj\n").replace(
        b"/Root 1 0 R /Info", b"/Prev %d /Root 1 0 R /Info" % (len(pdf()) + 21), 1
    ),
    "an object stream in itself": in_itself(6),
    "the catalog in itself": in_itself(1),
    "a length that is itself": re.sub(
        rb"(/ObjStm.*?/Length )\d+", rb"\g<1>6 0 R", streamed(), flags=re.DOTALL
    ),
    "a length in its own object stream": re.sub(
        rb"(/ObjStm.*?/Length )\d+", rb"\g<1>2 0 R", streamed(), flags=re.DOTALL
    ),
    "an object stream that extends itself": streamed().replace(
        b"/Type /ObjStm", b"/Type /ObjStm /Extends 6 0 R"
    ),
    "a catalog that is a reference to itself": pdf({1: b"1 0 R"}),
    "a form that is its own field": pdf(
        {1: CATALOG.replace(b">>", b"/AcroForm 6 0 R >>"), 6: b"<< /Fields [6 0 R] /T (A) >>"}
    ),
    "fields that are their own list": pdf(
        {1: CATALOG.replace(b">>", b"/AcroForm << /Fields 6 0 R >> >>"), 6: b"[6 0 R]"}
    ),
    "a page that is its own parent": pdf({3: PAGE.replace(b"2 0 R", b"3 0 R")}),
    "annotations that are themselves": pdf(
        {3: PAGE.removesuffix(b">>") + b"/Annots 6 0 R >>", 6: b"6 0 R"}
    ),
    "permissions that are the catalog": pdf({1: CATALOG.replace(b">>", b"/Perms 1 0 R >>")}),
}


@pytest.mark.parametrize("document", CIRCLES.values(), ids=CIRCLES.keys())
@pytest.mark.parametrize(
    "options",
    [
        SealOptions(),
        SealOptions(certify=Certification.FORM_FILLING),
        SealOptions(visible=VisibleSeal(-1, (0, 0, 50, 20), "Seal")),
    ],
    ids=["plain", "certified", "visible"],
)
def test_a_document_in_a_circle_ends_in_an_answer(document: bytes, options: SealOptions) -> None:
    """A document with a circle of references is sealed or refused at once."""
    started = time.process_time()
    try:
        sealed = prepare(BytesIO(document), options, AT).embed(b"")
    except SealingError as error:
        assert error.code in {"damaged_pdf", "no_pages", "document_too_large"}  # noqa: PT017
    else:
        assert sealed.startswith(document)
    assert time.process_time() - started < 1


def test_the_time_is_for_all_that_is_tried() -> None:
    """A document that is read twice has no more time than one that is read once."""

    class Slow(BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            end = time.monotonic() + 0.02
            while time.monotonic() < end:
                pass
            return super().read(size)

    document = Slow(ODD["malformed rows"] + bytes(5000))
    prepare(document, SealOptions(), AT)
    half = timedelta(seconds=0.02 * document.reads / 2)
    with pytest.raises(DocumentTooLargeError, match="takes longer to read"):
        prepare(document, SealOptions(), AT, limits=Limits(time=half))


def test_a_form_in_a_circle_is_read_once() -> None:
    """Fields that are one another's kids are looked at once each."""
    document = form(b"6 0 R 7 0 R", {6: b"<< /T (A) /Kids [7 0 R] >>", 7: b"<< /Kids [6 0 R] >>"})
    assert prepare(BytesIO(document), SealOptions(), AT).digest


def test_a_wide_page_tree_without_pages_is_read_once() -> None:
    """Nodes that refer to one another are visited once each."""
    kids = b" ".join([b"%d 0 R" % number for number in range(6, 206)] * 5)
    node = b"<< /Kids [" + kids + b"] >>"
    document = pdf({2: node} | dict.fromkeys(range(6, 206), node))
    assert isinstance(refused(document), NoPagesError)


PROGRAM = """
import json, resource, sys, time
from datetime import UTC, datetime, timedelta
from rotation.errors import SealingError
from rotation.sealing.pdf import Limits, prepare
from rotation.sealing.request import SealOptions
from rotation.sealing.visible_seal import VisibleSeal
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
started = time.monotonic()
try:
    with open(sys.argv[1], "rb") as document:
        limits = Limits(time=timedelta(seconds=5))
        visible = json.load(sys.stdin)
        options = SealOptions(visible=visible and VisibleSeal.parse(visible))
        prepare(document, options, datetime.now(UTC), limits=limits)
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


def metadata_bomb() -> bytes:
    """A document whose XMP unpacks to 2 GB."""
    xmp = zeros(2000 * 1024 * 1024)
    metadata = b"<< /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream" % (len(xmp), xmp)
    return pdf({1: CATALOG.replace(b">>", b"/Metadata 6 0 R >>"), 6: metadata})


def many_pages(number: int) -> bytes:
    """A flat tree of that many pages, all of them one page."""
    return pdf({2: b"<< /Kids [" + b"3 0 R " * number + b"] /Count %d >>" % number})


# A document, and what is to be seen on it.
HOSTILE_TO_SIGHT: dict[str, tuple[Callable[[], bytes], dict[str, object]]] = {
    "a bomb of metadata": (metadata_bomb, {"page": 1, "image": saved(image("RGBA"))}),
    "a bomb for an image": (
        pdf,
        {"page": 1, "image": png(2000, 2000, data=zeros(200 * 1024 * 1024))},
    ),
    "a page among a million": (lambda: many_pages(1_000_000), {"page": 500_000, "text": "Seal"}),
    "a page after 100,000": (lambda: many_pages(100_000), {"page": 100_001, "text": "Seal"}),
    "the last of 300,000 objects": (lambda: many_objects(300_000), {"page": -1, "text": "Seal"}),
}


def answer(document: bytes, visible: object, folder: Path) -> str:
    """The outcome in a process with the function's memory, within the time limit."""
    path = folder / "hostile.pdf"
    path.write_bytes(document)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(memory=MEMORY), str(path)],
        input=json.dumps(visible),
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * SECONDS,
        cwd=ROOT,
    )
    assert done.stdout, done.stderr
    assert float(done.stderr.split()[-1]) < SECONDS
    return done.stdout.strip()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_end_in_an_answer(name: str, tmp_path: Path) -> None:
    """With the function's memory and five seconds for reading it is sealed or refused in time."""
    expected = {"prepared", "damaged_pdf", "document_too_large"}
    assert answer(HOSTILE[name](), None, tmp_path) in expected


@pytest.mark.parametrize("name", HOSTILE_TO_SIGHT)
def test_documents_hostile_to_a_visible_seal_end_in_an_answer(name: str, tmp_path: Path) -> None:
    """The same holds for finding a page, decompressing an image, and reading XMP."""
    make, visible = HOSTILE_TO_SIGHT[name]
    asked: dict[str, object] = {"box": [0, 0, 90, 40], **visible}
    if isinstance(content := asked.get("image"), bytes):
        asked["image"] = base64.b64encode(content).decode()
    expected = {"prepared", "invalid_request", "document_too_large"}
    assert answer(make(), asked, tmp_path) in expected
