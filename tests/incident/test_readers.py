"""Who read the suspect keys of an incident, as evidence: what is taken for it, and what is kept."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from rotation.errors import InvalidEventError, VersionStateError
from rotation.incident.readers import (
    LONGEST,
    newest_closed,
    readers_name,
    readers_record,
    refuse_malformed,
)
from rotation.journal.model import Closing, Death, Incident, Journal, KeyLife
from tests.journal.journals import ARN, NOW

READER = {
    "principal": "arn:aws:iam::012345678912:role/operators",
    "kind": "AssumedRole",
    "through": ["arn:aws:iam::012345678912:user/alice"],
    "reads": 1,
    "refused": 0,
    "firstAt": "2027-03-01T00:00:00.000Z",
    "lastAt": "2027-03-01T00:00:00.000Z",
    "sessions": ["night-shift"],
    "addresses": ["192.0.2.1"],
    "keys": [{"keyId": "k1", "versionId": None, "how": "time", "reads": 1}],
    "known": False,
}
FOUND: dict[str, Any] = {
    "since": "2027-01-01T00:00:00.000Z",
    "until": "2027-03-01T00:00:00.000Z",
    "readers": [READER],
    "gaps": [{"code": "copies", "message": "Nobody knows."}],
}


def changed(**members: Any) -> dict[str, Any]:
    return {**deepcopy(FOUND), **members}


def test_what_a_command_finds_is_taken() -> None:
    """With readers, and where nobody read."""
    refuse_malformed(FOUND)
    refuse_malformed(changed(readers=[], gaps=[]))


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        {},
        changed(more=1),
        changed(since=1),
        changed(readers=[{**READER, "more": 1}]),
        changed(readers=[{**READER, "reads": "1"}]),
        changed(readers=[{**READER, "sessions": [1]}]),
        changed(readers=[{**READER, "sessions": ["two\nlines"]}]),
        changed(readers=[{**READER, "principal": "x" * 3000}]),
        changed(readers=[{**READER, "keys": [{"keyId": 1}]}]),
        changed(gaps=[{"code": "copies"}]),
        changed(readers=[READER] * (LONGEST // 100)),
        changed(readers=[{**READER, "sessions": ["0123456789abcdef" * 4]}]),
    ],
)
def test_anything_else_is_refused(found: object) -> None:
    """Another form, a text of several lines, too much of it, and what may be a key."""
    with pytest.raises(InvalidEventError, match='"found"'):
        refuse_malformed(found)


def test_the_evidence_names_the_keys_by_the_journal() -> None:
    """The suspect keys and their deaths are not the caller's to say, nor is the place."""
    incident = Incident("d1", (), {"k1": ("v1",)}, closing=Closing(NOW, "k2", "v2"))
    journal = Journal(
        ARN, NOW, keys={"k1": KeyLife(NOW, death=Death(NOW, {"by": "p"}))}, incidents=(incident,)
    )
    assert newest_closed(journal) == incident
    record = json.loads(
        readers_record(
            journal,
            incident,
            FOUND,
            secret_name="s",
            actor="arn:of-ada",
            at=NOW,
        )
    )
    assert [(one["keyId"], one["death"]["proof"]) for one in record["keys"]] == [
        ("k1", {"by": "p"})
    ]
    assert (record["foundBy"], record["readers"]) == ("arn:of-ada", [READER])
    assert readers_name(ARN, incident, NOW).startswith(f"incidents/{ARN.replace('/', '%2F')}/d1.")
    with pytest.raises(VersionStateError, match="no incident that is closed"):
        newest_closed(replace(journal, incidents=(replace(incident, closing=None),)))
