"""What an incident leaves behind holds no key: the journal, records, tags, events and reports."""

from __future__ import annotations

import json

from rotation.errors import KeyIssueError
from rotation.privacy.redaction import hide_value
from tests.incident.conftest import incident as incident_fixture
from tests.incident.incident_fixture import IncidentFixture
from tests.privacy.canary import PIECE, Canary, text_renderings

incident = incident_fixture


def test_no_trace_of_an_incident_holds_a_key(incident: IncidentFixture) -> None:
    """Junk that holds a key is stored, everything is declared, replaced and proven dead."""
    fixture = incident.reconciliation.rotation
    current = fixture.value("AWSCURRENT")
    fixture.put(f"copied by hand: {current['apiKey']}")
    fixture.put({**current, "apiKeyId": current["apiKey"]})
    report = incident.ask("report")
    done = incident.force()
    assert done.contained
    canary = Canary()
    for key in fixture.vendor.keys.all():
        canary.plant(key.material, f"key {key.id}")
    traces = {
        "journal": [body.decode() for _, body in fixture.journal_store.history],
        "records": incident.records(),
        "tags": incident.reconciliation.tags(),
        "events": incident.events,
        "reports": [report, incident.ask("report"), incident.ask("evidence")],
        "command": [incident.acts, repr(done)],
    }
    for name, trace in traces.items():
        assert canary.find(json.dumps(trace).encode()) is None, name
    assert traces["journal"]
    assert traces["records"]


def test_the_cause_of_a_failed_step_holds_no_key(incident: IncidentFixture) -> None:
    """An error that quotes a key or the RotationToken, in any form, is in the journal without."""
    rotation = incident.reconciliation.rotation
    token = rotation.stage()
    key = rotation.stage_key(token)
    rotation_token = "3d5c7a1e-9b80-4f26-8e13-6a0b2c4d9f57"
    canary = Canary()
    said: list[str] = []
    for secret in (key.material.reveal(), rotation_token):
        hide_value(secret)
        canary.plant(secret, "what the step knew")
        said += [secret, secret[5 : 5 + PIECE], json.dumps({"apiKey": secret})]
    said += [form.decode() for form in text_renderings(key.material.reveal())]
    for text in said:
        incident.note_failure(token, "createSecret", KeyIssueError(f"got {text}"))
    answer = incident.ask("watch")
    assert answer["stepFailures"]
    written = [body.decode() for _, body in rotation.journal_store.history]
    assert len(written) >= len(said)
    assert canary.find(json.dumps([written, answer]).encode()) is None
