"""The page of one incident, from the record that the evidence bucket keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rotation.cli.report.facts import incident_facts
from rotation.cli.report.lives import said
from rotation.cli.report.page import incident_page


def record_page(record: Mapping[str, Any], place: str, seals: Sequence[str]) -> str:
    """The page of a record, in the form that `rotation.incident.closing.record` writes.

    Args:
        record: the record.
        place: where it is kept.
        seals: sentences on the seals that were made with the suspect keys.
    """
    facts = incident_facts(record["incident"], {one["keyId"]: one for one in record["keys"]})
    facts["evidence"] = said(place)
    about = {
        "arn": said(record["secret"]["arn"]),
        "secret": said(record["secret"]["name"]),
        "installation": said(record["installation"]),
        "place": said(place),
    }
    # Records of version 0.2 have no gaps.
    gaps = [said(one["message"]) for one in record.get("gaps", ())]
    return incident_page(about, facts, [said(one) for one in seals], gaps)
