"""Going back to the previous key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rotation.core.ports import Proof, Revocation
from rotation.credential import ApiKey
from rotation.errors import (
    CompromisedKeyError,
    CredentialRejectedError,
    RotationError,
    SecretStoreError,
    VersionStateError,
)
from rotation.sandbox.aws.traffic import Dropped
from rotation.secrets_manager.former_labels import COMPROMISED_PREFIX
from tests.incident.incident_fixture import IncidentFixture
from tests.reconciliation.reconciliation_fixture import GRACE


def back(incident: IncidentFixture) -> dict[str, Any]:
    return incident.ask("rollback")


def test_the_previous_key_becomes_current_again(incident: IncidentFixture) -> None:
    """AWSCURRENT and AWSPREVIOUS change places, after the key has signed."""
    fixture = incident.reconciliation.rotation
    current, previous = fixture.version("AWSCURRENT"), fixture.version("AWSPREVIOUS")
    before = fixture.vendor.signatures[fixture.value("AWSPREVIOUS")["apiKeyId"]]
    done = back(incident)
    assert (fixture.version("AWSCURRENT"), fixture.version("AWSPREVIOUS")) == (previous, current)
    assert fixture.vendor.signatures[fixture.value("AWSCURRENT")["apiKeyId"]] == before + 1
    assert (done["restored"], done["displaced"]) == (previous, current)
    assert done["evidence"].startswith("s3://")


def test_a_key_in_its_grace_may_come_back(incident: IncidentFixture) -> None:
    """Displaced, and not due yet."""
    version = incident.reconciliation.rotation.version("AWSPREVIOUS")
    incident.reconciliation.reconcile()
    back(incident)
    assert incident.reconciliation.rotation.version("AWSCURRENT") == version


def test_a_key_that_came_back_has_all_its_grace_when_it_is_displaced_anew(
    incident: IncidentFixture,
) -> None:
    """Its first displacement does not count any more."""
    fixture = incident.reconciliation.rotation
    key = str(fixture.value("AWSPREVIOUS")["apiKeyId"])
    incident.reconciliation.reconcile()
    fixture.later(GRACE / 2)
    back(incident)
    assert incident.journal().keys[key].retire_after is None
    back(incident)
    incident.reconciliation.reconcile()
    after = incident.journal().keys[key].retire_after
    assert after is not None
    assert after - fixture.now() > GRACE - timedelta(minutes=1)


def _suspect_and_dead(incident: IncidentFixture) -> None:
    assert incident.force().contained


def _formerly_compromised(incident: IncidentFixture) -> None:
    fixture = incident.reconciliation.rotation
    previous = str(fixture.version("AWSPREVIOUS"))
    fixture.client.update_secret_version_stage(
        SecretId=fixture.arn,
        VersionStage=f"{COMPROMISED_PREFIX}{previous}",
        MoveToVersionId=previous,
    )


def _carried_over(incident: IncidentFixture) -> None:
    """The label of version 0.2 is gone, and the journal has it."""
    current = incident.current_key()
    _formerly_compromised(incident)
    incident.reconciliation.reconcile()
    # The label named one version, and nobody declared the others.
    assert incident.incident().suspects.keys().isdisjoint({current})
    assert incident.current_key() == current


def _dead(incident: IncidentFixture) -> None:
    incident.reconciliation.reconcile()
    incident.reconciliation.pass_grace()
    incident.reconciliation.reconcile()


class _AsksAPerson:
    """An issuer that cannot revoke."""

    def __init__(self, issuer: Any) -> None:
        self._issuer = issuer

    def revoke(self, key_id: str) -> Revocation:
        return Revocation.MANUAL_ACTION_NEEDED

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)


def _asked_of_a_person(incident: IncidentFixture) -> None:
    incident.reconciliation.issuer = _AsksAPerson(incident.reconciliation.issuer)
    _dead(incident)


def _due(incident: IncidentFixture) -> None:
    incident.reconciliation.reconcile()
    incident.reconciliation.pass_grace()


def _declared(incident: IncidentFixture) -> None:
    incident.declare()


def _pending(incident: IncidentFixture) -> None:
    incident.reconciliation.rotation.stage()


def _deleted(incident: IncidentFixture) -> None:
    fixture = incident.reconciliation.rotation
    fixture.client.delete_secret(SecretId=fixture.arn)


@pytest.mark.parametrize(
    ("obstacle", "error"),
    [
        (_suspect_and_dead, CompromisedKeyError),
        (_formerly_compromised, CompromisedKeyError),
        (_carried_over, CompromisedKeyError),
        (_declared, RotationError),
        (_dead, VersionStateError),
        (_asked_of_a_person, VersionStateError),
        (_due, VersionStateError),
        (_pending, VersionStateError),
        (_deleted, VersionStateError),
    ],
)
def test_a_key_that_must_not_come_back_does_not(
    incident: IncidentFixture,
    obstacle: Callable[[IncidentFixture], None],
    error: type[RotationError],
) -> None:
    """Suspect, dead, about to die, or a rotation or an incident open: refused, nothing moved."""
    obstacle(incident)
    fixture = incident.reconciliation.rotation
    before = fixture.labels()
    with pytest.raises(error):
        back(incident)
    assert fixture.labels() == before


def test_a_hold_stops_what_the_refusal_warns_of(incident: IncidentFixture) -> None:
    """The grace is over, and nothing is retired before the hold ends: the key may come back."""
    fixture = incident.reconciliation.rotation
    version = fixture.version("AWSPREVIOUS")
    _due(incident)
    incident.reconciliation.tag(
        "rotation:hold-until", (fixture.now() + timedelta(days=1)).isoformat()
    )
    back(incident)
    assert fixture.version("AWSCURRENT") == version
    incident.reconciliation.reconcile()
    assert incident.current_key() in incident.alive()


def test_a_hold_brings_no_key_back_that_somebody_was_asked_to_revoke(
    incident: IncidentFixture,
) -> None:
    """Whoever was asked may do it at any moment, whatever the hold says."""
    _asked_of_a_person(incident)
    fixture = incident.reconciliation.rotation
    incident.reconciliation.tag(
        "rotation:hold-until", (fixture.now() + timedelta(days=1)).isoformat()
    )
    before = fixture.labels()
    with pytest.raises(VersionStateError, match="was asked to be revoked"):
        back(incident)
    assert fixture.labels() == before


def test_a_hold_that_is_about_to_end_stops_nothing(incident: IncidentFixture) -> None:
    """A run could retire the key while the rollback is under way."""
    fixture = incident.reconciliation.rotation
    _due(incident)
    incident.reconciliation.tag(
        "rotation:hold-until", (fixture.now() + timedelta(minutes=1)).isoformat()
    )
    with pytest.raises(VersionStateError, match="grace"):
        back(incident)


@pytest.mark.parametrize("what", ["declared", "retired"])
def test_what_happens_to_the_key_while_it_is_proven_is_noticed(
    incident: IncidentFixture, what: str
) -> None:
    """The proof takes time: the journal is read again before AWSCURRENT moves."""
    fixture = incident.reconciliation.rotation
    incident.reconciliation.reconcile()
    before, prover = fixture.version("AWSCURRENT"), fixture.prover

    class Meanwhile:
        def prove(self, key: ApiKey, statement: str) -> Proof:
            proof = prover.prove(key, statement)
            incident.reconciliation.prover = prover
            if what == "declared":
                incident.declare()
            else:
                incident.reconciliation.pass_grace()
                incident.reconciliation.reconcile()
            return proof

    incident.reconciliation.prover = Meanwhile()
    with pytest.raises(RotationError) as refused:
        back(incident)
    assert refused.value.code in {"version_state", "compromised_key"}
    assert fixture.version("AWSCURRENT") == before


def test_a_run_that_is_about_to_revoke_the_key_does_not_after_a_rollback(
    incident: IncidentFixture,
) -> None:
    """Rolled back between the plan and the revocation: the key is in use, and lives."""
    fixture = incident.reconciliation.rotation
    key = str(fixture.value("AWSPREVIOUS")["apiKeyId"])
    incident.reconciliation.reconcile()
    incident.reconciliation.tag("rotation:hold-until", "2099-01-01T00:00:00Z")
    incident.reconciliation.pass_grace()
    prover = fixture.prover

    class Meanwhile:
        """The proof that the current key signs, which comes before any revocation."""

        def prove(self, key: ApiKey, statement: str) -> Proof:
            incident.reconciliation.prover = prover
            incident.reconciliation.tag("rotation:hold-until", "2099-01-01T00:00:00Z")
            back(incident)
            return prover.prove(key, statement)

    fixture.client.untag_resource(SecretId=fixture.arn, TagKeys=["rotation:hold-until"])
    incident.reconciliation.prover = Meanwhile()
    incident.reconciliation.run()
    assert incident.current_key() == key
    assert key in incident.alive()


def test_a_key_that_does_not_sign_does_not_come_back(incident: IncidentFixture) -> None:
    """Revoked in the portal without our knowing: the proof finds out."""
    fixture = incident.reconciliation.rotation
    fixture.vendor.keys.revoke(fixture.value("AWSPREVIOUS")["apiKeyId"])
    before = fixture.version("AWSCURRENT")
    with pytest.raises(CredentialRejectedError):
        back(incident)
    assert fixture.version("AWSCURRENT") == before


def test_a_lost_answer_of_the_move_is_a_success(incident: IncidentFixture) -> None:
    """The label tells whether it moved."""
    fixture = incident.reconciliation.rotation
    previous = fixture.version("AWSPREVIOUS")
    fixture.cloud.faults.after("UpdateSecretVersionStage", Dropped(), times=1)
    fixture.cloud.faults.before("UpdateSecretVersionStage", Dropped(), times=10)
    back(incident)
    fixture.cloud.faults.clear()
    assert fixture.version("AWSCURRENT") == previous


def test_cut_off_in_the_middle_it_has_only_made_a_grace_longer(incident: IncidentFixture) -> None:
    """The journal comes first: a rollback that ends there leaves a key that is displaced anew."""
    fixture = incident.reconciliation.rotation
    key = str(fixture.value("AWSPREVIOUS")["apiKeyId"])
    before = fixture.labels()
    incident.reconciliation.reconcile()
    fixture.cloud.faults.before("UpdateSecretVersionStage", Dropped(), times=20)
    with pytest.raises(SecretStoreError):
        back(incident)
    fixture.cloud.faults.clear()
    assert fixture.labels() == before
    incident.reconciliation.reconcile()
    after = incident.journal().keys[key].retire_after
    assert after is not None
    assert after > fixture.now()


def test_without_a_previous_version_there_is_nowhere_to_go(incident: IncidentFixture) -> None:
    """A secret that was never rotated has one key."""
    fixture = incident.reconciliation.rotation
    previous = str(fixture.version("AWSPREVIOUS"))
    fixture.rotation(previous).secret.remove_label("AWSPREVIOUS", previous)
    with pytest.raises(VersionStateError, match="no previous version"):
        back(incident)
