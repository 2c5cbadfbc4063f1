"""A report says what the states of the journal say, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from operator import getitem
from typing import Any

import pytest

from rotation.cli.report.controls import CONTROLS, SECTIONS
from rotation.cli.report.facts import report_facts
from rotation.cli.report.page import report_page
from rotation.cli.report.sources import ReportSources
from rotation.journal.model import Death, Journal, Prolongation, VersionRecord
from tests.cli.json_answers import answer_of
from tests.cli.report import story

PROLONGED = Prolongation("archive", story.NOW, story.NOW, story.NOW, story.HOSTILE)
ATTESTED = {"by": "attestation", "attestedBy": "ada", "reason": "account closed"}


def codes(sources: ReportSources) -> set[str]:
    return {one["code"] for one in report_facts(sources)["exceptions"]}


def last() -> Journal:
    return story.journals()[-1][1]


def with_last(change: Journal) -> ReportSources:
    """The story, with another newest state."""
    told = story.journals()
    return story.sources([*told[:-1], (told[-1][0], change)])


def described(**members: Any) -> dict[str, Any]:
    return {**story.sources().secret, **members}


def without_lock() -> ReportSources:
    made = story.sources()
    return replace(made, states=tuple(replace(one, lock=None) for one in made.states))


def with_body(body: bytes) -> ReportSources:
    """The newest state has another body than the one that S3's checksum is of."""
    made = story.sources()
    return replace(made, states=(*made.states[:-1], replace(made.states[-1], body=body)))


def test_the_life_of_a_key_names_the_state_that_says_each_fact() -> None:
    """In order of time, each with the clock that it is from; a dead key with its proof."""
    facts = answer_of("report", json.dumps(report_facts(story.sources())))
    first, second, third = facts["keys"]
    told = [(one["event"], one["state"], one["clock"]) for one in first["events"]]
    assert told == [
        ("issued", 1, "value"),
        ("seen", 1, "function"),
        ("current", 1, "storage"),
        ("displaced", 2, "function"),
        ("asked", 3, "function"),
        ("answered", 4, "storage"),
        ("dead", 4, "function"),
    ]
    assert first["graceSeconds"] == 24 * 3600
    assert [one["outcome"] for one in first["death"]["probes"]] == ["rejected"] * 3
    assert [one["condition"] for one in (first, second, third)] == ["dead", "dead", "current"]
    assert second["suspect"]
    assert third["death"] is None


def test_rotations_are_compared_with_the_schedule() -> None:
    """The first follows none. A day more than the interval is still within it, two are not."""
    facts = report_facts(story.sources())["rotations"]
    assert [one["within"] for one in facts["becameCurrent"]] == [None, True, True]
    rules = {"RotationRules": {"AutomaticallyAfterDays": 28}}
    late = story.sources(secret={**story.sources().secret, **rules})
    within = [one["within"] for one in report_facts(late)["rotations"]["becameCurrent"]]
    assert within == [None, False, True]
    assert codes(late) == {"rotation_late"}
    overdue = story.sources(made_at=story.NOW + 30 * story.DAY)
    assert codes(overdue) == {"rotation_overdue"}
    cron = {"RotationRules": {"ScheduleExpression": "cron(0 8 1 * ? *)"}}
    unknown = report_facts(story.sources(secret={**story.sources().secret, **cron}))["rotations"]
    assert {one["within"] for one in unknown["becameCurrent"]} == {None}


def test_an_incident_has_its_timeline_and_its_proofs() -> None:
    """Declared, begun, revoked, dead and closed; each suspect key with what proves its death."""
    [incident] = report_facts(story.sources())["incidents"]
    words = [one["text"] for one in incident["timeline"]]
    assert words[0].startswith("declared by arn:aws:sts")
    assert words[1] == "rotation version-3 was begun"
    assert words[-1] == "closed"
    [suspect] = incident["suspects"]
    assert suspect["keyId"] == story.SECOND
    assert suspect["death"]["controlKeyId"] == story.THIRD
    assert incident["evidence"].endswith("/declaration-1.json")


def test_an_ordinary_life_has_no_exceptions() -> None:
    """Nor are there any that nobody can explain."""
    assert codes(story.sources()) == set()


@pytest.mark.parametrize(
    ("sources", "code"),
    [
        (lambda: story.sources(deletions=(("marker", story.NOW),)), "journal_deleted"),
        (lambda: story.sources(hold="2026-12-31"), "held"),
        (lambda: story.sources(not_seen={"the resource policy": "AccessDenied"}), "not_seen"),
        (lambda: story.sources(records=()), "record_missing"),
        (lambda: story.sources(records=story.sources().records * 2), "record_replaced"),
        (
            lambda: story.sources(records=(replace(story.sources().records[0], body=b"[]"),)),
            "record_unreadable",
        ),
        (
            lambda: story.sources(states=story.journals(), secret=described(RotationEnabled=False)),
            "rotation_off",
        ),
        (lambda: story.sources(secret=described(DeletedDate=story.NOW)), "deleted"),
        (lambda: story.sources(secret=described(RotationRules={})), "no_interval"),
        (without_lock, "not_locked"),
        (lambda: with_body(b"{}"), "state_unreadable"),
        (lambda: with_body(b" "), "checksum"),
        (lambda: with_last(replace(last(), incidents=())), "state_does_not_follow"),
        (lambda: story.sources(story.journals()[:-2]), "suspect_not_dead"),
        (lambda: story.sources(story.journals()[:-2]), "incident_open"),
        (lambda: story.sources(story.journals()[:3]), "not_dead_after_grace"),
        (
            lambda: with_last(
                last().with_key(
                    story.THIRD,
                    replace(last().keys[story.THIRD], death=Death(story.NOW, ATTESTED)),
                )
            ),
            "attested",
        ),
        (
            lambda: with_last(
                last().with_key(
                    story.THIRD,
                    replace(last().keys[story.THIRD], prolongations=(PROLONGED,)),
                )
            ),
            "prolonged",
        ),
        (
            lambda: with_last(
                replace(last(), versions={**last().versions, "v": VersionRecord(None, True)})
            ),
            "key_unknown",
        ),
        (
            lambda: story.sources(made_at=story.NOW + timedelta(days=3650)),
            "current_expired",
        ),
    ],
)
def test_what_deviates_is_an_exception(sources: Any, code: str) -> None:
    """Each by its code, with a section of the report that shows it."""
    made = sources()
    found = report_facts(made)["exceptions"]
    assert code in {one["code"] for one in found}
    assert {one["section"] for one in found} <= SECTIONS.keys()


WRONG: list[Any] = [None, 7, "x", [7], {"a": 7}, "2026-01-01T00:00:00"]


def places(members: Any) -> Iterator[tuple[Any, ...]]:
    """The way to everything in a JSON document."""
    entries: dict[Any, Any] = {}
    if isinstance(members, dict):
        entries = members
    elif isinstance(members, list):
        entries = dict(enumerate(members))
    for name, value in entries.items():
        yield (name,)
        yield from ((name, *more) for more in places(value))


def test_a_report_is_made_whatever_somebody_wrote_into_the_journal() -> None:
    """Of each member of the newest state: it is read, or the state is said to be unreadable."""
    whole = story.sources().states[-1].body
    unreadable = 0
    for *way, name in places(json.loads(whole)):
        for wrong in WRONG:
            members = json.loads(whole)
            reduce(getitem, way, members)[name] = wrong
            found = report_facts(with_body(json.dumps(members).encode()))
            assert json.dumps(found)
            unreadable += not found["journal"]["states"][-1]["readable"]
    assert unreadable > 300


def test_statements_about_reading_are_shown_as_they_are() -> None:
    """Whom they name or spare, and under which conditions; the others are counted."""
    policy = {
        "Statement": [
            {
                "Sid": "Readers",
                "Effect": "Deny",
                "NotPrincipal": {"AWS": ["arn:aws:iam::1:role/app"]},
                "Action": "secretsmanager:Get*",
            },
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["secretsmanager:*"],
                "Condition": {"Bool": {"aws:SecureTransport": "true"}},
            },
            {"Effect": "Deny", "Principal": "*", "NotAction": "s3:*"},
            {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret"},
        ]
    }
    access = report_facts(story.sources(policy=json.dumps(policy)))["access"]
    assert [one["principals"] for one in access["statements"]] == [
        ["all but AWS arn:aws:iam::1:role/app"],
        ["*"],
        ["*"],
    ]
    assert access["statements"][1]["conditions"] == ["Bool: aws:SecureTransport = true"]
    assert access["statements"][2]["actions"] == ["all but s3:*"]
    assert access["otherStatements"] == 1
    assert report_facts(story.sources(policy="[]"))["access"]["policy"] is False
    assert report_facts(story.sources())["access"]["policy"] is None


def test_every_control_leads_to_sections_that_exist() -> None:
    """Each of the standards that auditors ask about is there, and no section is a dead end."""
    named = " ".join(f"{one.standard} {one.control}" for one in CONTROLS)
    for wanted in ("8.6.3", "3.7.5", "800-57", "CC6", "A.8.24", "SEC02"):
        assert wanted in named
    page = report_page(report_facts(story.sources()))
    for control in CONTROLS:
        for section in control.shown:
            assert f'<h2 id="{section}"' in page


def test_what_others_wrote_is_text_in_the_page() -> None:
    """No tag, no line break and no control character of theirs; the print header is escaped too."""
    name = 'pay</style><b>"}'
    page = report_page(report_facts(story.sources(secret=described(Name=name))))
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page
    assert page.count("</style>") == 1


def test_what_looks_like_a_key_is_hidden_in_a_report() -> None:
    """Wherever somebody wrote it: a reason, an actor, a tag or a policy."""
    key = "0123456789abcdef" * 4
    policy = json.dumps({"Statement": {"Sid": key, "Effect": "Allow", "Action": "*"}})
    [incident] = last().incidents
    leaked = replace(incident.declarations[0], reason=key, actor=key)
    journal = replace(last(), incidents=(replace(incident, declarations=(leaked,)),))
    made = replace(with_last(journal), policy=policy, hold=key, made_by=key)
    facts = report_facts(made)
    assert key not in json.dumps(facts)
    assert key not in report_page(facts)
