"""The versions of a pool secret, and how many of those that a day has are left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rotation.credential import iso_utc

#: UserGuide reference_limits: so many versions of a secret are kept, none of the last 24 hours is
#: removed, and so many labels are on all of them.
MOST_VERSIONS: Final = 100
MOST_LABELS: Final = 20
_KEPT_FOR: Final = timedelta(hours=24)
#: What can wait leaves so many versions of a day to leases and incidents.
VERSIONS_FOR_LEASES: Final = 20


@dataclass(frozen=True)
class VersionList:
    """The versions of the pool secret.

    Attributes:
        created: when each was created, by its id; deprecated versions too.
        labels: the version that bears each label.
    """

    created: Mapping[str, datetime]
    labels: Mapping[str, str]

    def another_than(self, version: str) -> str | None:
        """A version that is not this one, with a label where there is one; None: there is none."""
        others = [*self.labels.values(), *self.created]
        return next((other for other in others if other != version), None)

    def recent(self, now: datetime) -> int:
        """How many versions AWS does not remove yet."""
        kept = {version for version, at in self.created.items() if now - at < _KEPT_FOR}
        return len(kept | set(self.labels.values()))

    def next_removal(self) -> datetime | None:
        """When AWS can remove a version at the earliest; None: every version has a label."""
        labelled = set(self.labels.values())
        free = (at for version, at in self.created.items() if version not in labelled)
        oldest = min(free, default=None)
        return None if oldest is None else oldest + _KEPT_FOR


def quota_message(pool: str, versions: VersionList | None, left: int) -> str:
    """Which quota refuses a change of ``pool``, and when it is free again, as sentences.

    Args:
        pool: the pool secret's name.
        versions: its versions; None: they could not be listed.
        left: how many versions of the day are left.
    """
    removal = None if versions is None else versions.next_removal()
    until = "when the oldest is 24 hours old" if removal is None else f"at {iso_utc(removal)}"
    return (
        f"{left} of the {MOST_VERSIONS} versions that Secrets Manager keeps of {pool} are "
        "left, and it removes none that is younger than 24 hours (quota: versions of a "
        f"secret). The next becomes free {until}. Nothing was changed."
    )
