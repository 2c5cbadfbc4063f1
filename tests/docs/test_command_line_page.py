"""docs/command-line.md says what `rotation seal` and `rotation verify` take and tell."""

from __future__ import annotations

import re

import click
import pytest

from rotation.cli.seal.command import seal
from rotation.cli.seal.run import DocumentResult, DocumentStatus, DocumentToSeal
from rotation.cli.verify.command import verify
from rotation.cli.verify.verification import EXIT_CODES, FileVerification
from rotation.client.contract import Seal, StoredObject
from rotation.cms.timestamps import Unproven
from rotation.errors import NoPagesError
from rotation.sealing.request import ObjectLocation
from rotation.sealing.verification.report import (
    AddedContent,
    DocumentTimestampReport,
    FileReport,
    FileVerdict,
    Problem,
    SealReport,
    Verdict,
)
from tests.docs.test_docs import named, page, rows, section

TEXT = page("command-line.md")


def options(command: click.Command) -> set[str]:
    return {
        name
        for parameter in command.params
        for name in parameter.opts
        if isinstance(parameter, click.Option)
    }


@pytest.mark.parametrize(
    ("command", "title"), [(seal, "Sealing"), (verify, "Verifying")], ids=["seal", "verify"]
)
def test_the_options_are_the_command_s(command: click.Command, title: str) -> None:
    """Each is on the page, and the page invents none."""
    told = section(TEXT, title)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", told)) == options(command)


@pytest.mark.parametrize("command", [seal, verify], ids=["seal", "verify"])
def test_the_exit_codes_of_the_help_are_on_the_page(command: click.Command) -> None:
    """Both name the same ones."""
    assert command.help is not None
    title = "Sealing" if command is seal else "Verifying"
    told = section(TEXT, title)
    for code in re.findall(r"\b(0|1|2|3|4|130)\b (?:if|every)", command.help):
        assert re.search(rf"\b{code}\b", told), code


def place(name: str) -> StoredObject:
    return StoredObject(ObjectLocation("bucket", name), "etag")


def test_the_lines_of_a_run_are_as_the_table_says() -> None:
    """Each status has its row, and its further members are those that are printed."""
    document = DocumentToSeal(ObjectLocation("a", "b"), ObjectLocation("c", "d"), "b", "d", 1)
    sealed = Seal(place("b"), place("d"), "id", b"x", "signer", None, True, None, 1)
    table = {named(row[0])[0]: row[1] for row in rows(TEXT) if len(row) == 2 and named(row[0])}
    for status in DocumentStatus:
        result = DocumentResult(
            document,
            status,
            seal=sealed if status is DocumentStatus.SEALED else None,
            error=NoPagesError("none") if status is DocumentStatus.FAILED else None,
        )
        further = result.as_json().keys() - {"status", "source", "destination"}
        listed = table[status.value].partition(", as in")[0]
        assert set(named(listed)) - {"--dry-run"} == further, status


def test_the_members_of_a_verdict_are_on_the_page() -> None:
    """Every verdict, every member at the top, every word for what was added."""
    told = section(TEXT, "Verifying")
    good = SealReport("a", intact=True, trusted=True, covers_whole_file=True)
    report = FileReport(1, (good,), (DocumentTimestampReport("b"),))
    assert EXIT_CODES.keys() == {*FileVerdict, FileVerification("a", unreadable="no").status}
    table = {named(row[0])[0]: row[2] for row in rows(told) if len(row) == 3 and named(row[0])}
    assert {verdict: str(code) for verdict, code in EXIT_CODES.items()} == table
    assert set(Verdict) <= set(named(told))
    assert FileVerification("a", report).as_json().keys() <= set(named(told))
    assert {added.name.lower() for added in AddedContent} <= set(named(told))


def test_every_code_of_a_problem_is_explained() -> None:
    """The page on verification has a row for each, and none besides; so for timestamps."""
    told = page("verification.md")
    for title, codes in (("Problems", set(Problem)), ("Timestamps", set(Unproven))):
        explained = {named(row[0])[0] for row in rows(section(told, title)) if named(row[0])}
        assert explained == codes
