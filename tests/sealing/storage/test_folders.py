"""Documents in folders: what only files can do wrong."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.errors import DestinationError, SourceChangedError, SourceNotFoundError
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.folders import UNFINISHED, LocalDocuments
from tests.paths import ROOT
from tests.sealing.pdfs import pdf
from tests.sealing.storage.large_documents import write_sparse_pdf
from tests.sealing.storage.seal_document import seal_document

pytestmark = pytest.mark.slow

SOURCE, SEALED = ObjectLocation("folder", "a.pdf"), ObjectLocation("folder", "sealed/a.pdf")
MEASURED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from rotation.sealing.storage.folders import LocalDocuments
from rotation.sealing.pdf import prepare
from rotation.sealing.request import ObjectLocation, SealOptions
from rotation.sealing.verify import examine

def memory(of):
    return int(Path("/proc/self/status").read_text().partition(f"{of}:")[2].split()[0])

documents = LocalDocuments({"folder": Path(sys.argv[1])})
before = memory("VmRSS")
with documents.open(ObjectLocation("folder", "a.pdf"), most=2**40) as source:
    prepared = prepare(source.content, SealOptions(), datetime.now(UTC))
    sealed = ObjectLocation("folder", "b.pdf")
    with documents.open_writer(source, sealed, {}, rewritten=False) as writer:
        writer.complete(prepared, b"no signature")
with Path(sys.argv[1], "b.pdf").open("rb") as sealed:
    examine(sealed, None)
print((memory("VmHWM") - before) // 1024)
"""


FULL = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from rotation.errors import DestinationError
from rotation.sealing.storage.folders import LocalDocuments
from rotation.sealing.pdf import prepare
from rotation.sealing.request import ObjectLocation, SealOptions

documents = LocalDocuments({"folder": Path(sys.argv[1])})
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
with documents.open(ObjectLocation("folder", "a.pdf"), most=2**40) as source:
    prepared = prepare(source.content, SealOptions(), datetime.now(UTC))
    place = ObjectLocation("folder", "sealed/a.pdf")
    try:
        with documents.open_writer(source, place, {}, rewritten=False) as delivery:
            delivery.complete(prepared, b"no signature")
    except DestinationError as error:
        sys.stdout.write(str(error))
"""


@pytest.fixture
def documents(tmp_path: Path) -> LocalDocuments:
    """A folder with one document in it."""
    (tmp_path / "a.pdf").write_bytes(pdf())
    return LocalDocuments({"folder": tmp_path})


def test_a_file_in_the_way_is_not_overwritten(
    documents: LocalDocuments, signer: SimpleSigner, tmp_path: Path
) -> None:
    """It is refused before a signature is bought, unless it was allowed."""
    (tmp_path / "sealed").mkdir()
    (tmp_path / "sealed" / "a.pdf").write_bytes(b"mine")
    with documents.open(SOURCE, most=2**40) as source, pytest.raises(DestinationError) as refused:
        documents.open_writer(source, SEALED, {}, rewritten=False)
    assert not refused.value.retryable
    assert (tmp_path / "sealed" / "a.pdf").read_bytes() == b"mine"
    seal_document(LocalDocuments({"folder": tmp_path}, overwrite=True), SOURCE, SEALED, signer)
    assert (tmp_path / "sealed" / "a.pdf").read_bytes().startswith(pdf())


def test_a_file_that_comes_in_the_way_meanwhile_is_not_overwritten(
    documents: LocalDocuments, signer: SimpleSigner, tmp_path: Path
) -> None:
    """Somebody writes it while the vendor signs: theirs stays, and nothing is left beside it."""
    theirs = tmp_path / "sealed" / "a.pdf"
    with pytest.raises(DestinationError, match="is there already"):
        seal_document(
            documents, SOURCE, SEALED, signer, before=lambda: theirs.write_bytes(b"theirs")
        )
    assert [*theirs.parent.iterdir()] == [theirs]
    assert theirs.read_bytes() == b"theirs"


def test_a_source_written_to_in_place_is_found_out(
    documents: LocalDocuments, signer: SimpleSigner, tmp_path: Path
) -> None:
    """The same size and the same times: what is copied is compared with what was hashed."""
    path = tmp_path / "a.pdf"
    times = path.stat()

    def change() -> None:
        path.write_bytes(pdf().replace(b"10 10 50 50", b"99 99 99 99"))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    with pytest.raises(SourceChangedError):
        seal_document(documents, SOURCE, SEALED, signer, before=change)
    assert list((tmp_path / "sealed").iterdir()) == []


def test_who_may_read_the_sealed_file_is_as_for_any_new_file(
    documents: LocalDocuments, signer: SimpleSigner, tmp_path: Path
) -> None:
    """The umask decides, and not a temporary file's caution."""
    before = os.umask(0o027)
    try:
        seal_document(documents, SOURCE, SEALED, signer)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "sealed" / "a.pdf").stat().st_mode) == 0o640


def test_nobody_may_read_the_sealed_file_who_may_not_read_the_source(
    documents: LocalDocuments, signer: SimpleSigner, tmp_path: Path
) -> None:
    """A confidential document stays confidential, while it is being written too."""
    (tmp_path / "a.pdf").chmod(0o600)
    modes: list[int] = []

    def look() -> None:
        modes.extend(path.stat().st_mode for path in (tmp_path / "sealed").iterdir())

    seal_document(documents, SOURCE, SEALED, signer, before=look)
    modes.append((tmp_path / "sealed" / "a.pdf").stat().st_mode)
    assert [stat.S_IMODE(mode) for mode in modes] == [0o600, 0o600]


def test_a_document_never_replaces_its_source(signer: SimpleSigner, tmp_path: Path) -> None:
    """By its own name, or by a link to its folder: refused before a signature is bought."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "a.pdf").write_bytes(pdf())
    (tmp_path / "in" / "link.pdf").symlink_to("a.pdf")
    documents = LocalDocuments({"folder": tmp_path}, overwrite=True)
    for name, into in (("a", "in/a"), ("a", "out/a"), ("link", "out/link"), ("link", "out/a")):
        source = ObjectLocation("folder", f"in/{name}.pdf")
        with (
            documents.open(source, most=2**40) as opened,
            pytest.raises(DestinationError, match="is the source"),
        ):
            documents.open_writer(
                opened, ObjectLocation("folder", f"{into}.pdf"), {}, rewritten=False
            )
    assert (tmp_path / "in" / "a.pdf").read_bytes() == pdf()
    # A link at the destination is replaced, and not what it leads to.
    (tmp_path / "link.pdf").symlink_to("in/a.pdf")
    source = ObjectLocation("folder", "in/a.pdf")
    seal_document(documents, source, ObjectLocation("folder", "link.pdf"), signer)
    assert (tmp_path / "in" / "a.pdf").read_bytes() == pdf()
    assert (tmp_path / "link.pdf").read_bytes().startswith(pdf())


def test_what_is_no_file_is_not_overwritten(documents: LocalDocuments, tmp_path: Path) -> None:
    """A folder or a pipe in the way is told before a signature is bought, and stays."""
    (tmp_path / "folder.pdf").mkdir()
    os.mkfifo(tmp_path / "pipe.pdf")
    overwriting = LocalDocuments({"folder": tmp_path}, overwrite=True)
    for name in ("folder.pdf", "pipe.pdf"):
        with (
            documents.open(SOURCE, most=2**40) as source,
            pytest.raises(DestinationError, match="is no file"),
        ):
            overwriting.open_writer(source, ObjectLocation("folder", name), {}, rewritten=False)
    assert (tmp_path / "folder.pdf").is_dir()


def test_a_disk_that_is_full_leaves_nothing_behind(
    documents: LocalDocuments, tmp_path: Path
) -> None:
    """It is told as such, although closing the file fails too."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert "sealed/a.pdf cannot be written: File too large" in done.stdout, done.stderr
    assert list((tmp_path / "sealed").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    documents: LocalDocuments, signer: SimpleSigner, tmp_path: Path
) -> None:
    """A lock tells the two apart; files of other names are nobody's business."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    dead, alive = (folder / UNFINISHED.format(name) for name in ("dead", "alive"))
    dead.write_bytes(b"half")
    (folder / ".somebody.unfinished").write_bytes(b"x")
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        seal_document(documents, SOURCE, SEALED, signer)
        assert {path.name for path in folder.iterdir()} == {
            *("a.pdf", alive.name, ".somebody.unfinished")
        }


def test_many_that_begin_at_once_leave_one_another_alone(
    signer: SimpleSigner, tmp_path: Path
) -> None:
    """A file that is just being made is not taken for one that was left."""
    (tmp_path / "a.pdf").write_bytes(pdf())

    def seal(number: int) -> bool:
        # As another process has it: nobody has tidied yet.
        documents = LocalDocuments({"folder": tmp_path})
        place = ObjectLocation("folder", f"sealed/{number}.pdf")
        seal_document(documents, SOURCE, place, signer)
        return documents.path(place).read_bytes().startswith(pdf())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(seal, range(80)))


@pytest.mark.parametrize("key", ["missing.pdf", "."])
def test_what_is_no_file_is_said_not_to_be_readable(documents: LocalDocuments, key: str) -> None:
    """Missing, or a folder: the path is named."""
    with pytest.raises(SourceNotFoundError, match="cannot be read"):
        documents.open(ObjectLocation("folder", key), most=100)


def test_a_folder_that_may_not_be_written_is_told_before_a_signature_is_bought(
    documents: LocalDocuments,
) -> None:
    """The delivery does not begin."""
    place = ObjectLocation("folder", "a.pdf/b.pdf")
    with (
        documents.open(SOURCE, most=2**40) as source,
        pytest.raises(DestinationError, match="cannot be written"),
    ):
        documents.open_writer(source, place, {}, rewritten=False)


def test_a_large_file_is_never_held(tmp_path: Path) -> None:
    """Sealed and verified within 8 MiB over what the process had, whatever its size."""
    write_sparse_pdf(tmp_path / "a.pdf", 300 * 1024**2)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert int(done.stdout) <= 8
    assert (tmp_path / "b.pdf").stat().st_size > 300 * 1024**2
