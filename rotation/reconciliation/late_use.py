"""Which keys still seal in the last minutes of their grace, and by whom. It does no IO.

Only the ledger of seals tells. A use that it has is positive evidence; that it has none proves
nothing, so a key without one simply dies at its time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rotation.core.policy import LATE_USE, RECONCILIATION_INTERVAL
from rotation.credential import iso_utc
from rotation.journal.model import Prolongation
from rotation.reconciliation.key_warnings import KeyWarning, WarningCode
from rotation.reconciliation.plan import Plan, Reason, Retirement
from rotation.reconciliation.situation import Situation

#: Who put off a retirement because its key still seals.
LEDGER = "the ledger of seals"
#: A message names so many users at most.
_MOST_USERS = 5


@dataclass(frozen=True)
class LateUse:
    """That a key still seals.

    Attributes:
        key_id: the key.
        due: when its grace is over, aware UTC.
        times: when each user has sealed with it.
        whole: whether the whole ledger was looked at; if not, there may be more.
    """

    key_id: str
    due: datetime
    times: Mapping[str, Sequence[datetime]]
    whole: bool

    def users(self) -> str:
        """Who sealed and how often, as text; those who sealed most come first."""
        order = sorted(self.times.items(), key=lambda one: (-len(one[1]), one[0]))
        named = [f"{len(times)} from {user}" for user, times in order[:_MOST_USERS]]
        more = len(order) - len(named)
        return ", ".join([*named, *([f"and from {more} more places"] if more else [])])

    def warning(self) -> KeyWarning:
        """What people should know of it."""
        last = max(max(times) for times in self.times.values())
        least = "" if self.whole else ", in the part of the ledger that was looked at"
        return KeyWarning(
            WarningCode.KEY_STILL_USED,
            f"Key {self.key_id}, whose grace ends at {iso_utc(self.due)}, still seals, last at "
            f"{iso_utc(last)}: {self.users()}{least}. Whoever seals there holds an old key; what "
            "they seal fails when it dies.",
        )

    def prolongation(self, situation: Situation) -> Prolongation | None:
        """The wish to let the key live until the next run, and never longer than it works."""
        ends = [one.expires_at for one in situation.holders.get(self.key_id, ())]
        until = min(
            [situation.now + RECONCILIATION_INTERVAL, *(one for one in ends if one is not None)]
        )
        if until <= situation.now:
            return None
        return Prolongation(LEDGER, situation.now, until, until, f"it still seals: {self.users()}")


def to_look_for(situation: Situation, plan: Plan) -> Iterator[tuple[Retirement, datetime]]:
    """The ordinary retirements before the next run, and since when a use of the key counts.

    A suspect key dies whoever uses it, and a key that was asked to be revoked may be dead.
    """
    if plan.suspended is not None:
        return
    refused = {one.key_id for one in plan.refused}
    for one in (*plan.retire, *plan.waiting):
        life = situation.life(one.key_id)
        ordinary = one.reason is Reason.GRACE_OVER and one.key_id not in refused
        soon = one.due - situation.now <= RECONCILIATION_INTERVAL
        if not (ordinary and soon and life.displaced_at and life.asked_at is None):
            continue
        since = max(life.displaced_at, min(one.due, situation.now) - LATE_USE)
        if since < situation.now:
            yield one, since
