"""A bundle is verified by whoever has nothing but the file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from rotation.cli.report import bundle as bundles
from rotation.cli.report.bundle import bundle_of, verify
from rotation.cli.report.sources import ReportSources
from rotation.errors import ReportError
from tests.cli.report import story

Files = dict[str, bytes]


def unpacked(bundle: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Files, *, sums: bool = True) -> bytes:
    """A bundle with these files, and the digests that somebody who forges it would write."""
    if sums:
        names = sorted(files.keys() - {"SHA256SUMS"})
        lines = [f"{sha256(files[name]).hexdigest()}  {name}\n" for name in names]
        files = files | {"SHA256SUMS": "".join(lines).encode()}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


def wrong(bundle: bytes) -> set[str]:
    return {one.name for one in verify(bundle).checks if one.problems}


@pytest.fixture(scope="module")
def files() -> Files:
    return unpacked(bundle_of(story.sources()))


def test_a_bundle_is_in_order_and_always_the_same() -> None:
    """Equal sources give equal bytes, so that two auditors can compare digests."""
    made = bundle_of(story.sources())
    assert made == bundle_of(story.sources())
    found = verify(made)
    assert found.ok
    assert found.digest == sha256(made).hexdigest()
    assert [one.name for one in found.checks] == [
        *("digests", "storage", "states", "records", "report"),
    ]


def test_it_has_what_a_stranger_needs(files: Files) -> None:
    """Every state and record byte for byte, the sources, the report, and how to verify it."""
    made = story.sources()
    assert [files[f"states/{n:04}.json"] for n in range(1, len(made.states) + 1)] == [
        one.body for one in made.states
    ]
    assert files["records/0001.json"] == made.records[0].body
    assert "rotation verify-bundle" in files["README.txt"].decode()
    assert json.loads(files["sources.json"])["states"][0]["version"] == "s3-version-1"


@pytest.mark.parametrize("name", ["states/0003.json", "records/0001.json", "report.html"])
def test_a_changed_file_has_another_digest(files: Files, name: str) -> None:
    """And SHA256SUMS must be whole: no file more, none less."""
    changed = files | {name: files[name] + b" "}
    assert "digests" in wrong(packed(changed, sums=False))
    missing = {one: content for one, content in files.items() if one != "report.html"}
    assert "digests" in wrong(packed(missing, sums=False))


def remade(change: Callable[[ReportSources], ReportSources]) -> bytes:
    """What a forger makes who changes the sources and makes the rest anew."""
    return bundle_of(change(story.sources()))


def test_who_forges_the_digests_too_is_found_by_the_rules() -> None:
    """A state that takes something back, is dated wrongly or rewritten; a foreign record."""
    states = story.journals()
    undone = [*states, (states[-1][0], states[3][1])]
    assert "states" in wrong(bundle_of(story.sources(undone)))
    made = story.sources()
    forged = replace(made.states[1], body=made.states[1].body + b" ")
    assert "storage" in wrong(
        remade(lambda one: replace(one, states=(one.states[0], forged, *one.states[2:])))
    )
    other = replace(made.records[0], body=b'{"schema": "x"}', checksum=None)
    assert "records" in wrong(remade(lambda one: replace(one, records=(other,))))
    late = replace(made.states[0], at=story.NOW)
    assert "storage" in wrong(remade(lambda one: replace(one, states=(late, *one.states[1:]))))


def test_a_state_that_is_left_out_is_not_found_if_the_others_still_follow() -> None:
    """That is why a bundle proves nothing of who made it; the bucket shows what is missing."""
    states = story.journals()
    assert wrong(bundle_of(story.sources([*states[:2], *states[3:]]))) == set()


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_a_report_that_claims_more_than_its_sources_is_found(files: Files, name: str) -> None:
    """However well its digest fits."""
    claimed = files[name].replace(b"30000000-key", b"30000001-key")
    assert claimed != files[name]
    assert wrong(packed(files | {name: claimed})) == {"report"}


def test_another_version_does_not_judge_the_report() -> None:
    """It says which version to verify it with, and does not call it in order."""
    made = bundle_of(story.sources(made_with="9.9.9"))
    [check] = [one for one in verify(made).checks if one.problems]
    assert check.name == "report"
    assert "version 9.9.9" in check.problems[0]


def test_sources_that_cannot_be_read_end_the_verification(files: Files) -> None:
    """A state that is not there, or a file that is no JSON."""
    fewer = {one: content for one, content in files.items() if one != "states/0001.json"}
    assert wrong(packed(fewer)) == {"sources"}
    assert wrong(packed(files | {"sources.json": b"{}"})) == {"sources"}
    assert wrong(packed(files | {"sources.json": b"no"})) == {"sources"}


def test_a_state_of_a_strange_form_is_found_and_the_others_are_verified(files: Files) -> None:
    """It has another digest, and a report of it does not say what the one in the bundle says."""
    strange = files["states/0009.json"].replace(b'"probes": [{', b'"probes": [5, {')
    assert strange != files["states/0009.json"]
    checks = verify(packed(files | {"states/0009.json": strange})).checks
    problems = {one.name: one.problems for one in checks}
    assert problems["storage"] == ("State 9 differs from the checksum that S3 keeps.",)
    [unread] = problems["states"]
    assert unread.startswith("State 9 is not a journal of this secret")
    assert problems["report"]


def test_what_is_no_bundle_is_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """No zip, a strange name, a name twice, or too much: nothing of it is unpacked."""
    with pytest.raises(ReportError, match="cannot be unpacked"):
        verify(b"PK")
    with pytest.raises(ReportError, match=r"it has \.\./x"):
        verify(packed({"../x": b""}))
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("report.json", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("report.json", b"2")
    with pytest.raises(ReportError, match="a file twice"):
        verify(twice.getvalue())
    monkeypatch.setattr(bundles, "MOST_BYTES_OF_A_FILE", 10)
    with pytest.raises(ReportError, match="too large"):
        verify(packed(files))


def test_a_bundle_with_a_key_is_not_made() -> None:
    """States are handed on byte for byte, so one that holds what looks like a key is refused."""
    key = b"0123456789abcdef" * 4
    made = story.sources()
    states = (*made.states[:-1], replace(made.states[-1], body=key))
    with pytest.raises(ReportError, match="looks like a key"):
        bundle_of(replace(made, states=states))
