"""A death that nothing can prove: a person attests it, and it is on record as attested."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotation.errors import InvalidEventError, VersionStateError
from rotation.secrets_manager.snapshot import ListedVersion, Snapshot
from rotation.secrets_manager.versions import SecretVersions
from tests.incident.incident_fixture import ACTOR, IncidentFixture

REASON = "revoked in the portal"


@contextmanager
def aws_has_deleted(incident: IncidentFixture, version: str) -> Iterator[None]:
    """AWS has deleted a version without labels, as it may at any time."""

    class Deleted(SecretVersions):
        def snapshot(self) -> Snapshot:
            found = super().snapshot()
            labels = {one: has for one, has in found.labels.items() if one != version}
            return replace(found, labels=labels)

        def list_versions(self) -> tuple[ListedVersion, ...]:
            return tuple(one for one in super().list_versions() if one.id != version)

    fixture = incident.reconciliation
    sound = fixture.reconciler

    def reconciler() -> Any:
        return replace(sound(), open_secret=lambda name: Deleted(fixture.rotation.client, name))

    fixture.reconciler = reconciler  # type: ignore[method-assign]
    try:
        yield
    finally:
        fixture.reconciler = sound  # type: ignore[method-assign]


@pytest.fixture
def lost(incident: IncidentFixture) -> tuple[str, str]:
    """A key made by hand and declared compromised, and the version that held it alone."""
    fixture = incident.reconciliation.rotation
    key = fixture.store()
    version = str(fixture.version("AWSCURRENT"))
    incident.reconciliation.reconcile()
    incident.declare()
    incident.ask("advance")
    incident.run_steps()
    fixture.vendor.keys.revoke(key.id)
    fixture.later(timedelta(minutes=2))
    return key.id, version


def attest(incident: IncidentFixture, key: str) -> dict[str, Any]:
    return incident.ask("attest", key=key, reason=REASON, actor=ACTOR)


def test_an_attested_death_ends_the_incident_and_is_never_called_proven(
    incident: IncidentFixture, lost: tuple[str, str]
) -> None:
    """The journal, the answers and the record name who attests it, and why."""
    key, version = lost
    with aws_has_deleted(incident, version):
        incident.reconciliation.reconcile()
        assert incident.journal().open_incident is not None
        assert attest(incident, key)["death"]["proof"] == {
            "by": "attestation",
            "attestedBy": ACTOR,
            "reason": REASON,
        }
        report = incident.reconciliation.reconcile()
        assert key not in report["done"]["provenDead"]
        answer = incident.ask("advance", declaration=incident.incident().id)
    assert incident.journal().open_incident is None
    assert answer["incident"]["attested"] == [key]
    [record] = incident.records()
    assert record["attested"] == [key]
    [death] = [one["death"] for one in record["keys"] if one["keyId"] == key]
    assert death["proof"]["attestedBy"] == ACTOR
    assert "probes" not in death["proof"]
    [told] = [one for one in report["keys"] if one["keyId"] == key]
    assert told["death"]["proof"]["reason"] == REASON


def test_the_command_that_waits_says_attested(
    incident: IncidentFixture, lost: tuple[str, str]
) -> None:
    """It ends, and counts the key among those that nothing proves."""
    key, version = lost
    with aws_has_deleted(incident, version):
        attest(incident, key)
        done = incident.force(again=True)
    assert done.contained
    assert done.attested == [key]
    assert key not in done.proven_dead
    assert f"key {key} is dead as a person attests; nothing proves it" in incident.acts


def test_what_can_be_proven_is_not_attested(
    incident: IncidentFixture, lost: tuple[str, str]
) -> None:
    """A version holds the key: the vendor can be asked. A key that nobody knows has no death."""
    key, version = lost
    with pytest.raises(VersionStateError, match=f"is in version {version}"):
        attest(incident, key)
    with pytest.raises(VersionStateError, match="has no key"):
        attest(incident, "another-key")
    with pytest.raises(InvalidEventError, match='"key"'):
        incident.ask("attest", key="", reason=REASON, actor=ACTOR)
    assert incident.journal().keys[key].death is None


def test_a_key_that_the_vendor_lists_is_not_attested(
    incident: IncidentFixture, lost: tuple[str, str]
) -> None:
    """Whoever says that it is dead is wrong."""
    _, version = lost
    issued = str(incident.reconciliation.rotation.value("AWSCURRENT")["apiKeyId"])
    current = str(incident.reconciliation.rotation.version("AWSCURRENT"))
    with aws_has_deleted(incident, current), pytest.raises(VersionStateError, match="as active"):
        attest(incident, issued)
    assert version != current


def test_an_attestation_is_void_when_the_key_is_seen_again(
    incident: IncidentFixture, lost: tuple[str, str]
) -> None:
    """AWS had not deleted the version after all: then the key is proven dead, or it is not."""
    key, version = lost
    with aws_has_deleted(incident, version):
        attest(incident, key)
        assert incident.journal().dead(key)
    incident.reconciliation.reconcile()
    death = incident.journal().keys[key].death
    assert death is not None
    assert not death.attested
    assert json.dumps(incident.records()).count("attestedBy") == 0
