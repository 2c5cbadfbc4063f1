"""A forced rotation says "contained" when every leaked key is dead, and at no other time.

Each test is one situation in which an earlier version said so while a leaked key signed, or gave
up. The judge is the vendor: which keys does it accept in the end?
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rotation.errors import JournalError, VersionStateError
from rotation.incident.containment import Containment
from tests.incident.incident_fixture import IncidentFixture


def assert_contained(incident: IncidentFixture, done: Containment, leaked: set[str]) -> None:
    """Every leaked key is dead, the current key is not one of them, and signs."""
    assert done.contained, (done.unfinished, incident.acts)
    assert leaked <= set(done.proven_dead)
    assert not leaked & incident.alive()
    assert incident.current_key() in incident.alive()
    assert incident.current_key() not in done.suspects


def test_a_forced_rotation_ends_with_one_living_key(incident: IncidentFixture) -> None:
    """Declared, rotated, revoked, proven dead and closed, with a record."""
    before = incident.alive()
    done = incident.force()
    assert_contained(incident, done, before)
    assert set(done.suspects) == before
    assert incident.alive() == {incident.current_key()}
    [record] = incident.records()
    assert {key["keyId"] for key in record["keys"]} == before
    assert all(key["death"]["proof"]["verdict"] == "dead" for key in record["keys"])


def test_a_new_key_that_a_person_revokes_meanwhile_is_replaced(incident: IncidentFixture) -> None:
    """It is no suspect, and nothing can be proven against a current key that does not sign."""
    before = incident.alive()
    declaration = incident.declare()
    incident.ask("advance", declaration=declaration)
    incident.run_steps()
    revoked = incident.current_key()
    assert revoked not in before
    incident.reconciliation.rotation.vendor.keys.revoke(revoked)
    done = incident.force()
    assert_contained(incident, done, before)
    assert incident.current_key() != revoked


def _two_rotations(incident: IncidentFixture) -> None:
    incident.reconciliation.rotate()
    incident.reconciliation.rotate()


def _unstuck_pending(incident: IncidentFixture) -> None:
    fixture = incident.reconciliation.rotation
    token = fixture.stage()
    fixture.stage_key(token)
    fixture.client.update_secret_version_stage(
        SecretId=fixture.arn, VersionStage="AWSPENDING", RemoveFromVersionId=token
    )


def _replaced_by_hand_twice(incident: IncidentFixture) -> None:
    incident.reconciliation.rotation.store()
    incident.reconciliation.rotation.store()
    incident.reconciliation.rotation.store()


def _twelve_rotations(incident: IncidentFixture) -> None:
    for _ in range(12):
        incident.reconciliation.rotate()
        incident.reconciliation.reconcile()


def _hold(incident: IncidentFixture) -> None:
    incident.reconciliation.rotate()
    incident.reconciliation.tag("rotation:hold-until", "2099-01-01T00:00:00Z")
    incident.reconciliation.rotate()


@pytest.mark.parametrize(
    "happens",
    [_two_rotations, _unstuck_pending, _replaced_by_hand_twice, _twelve_rotations, _hold],
)
def test_keys_in_versions_without_labels_are_suspect_too(
    incident: IncidentFixture, happens: Callable[[IncidentFixture], None]
) -> None:
    """Every key that the vendor accepts when the leak is declared is dead at the end."""
    happens(incident)
    leaked = incident.alive()
    assert len(leaked) > 2
    assert_contained(incident, incident.force(), leaked)


@pytest.mark.parametrize("stored_by", ["a person", "the issuer"])
def test_a_suspect_key_that_is_stored_once_more_dies(
    incident: IncidentFixture, stored_by: str
) -> None:
    """The key is the subject: a new version that holds a leaked key is rotated away from."""
    fixture = incident.reconciliation.rotation
    leaked = incident.alive()
    value = fixture.value("AWSCURRENT")

    def store_again() -> None:
        incident.while_waiting = lambda: None
        if stored_by == "a person":
            fixture.put({**value, "team": "billing"})
        else:
            pending = fixture.version("AWSPENDING")
            if pending is not None:
                fixture.client.put_secret_value(
                    SecretId=fixture.arn,
                    ClientRequestToken=pending,
                    SecretString=json.dumps(value),
                    VersionStages=["AWSPENDING"],
                )

    incident.while_waiting = store_again
    assert_contained(incident, incident.force(), leaked)


def test_a_suspect_key_that_is_stored_while_it_is_retired_is_rotated_away_from(
    incident: IncidentFixture,
) -> None:
    """Declared, rotated, and then somebody restores the old value: not contained with it."""
    fixture = incident.reconciliation.rotation
    value, leaked = fixture.value("AWSCURRENT"), incident.alive()
    incident.declare()
    incident.ask("advance")
    incident.run_steps()
    fixture.put(value)
    assert_contained(incident, incident.force(), leaked)


def test_a_suspect_key_that_becomes_current_while_deaths_are_proven_is_replaced(
    incident: IncidentFixture,
) -> None:
    """Somebody moves AWSCURRENT back during the proofs: it is not over with a dead current key."""
    fixture, pause = incident.reconciliation.rotation, incident.reconciliation.rotation.pause
    leaked, old = incident.alive(), str(fixture.version("AWSCURRENT"))
    moved: list[str] = []

    def move(seconds: float) -> None:
        current = str(fixture.version("AWSCURRENT"))
        asked = any(life.asked_at for life in incident.journal().keys.values())
        if not moved and asked and current != old:
            moved.append(current)
            fixture.client.update_secret_version_stage(
                SecretId=fixture.arn,
                VersionStage="AWSCURRENT",
                MoveToVersionId=old,
                RemoveFromVersionId=current,
            )
        pause(seconds)

    fixture.pause = move  # type: ignore[method-assign]
    done = incident.force()
    assert moved
    assert_contained(incident, done, leaked)


def test_a_suspect_key_that_becomes_current_after_the_end_is_said(
    incident: IncidentFixture,
) -> None:
    """Somebody moves AWSCURRENT back once it is closed: the command says so."""
    fixture, ask = incident.reconciliation.rotation, incident.ask
    old = str(fixture.version("AWSCURRENT"))

    def and_then_move(action: str, arn: str | None = None, **members: Any) -> dict[str, Any]:
        answer = ask(action, arn, **members)
        if action == "reconcile":
            fixture.client.update_secret_version_stage(
                SecretId=fixture.arn,
                VersionStage="AWSCURRENT",
                MoveToVersionId=old,
                RemoveFromVersionId=str(fixture.version("AWSCURRENT")),
            )
        return answer

    incident.ask = and_then_move  # type: ignore[method-assign]
    done = incident.force()
    assert incident.incident().closing is not None
    assert not done.contained
    [text] = done.unfinished
    assert f"rotation rotate {fixture.arn}" in text


def test_a_rotation_that_is_throttled_does_not_end_the_command(incident: IncidentFixture) -> None:
    """It says so once, waits, and goes on."""
    leaked = incident.alive()
    answers = ["ThrottlingException"] * 3

    def throttle(_: dict[str, Any]) -> str | None:
        return answers.pop() if answers else None

    with incident.answering("RotateSecret", throttle):
        done = incident.force()
    assert answers == []
    assert_contained(incident, done, leaked)
    assert sum("ThrottlingException" in act for act in incident.acts) == 1


def test_what_keeps_a_rotation_from_being_begun_is_said_at_the_end(
    incident: IncidentFixture,
) -> None:
    """No step ever ran, so none can say why."""
    with incident.answering("RotateSecret", lambda _: "ThrottlingException"):
        done = incident.force(limit=timedelta(seconds=30))
    assert not done.contained
    [text] = done.unfinished
    assert "ThrottlingException" in text


@pytest.mark.parametrize("when", ["while it rotates", "while deaths are proven"])
def test_a_journal_that_somebody_sets_back_ends_in_an_error_that_says_so(
    incident: IncidentFixture, when: str
) -> None:
    """The declaration is lost with the newer state; who runs the command again declares anew."""
    fixture, leaked = incident.reconciliation.rotation, incident.alive()
    incident.reconciliation.reconcile()
    store, pause = fixture.journal_store, fixture.pause
    earlier = store.read(fixture.arn)
    assert earlier is not None

    def set_back() -> None:
        incident.while_waiting, fixture.pause = lambda: None, pause  # type: ignore[method-assign]
        found = store.read(fixture.arn)
        assert found is not None
        store.write(fixture.arn, earlier[0], found[1])

    def set_back_in_proof(seconds: float) -> None:
        if any(life.asked_at for life in incident.journal().keys.values()):
            set_back()
        pause(seconds)

    if when == "while it rotates":
        incident.while_waiting = set_back
    else:
        fixture.pause = set_back_in_proof  # type: ignore[method-assign]
    with pytest.raises(JournalError, match="older state"):
        incident.force()
    assert_contained(incident, incident.force(), leaked & incident.alive())


def test_a_later_declaration_for_all_keys_keeps_the_incident_open(
    incident: IncidentFixture,
) -> None:
    """Declared again between the proof and the closing: the newer key is suspect, and dies."""
    fixture, keeper = incident.reconciliation.rotation, incident.reconciliation.journals
    write = incident.reconciliation.rotation.journal_store.write
    late: list[str] = []

    class DeclaredMeanwhile:
        """The store, in which somebody declares just before the incident is closed."""

        def read(self, secret_arn: str) -> tuple[bytes, str] | None:
            return fixture.journal_store.read(secret_arn)

        def write(self, secret_arn: str, body: bytes, replaces: str | None) -> str:
            if (
                not late
                and json.loads(body)["incidents"][-1:]
                and (json.loads(body)["incidents"][-1]["closing"] is not None)
            ):
                incident.reconciliation.journals = keeper
                late.append(incident.declare(again=True, reason="leaked again"))
            return write(secret_arn, body, replaces)

    incident.declare()
    incident.ask("advance")
    incident.run_steps()
    second = incident.current_key()
    incident.reconciliation.journals = type(keeper)(DeclaredMeanwhile())
    incident.ask("reconcile")
    assert late
    assert incident.incident().closing is None
    assert second in incident.incident().suspects
    assert_contained(incident, incident.force(), {second})
    assert incident.incident().names(late[0])


def test_describe_secret_that_lags_behind_hides_no_key(incident: IncidentFixture) -> None:
    """A version that the declaration could not see yet was made before it, so it is suspect."""
    fixture = incident.reconciliation.rotation
    seen = fixture.client.describe_secret(SecretId=fixture.arn)
    listed = fixture.client.list_secret_version_ids(SecretId=fixture.arn, IncludeDeprecated=True)
    incident.reconciliation.rotate()
    leaked = incident.alive()
    fixture.later(timedelta(seconds=1))
    with (
        incident.answering("DescribeSecret", lambda _: dict(seen)),
        incident.answering("ListSecretVersionIds", lambda _: dict(listed)),
    ):
        incident.declare()
    assert_contained(incident, incident.force(), leaked)


JUNK = ["plain text", '{"apiKey": "not hex", "apiKeyId": "x"}', "[1]", b"\x00\xff"]


def _store(incident: IncidentFixture, value: str | bytes) -> None:
    fixture = incident.reconciliation.rotation
    if isinstance(value, bytes):
        fixture.client.put_secret_value(SecretId=fixture.arn, SecretBinary=value)
    else:
        fixture.put(value)


@pytest.mark.parametrize("value", JUNK)
def test_a_current_value_that_is_no_key_does_not_stop_it(
    incident: IncidentFixture, value: str | bytes
) -> None:
    """A good key gets current, the incident closes, and that one version is set aside."""
    leaked = incident.alive()
    _store(incident, value)
    junk = incident.reconciliation.rotation.version("AWSCURRENT")
    assert_contained(incident, incident.force(), leaked)
    assert junk in incident.incident().set_aside
    report = incident.ask("report")["secrets"][0]
    [warning] = [one for one in report["warnings"] if one["code"] == "value_unreadable"]
    assert str(junk) in warning["message"]


@pytest.mark.parametrize("value", JUNK)
def test_an_older_value_that_is_no_key_does_not_stop_it(
    incident: IncidentFixture, value: str | bytes
) -> None:
    """Nor does it stop the ordinary retirement of the other keys."""
    _store(incident, value)
    first = incident.alive()
    new = incident.reconciliation.rotation.store()
    report = incident.reconciliation.reconcile()
    incident.reconciliation.pass_grace()
    report = incident.reconciliation.reconcile()
    assert set(report["done"]["provenDead"]) == first
    assert_contained(incident, incident.force(), {new.id})


@pytest.mark.parametrize("which", ["current", "older"])
def test_a_value_that_cannot_be_decrypted_any_more_does_not_stop_it(
    incident: IncidentFixture, which: str
) -> None:
    """The KMS key was changed or disabled: the vendor's list proves the death of listed keys."""
    fixture = incident.reconciliation.rotation
    incident.reconciliation.rotate()
    leaked = incident.alive()
    current = fixture.version("AWSCURRENT")
    listed = fixture.client.list_secret_version_ids(SecretId=fixture.arn, IncludeDeprecated=True)
    versions = {one["VersionId"] for one in listed["Versions"]}
    lost = {current} if which == "current" else versions - {current}

    def refuse(request: dict[str, Any]) -> str | None:
        version = request.get("VersionId", current)
        return "DecryptionFailure" if version in lost else None

    with incident.answering("GetSecretValue", refuse):
        done = incident.force()
    hand_made = {key for key in leaked if key not in fixture.listed_keys()}
    assert not (leaked - hand_made) & incident.alive()
    assert_contained(incident, done, leaked - hand_made)


def test_one_answer_does_not_set_a_leaked_key_aside(incident: IncidentFixture) -> None:
    """Secrets Manager once says that an older version has no value: its key dies all the same."""
    leaked = incident.alive()
    older = incident.reconciliation.rotation.version("AWSPREVIOUS")
    said: list[str] = []

    def once(request: dict[str, Any]) -> str | None:
        if request.get("VersionId") != older or said:
            return None
        said.append("no value")
        return "ResourceNotFoundException"

    incident.declare()
    incident.reconciliation.rotate()
    with incident.answering("GetSecretValue", once):
        incident.ask("reconcile")
    assert said
    assert incident.incident().closing is None
    assert_contained(incident, incident.force(), leaked)


def test_another_secret_s_incident_says_nothing_of_this_one(incident: IncidentFixture) -> None:
    """Records of "A/B" do not answer for "A", for the same person and reason."""
    fixture = incident.reconciliation.rotation
    name = fixture.arn.rpartition(":")[2][:-7]
    other = fixture.client.create_secret(Name=f"{name}/b")["ARN"]
    leaked = incident.alive()
    with incident.on(other):
        fixture.store()
        incident.reconciliation.rotate()
        first = incident.force()
        assert first.contained
    done = incident.force()
    assert_contained(incident, done, leaked)
    assert done.evidence != first.evidence
    records = incident.ask("evidence")["records"]
    assert {one["record"]["secret"]["arn"] for one in records} == {fixture.arn}


def test_a_secret_of_another_function_is_refused_and_stays_as_it_is(
    incident: IncidentFixture,
) -> None:
    """A tag may match a secret that another function rotates: it is named, and untouched."""
    fixture = incident.reconciliation.rotation
    other = fixture.client.create_secret(Name="rotated-by-others", SecretString="theirs")["ARN"]
    with pytest.raises(VersionStateError, match="rotated-by-others"):
        incident.force(arn=other)
    described = fixture.client.describe_secret(SecretId=other)
    assert not described.get("Tags")
    assert incident.reconciliation.journals.read(other).incidents == ()


def test_a_full_quota_of_labels_and_tags_does_not_stop_it(incident: IncidentFixture) -> None:
    """20 labels and 50 tags are in use: it is declared, rotated and closed all the same."""
    fixture = incident.reconciliation.rotation
    incident.reconciliation.rotate()
    leaked = incident.alive()
    current = str(fixture.version("AWSCURRENT"))
    for number in range(17):
        fixture.client.update_secret_version_stage(
            SecretId=fixture.arn, VersionStage=f"ours-{number}", MoveToVersionId=current
        )
    for number in range(50):
        incident.reconciliation.tag(f"tag-{number}", "x")
    with incident.answering("TagResource", lambda _: "LimitExceededException"):
        assert_contained(incident, incident.force(), leaked)


def test_two_who_close_one_incident_keep_one_record(incident: IncidentFixture) -> None:
    """The run after the promotion and the command finish at once."""
    incident.declare()
    incident.ask("advance")
    incident.run_steps()
    keep = incident.reconciliation.reconciler().services.evidence.keep
    incident.ask("reconcile")
    incident.ask("reconcile")
    [record] = incident.records()
    closing = incident.incident().closing
    assert closing is not None
    again = keep(str(closing.evidence).split("/", 3)[-1], json.dumps(record).encode())
    assert again == closing.evidence
    assert len(incident.records()) == 1
