"""The staging labels and tags of a secret. This module makes no calls.

A staging label is on one version of a secret at a time (UserGuide whats-in-a-secret), so a label of
ours is a prefix followed by the id of the version that bears it. A secret can have 20 labels and 50
tags at most (UserGuide reference_limits). What is known of the keys is in the journal
(`rotation.journal`), and neither in labels nor in tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

AWSCURRENT: Final = "AWSCURRENT"
AWSPENDING: Final = "AWSPENDING"
AWSPREVIOUS: Final = "AWSPREVIOUS"
#: The label of a version that AWS must not delete begins with this: a proof needs its key.
KEEP_PREFIX: Final = "rotation-keep-"
#: A tag of the secret: none of its keys is retired before this time (ISO 8601 with an offset).
HOLD_TAG: Final = "rotation:hold-until"
#: A tag of the secret, for people to see: when, why and by whom its keys were declared compromised.
INCIDENT_TAG: Final = "rotation:incident"
#: A tag of a secret that a drill made: when, in ISO 8601. Such a secret is thrown away.
DRILL_TAG: Final = "rotation:drill"


def keep_label(version: str) -> str:
    """The label that keeps ``version`` from being deleted."""
    return KEEP_PREFIX + version


def hold_until(tags: Mapping[str, str]) -> datetime | None:
    """Until when a person paused ordinary retirement. A hold that is not a time never ends.

    A time without an offset is in UTC.
    """
    text = tags.get(HOLD_TAG)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return datetime.max.replace(tzinfo=UTC)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
