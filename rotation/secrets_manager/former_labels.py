"""The labels and tags by which version 0.2 and older kept the state of a secret's keys.

The first reconciliation carries what they say over into the journal, and then removes them. Of
what an old copy of the command line writes later, declarations alone are carried over. Until then
the steps of a rotation believe them. This module makes no calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from rotation.secrets_manager.labels import INCIDENT_TAG, KEEP_PREFIX

#: The label of a version whose key was declared compromised began with this.
COMPROMISED_PREFIX: Final = "rotation-compromised-"
#: The label of a version whose key was proven dead began with this.
DEAD_PREFIX: Final = "rotation-dead-"
#: The label of a displaced version began with this. The time after which its key is retired
#: followed, and then the version's id.
RETIRE_AFTER_PREFIX: Final = "rotation-retire-after-"
#: Tags of the secret that named the suspect versions, and the last rotation of an incident.
SUSPECT_TAGS: Final = tuple(f"rotation:incident-suspects-{number}" for number in (1, 2, 3, 4))
FORMER_TAGS: Final = ("rotation:incident-attempt", *SUSPECT_TAGS)

_PREFIXES: Final = (COMPROMISED_PREFIX, DEAD_PREFIX, RETIRE_AFTER_PREFIX)
_RETIREMENT_LABEL: Final = re.compile(RETIRE_AFTER_PREFIX + r"(\d{8}T\d{6}Z)-.+")
_LABEL_TIME: Final = "%Y%m%dT%H%M%SZ"


def former_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """The labels among these that only version 0.2 and older used."""
    return tuple(sorted(label for label in labels if label.startswith(_PREFIXES)))


def signs_of_a_journal(labels: Iterable[str], tags: Mapping[str, str]) -> tuple[str, ...]:
    """The labels and tags that only who keeps a journal of the secret sets, each in words.

    Version 0.2 set the tag `rotation:incident` too, and other labels or tags with it.
    """
    bears = frozenset(labels)
    signs = sorted(f"the label {label}" for label in bears if label.startswith(KEEP_PREFIX))
    former = former_labels(bears) or any(name in tags for name in FORMER_TAGS)
    if INCIDENT_TAG in tags and not former:
        signs.append(f"the tag {INCIDENT_TAG}")
    return tuple(signs)


def is_compromised(version: str, labels: Iterable[str], tags: Mapping[str, str]) -> bool:
    """Whether labels and tags say that the key of ``version`` was declared compromised.

    A declaration wrote tags first and then a label on each version, so each of them is enough,
    unless a label says that the key is dead.
    """
    labelled = any(label.startswith(COMPROMISED_PREFIX) for label in labels)
    return labelled or (version in suspect_versions(tags) and not is_proven_dead(labels))


def suspect_versions(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of the versions that the tags of an open incident name."""
    if INCIDENT_TAG not in tags:
        return ()
    return tuple(" ".join(tags.get(name, "") for name in SUSPECT_TAGS).split())


def is_proven_dead(labels: Iterable[str]) -> bool:
    """Whether labels say that the key of their version was proven dead."""
    return any(label.startswith(DEAD_PREFIX) for label in labels)


def retire_after(labels: Iterable[str]) -> datetime | None:
    """When to retire the key of a version that bears ``labels``, in UTC; None: no label says so.

    The latest time counts if several labels give one.
    """
    times = [time for label in labels if (time := _retirement_time(label)) is not None]
    return max(times, default=None)


def _retirement_time(label: str) -> datetime | None:
    found = _RETIREMENT_LABEL.fullmatch(label)
    try:
        return found and datetime.strptime(found[1], _LABEL_TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
