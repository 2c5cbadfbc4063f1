"""The rules that decide, as tables: what may follow, what a verdict is, what dates are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotation.sealing.request import Certification
from rotation.sealing.verification.changes import (
    Change,
    ChangeKind,
    Permission,
    forbidden,
    settled,
    unsigned,
)
from rotation.sealing.verification.report import (
    AddedContent,
    DocumentTimestampReport,
    FileReport,
    FileVerdict,
    Finding,
    Problem,
    SealReport,
    Verdict,
)
from rotation.sealing.verification.xmp import differs_in_dates_alone

NONE, FILLING, COMMENTING = Certification

#: For each kind: the levels that allow it before a later seal, and those that allow it unsigned.
ALLOWED: dict[ChangeKind, tuple[set[Certification | None], set[Certification | None]]] = {
    ChangeKind.PROOF: ({None, *Certification}, {None, *Certification}),
    ChangeKind.SIGNATURE: ({None, FILLING, COMMENTING}, set()),
    ChangeKind.VISIBLE_SIGNATURE: ({None}, set()),
    ChangeKind.FORM: ({None, FILLING, COMMENTING}, {FILLING, COMMENTING}),
    ChangeKind.COMMENT: ({COMMENTING}, {COMMENTING}),
    ChangeKind.EMPTY_FIELD: ({None, FILLING, COMMENTING}, set()),
    ChangeKind.FORM_SETTINGS: ({None, FILLING, COMMENTING}, set()),
    ChangeKind.METADATA: ({None, FILLING, COMMENTING}, set()),
    ChangeKind.STRAY: ({None, FILLING, COMMENTING}, set()),
    ChangeKind.OTHER: (set(), set()),
    ChangeKind.UNKNOWN: (set(), set()),
}


@pytest.mark.parametrize("level", [None, *Certification])
@pytest.mark.parametrize("kind", ALLOWED)
def test_each_kind_is_allowed_at_its_levels(kind: ChangeKind, level: Certification | None) -> None:
    """Before a later seal more is allowed than where nobody signs it."""
    changes, permission = [Change(kind, "it")], Permission(level)
    signed, alone = ALLOWED[kind]
    assert (forbidden(changes, permission) is None) == (level in signed)
    assert (unsigned(changes, [permission, Permission()]) is None) == (level in alone)


def test_the_strictest_signature_counts() -> None:
    """A later seal that allows more does not take back what an earlier one forbids."""
    filled = [Change(ChangeKind.FORM, "a field", "Name")]
    assert unsigned(filled, [Permission(FILLING), Permission(NONE)]) is not None


def test_dates_alone_are_metadata() -> None:
    """They are harmless beside validation data, and a change of their own without."""
    dates, proof = Change(ChangeKind.DATES, "a date"), Change(ChangeKind.PROOF, "a DSS")
    assert settled([dates, proof]) == [dates, proof]
    assert [change.kind for change in settled([dates])] == [ChangeKind.METADATA]


@pytest.mark.parametrize(
    ("permission", "locked"),
    [
        (Permission(), set()),
        (Permission(locks=frozenset({"a"})), {"a", "a.b"}),
        (Permission(locks=frozenset({"a.b"})), {"a.b"}),
        (Permission(locks=frozenset({"a"}), locks_others=True), {"ab", "c"}),
        (Permission(locks_others=True), {"a", "a.b", "ab", "c"}),
    ],
)
def test_a_lock_names_fields_and_those_below_them(permission: Permission, locked: set[str]) -> None:
    """FieldMDP locks the named fields, or all others (ISO 32000-2, 12.8.2.4)."""
    names = {"a", "a.b", "ab", "c"}
    assert {name for name in names if permission.locked(name)} == locked
    level = replace(permission, level=FILLING)
    allowed = {
        name for name in names if not forbidden([Change(ChangeKind.FORM, "it", name)], level)
    }
    assert allowed == names - locked


GOOD = SealReport("a", intact=True, trusted=True, covers_whole_file=True)
DAMAGED = replace(GOOD, intact=False, findings=(Finding(Problem.ALTERED, "it changed"),))
STRANGE = replace(GOOD, trusted=False, findings=(Finding(Problem.UNTRUSTED, "a stranger"),))
UNCHECKED = replace(GOOD, trusted=None)
STAMP = DocumentTimestampReport("b")
UNPROVEN = DocumentTimestampReport("b", findings=(Finding(Problem.UNTRUSTED, "a stranger"),))
FORGED = DocumentTimestampReport("b", findings=(Finding(Problem.FORGED, "forged"),))


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        (FileReport(1, (), ()), FileVerdict.UNSIGNED),
        (FileReport(1, (), (STAMP,)), FileVerdict.UNSIGNED),
        (FileReport(1, (GOOD,), (STAMP,)), FileVerdict.OK),
        (FileReport(1, (GOOD,), (), filled_in=True), FileVerdict.MODIFIED),
        (FileReport(1, (GOOD, UNCHECKED), (), filled_in=True), FileVerdict.UNCHECKED),
        (FileReport(1, (STRANGE, UNCHECKED), ()), FileVerdict.UNTRUSTED),
        (FileReport(1, (GOOD,), (UNPROVEN,)), FileVerdict.UNTRUSTED),
        (FileReport(1, (GOOD,), (FORGED,)), FileVerdict.PROBLEM),
        (FileReport(1, (STRANGE, DAMAGED), ()), FileVerdict.PROBLEM),
        (
            FileReport(1, (STRANGE,), (), unsigned=Finding(Problem.UNSIGNED_CONTENT, "more")),
            FileVerdict.PROBLEM,
        ),
    ],
)
def test_the_worst_signature_is_the_file_s_verdict(
    report: FileReport, verdict: FileVerdict
) -> None:
    """A damaged seal comes before a stranger's, and that before an unchecked one."""
    assert report.verdict is verdict
    good = {FileVerdict.OK, FileVerdict.MODIFIED, FileVerdict.UNCHECKED}
    assert (report.problem is None) == (verdict in good)


@pytest.mark.parametrize(
    ("seal", "verdict"),
    [
        (GOOD, Verdict.VALID),
        (replace(GOOD, added=AddedContent.PROOF), Verdict.VALID),
        (replace(GOOD, added=AddedContent.FORM), Verdict.MODIFIED),
        (replace(UNCHECKED, added=AddedContent.FORM), Verdict.UNCHECKED),
        (STRANGE, Verdict.UNTRUSTED),
        (DAMAGED, Verdict.PROBLEM),
    ],
)
def test_a_signature_has_a_verdict_of_its_own(seal: SealReport, verdict: Verdict) -> None:
    """What was added and is allowed does not make a seal bad, and is not passed over."""
    assert seal.verdict is verdict


def xmp(*properties: str, attributes: str = "", about: str = "") -> bytes:
    return (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF "
        "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description "
        f"rdf:about='{about}' xmlns:xmp='http://ns.adobe.com/xap/1.0/' "
        f"xmlns:pdf='http://ns.adobe.com/pdf/1.3/' {attributes}>{''.join(properties)}"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


TOOL = "<xmp:CreatorTool>a tool</xmp:CreatorTool>"


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (xmp(TOOL), xmp(attributes="xmp:CreatorTool='a tool' xmp:ModifyDate='2026'"), True),
        (b"", xmp(attributes="xmp:ModifyDate='2026' pdf:Producer='another'"), True),
        (xmp(TOOL), xmp("<xmp:CreatorTool>another</xmp:CreatorTool>"), False),
        (xmp(TOOL), xmp(), False),
        (b"", xmp(TOOL), False),
        (xmp(TOOL), b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + xmp(TOOL), False),
        (xmp(TOOL), b"no XML", False),
        (xmp(TOOL), xmp(TOOL, attributes="xmp:ModifyDate='0 0 9 9 re f'"), False),
        (xmp(TOOL), xmp(TOOL, "<xmp:ModifyDate>2026<xmp:Other/></xmp:ModifyDate>"), False),
        (xmp(TOOL), xmp(TOOL, "0 0 9 9 re f"), False),
        (xmp(TOOL), xmp(TOOL, attributes="xmp:ModifyDate='2026-11-27T03:04:05.123+01:00'"), True),
        (xmp(TOOL), b"<x>" * 10_000, False),
    ],
)
def test_only_dates_and_the_tool_may_differ_in_xmp(old: bytes, new: bytes, same: bool) -> None:
    """Properties are compared, however they are written; what cannot be compared differs."""
    assert differs_in_dates_alone(old, new) is same
