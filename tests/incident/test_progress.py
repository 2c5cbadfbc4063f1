"""An incident, act by act, against AWS and the vendor on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotation.core.ports import Proof
from rotation.core.steps import STEPS
from rotation.credential import ApiKey
from rotation.errors import CompromisedKeyError, JournalError, SecretStoreError, VersionStateError
from rotation.incident.progress import MOST_ATTEMPTS, RETRY_AFTER, ROTATION_TIME_LIMIT
from rotation.journal.keeper import JournalKeeper
from rotation.sandbox.aws.traffic import AwsError, Dropped
from tests.incident.incident_fixture import ACTOR, IncidentFixture


def begin_rotation(incident: IncidentFixture) -> str:
    """Create a key under AWSPENDING, as a rotation that is under way; its token."""
    fixture = incident.reconciliation.rotation
    pending = fixture.stage()
    STEPS["createSecret"](fixture.rotation(pending))
    return pending


def run(incident: IncidentFixture, token: str, steps: list[str]) -> None:
    for step in steps:
        STEPS[step](incident.reconciliation.rotation.rotation(token))


def last_token(incident: IncidentFixture) -> str:
    """The token of the rotation that the incident began last, once its steps have failed."""
    fixture = incident.reconciliation.rotation
    token = incident.incident().rotations[-1].token
    assert not fixture.cloud.wait_for_rotation(fixture.arn, token).succeeded
    return token


def settle(incident: IncidentFixture) -> None:
    """Time for whatever was begun to have shown."""
    incident.reconciliation.rotation.later(timedelta(seconds=11))


def suspects(incident: IncidentFixture) -> set[str]:
    return set(incident.incident().suspects)


def test_every_key_is_suspect_and_a_pending_one_is_unstaged(incident: IncidentFixture) -> None:
    """Current, previous and pending; then the incident's own rotation begins."""
    fixture = incident.reconciliation.rotation
    pending = begin_rotation(incident)
    leaked = incident.alive()
    assert len(leaked) == 3
    incident.declare()
    answer = incident.ask("advance")
    assert set(answer["incident"]["suspects"]) == leaked
    assert answer["stage"] == "rotating"
    assert fixture.version("AWSPENDING") == last_token(incident) != pending


def test_a_running_step_cannot_promote_a_suspect_key(incident: IncidentFixture) -> None:
    """Each step of the rotation that was pending refuses; the suspect is never current."""
    fixture = incident.reconciliation.rotation
    pending = begin_rotation(incident)
    incident.declare()
    incident.ask("advance")
    for step in ("setSecret", "testSecret", "finishSecret"):
        with pytest.raises(VersionStateError):
            STEPS[step](fixture.rotation(pending))
    last_token(incident)
    incident.run_steps()
    answer = incident.ask("advance")
    assert answer["stage"] == "retiring"
    assert answer["currentKey"] not in answer["incident"]["suspects"]


@pytest.mark.parametrize("done", ["nothing", "createSecret", "setSecret", "testSecret"])
def test_a_declaration_alone_stops_a_suspect_key(incident: IncidentFixture, done: str) -> None:
    """Whoever declared was killed before anything else: the journal keeps it from promotion."""
    fixture = incident.reconciliation.rotation
    current = fixture.version("AWSCURRENT")
    pending = fixture.stage()
    names = [*STEPS]
    begun = names[: names.index(done) + 1] if done in names else []
    run(incident, pending, begun)
    incident.declare()
    with pytest.raises(CompromisedKeyError):
        run(incident, pending, names[len(begun) :])
    assert fixture.version("AWSPENDING") is None
    for name in names:
        with pytest.raises(VersionStateError):
            STEPS[name](fixture.rotation(pending))
    assert fixture.version("AWSCURRENT") == current


def test_a_key_that_is_declared_while_it_is_proven_is_not_promoted(
    incident: IncidentFixture,
) -> None:
    """The last step reads the journal again after the proof, which takes time."""
    fixture = incident.reconciliation.rotation
    current = fixture.version("AWSCURRENT")
    pending = begin_rotation(incident)

    class Meanwhile:
        def prove(self, key: ApiKey, statement: str) -> Proof:
            proof = fixture.prover.prove(key, statement)
            incident.declare()
            return proof

    with pytest.raises(CompromisedKeyError):
        STEPS["finishSecret"](fixture.rotation(pending, prover=Meanwhile()))
    assert fixture.version("AWSCURRENT") == current
    assert fixture.version("AWSPENDING") is None


def test_a_key_that_is_declared_while_it_is_issued_is_not_stored(
    incident: IncidentFixture,
) -> None:
    """The step createSecret reads the journal again just before the put, and gives the key back."""
    fixture = incident.reconciliation.rotation
    leaked = incident.alive()
    issuer = fixture.issuer

    class Meanwhile:
        def issue(self, *arguments: Any) -> ApiKey:
            key = issuer.issue(*arguments)
            incident.declare()
            return key

        def __getattr__(self, name: str) -> Any:
            return getattr(issuer, name)

    with pytest.raises(CompromisedKeyError):
        STEPS["createSecret"](fixture.rotation(fixture.stage(), issuer=Meanwhile()))
    assert incident.alive() == leaked


def test_a_pending_version_that_is_put_back_is_taken_off_again(incident: IncidentFixture) -> None:
    """A running step stored its key late: the next look unstages it, and rotation goes on."""
    fixture = incident.reconciliation.rotation
    pending = fixture.stage()
    incident.declare()
    incident.ask("advance")
    assert fixture.version("AWSPENDING") == last_token(incident) != pending
    fixture.stage_key(pending)
    assert fixture.version("AWSPENDING") == pending
    settle(incident)
    answer = incident.ask("advance")
    assert fixture.version("AWSPENDING") != pending
    assert answer["stage"] == "rotating"


def test_advancing_again_changes_nothing_while_the_rotation_runs(
    incident: IncidentFixture,
) -> None:
    """One rotation at a time: whoever else works on the incident waits for it too."""
    fixture = incident.reconciliation.rotation
    incident.declare()
    incident.ask("advance")
    last_token(incident)
    before = (fixture.labels(), incident.reconciliation.tags(), incident.incident())
    settle(incident)
    assert incident.ask("advance")["acts"] == []
    assert (fixture.labels(), incident.reconciliation.tags(), incident.incident()) == before


def test_a_rotation_that_does_not_get_through_is_followed_by_another(
    incident: IncidentFixture,
) -> None:
    """Its AWSPENDING is taken off when its time is over, five times; then a person looks."""
    fixture = incident.reconciliation.rotation
    leaked = incident.alive()
    incident.declare()
    tokens: list[str] = []
    for _ in range(MOST_ATTEMPTS):
        assert incident.ask("advance")["stage"] == "rotating"
        tokens.append(last_token(incident))
        assert fixture.version("AWSPENDING") == tokens[-1]
        fixture.later(ROTATION_TIME_LIMIT)
    assert incident.ask("advance")["stage"] == "exhausted"
    assert len(set(tokens)) == MOST_ATTEMPTS
    assert suspects(incident) == leaked


def test_after_a_long_outage_an_hourly_look_begins_another_rotation(
    incident: IncidentFixture,
) -> None:
    """An incident is never given up: past the five attempts one more follows each hour."""
    fixture = incident.reconciliation.rotation
    incident.declare()
    for _ in range(MOST_ATTEMPTS):
        incident.ask("advance")
        last_token(incident)
        fixture.later(ROTATION_TIME_LIMIT)
    assert incident.ask("advance")["stage"] == "exhausted"
    fixture.later(RETRY_AFTER)
    assert incident.ask("advance")["stage"] == "rotating"
    assert len(incident.incident().begun) == MOST_ATTEMPTS + 1


def test_an_abandoned_rotation_is_followed_by_another_soon(incident: IncidentFixture) -> None:
    """When the incident's own token lost its label, nobody waits five minutes for it."""
    fixture = incident.reconciliation.rotation
    incident.declare()
    incident.ask("advance")
    token = last_token(incident)
    fixture.rotation(token).secret.unstage_pending(token)
    settle(incident)
    incident.ask("advance")
    assert len(incident.incident().begun) == 2


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", ["TagResource", "UpdateSecretVersionStage", "RotateSecret"])
def test_whoever_comes_next_goes_on_where_it_stopped(
    incident: IncidentFixture, operation: str, when: str
) -> None:
    """Cut off at any call, before or after it took effect: the next one ends in the same state."""
    fixture = incident.reconciliation.rotation
    fixture.stage()
    leaked = incident.alive()
    incident.declare()
    getattr(fixture.cloud.faults, when)(operation, Dropped(), times=20)
    if operation in {"TagResource", "RotateSecret"}:
        # Nothing depends on the tag. A rotation is begun by the next look, under the same token.
        incident.ask("advance")
    else:
        with pytest.raises(SecretStoreError):
            incident.ask("advance")
    fixture.cloud.faults.clear()
    fixture.later(timedelta(minutes=6))
    assert_ends_well(incident, leaked)


def assert_ends_well(incident: IncidentFixture, leaked: set[str]) -> None:
    for _ in range(MOST_ATTEMPTS):
        answer = incident.ask("advance")
        if answer["stage"] == "retiring":
            break
        last_token(incident)
        incident.run_steps()
        settle(incident)
    assert answer["stage"] == "retiring"
    assert set(answer["incident"]["suspects"]) == leaked
    assert answer["currentKey"] not in leaked


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_journal_that_fails_for_a_moment_loses_nothing(
    incident: IncidentFixture, number: int, *, stored: bool
) -> None:
    """The declaration or a later write fails, stored or not: asking again ends in one incident."""
    fixture, keeper = incident.reconciliation.rotation, incident.reconciliation.journals
    leaked = incident.alive()
    writes: list[str] = []

    class FailsOnce:
        def read(self, secret_arn: str) -> tuple[bytes, str] | None:
            return fixture.journal_store.read(secret_arn)

        def write(self, secret_arn: str, body: bytes, replaces: str | None) -> str:
            writes.append(secret_arn)
            if len(writes) != number:
                return fixture.journal_store.write(secret_arn, body, replaces)
            if stored:
                fixture.journal_store.write(secret_arn, body, replaces)
            raise JournalError("The store failed.")

    incident.reconciliation.journals = JournalKeeper(FailsOnce())
    declaration = incident.declaration()
    failed: list[str] = []

    def ask(action: str, **members: Any) -> None:
        for _ in range(2):
            try:
                incident.ask(action, **members)
            except JournalError as error:
                failed.append(str(error))
            else:
                return

    ask("declare", reason="key-compromise", actor=ACTOR, declaration=declaration.id)
    ask("advance")
    incident.reconciliation.journals = keeper
    assert failed
    assert len(incident.journal().incidents) == 1
    assert [one.id for one in incident.incident().declarations] == [declaration.id]
    fixture.later(timedelta(minutes=6))
    assert_ends_well(incident, leaked)


def test_a_rotation_that_is_refused_is_begun_again(incident: IncidentFixture) -> None:
    """Secrets Manager refuses while another rotation is under way: the refused one counts not."""
    fixture = incident.reconciliation.rotation
    incident.declare()
    fixture.cloud.faults.before("RotateSecret", AwsError("InvalidRequestException"))
    assert any("refused" in act for act in incident.ask("advance")["acts"])
    assert incident.incident().begun == ()
    settle(incident)
    incident.ask("advance")
    assert len(incident.incident().begun) == 1
    assert fixture.version("AWSPENDING") == last_token(incident)


def test_a_rotation_that_is_throttled_uses_up_no_attempt(incident: IncidentFixture) -> None:
    """However often it cannot be begun, the next look tries again, under the same token."""
    incident.declare()
    with incident.answering("RotateSecret", lambda _: "ThrottlingException"):
        for _ in range(MOST_ATTEMPTS + 1):
            assert incident.ask("advance")["stage"] == "rotating"
            settle(incident)
    [refused] = incident.incident().rotations
    assert refused.refused
    incident.ask("advance")
    assert [one.token for one in incident.incident().begun] == [refused.token]
    assert incident.reconciliation.rotation.version("AWSPENDING") == refused.token


def test_a_run_reports_a_rotation_that_it_could_not_begin(incident: IncidentFixture) -> None:
    """The hourly run names the error, and counts as failed."""
    fixture = incident.reconciliation.rotation
    incident.declare()
    with incident.answering("RotateSecret", lambda _: "ThrottlingException"):
        report = incident.reconciliation.run(fixture.arn)["secrets"][0]
    assert any("ThrottlingException" in one["message"] for one in report["failures"])


@pytest.mark.parametrize("minutes", [10, -10])
def test_a_function_whose_clock_is_wrong_may_declare(
    incident: IncidentFixture, minutes: int
) -> None:
    """The key of the incident's own rotation is not suspect, whatever time the declaration has."""
    fixture = incident.reconciliation.rotation
    leaked, wrong = incident.alive(), timedelta(minutes=minutes)
    fixture.offset += wrong
    incident.declare()
    fixture.offset -= wrong
    incident.ask("advance")
    incident.run_steps()
    answer = incident.ask("advance")
    assert answer["stage"] == "retiring"
    assert suspects(incident) == leaked


def test_an_incident_of_a_secret_that_is_being_deleted_says_so(incident: IncidentFixture) -> None:
    """Nothing rotates it: the answer and the report say what to do, and nothing is begun."""
    fixture = incident.reconciliation.rotation
    leaked = incident.alive()
    incident.declare()
    fixture.client.delete_secret(SecretId=fixture.arn, RecoveryWindowInDays=7)
    with pytest.raises(VersionStateError, match="restore-secret"):
        incident.ask("advance")
    report = incident.reconciliation.run(fixture.arn)["secrets"][0]
    [warning] = [one for one in report["warnings"] if one["code"] == "incident_open"]
    assert "scheduled for deletion" in warning["message"]
    assert incident.incident().rotations == ()
    fixture.client.restore_secret(SecretId=fixture.arn)
    assert_ends_well(incident, leaked)


def test_two_who_advance_at_once_begin_one_rotation(incident: IncidentFixture) -> None:
    """The journal has the rotation before Secrets Manager does, so the second one sees it."""
    incident.declare()
    store = incident.reconciliation.rotation.journal_store
    keeper = incident.reconciliation.journals
    raced: list[dict[str, Any]] = []

    class Raced:
        """The store, in which somebody else advances just before this one does."""

        def read(self, secret_arn: str) -> tuple[bytes, str] | None:
            return store.read(secret_arn)

        def write(self, secret_arn: str, body: bytes, replaces: str | None) -> str:
            if not raced and b'"rotations": []' not in body:
                incident.reconciliation.journals = keeper
                raced.append({})
                raced[0] = incident.ask("advance")
            return store.write(secret_arn, body, replaces)

    incident.reconciliation.journals = JournalKeeper(Raced())
    answer = incident.ask("advance")
    assert raced[0]["stage"] == answer["stage"] == "rotating"
    assert answer["acts"][-1] == "another run works on this incident"
    assert len(incident.incident().rotations) == 1
    assert incident.reconciliation.rotation.version("AWSPENDING") == last_token(incident)


def test_keys_that_leaked_once_more_are_rotated_away_from(incident: IncidentFixture) -> None:
    """It waits for a person, and the new key leaks too: all of now is suspect, and what was."""
    before = incident.alive()
    incident.declare()
    incident.ask("advance")
    last_token(incident)
    incident.run_steps()
    assert incident.ask("advance")["stage"] == "retiring"
    second = incident.current_key()
    incident.reconciliation.rotation.later(timedelta(minutes=1))
    incident.declare(again=True, reason="the-new-key-too")
    assert incident.ask("advance")["stage"] == "rotating"
    assert suspects(incident) == before | {second}
    last_token(incident)
    incident.run_steps()
    assert incident.ask("advance")["stage"] == "retiring"
    assert incident.current_key() not in suspects(incident)


def test_a_suspect_version_that_lost_every_label_is_suspect_still(
    incident: IncidentFixture,
) -> None:
    """The journal remembers what DescribeSecret does not show any more."""
    fixture = incident.reconciliation.rotation
    leaked = incident.alive()
    incident.declare()
    previous = str(fixture.version("AWSPREVIOUS"))
    fixture.rotation(previous).secret.remove_label("AWSPREVIOUS", previous)
    fixture.later(timedelta(minutes=1))
    incident.declare(again=True)
    incident.ask("advance")
    assert suspects(incident) == leaked


def test_a_key_that_came_after_the_declaration_is_not_suspect(incident: IncidentFixture) -> None:
    """The incident's own new key never is, however often anybody advances."""
    leaked = incident.alive()
    incident.declare()
    incident.ask("advance")
    token = last_token(incident)
    incident.run_steps()
    for _ in range(3):
        settle(incident)
        answer = incident.ask("advance")
    assert answer["currentVersion"] == token
    assert set(answer["incident"]["suspects"]) == leaked
    assert answer["acts"] == []


def test_a_key_that_an_ordinary_rotation_brought_meanwhile_is_not_suspect(
    incident: IncidentFixture,
) -> None:
    """Declared, killed before anything else, rotated by schedule: no second rotation is needed."""
    leaked = incident.alive()
    # Secrets Manager here dates a version by the clock of the machine, which ours is ahead of.
    incident.reconciliation.rotation.later(-timedelta(hours=1))
    incident.declare()
    incident.reconciliation.rotation.later(timedelta(hours=1))
    later = incident.reconciliation.rotate()
    answer = incident.ask("advance")
    assert set(answer["incident"]["suspects"]) == leaked
    assert (answer["stage"], answer["currentVersion"]) == ("retiring", later)
    assert incident.incident().rotations == ()


def test_the_rotations_of_an_earlier_incident_do_not_count(incident: IncidentFixture) -> None:
    """The number of attempts belongs to one incident."""
    assert incident.force().contained
    first = incident.incident()
    incident.declare()
    incident.ask("advance")
    assert incident.incident() != first
    assert len(incident.incident().begun) == 1
    assert incident.incident().rotations[0].token not in {one.token for one in first.rotations}


def test_without_an_incident_nothing_happens(incident: IncidentFixture) -> None:
    """No tag, no label and no rotation."""
    fixture = incident.reconciliation.rotation
    before = (fixture.labels(), incident.reconciliation.tags())
    answer = incident.ask("advance")
    assert (answer["stage"], answer["acts"], answer["incident"]) == ("none", [], None)
    assert (fixture.labels(), incident.reconciliation.tags()) == before


def test_the_tag_says_nothing_but_to_people(incident: IncidentFixture) -> None:
    """Once there is a journal a tag opens no incident, and a removed tag ends none."""
    fixture = incident.reconciliation.rotation
    incident.reconciliation.reconcile()
    incident.reconciliation.tag("rotation:incident", "2026-01-01T00:00:00.000Z leaked me")
    assert incident.ask("advance")["stage"] == "none"
    leaked = incident.alive()
    incident.declare()
    incident.ask("advance")
    assert "key-compromise" in incident.reconciliation.tags()["rotation:incident"]
    fixture.client.untag_resource(SecretId=fixture.arn, TagKeys=["rotation:incident"])
    done = incident.force()
    assert done.contained
    assert set(done.proven_dead) == leaked
    assert "rotation:incident" not in incident.reconciliation.tags()


def test_a_declaration_reads_no_value(incident: IncidentFixture) -> None:
    """Nothing that is the matter with a value can hold it up, nor can a full quota of labels."""
    cloud = incident.reconciliation.rotation.cloud
    begun = len(cloud.calls)
    incident.declare()
    operations = {call.operation for call in cloud.calls[begun:]}
    assert operations == {"DescribeSecret", "ListSecretVersionIds"}


def _delete(incident: IncidentFixture) -> None:
    fixture = incident.reconciliation.rotation
    fixture.client.delete_secret(SecretId=fixture.arn)


def _rotated_by_another(incident: IncidentFixture) -> None:
    fixture = incident.reconciliation.rotation
    incident.reconciliation.policy = replace(
        incident.reconciliation.policy, rotation_function=fixture.function_arn + "-other"
    )


def _without_rotation(incident: IncidentFixture) -> None:
    fixture = incident.reconciliation.rotation
    fixture.arn = fixture.client.create_secret(Name="without-rotation")["ARN"]


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (_delete, "Restore it"),
        (_rotated_by_another, "rotated by"),
        (_without_rotation, "rotated by"),
    ],
)
def test_a_secret_that_cannot_be_rotated_cannot_be_declared(
    incident: IncidentFixture, change: Callable[[IncidentFixture], None], advice: str
) -> None:
    """Each refusal says what to do instead, and nothing is written."""
    change(incident)
    with pytest.raises(VersionStateError, match=advice):
        incident.declare()
    assert incident.journal().incidents == ()
