"""Waiting for an incident to be over, and saying so only when it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotation.core.ports import KeyListing, Revocation
from rotation.errors import JournalError, VendorUnavailableError
from rotation.incident.containment import Containment, WaitClock, contain, needs_mending
from rotation.journal.model import Declaration
from rotation.sandbox.vendor import VendorFault
from tests.incident.incident_fixture import ACTOR, IncidentFixture

SHORT = timedelta(seconds=10)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DECLARATION = Declaration("this-declaration", NOW, "key-compromise", "ada")
ENTRY: dict[str, Any] = {
    "declarations": [{"id": "this-declaration", "at": "2026-03-01T12:00:00.000Z"}],
    "suspects": {"old": ["v1"]},
    "deaths": {"old": "2026-03-01T12:01:00.000Z"},
    "setAside": {},
    "closing": {"evidence": "s3://bucket/record"},
}


@dataclass
class RecordedAnswers:
    """A reconcile function that gives the same answers again and again.

    Attributes:
        entry: the incident, as the journal has it.
        report: the report on the secret.
        slept: how long the command has slept, in seconds.
    """

    entry: dict[str, Any]
    report: dict[str, Any] = field(default_factory=dict)
    slept: float = 0.0

    def ask(self, action: str, arn: str, **_: Any) -> dict[str, Any]:
        if action == "reconcile":
            return {"secrets": [self.report]}
        incident = {"stage": "none", "acts": [], "currentVersion": "v2", "incident": self.entry}
        return {"secret": arn, "currentKey": "new"} | incident

    def contain(self) -> Containment:
        return contain(
            "arn",
            DECLARATION,
            self.ask,
            log_act=lambda _: None,
            limit=timedelta(minutes=1),
            clocks=WaitClock(lambda: NOW, lambda: self.slept, self.sleep),
        )

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def test_the_closed_entry_with_this_declaration_and_every_death_is_the_end() -> None:
    """It was read back, and its record is kept: nothing is asked for again."""
    answers = RecordedAnswers(ENTRY)
    done = answers.contain()
    assert done.contained
    assert (done.suspects, done.proven_dead) == (("old",), ["old"])
    assert (done.evidence, done.unfinished) == ("s3://bucket/record", [])
    assert answers.slept == 0


@pytest.mark.parametrize(
    "change",
    [
        {"closing": None},
        {"closing": {"evidence": None}},
        {"deaths": {}},
        {"suspects": {"old": ["v1"], "older": []}},
        {"closing": None, "suspects": {}, "deaths": {}},
    ],
)
def test_nothing_else_is_the_end(change: dict[str, Any]) -> None:
    """Open, without a record, or with a suspect key that is not dead."""
    answers = RecordedAnswers(ENTRY | change)
    done = answers.contain()
    assert not done.contained
    assert done.unfinished
    assert answers.slept > 60


def test_an_incident_of_another_declaration_is_not_the_end() -> None:
    """The journal has lost this one, so nobody may say what became of it."""
    other = [{"id": "another-declaration", "at": "2026-03-01T12:00:00.000Z"}]
    with pytest.raises(JournalError, match="this-declaration"):
        RecordedAnswers(ENTRY | {"declarations": other}).contain()


def test_what_only_a_person_can_do_is_not_waited_for() -> None:
    """The key works until somebody revokes it in the portal; the command says so and ends."""
    message = "Key old works until a person revokes it in the vendor's portal."
    warning = {"code": "manual_revocation_needed", "message": message}
    answers = RecordedAnswers(ENTRY | {"closing": None, "deaths": {}}, {"warnings": [warning]})
    done = answers.contain()
    assert not done.contained
    assert message in done.unfinished
    assert answers.slept == 0


def test_a_lost_answer_of_the_declaration_declares_once(incident: IncidentFixture) -> None:
    """Whoever asks again names the same declaration, and the incident has it once."""
    leaked = incident.alive()
    declaration = incident.declaration()
    members = {"reason": "key-compromise", "actor": ACTOR, "declaration": declaration.id}
    first = incident.ask("declare", **members)
    assert incident.ask("declare", **members) == first
    assert [one.id for one in incident.incident().declarations] == [declaration.id]
    assert set(incident.ask("advance")["incident"]["suspects"]) == leaked


def test_a_lost_laptop_loses_nothing(incident: IncidentFixture) -> None:
    """It died after the declaration: the hourly reconciliation rotates, revokes and closes."""
    fixture = incident.reconciliation
    leaked = incident.alive()
    incident.declare()
    for _ in range(3):
        fixture.run()
        incident.run_steps()
        fixture.rotation.later(timedelta(hours=1))
    assert incident.incident().closing is not None
    assert not leaked & incident.alive()
    assert incident.current_key() in incident.alive()
    assert len(incident.records()) == 1
    assert "rotation:incident" not in fixture.tags()


def test_an_incident_that_others_finish_is_over_for_the_command_too(
    incident: IncidentFixture,
) -> None:
    """The run after the promotion closes it: the command reads that back, with the deaths."""
    leaked = incident.alive()

    def others() -> None:
        incident.run_steps()
        incident.ask("reconcile")

    incident.while_waiting = others
    done = incident.force()
    assert done.contained
    assert set(done.proven_dead) == leaked
    assert len(incident.records()) == 1


def test_a_command_that_is_run_again_after_the_end_declares_anew(
    incident: IncidentFixture,
) -> None:
    """Each command declares: the key that came of the first incident is suspect in the second."""
    first = incident.force()
    second = incident.force()
    assert first.contained
    assert second.contained
    assert first.current != second.current
    assert first.evidence != second.evidence
    assert len(incident.records()) == 2
    assert incident.alive() == {incident.current_key()}


def test_a_quota_that_is_full_of_suspects_holds_nothing_up(incident: IncidentFixture) -> None:
    """Two keys and no more, both suspect: the previous one makes room before the hourly run."""
    leaked = incident.alive()
    assert len(leaked) == 2
    incident.reconciliation.rotation.vendor.keys.quota = 2
    done = incident.force()
    assert done.contained
    assert set(done.proven_dead) == leaked
    assert done.parts["rotated"] < timedelta(minutes=2)


def test_it_is_not_over_before_the_record_is_kept(incident: IncidentFixture) -> None:
    """The keys are dead and the entry is closed; what the auditor reads is still to be written."""
    fixture = incident.reconciliation
    fixture.evidence_bucket = "nowhere"
    done = incident.force(limit=SHORT)
    assert not done.contained
    assert set(done.proven_dead) == set(done.suspects)
    assert any("NoSuchBucket" in one for one in done.unfinished)
    closed_at = incident.incident().closing
    fixture.evidence_bucket = "evidence"
    fixture.reconcile()
    assert len(incident.records()) == 1
    closing = incident.incident().closing
    assert closed_at is not None
    assert closing is not None
    assert (closing.at, closing.evidence is not None) == (closed_at.at, True)


class _Liar:
    """An issuer that says it has revoked, and has not."""

    def __init__(self, issuer: Any) -> None:
        self._issuer = issuer

    def revoke(self, key_id: str) -> Revocation:
        return Revocation.REVOKED

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)


def _lying_issuer(incident: IncidentFixture) -> None:
    incident.reconciliation.issuer = _Liar(incident.reconciliation.issuer)


def _failing_vendor(incident: IncidentFixture) -> None:
    def fail() -> None:
        fixture = incident.reconciliation.rotation
        if incident.journal().open_incident and incident.incident().rotations:
            incident.run_steps()
            fixture.vendor.faults.next("sign", VendorFault.SERVER_ERROR, times=None)

    incident.while_waiting = fail


@pytest.mark.parametrize("trouble", [_lying_issuer, _failing_vendor])
def test_while_a_leaked_key_may_sign_it_is_not_over(
    incident: IncidentFixture, trouble: Callable[[IncidentFixture], None]
) -> None:
    """It says what is left for as long as it waits, and ends unfinished; the next one goes on."""
    fixture = incident.reconciliation
    issuer, leaked = fixture.issuer, incident.alive()
    trouble(incident)
    done = incident.force(limit=SHORT)
    assert not done.contained
    assert done.evidence is None
    assert any(f"key {key} is not proven dead" in done.unfinished for key in leaked)
    assert incident.records() == []
    fixture.issuer, incident.while_waiting = issuer, lambda: None
    fixture.rotation.vendor.faults.clear()
    again = incident.force()
    assert again.contained
    assert leaked <= set(again.proven_dead)
    assert not leaked & incident.alive()


class _SickPool(_Liar):
    """An issuer that knows that its list is not whole; it revokes as it should."""

    def list_keys(self, installation: str, secret_arn: str) -> KeyListing:
        listed: KeyListing = self._issuer.list_keys(installation, secret_arn)
        return replace(listed, whole=False)

    def revoke(self, key_id: str) -> Revocation:
        answer: Revocation = self._issuer.revoke(key_id)
        return answer


class _NoList(_SickPool):
    """An issuer that cannot list its keys; it revokes as it should."""

    def list_keys(self, installation: str, secret_arn: str) -> KeyListing:
        raise VendorUnavailableError("list keys", "nothing is listed today")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [(_SickPool, "an entry of the pool cannot be read"), (_NoList, "nothing is listed today")],
)
def test_it_is_not_over_while_the_list_of_keys_is_not_whole(
    incident: IncidentFixture, trouble: type[_Liar], said: str
) -> None:
    """The suspects that are known die; one that is missing from the list would be forgotten."""
    fixture = incident.reconciliation
    issuer, leaked = fixture.issuer, incident.alive()
    fixture.issuer = trouble(issuer)
    done = incident.force(limit=SHORT)
    assert not done.contained
    assert set(done.proven_dead) == leaked
    assert any(said in one for one in done.unfinished)
    fixture.issuer = issuer
    fixture.reconcile()
    assert incident.journal().open_incident is None


def test_when_no_rotation_gets_through_it_says_why_at_once(incident: IncidentFixture) -> None:
    """The vendor refuses to issue a key: the command does not wait on.

    The suspect key that is not current is revoked all the same.
    """
    fixture = incident.reconciliation.rotation
    assert len(incident.alive()) == 2
    current = incident.current_key()
    fixture.vendor.faults.next("create", VendorFault.FORBIDDEN, times=None)
    done = incident.force()
    assert not done.contained
    assert done.parts["rotated"] < timedelta(minutes=1)
    assert "createSecret failed: " in done.unfinished[0]
    assert "[vendor_refused]" in done.unfinished[0]
    assert f"rotation unstick {incident.arn} --apply" in done.unfinished[0]
    assert incident.journal().open_incident is not None
    assert incident.alive() == {current} == {incident.current_key()}


@pytest.mark.parametrize(
    ("code", "retryable", "needed"),
    [
        ("vendor_refused", False, True),
        ("key_pool_empty", False, True),
        ("secret_store", False, True),
        ("secret_store", True, False),
        ("vendor_unavailable", True, False),
        ("credential_rejected", False, False),
        ("version_state", False, False),
        ("compromised_key", False, False),
        ("rotation", False, False),
    ],
)
def test_only_what_a_person_must_mend_ends_the_wait(
    code: str, retryable: bool, needed: bool
) -> None:
    """A key that is not accepted yet, or a version that was moved, is no reason to give up."""
    assert needs_mending({"code": code, "retryable": retryable}) == needed


def test_a_step_that_may_get_through_is_waited_for(incident: IncidentFixture) -> None:
    """The vendor is down for the first attempt: the cause is logged once, and the wait goes on."""
    faults = incident.reconciliation.rotation.vendor.faults
    faults.next("create", VendorFault.SERVER_ERROR, times=None)

    def recover() -> None:
        if any(act.endswith("[vendor_unavailable]") for act in incident.acts):
            faults.clear()

    incident.while_waiting = recover
    done = incident.force()
    assert done.contained
    told = [act for act in incident.acts if act.startswith("createSecret failed: ")]
    assert len(told) == 1
