"""The JSON document of a journal: nothing is lost in it, and nothing else is taken for one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from rotation.errors import JournalError
from rotation.journal.document import SCHEMA, parse, serialize
from rotation.journal.model import (
    BegunRotation,
    Closing,
    Death,
    Declaration,
    DepartureNote,
    Incident,
    Journal,
    KeyLife,
    PhaseEvent,
    Phases,
    Prolongation,
    StepFailure,
    VersionRecord,
)
from tests.counted_steps import steps
from tests.docs.test_docs import named, page, rows, section
from tests.journal.journals import ARN, NOW, journals

FULL = Journal(
    ARN,
    NOW,
    {"v1": VersionRecord("k1", was_current=True, issued_at=NOW, expires_at=NOW)},
    {
        "k1": KeyLife(
            NOW,
            NOW,
            NOW,
            NOW,
            "revoked",
            NOW,
            accepted=False,
            probes=({"at": "t"},),
            death=Death(NOW, {"by": "p"}),
            prolongations=(Prolongation("consumer", NOW, NOW, NOW, "a release"),),
        )
    },
    (
        Incident(
            "d1",
            (Declaration("d1", NOW, "key-compromise", "ada"),),
            {"k1": ("v1",)},
            frozenset({"v1", "v0"}),
            {"v0": "it has no value"},
            (BegunRotation("t1", NOW),),
            Closing(NOW, "k2", "v2", "s3://evidence/record"),
        ),
    ),
    (StepFailure("t1", NOW, "createSecret", "key_quota", "20 keys exist.", retryable=False),),
    Phases(frozenset({"dead k1"}), (PhaseEvent("e1", "dead", NOW, {"keyId": "k1"}),)),
    (DepartureNote("t2", NOW, "left: user/ada", "arn:of-bob"),),
)


def test_twice_the_keys_are_twice_the_work() -> None:
    """Reading a journal and writing it are linear in what it holds."""

    def work(keys: int) -> int:
        names = [f"k{one}" for one in range(keys)]
        incidents = tuple(replace(FULL.incidents[0], id=one) for one in names)
        life, version = FULL.keys["k1"], FULL.versions["v1"]
        journal = Journal(
            ARN, NOW, dict.fromkeys(names, version), dict.fromkeys(names, life), incidents
        )
        return steps(lambda: parse(serialize(journal), ARN, "1"))

    assert work(80) <= 2.5 * work(40)


@given(journals)
def test_a_journal_survives_its_document(journal: Journal) -> None:
    """Every fact of it is read back as it was written."""
    read = parse(serialize(journal), ARN, "revision")
    assert read == journal
    assert read.revision == "revision"


@given(journals)
def test_equal_journals_have_equal_documents(journal: Journal) -> None:
    """So a change that changes nothing is the same body, and the same revision."""
    assert serialize(parse(serialize(journal), ARN, "1")) == serialize(journal)


def changed(**members: Any) -> bytes:
    return json.dumps(json.loads(serialize(FULL)) | members).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"schema": "trusted-signatures-rotation/journal/1"}',
        b"[" * 100_000,
        changed(schema="trusted-signatures-rotation/journal/2"),
        changed(secret=ARN + "-2"),
        changed(keys=None),
        changed(keys={"k1": {}}),
        changed(incidents=[{}]),
        changed(begunAt="yesterday"),
        changed(begunAt=5),
    ],
    ids=lambda body: body[:40],
)
def test_what_is_no_journal_of_this_secret_is_an_error(body: bytes) -> None:
    """Another secret's, one of a newer version, or damage: never an empty journal."""
    with pytest.raises(JournalError, match=r"docs/journal\.md") as told:
        parse(body, ARN, "1")
    assert not told.value.retryable


def table(title: str) -> dict[str, str]:
    part = (
        section(page("journal.md"), "The document").partition(f"### {title}")[2].partition("###")[0]
    )
    return {name: row[1] for row in rows(part) for name in named(row[0])}


def test_every_member_of_the_document_is_on_the_page() -> None:
    """Of the document, of a version, a key, an incident, and what an incident holds."""
    document = json.loads(serialize(FULL))
    assert document["schema"] == SCHEMA
    [incident] = document["incidents"]
    assert table("The whole").keys() == document.keys()
    assert table("A version").keys() == document["versions"]["v1"].keys()
    explained = table("A key")
    key = document["keys"]["k1"]
    assert explained.keys() == key.keys()
    assert set(named(explained["prolongations"])) >= key["prolongations"][0].keys()
    explained = table("An incident")
    assert explained.keys() == incident.keys()
    assert set(named(explained["declarations"])) == incident["declarations"][0].keys()
    assert set(named(explained["rotations"])) == incident["rotations"][0].keys()
    assert set(named(explained["closing"])) >= incident["closing"].keys()
    assert table("A failed step").keys() == document["stepFailures"][0].keys()
    phases = named(table("The whole")["phases"])
    [waiting] = document["phases"]["waiting"]
    assert set(phases) == {*document["phases"], *waiting}
    assert table("A departure").keys() == document["departures"][0].keys()


def test_a_journal_of_an_older_version_is_read() -> None:
    """It says nothing of failed steps, of phases, and of graces that were prolonged."""
    members = json.loads(serialize(FULL))
    del members["stepFailures"], members["phases"], members["departures"]
    del members["keys"]["k1"]["prolongations"]
    keys = {"k1": replace(FULL.keys["k1"], prolongations=())}
    older = replace(FULL, keys=keys, step_failures=(), phases=None, departures=())
    assert parse(json.dumps(members).encode(), ARN, "1") == older
