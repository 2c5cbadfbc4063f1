"""The staging labels and tags by which a secret itself keeps the state of its keys.

A staging label is on one version of a secret at a time (UserGuide whats-in-a-secret). So the labels
of ours are a prefix followed by the id of the version that they describe. A secret can have 20
labels at most (UserGuide reference_limits). This module makes no calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

AWSCURRENT: Final = "AWSCURRENT"
AWSPENDING: Final = "AWSPENDING"
AWSPREVIOUS: Final = "AWSPREVIOUS"
#: The label of a version whose key was declared compromised begins with this.
COMPROMISED_PREFIX: Final = "rotation-compromised-"
#: The label of a version whose key was proven dead begins with this.
DEAD_PREFIX: Final = "rotation-dead-"
#: The label of a version that is no longer current begins with this. The time after which its key
#: is retired follows, and then the version's id.
RETIRE_AFTER_PREFIX: Final = "rotation-retire-after-"
#: A tag of the secret: none of its keys is retired before this time (ISO 8601 with an offset).
HOLD_TAG: Final = "rotation:hold-until"
#: A tag of the secret: when, why and by whom its keys were declared compromised.
INCIDENT_TAG: Final = "rotation:incident"
#: A tag of the secret: the number of the incident's last rotation, when that began, and which
#: declaration it belongs to.
ATTEMPT_TAG: Final = "rotation:incident-attempt"
#: Tags of the secret: the ids of the versions that were declared compromised, six in each tag.
SUSPECT_TAGS: Final = tuple(f"rotation:incident-suspects-{number}" for number in (1, 2, 3, 4))
#: All tags that an incident sets, and removes when it is closed.
INCIDENT_TAGS: Final = (INCIDENT_TAG, ATTEMPT_TAG, *SUSPECT_TAGS)

_RETIREMENT_LABEL: Final = re.compile(RETIRE_AFTER_PREFIX + r"(\d{8}T\d{6}Z)-.+")
_LABEL_TIME: Final = "%Y%m%dT%H%M%SZ"


def is_compromised(labels: Iterable[str], *, declared: bool) -> bool:
    """Whether the key of a version counts as compromised, for the steps, the plan and the report.

    A declaration writes tags first and then a label on each version; the responder may be cut off
    in between. So each of the two is enough. The tags stay until the whole incident is closed: a
    version that is labelled as proven dead is therefore over, although the tags still name it.

    Args:
        labels: the staging labels of the version.
        declared: whether the tags of an incident name the version.
    """
    labelled = any(label.startswith(COMPROMISED_PREFIX) for label in labels)
    return labelled or (declared and not is_proven_dead(labels))


def is_proven_dead(labels: Iterable[str]) -> bool:
    """Whether the key of a version that bears ``labels`` was proven dead."""
    return any(label.startswith(DEAD_PREFIX) for label in labels)


def retirement_label(version: str, after: datetime) -> str:
    """The label that says: retire the key of ``version`` once the time ``after`` has passed.

    The time is rounded up to a whole second.
    """
    whole = after.astimezone(UTC) + timedelta(seconds=1, microseconds=-1)
    return f"{RETIRE_AFTER_PREFIX}{whole.strftime(_LABEL_TIME)}-{version}"


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
