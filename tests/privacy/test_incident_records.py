"""What an incident leaves behind holds no key: the journal, records, tags, events and reports."""

from __future__ import annotations

import json

from tests.incident.conftest import incident as incident_fixture
from tests.incident.incident_fixture import IncidentFixture
from tests.privacy.canary import Canary

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
