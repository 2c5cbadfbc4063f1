"""When an incident is over, and what is kept of it. Nothing here does IO."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rotation.incident.closing import close, record, record_folder, record_name, with_evidence
from rotation.incident.declaration import declare
from rotation.journal.model import Death, Declaration, Journal, KeyLife, VersionRecord

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ARN = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:a/b-AbCdEf"
DEATH = Death(NOW, {"by": "probes", "verdict": "dead"})


def incident(*, dead: bool = True) -> Journal:
    """A secret whose one old key was declared compromised, and whose new key is current."""
    versions = {"v1": VersionRecord("old"), "v2": VersionRecord("new")}
    journal = declare(
        Journal(ARN, NOW, {"v1": versions["v1"]}, {"old": KeyLife(NOW)}),
        Declaration("first-declaration", NOW, "key-compromise", "ada"),
        keys={},
        versions=["v1"],
    )
    journal = replace(journal, versions=versions).with_key("new", KeyLife(NOW))
    return journal.with_key("old", KeyLife(NOW, death=DEATH)) if dead else journal


def closed(journal: Journal, key: str = "new", version: str = "v2") -> Journal:
    first = journal.incidents[0].id
    return close(journal, first, current_key=key, current_version=version, now=NOW)


def test_it_closes_when_every_suspect_key_is_dead() -> None:
    """The entry says when, and which key was current then."""
    closing = closed(incident()).incidents[0].closing
    assert closing is not None
    assert (closing.current_key, closing.current_version) == ("new", "v2")
    assert (closing.at, closing.evidence) == (NOW, None)


def _declared_again(journal: Journal) -> Journal:
    late = Declaration("late-declaration", NOW, "leaked-again", "eve")
    return declare(journal, late, keys={"new": ("v2",)}, versions=["v1", "v2"], again=True)


def _with_version(journal: Journal, version: str) -> Journal:
    [entry] = journal.incidents
    return journal.with_incident(replace(entry, versions=entry.versions | {version}))


def _closed_already(journal: Journal) -> Journal:
    return with_evidence(closed(journal), "first-declaration", "s3://kept")


OPEN = {
    "a suspect key is alive": incident(dead=False),
    "a declaration came after the proofs": _declared_again(incident()),
    "a version of that moment was never read": _with_version(incident(), "v0"),
    "it is closed already": _closed_already(incident()),
}


@pytest.mark.parametrize("why", OPEN)
def test_nothing_else_closes_it(why: str) -> None:
    """Whatever is missing, the journal stays as it is."""
    assert closed(OPEN[why]) == OPEN[why]


@pytest.mark.parametrize(("key", "version"), [("old", "v3"), ("unheard-of", "v1")])
def test_it_stays_open_while_a_suspect_is_current(key: str, version: str) -> None:
    """By its id, or by a version that existed at the declaration."""
    journal = incident()
    assert closed(journal, key, version) == journal


def test_a_version_whose_key_cannot_be_known_is_set_aside() -> None:
    """Junk, binary, a KMS key that is gone: the entry names it, and it holds nothing up."""
    journal = _with_version(incident(), "v0")
    [entry] = journal.incidents
    journal = journal.with_incident(replace(entry, set_aside={"v0": "it is not JSON"}))
    assert closed(journal).open_incident is None


def test_a_late_closing_closes_no_later_incident() -> None:
    """The one who closes names the incident that the proofs were of."""
    journal = closed(incident())
    later = Declaration("later-declaration", NOW, "another-leak", "ada")
    journal = declare(journal, later, keys={"new": ("v2",)}, versions=["v2"])
    assert closed(journal, "newest", "v3") == journal


def test_whoever_writes_the_record_writes_the_same() -> None:
    """It is made of the closed entry alone, not of who keeps it or when."""
    journal = closed(incident())
    kept = record(journal, journal.incidents[0], secret_name="a/b", installation="fixture")
    noted = with_evidence(journal, "first-declaration", "s3://bucket/place")
    again = record(noted, noted.incidents[0], secret_name="a/b", installation="fixture")
    assert kept == again
    facts = json.loads(kept)
    assert facts["declared"] == {
        "at": "2026-03-01T12:00:00.000Z",
        "reason": "key-compromise",
        "actor": "ada",
    }
    [key] = facts["keys"]
    assert (key["keyId"], key["versionIds"], key["death"]["proof"]) == (
        "old",
        ["v1"],
        dict(DEATH.proof),
    )
    assert facts["current"] == {"keyId": "new", "versionId": "v2"}


def test_an_open_incident_has_no_record() -> None:
    """A record says that it is over."""
    journal = incident()
    with pytest.raises(ValueError, match="open"):
        record(journal, journal.incidents[0], secret_name="a", installation="fixture")


def test_the_place_of_the_record_is_noted_in_the_closed_entry_alone() -> None:
    """An incident that is open, or that the journal does not have, gets none."""
    journal = with_evidence(closed(incident()), "first-declaration", "s3://kept")
    closing = journal.incidents[0].closing
    assert closing is not None
    assert closing.evidence == "s3://kept"
    assert with_evidence(journal, "first-declaration", "s3://kept") == journal
    assert with_evidence(incident(), "first-declaration", "s3://kept") == incident()
    assert with_evidence(journal, "another", "s3://kept") == journal


def test_no_secret_s_folder_lies_in_that_of_another() -> None:
    """The records of "A/B" are never taken for those of "A"."""
    arns = [ARN, ARN.replace("a/b", "a"), ARN + "/c", ARN.replace("a/b", "a/b/c")]
    folders = [record_folder(arn) for arn in arns]
    for one in folders:
        assert [other for other in folders if other.startswith(one)] == [one]
    assert record_name(ARN, incident().incidents[0]).startswith(record_folder(ARN))
