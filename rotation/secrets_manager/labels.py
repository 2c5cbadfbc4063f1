"""Staging labels and tags: what a secret itself remembers of its keys. Pure.

A label sits on one version of a secret at a time (UserGuide whats-in-a-secret), so ours end in the
id of the version that they are about. At most 20 labels fit on a secret (reference_limits).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

AWSCURRENT: Final = "AWSCURRENT"
AWSPENDING: Final = "AWSPENDING"
AWSPREVIOUS: Final = "AWSPREVIOUS"
#: Staging label of a version whose key was declared compromised; the version's id follows.
COMPROMISED_PREFIX: Final = "rotation-compromised-"
#: Staging label of a version whose key was proven dead; the version's id follows.
DEAD_PREFIX: Final = "rotation-dead-"
#: Staging label of a displaced version: the time after which its key is retired, and its id.
RETIRE_AFTER_PREFIX: Final = "rotation-retire-after-"
#: Tag on the secret: no key of it is retired before this time (ISO 8601 with an offset).
HOLD_TAG: Final = "rotation:hold-until"
#: Tag on the secret: when, why and by whom its keys were declared compromised.
INCIDENT_TAG: Final = "rotation:incident"
#: Tag on the secret: the number of the incident's last rotation, when it was begun, and which
#: declaration it belongs to.
ATTEMPT_TAG: Final = "rotation:incident-attempt"
#: Tags on the secret: the ids of the versions that were declared compromised, six in each.
SUSPECT_TAGS: Final = tuple(f"rotation:incident-suspects-{number}" for number in (1, 2, 3, 4))
#: Every tag that an incident leaves until it is over.
INCIDENT_TAGS: Final = (INCIDENT_TAG, ATTEMPT_TAG, *SUSPECT_TAGS)

_MARK: Final = re.compile(RETIRE_AFTER_PREFIX + r"(\d{8}T\d{6}Z)-.+")
_COMPACT: Final = "%Y%m%dT%H%M%SZ"


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
    """The label that has the key of ``version`` retired ``after`` a time, rounded up to a second.

    It names the version, because a label sits on one version of a secret at a time.
    """
    whole = after.astimezone(UTC) + timedelta(seconds=1, microseconds=-1)
    return f"{RETIRE_AFTER_PREFIX}{whole.strftime(_COMPACT)}-{version}"


def retire_after(labels: Iterable[str]) -> datetime | None:
    """The latest time in the retirement marks among ``labels``, aware UTC; None: no mark."""
    times = [time for label in labels if (time := _marked_time(label)) is not None]
    return max(times, default=None)


def _marked_time(label: str) -> datetime | None:
    found = _MARK.fullmatch(label)
    try:
        return found and datetime.strptime(found[1], _COMPACT).replace(tzinfo=UTC)
    except ValueError:
        return None
