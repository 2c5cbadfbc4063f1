"""Every "how long" and "how many" of the life of a key, each once and with its reason.

What the organisation decides comes from its settings, as a `RotationPolicy` or a
`ReconciliationPolicy`. What follows from the vendor's or AWS's rules is a constant here. How long a
single call or invocation may take is not of the life of a key, and not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from rotation.secrets_manager.allowed import AllowedSecrets

_DAY: Final = timedelta(days=1)

# How long a key lives.

#: A key lives one year at most, unless the organisation's policy names another time.
LONGEST_KEY_LIFE: Final = timedelta(days=366)
#: Secrets Manager may repeat the steps of a failed rotation hours after the key was issued. A new
#: key has this much time to spare, so that setSecret does not find its life too short by then.
LATE_RETRY: Final = _DAY
#: The vendor advises to rotate at least 30 days before a key expires.
EXPIRY_NOTICE: Final = timedelta(days=30)
#: A pool with fewer free keys cannot bear a rotation and an incident.
POOL_RESERVE: Final = 2

# What proves that a new key works everywhere.

#: So many acceptances in a row, spread over what is left of the propagation limit, prove a new key.
#: One is not enough: a vendor has many nodes, and a key that only half of them know would fail
#: every other seal. The last of them comes when the limit has passed since the key was issued. The
#: others find out early that a key does not work, and cost little: a signature each, once in a
#: rotation, and a minute in the background at the usual limit.
ACCEPTANCES: Final = 3
#: So many in a row prove a key whose propagation limit had passed before it was first asked about,
#: as in finishSecret after testSecret. Two, since one node that does not know the key may be left.
SETTLED_ACCEPTANCES: Final = 2
#: So many rejections in a row, after the propagation limit, show that a new key will never work.
#: One may be a stray answer of the vendor, and a rotation is not given up for that.
HOPELESS_REJECTIONS: Final = 3

# When a rotation has failed.

#: AWSPENDING on a version that is older than this is stuck: Secrets Manager repeats a failed
#: rotation for hours and not for a day, so nothing will finish it, and it blocks the next one.
STUCK_AGE: Final = timedelta(hours=24)
#: A rotation that is later than this is overdue. Secrets Manager rotates at any time of the day
#: that the schedule names (API_RotationRulesType), and repeats a failed rotation for hours.
OVERDUE_AFTER: Final = _DAY
#: How long after the schedule's interval the day ends on which Secrets Manager rotates.
ROTATION_DAY: Final = _DAY

#: How long before the date of a rotation those who depend on the key hear that it is planned.
ROTATION_NOTICE: Final = _DAY
#: So many events about phases wait for the bus at most, for each secret, so that the journal does
#: not grow for as long as a bus fails. A rotation makes four.
MOST_WAITING_EVENTS: Final = 40

# When a key may be revoked.

#: A key that bears our label and that no version names is a stray once it is this old by the
#: vendor's clock: no invocation lives so long, so a key that was not stored by then never will be.
STRAY_AGE: Final = timedelta(minutes=30)
#: A finishSecret that looked at everything before a declaration may still promote its key after it,
#: for as long as an invocation can last (Lambda developer guide, gettingstarted-limits).
PROMOTION_MAY_COME: Final = timedelta(minutes=15)
#: So many living keys may bear one token. Each attempt of a failing createSecret can leave one, and
#: Secrets Manager repeats it for hours: without a limit one sick secret would use up the vendor's
#: quota for all. Two lost answers in a row are ordinary; a third time something is wrong.
MOST_KEYS_OF_A_TOKEN: Final = 3
#: More ordinary revocations of one secret in one run are a sign that something is wrong.
MOST_REVOCATIONS: Final = 3
#: Whether a displaced key still seals is looked for in so much time before the end of its grace. A
#: client that takes keys from a cache has let go of it by then.
LATE_USE: Final = timedelta(minutes=15)
#: So much later than its grace was to end a key dies at most, if somebody objects to it. It is the
#: time in which people mend what still uses the key; whoever needs more puts the secret on hold.
LONGEST_OBJECTION: Final = timedelta(days=7)
#: So many may object to the retirement of one key. More are a sign that something is wrong.
MOST_OBJECTORS: Final = 20
#: So many labels that keep a version, beside the labels of AWS, leave the 20 labels that a secret
#: has room for (UserGuide reference_limits) unfilled.
MOST_KEEP_LABELS: Final = 6
#: The labels that a secret has room for, less three for AWS's own: a rotation must find room.
ROOM_FOR_LABELS: Final = 17
#: A reconciliation that has already begun may revoke a key whose grace ends sooner than this, so
#: nobody goes back to that key.
ROLLBACK_MARGIN: Final = timedelta(minutes=10)

# What proves that a key is dead, and when a key that may be alive is asked about again.

#: So many rejections that count, spread over the propagation limit, prove that a key is dead.
REJECTIONS: Final = 3
#: A rejection counts only if the vendor's clock and ours differ by less. This is stricter than the
#: one minute within which the vendor accepts a request (`rotation.vendor.http.MAX_CLOCK_SKEW`):
#: that difference tells whether the clock may be why a key was rejected, this one keeps the times
#: in the evidence comparable.
CLOCK_TOLERANCE: Final = timedelta(seconds=10)
#: How long before its issue a key may have been used. Clocks differ, and a key that a person made
#: may have been used before it was stored.
USE_BEFORE_ISSUE: Final = timedelta(days=2)
#: How often reconciliation runs, besides the runs after each promotion (template.yaml).
RECONCILIATION_INTERVAL: Final = timedelta(hours=1)
#: A run may begin so much earlier than an hour after the last one.
RUN_JITTER: Final = timedelta(minutes=5)
#: When a key that only a person can revoke is first asked about again; the pauses double after
#: that, up to `REMIND_AFTER`. Asking about a living key buys a signature.
ASK_AGAIN_AT_FIRST: Final = timedelta(hours=1)
#: When a key that the issuer does not know, and that a person was asked to revoke, is asked about
#: again, and the person with it.
REMIND_AFTER: Final = _DAY

# What the times of a drill are compared with.

#: A drill is to have its new key this long after the declaration, and one propagation limit, in
#: which that key is proven. Secrets Manager begins the steps within seconds, and each takes some.
DRILL_CURRENT: Final = timedelta(minutes=5)
#: The leaked key is to be refused this long after the declaration, and one propagation limit. Where
#: a person has to revoke it, this is the time in which they hear of it and do it.
DRILL_REFUSED: Final = timedelta(minutes=10)
#: The incident is to be over this long after the declaration, and two propagation limits, over the
#: second of which the rejections are spread that prove the death.
DRILL_CONTAINED: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class RotationPolicy:
    """What the organisation decided about rotation.

    Attributes:
        installation: the id of this installation, written on every key that is issued.
        key_lifetime: how long an issued key may live.
        grace: how long a displaced key goes on working.
        propagation_limit: how long a new key may take to be accepted.
        rotated_secrets: the secrets that may be rotated.
        former_installations: the ids under which the stack was deployed before.
    """

    installation: str
    key_lifetime: timedelta
    grace: timedelta
    propagation_limit: timedelta
    rotated_secrets: AllowedSecrets
    former_installations: tuple[str, ...] = ()

    @property
    def installations(self) -> tuple[str, ...]:
        """The ids whose keys are ours: this installation's, and its former ones."""
        return (self.installation, *self.former_installations)


@dataclass(frozen=True)
class ReconciliationPolicy:
    """What the organisation decided about the end of a key.

    Attributes:
        installation: the id of this installation, written on every key that is issued.
        rotation_function: the ARN of the function that rotates the secrets to be reconciled.
        grace: how long a displaced key goes on working.
        propagation_limit: how long a revoked key may still be accepted somewhere.
        rotated_secrets: the secrets that may be rotated, and are reconciled.
        longest_key_life: how long any key lives at most: an older version of a secret holds no
            living key.
        former_installations: the ids under which the stack was deployed before.
        used_key_grace: how much later than its grace was to end a displaced key dies at most, as
            long as it still seals.
    """

    installation: str
    rotation_function: str
    grace: timedelta
    propagation_limit: timedelta
    rotated_secrets: AllowedSecrets
    longest_key_life: timedelta = LONGEST_KEY_LIFE
    former_installations: tuple[str, ...] = ()
    used_key_grace: timedelta = timedelta(0)

    @property
    def installations(self) -> tuple[str, ...]:
        """The ids whose keys are ours: this installation's, and its former ones."""
        return (self.installation, *self.former_installations)


def least_life(interval: timedelta | None, grace: timedelta) -> timedelta:
    """How long a key must live from its promotion on: to the next rotation and its grace after it.

    Args:
        interval: the time between two rotations; None: the schedule does not tell, and the grace
            alone is asked for.
        grace: how long a displaced key goes on working.
    """
    return (interval or timedelta(0)) + grace


def least_life_when_issued(interval: timedelta | None, grace: timedelta) -> timedelta:
    """How long a new key must live, so that it still has its `least_life` after a late retry."""
    return least_life(interval, grace) + LATE_RETRY
