"""A drill: a leak that is rehearsed on a secret which is made for it and thrown away.

The incident of a drill is an incident like any other. This module says which secrets are a drill's,
and how long the incident took, by the times that the functions wrote in the journal. So whoever
rehearses may be killed at any point, and nothing has to be measured again. It does no IO.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from rotation.core.policy import DRILL_CONTAINED, DRILL_CURRENT, DRILL_REFUSED
from rotation.credential import iso_utc
from rotation.errors import VersionStateError
from rotation.journal.model import Incident, Journal
from rotation.secrets_manager.labels import DRILL_TAG
from rotation.secrets_manager.snapshot import Snapshot

SCHEMA: Final = "trusted-signatures-rotation/drill/1"
#: The name of each secret that a drill makes begins with this. A name cannot be changed, so no
#: secret that an application uses becomes a drill's.
NAME_PREFIX: Final = "rotation-drill-"


def refuse_other_secrets(snapshot: Snapshot) -> None:
    """Refuse a secret that no drill has made.

    Raises:
        VersionStateError: its name or its tags are not those of a drill's secret.
    """
    if not snapshot.name.startswith(NAME_PREFIX) or DRILL_TAG not in snapshot.tags:
        raise VersionStateError(
            f"{snapshot.arn} is no secret of a drill. Only a secret whose name begins with "
            f"{NAME_PREFIX} and that bears the tag {DRILL_TAG} is thrown away."
        )


@dataclass(frozen=True)
class DrillTimes:
    """When the incident of a drill reached each of its ends. Every time is aware UTC.

    Attributes:
        declared_at: when the leak was declared.
        current_at: when a run first saw that a key which is not suspect is current; None: it did
            not see it.
        refused_at: when the last of the suspect keys was first refused between two calls that the
            vendor accepted; None: none of them could be asked about.
        contained_at: when the incident was closed, with every suspect key proven dead.
        propagation_limit: how long the vendor may take until all of it knows of a change.
    """

    declared_at: datetime
    current_at: datetime | None
    refused_at: datetime | None
    contained_at: datetime
    propagation_limit: timedelta

    @property
    def took(self) -> Mapping[str, timedelta | None]:
        """How long after the declaration each end was reached."""
        ends = {
            "current": self.current_at,
            "refused": self.refused_at,
            "contained": self.contained_at,
        }
        return {name: at - self.declared_at if at else None for name, at in ends.items()}

    @property
    def targets(self) -> Mapping[str, timedelta]:
        """How long after the declaration each end is to be reached."""
        limit = self.propagation_limit
        return {
            "current": DRILL_CURRENT + limit,
            "refused": DRILL_REFUSED + limit,
            "contained": DRILL_CONTAINED + 2 * limit,
        }

    @property
    def within_targets(self) -> bool:
        """Whether each end was reached in time. One that nobody saw was not."""
        return all(
            took is not None and took <= self.targets[name] for name, took in self.took.items()
        )

    def as_json(self) -> dict[str, Any]:
        """The times as JSON members; durations are in seconds."""
        times = {
            "declaredAt": self.declared_at,
            "currentAt": self.current_at,
            "refusedAt": self.refused_at,
            "containedAt": self.contained_at,
        }
        return {
            **{name: iso_utc(at) if at else None for name, at in times.items()},
            "seconds": {
                name: None if took is None else round(took.total_seconds(), 1)
                for name, took in self.took.items()
            },
            "targets": {name: goal.total_seconds() for name, goal in self.targets.items()},
            "withinTargets": self.within_targets,
        }


def measured(journal: Journal, incident: Incident, propagation_limit: timedelta) -> DrillTimes:
    """When the closed incident of a drill reached each of its ends.

    Args:
        journal: the journal of the drill's secret.
        incident: its incident.
        propagation_limit: how long the vendor may take until all of it knows of a change.
    """
    if incident.closing is None:
        raise ValueError("the incident is open")
    lives = [journal.keys[key_id] for key_id in incident.suspects]
    displaced = [life.displaced_at for life in lives if life.displaced_at is not None]
    refused = [
        min(times) for life in lives if life.death and (times := [*_refusals(life.death.proof)])
    ]
    return DrillTimes(
        declared_at=incident.declarations[0].at,
        current_at=max(displaced, default=None),
        refused_at=max(refused, default=None),
        contained_at=incident.closing.at,
        propagation_limit=propagation_limit,
    )


def _refusals(proof: Mapping[str, Any]) -> Iterator[datetime]:
    for probe in proof.get("probes", ()):
        if probe["outcome"] == "rejected":
            yield datetime.fromisoformat(probe["at"])


def drill_record_name(secret_arn: str, incident: Incident) -> str:
    """Where the record of a drill is kept. There is one record for each incident of a drill."""
    return f"drills/{quote(secret_arn, safe=':')}/{quote(incident.id, safe='')}.json"


def drill_record(
    snapshot: Snapshot, incident: Incident, times: DrillTimes, *, installation: str
) -> bytes:
    """The record of a drill as JSON. Times are UTC; nothing in it is key material.

    Args:
        snapshot: the drill's secret.
        incident: its closed incident.
        times: when the incident reached each of its ends.
        installation: the id of this installation.
    """
    closing = incident.closing
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "secret": {"arn": snapshot.arn, "name": snapshot.name},
        "installation": installation,
        "actor": incident.declarations[0].actor,
        "reason": incident.declarations[0].reason,
        "suspects": sorted(incident.suspects),
        "evidence": closing.evidence if closing else None,
        "propagationLimitSeconds": times.propagation_limit.total_seconds(),
        **times.as_json(),
    }
    return json.dumps(document, indent=2).encode()
