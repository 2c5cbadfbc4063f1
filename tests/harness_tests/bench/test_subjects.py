"""What is measured is what is said: every way to seal leaves a document that is sealed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.harness.bench import imports
from tests.harness.bench.canned import Canned
from tests.harness.bench.documents import KB, write_scans
from tests.harness.bench.subjects import bare, ours, pyhanko_flow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small document, one that is not held, and a signature."""
    folder = tmp_path_factory.mktemp("bench")
    Canned.write(folder)
    write_scans(folder / "small.pdf", 50 * KB)
    write_scans(folder / "large.pdf", 9000 * KB)
    return folder


@pytest.mark.parametrize("seal", [partial(ours.sealing, whole=True), pyhanko_flow.sealing])
@pytest.mark.parametrize("name", ["small.pdf", "large.pdf"])
def test_a_sealed_file_begins_with_its_source(name: str, seal: Any, place: Path) -> None:
    """Ours and pyHanko's both, whole, with the canned signature in them."""
    source, sealed = place / name, place / "sealed.pdf"
    seal(str(source), str(sealed), str(place))()
    content = sealed.read_bytes()
    assert content.startswith(source.read_bytes())
    assert content.rstrip().endswith(b"%%EOF")
    update = content[source.stat().st_size :].lower()
    assert Canned.read(str(place)).cms.hex().encode() in update


def test_of_a_large_document_the_sealer_writes_the_update(place: Path) -> None:
    """What S3 copies is not written by the sealer."""
    sealed = place / "update.pdf"
    ours.sealing(str(place / "large.pdf"), str(sealed), str(place), whole=False)()
    assert sealed.stat().st_size < 100 * KB


def test_the_documents_are_as_large_as_their_names(place: Path) -> None:
    """To the percent; and hashing reads all of one."""
    assert abs((place / "small.pdf").stat().st_size - 50 * KB) < 0.01 * 50 * KB
    digest = bare.hashing(str(place / "small.pdf"))()
    assert isinstance(digest, bytes)
    assert len(digest) == 32


def test_an_import_profile_names_who_costs_what() -> None:
    """A handler imports boto3 and modules of ours; nothing that it imports is left out."""
    found = imports.profile("rotation.handlers.rotate")
    assert found["boto3"] > 0
    assert found["ours"] > 0
    assert found["pyhanko"] < found["boto3"]
