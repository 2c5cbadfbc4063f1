"""An incident, act by act, against AWS and the vendor on this machine."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rotation.core.ports import Proof
from rotation.core.steps import STEPS
from rotation.credential import ApiKey
from rotation.errors import CompromisedKeyError, SecretStoreError, VersionStateError
from rotation.incident.declaration import (
    MOST_ATTEMPTS,
    RETRY_AFTER,
    ROTATION_TIME_LIMIT,
    Declaration,
    Stage,
    advance,
    attempt_token,
    declare,
)
from rotation.sandbox.aws.traffic import Dropped
from rotation.secrets_manager.labels import (
    ATTEMPT_TAG,
    COMPROMISED_PREFIX,
    INCIDENT_TAG,
    SUSPECT_TAGS,
)
from rotation.secrets_manager.versions import SecretVersions
from tests.rotation_fixture import RotationFixture, new_token

ACTOR = "arn:aws:sts::012345678912:assumed-role/responder/alex"


def versions(rotation_fixture: RotationFixture) -> SecretVersions:
    return SecretVersions(rotation_fixture.client, rotation_fixture.arn)


def declared(rotation_fixture: RotationFixture) -> Declaration:
    return declare(
        versions(rotation_fixture), Declaration(rotation_fixture.now(), "key-compromise", ACTOR)
    )


def tags(rotation_fixture: RotationFixture) -> dict[str, str]:
    described = rotation_fixture.client.describe_secret(SecretId=rotation_fixture.arn)
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}


def marked(rotation_fixture: RotationFixture) -> set[str]:
    return {
        version
        for version, labels in rotation_fixture.labels().items()
        if any(label.startswith(COMPROMISED_PREFIX) for label in labels)
    }


def begin(rotation_fixture: RotationFixture) -> None:
    declared(rotation_fixture)
    advance(versions(rotation_fixture), rotation_fixture.now())


def run_steps(rotation_fixture: RotationFixture, token: str) -> None:
    for step in STEPS.values():
        step(rotation_fixture.rotation(token))


def settle(rotation_fixture: RotationFixture) -> None:
    """Time for whatever was begun to have shown."""
    rotation_fixture.later(timedelta(seconds=11))


@pytest.fixture
def rotated(rotation_fixture: RotationFixture) -> RotationFixture:
    """A secret with a current and a previous key, and rotation turned on."""
    rotation_fixture.store()
    run_steps(rotation_fixture, rotation_fixture.stage())
    return rotation_fixture


def test_every_version_with_a_key_is_declared_compromised(rotated: RotationFixture) -> None:
    """Current, previous and pending: each gets its own label, and AWSPENDING is taken off."""
    pending = rotated.stage()
    STEPS["createSecret"](rotated.rotation(pending))
    suspects = set(rotated.labels())
    assert len(suspects) == 3
    declared(rotated)
    progress = advance(versions(rotated), rotated.now())
    assert set(progress.suspects) == suspects
    assert marked(rotated) == suspects
    assert "AWSPENDING" not in rotated.labels()[pending]
    assert progress.stage is Stage.ROTATING
    assert progress.attempt == 1


def test_a_running_step_cannot_promote_a_suspect_key(rotated: RotationFixture) -> None:
    """Each step of the rotation that was pending refuses; the suspect is never current."""
    pending = rotated.stage()
    STEPS["createSecret"](rotated.rotation(pending))
    declaration = declared(rotated)
    advance(versions(rotated), rotated.now())
    for step in ("setSecret", "testSecret", "finishSecret"):
        with pytest.raises(VersionStateError):
            STEPS[step](rotated.rotation(pending))
    run_steps(rotated, attempt_token(rotated.arn, declaration, 1))
    progress = advance(versions(rotated), rotated.now())
    assert progress.stage is Stage.RETIRING
    assert progress.current not in progress.suspects
    assert pending in progress.suspects


@pytest.mark.parametrize("done", ["nothing", "createSecret", "testSecret"])
def test_a_declaration_alone_stops_a_suspect_key(rotated: RotationFixture, done: str) -> None:
    """Whoever declared it was killed before the labels: the tags keep the key from promotion."""
    current = rotated.version("AWSCURRENT")
    pending = rotated.stage()
    names = [*STEPS]
    begun = names[: names.index(done) + 1] if done in names else []
    for name in begun:
        STEPS[name](rotated.rotation(pending))
    declared(rotated)
    with pytest.raises(CompromisedKeyError):
        STEPS[names[len(begun)]](rotated.rotation(pending))
    assert rotated.version("AWSPENDING") is None
    for name in names:
        with pytest.raises(VersionStateError):
            STEPS[name](rotated.rotation(pending))
    assert rotated.version("AWSCURRENT") == current


@pytest.mark.parametrize("how", ["tags", "label"])
def test_a_key_that_is_declared_while_it_is_proven_is_not_promoted(
    rotated: RotationFixture, how: str
) -> None:
    """The last step looks again after the proof, which takes time."""
    current = rotated.version("AWSCURRENT")
    pending = rotated.stage()
    for name in ("createSecret", "setSecret", "testSecret"):
        STEPS[name](rotated.rotation(pending))

    class Meanwhile:
        def prove(self, key: ApiKey, statement: str) -> Proof:
            proof = rotated.prover.prove(key, statement)
            if how == "tags":
                declared(rotated)
            else:
                versions(rotated).add_label(COMPROMISED_PREFIX + pending, pending)
            return proof

    with pytest.raises(CompromisedKeyError):
        STEPS["finishSecret"](rotated.rotation(pending, prover=Meanwhile()))
    assert rotated.version("AWSCURRENT") == current
    assert rotated.version("AWSPENDING") is None


def test_a_pending_version_that_is_put_back_is_taken_off_again(rotated: RotationFixture) -> None:
    """A running step stored its key late: the next look unstages it, and rotation goes on."""
    pending = rotated.stage()
    declared(rotated)
    advance(versions(rotated), rotated.now())
    own = rotated.version("AWSPENDING")
    assert own is not None
    assert own != pending
    rotated.stage_key(pending)
    assert rotated.version("AWSPENDING") == pending
    settle(rotated)
    progress = advance(versions(rotated), rotated.now())
    assert rotated.version("AWSPENDING") != pending
    assert progress.stage is Stage.ROTATING


def test_advancing_again_changes_nothing_while_the_rotation_runs(rotated: RotationFixture) -> None:
    """One rotation at a time: whoever else works on the incident waits for it too."""
    declared(rotated)
    advance(versions(rotated), rotated.now())
    before = (rotated.labels(), tags(rotated))
    settle(rotated)
    progress = advance(versions(rotated), rotated.now())
    assert progress.acts == ()
    assert (rotated.labels(), tags(rotated)) == before


def test_a_rotation_that_does_not_get_through_is_followed_by_another(
    rotated: RotationFixture,
) -> None:
    """Its AWSPENDING is taken off when patience is over, five times; then a person looks."""
    declaration = declared(rotated)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        progress = advance(versions(rotated), rotated.now())
        assert (progress.stage, progress.attempt) == (Stage.ROTATING, attempt)
        token = attempt_token(rotated.arn, declaration, attempt)
        assert not rotated.cloud.wait_for_rotation(rotated.arn, token).succeeded
        assert rotated.version("AWSPENDING") == token
        rotated.later(ROTATION_TIME_LIMIT)
    assert advance(versions(rotated), rotated.now()).stage is Stage.EXHAUSTED
    assert len(marked(rotated)) == 2


def test_after_a_long_outage_an_hourly_look_begins_another_rotation(
    rotated: RotationFixture,
) -> None:
    """An incident is never given up: past the five attempts one more follows each hour."""
    declared(rotated)
    for _ in range(MOST_ATTEMPTS):
        advance(versions(rotated), rotated.now())
        settle(rotated)
        rotated.later(ROTATION_TIME_LIMIT)
    assert advance(versions(rotated), rotated.now()).stage is Stage.EXHAUSTED
    rotated.later(RETRY_AFTER)
    progress = advance(versions(rotated), rotated.now())
    assert (progress.stage, progress.attempt) == (Stage.ROTATING, MOST_ATTEMPTS + 1)


def test_an_abandoned_rotation_is_followed_by_another_soon(rotated: RotationFixture) -> None:
    """When the incident's own token lost its label, nobody waits five minutes for it."""
    declaration = declared(rotated)
    advance(versions(rotated), rotated.now())
    versions(rotated).unstage_pending(attempt_token(rotated.arn, declaration, 1))
    settle(rotated)
    assert advance(versions(rotated), rotated.now()).attempt == 2


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", ["TagResource", "UpdateSecretVersionStage", "RotateSecret"])
def test_whoever_comes_next_goes_on_where_it_stopped(
    rotated: RotationFixture, operation: str, when: str
) -> None:
    """Cut off at any call, before or after it took effect: the next one ends in the same state."""
    rotated.stage()
    suspects = set(rotated.labels())
    getattr(rotated.cloud.faults, when)(operation, Dropped(), times=20)
    with pytest.raises(SecretStoreError):
        begin(rotated)
    rotated.cloud.faults.clear()
    rotated.later(timedelta(minutes=6))
    declaration = declared(rotated)
    for _ in range(MOST_ATTEMPTS):
        progress = advance(versions(rotated), rotated.now())
        if rotated.version("AWSPENDING") == attempt_token(
            rotated.arn, declaration, progress.attempt
        ):
            break
        settle(rotated)
    assert marked(rotated) == suspects
    run_steps(rotated, attempt_token(rotated.arn, declaration, progress.attempt))
    progress = advance(versions(rotated), rotated.now())
    assert progress.stage is Stage.RETIRING
    assert set(progress.suspects) == suspects


def test_declaring_twice_is_one_incident(rotated: RotationFixture) -> None:
    """The second person, or the same one again, joins the incident that is open."""
    first = declared(rotated)
    rotated.later(timedelta(minutes=1))
    again = declare(versions(rotated), Declaration(rotated.now(), "other", "somebody"))
    assert again == first


def test_while_an_incident_is_open_another_leak_can_be_declared(rotated: RotationFixture) -> None:
    """It waits for a person, and the new key leaks too: all of now is suspect, and what was."""
    first = declared(rotated)
    before = set(advance(versions(rotated), rotated.now()).suspects)
    run_steps(rotated, attempt_token(rotated.arn, first, 1))
    progress = advance(versions(rotated), rotated.now())
    assert progress.stage is Stage.RETIRING
    rotated.later(timedelta(minutes=1))
    second = Declaration(rotated.now(), "the-new-key-too", ACTOR)
    assert declare(versions(rotated), second).reason == first.reason
    held = declare(versions(rotated), second, again=True)
    assert held.reason == "the-new-key-too"
    # Whoever repeats the same declaration changes nothing.
    told = tags(rotated)
    assert declare(versions(rotated), second, again=True) == held
    assert tags(rotated) == told
    progress = advance(versions(rotated), rotated.now())
    assert (progress.stage, progress.attempt) == (Stage.ROTATING, 1)
    assert set(progress.suspects) == before | {str(rotated.version("AWSCURRENT"))}
    run_steps(rotated, attempt_token(rotated.arn, held, 1))
    assert advance(versions(rotated), rotated.now()).stage is Stage.RETIRING


def test_another_declaration_forgets_none_of_the_first_one(rotated: RotationFixture) -> None:
    """A suspect version that lost every label before it got its own is suspect still."""
    declared(rotated)
    previous = str(rotated.version("AWSPREVIOUS"))
    versions(rotated).remove_label("AWSPREVIOUS", previous)
    rotated.later(timedelta(minutes=1))
    declare(versions(rotated), Declaration(rotated.now(), "again", ACTOR), again=True)
    assert previous in advance(versions(rotated), rotated.now()).suspects


def test_a_key_that_came_after_the_declaration_is_not_suspect(rotated: RotationFixture) -> None:
    """The incident's own new key is never marked, however often anybody advances."""
    declaration = declared(rotated)
    advance(versions(rotated), rotated.now())
    token = attempt_token(rotated.arn, declaration, 1)
    run_steps(rotated, token)
    for _ in range(3):
        settle(rotated)
        progress = advance(versions(rotated), rotated.now())
    assert progress.current == token
    assert token not in marked(rotated)
    assert progress.acts == ()


def test_a_key_that_an_ordinary_rotation_brought_meanwhile_is_not_suspect(
    rotation_fixture: RotationFixture,
) -> None:
    """Declared, killed before any label, rotated by schedule: only what was there is marked."""
    rotation_fixture.store()
    run_steps(rotation_fixture, rotation_fixture.stage())
    suspects = set(rotation_fixture.labels())
    declared(rotation_fixture)
    later = rotation_fixture.stage()
    run_steps(rotation_fixture, later)
    progress = advance(versions(rotation_fixture), rotation_fixture.now())
    assert set(progress.suspects) == suspects
    assert (progress.stage, progress.current) == (Stage.RETIRING, later)


def test_many_versions_fit_into_the_tags(rotated: RotationFixture) -> None:
    """Twenty labelled versions, as many as a secret can have, are all remembered."""
    for number in range(18):
        token = new_token()
        rotated.client.put_secret_value(
            SecretId=rotated.arn,
            ClientRequestToken=token,
            SecretString=f"{number}",
            VersionStages=[f"label-{number}"],
        )
    labelled = set(rotated.labels())
    assert len(labelled) == 20
    declared(rotated)
    remembered = " ".join(tags(rotated)[name] for name in SUSPECT_TAGS if name in tags(rotated))
    assert set(remembered.split()) == labelled


def test_without_an_incident_nothing_happens(rotated: RotationFixture) -> None:
    """A secret without the tag is left alone."""
    before = rotated.labels()
    assert advance(versions(rotated), rotated.now()).stage is Stage.NONE
    assert rotated.labels() == before


def test_no_value_is_read_or_written(rotated: RotationFixture) -> None:
    """Whoever does all this needs no right to read or put a secret's value."""
    begun = len(rotated.cloud.calls)
    declared(rotated)
    advance(versions(rotated), rotated.now())
    operations = {call.operation for call in rotated.cloud.calls[begun:]}
    assert operations <= {
        *("DescribeSecret", "ListSecretVersionIds", "TagResource"),
        *("UpdateSecretVersionStage", "RotateSecret"),
    }


@pytest.mark.parametrize("tag", ["", "soon key-compromise me", "2026-01-01T00:00:00.000Z me"])
def test_a_tag_of_somebody_else_s_is_refused(rotated: RotationFixture, tag: str) -> None:
    """The error says how to begin again."""
    versions(rotated).tag({INCIDENT_TAG: tag})
    with pytest.raises(VersionStateError, match="untag-resource"):
        advance(versions(rotated), rotated.now())


def test_a_deleted_or_unconfigured_secret_cannot_be_declared(
    rotation_fixture: RotationFixture,
) -> None:
    """Each refusal says what to do instead."""
    rotation_fixture.store()
    with pytest.raises(VersionStateError, match="no rotation function"):
        declared(rotation_fixture)
    rotation_fixture.stage()
    rotation_fixture.client.delete_secret(SecretId=rotation_fixture.arn)
    with pytest.raises(VersionStateError, match="Restore it"):
        declared(rotation_fixture)


def test_a_tag_keeps_to_what_aws_allows(rotation_fixture: RotationFixture) -> None:
    """A long reason is cut; the time and the actor are not."""
    declaration = Declaration(rotation_fixture.now(), "a very " + "long " * 80 + "reason", ACTOR)
    assert len(declaration.tag()) <= 256
    read = Declaration.read(declaration.tag())
    assert read.actor == ACTOR
    assert abs(read.at - declaration.at) < timedelta(milliseconds=1)


def test_an_earlier_incident_s_attempts_do_not_count(rotated: RotationFixture) -> None:
    """The number of attempts belongs to one declaration."""
    versions(rotated).tag({ATTEMPT_TAG: "5 2026-01-01T00:00:00.000Z 2026-01-01T00:00:00.000Z"})
    declared(rotated)
    assert advance(versions(rotated), rotated.now()).attempt == 1
