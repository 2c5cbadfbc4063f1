"""Decides whether the pending key may be promoted: it proves, waits for or abandons the key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, NoReturn

from rotation.core.invocation import Rotation, readable_current, statement, unreadable_yet
from rotation.core.policy import (
    ACCEPTANCES,
    CLOCK_TOLERANCE,
    HOPELESS_REJECTIONS,
    SETTLED_ACCEPTANCES,
)
from rotation.core.ports import Proof
from rotation.credential import ApiKey, SecretDocument
from rotation.deadline import NEW_KEY_RESERVE
from rotation.errors import (
    CompromisedKeyError,
    ConfigurationError,
    CredentialRejectedError,
    RotationError,
    VersionStateError,
)
from rotation.journal.model import Journal
from rotation.privacy.observability import count, logger
from rotation.secrets_manager.labels import AWSPREVIOUS
from rotation.secrets_manager.snapshot import Snapshot

# Seconds between two questions about a new key: the first pause, and the longest after a rejection.
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 5.0


def pending_document(rotation: Rotation) -> SecretDocument:
    """The document with the key that is to be promoted.

    Raises:
        VersionStateError: there is none yet.
    """
    document = rotation.secret.read(rotation.token)
    if document is None:
        raise VersionStateError(
            f"{rotation.version} has no value yet. createSecret must succeed first."
        )
    return document


def prove_pending(
    rotation: Rotation, snapshot: Snapshot, key: ApiKey, *, insist: bool = True
) -> Proof:
    """Prove the pending key, and wait while it propagates. Abandon it if it can never work.

    Args:
        rotation: the invocation.
        snapshot: the secret, with AWSPENDING on the token's version.
        key: the pending key.
        insist: whether the key must be accepted until its propagation limit has passed. Otherwise
            it is enough that it is accepted to the end of this invocation's time.

    Raises:
        VersionStateError: the time ended before the limit had passed; or the key was abandoned.
        CredentialRejectedError: the vendor does not accept the key.
    """
    if key.expired(rotation.clock()):
        abandon(rotation, VersionStateError(f"Pending key {key.id} expired at {key.expires_at}."))
    return _prove_until_propagated(
        rotation,
        key,
        lambda error: _abandon_if_current_signs(rotation, snapshot, error),
        insist=insist,
    )


def prove_first(rotation: Rotation, key: ApiKey) -> None:
    """Prove a key that is not stored yet, and wait while it propagates.

    API_PutSecretValue: the first version of a secret gets AWSCURRENT, whatever labels are asked
    for. So in a secret without a current version, storing is promoting, and the proof comes first.
    A key that is given up here is lost, and the next attempt's key is as new. So it is enough that
    it is accepted to the end of this invocation's time.
    """

    def give_up(rejection: CredentialRejectedError) -> NoReturn:
        raise rejection

    _prove_until_propagated(rotation, key, give_up, insist=False)


def _prove_until_propagated(
    rotation: Rotation,
    key: ApiKey,
    on_limit: Callable[[CredentialRejectedError], NoReturn],
    *,
    insist: bool,
) -> Proof:
    needed = SETTLED_ACCEPTANCES if _past_propagation(rotation, key) else ACCEPTANCES
    accepted = rejected = rejections = 0
    while True:
        outcome = _ask(rotation, key)
        past = _past_propagation(rotation, key)
        if isinstance(outcome, Proof):
            accepted, rejected = accepted + 1, 0
            if past and accepted >= needed:
                return outcome
            spread = _propagation_left(rotation, key).total_seconds() / max(needed - accepted, 1)
            pause = max(spread, _pause_after(rejections))
        else:
            # A key that was rejected once in this act is not settled, however old it is.
            accepted, rejected, needed = 0, rejected + 1, ACCEPTANCES
            rejections += 1
            if past and rejected >= HOPELESS_REJECTIONS:
                on_limit(outcome)
            pause = _pause_after(rejections)
        left = rotation.deadline.before(NEW_KEY_RESERVE).left().total_seconds()
        if left < _FIRST_PAUSE:
            if isinstance(outcome, CredentialRejectedError):
                raise outcome
            if insist or not accepted:
                raise _not_proven_yet(rotation, key)
            return outcome
        rotation.sleep(min(pause, left))


def _ask(rotation: Rotation, key: ApiKey) -> Proof | CredentialRejectedError:
    try:
        return rotation.prover.prove(key, statement(rotation))
    except CredentialRejectedError as rejection:
        return rejection


def _pause_after(rejections: int) -> float:
    """How many seconds to wait after so many rejections in one act: ever longer.

    An acceptance does not shorten it, since each of them is a signature that is paid for.
    """
    return min(_FIRST_PAUSE * 2.0 ** min(max(rejections - 1, 0), 10), _LONGEST_PAUSE)


def _propagation_left(rotation: Rotation, key: ApiKey) -> timedelta:
    """What is left of the key's propagation time, counted from its issue, over all retries."""
    if key.issued_at is None:
        return timedelta(0)
    return key.issued_at + rotation.policy.propagation_limit - rotation.clock()


def _past_propagation(rotation: Rotation, key: ApiKey) -> bool:
    """Whether the key had its propagation time."""
    return _propagation_left(rotation, key) <= timedelta(0)


def _not_proven_yet(rotation: Rotation, key: ApiKey) -> VersionStateError:
    return VersionStateError(
        f"Pending key {key.id} is accepted, but not for as long as a new key may take to be "
        f"accepted everywhere ({rotation.policy.propagation_limit.total_seconds():.0f} s after its "
        "issue). Secrets Manager will try again, and the time counts on."
    )


def _abandon_if_current_signs(
    rotation: Rotation, snapshot: Snapshot, rejection: CredentialRejectedError
) -> NoReturn:
    current = readable_current(rotation, snapshot)
    if current is None:
        raise rejection
    try:
        rotation.prover.prove(current.key, statement(rotation))
    except RotationError:
        raise rejection from None
    abandon(rotation, rejection)


def refuse_leftover(rotation: Rotation, snapshot: Snapshot, *, was_current: bool = False) -> None:
    """Take AWSPENDING off a version that was current before, and fail.

    AWS is known to leave AWSPENDING on the version that a rotation promoted. If something else
    becomes current then, by a rollback for instance, a replay of the steps would promote again what
    was current before: an old key, perhaps a revoked one.

    Args:
        rotation: the invocation.
        snapshot: the secret, with AWSPENDING on the token's version.
        was_current: whether the journal says that the version was current before.

    Raises:
        VersionStateError: the version was current before.
    """
    if not snapshot.has(rotation.token, AWSPREVIOUS) and not was_current:
        return
    abandon(
        rotation,
        VersionStateError(
            f"{rotation.version} was current before, so its AWSPENDING was left by a rotation that "
            "is over. It was taken off. Begin a new rotation with RotateSecret."
        ),
    )


def refuse_undoing(rotation: Rotation, current: str | None, pending: SecretDocument) -> None:
    """Abandon the rotation if somebody stored another value while it was pending.

    createSecret carried over what was current then. Promoting that would undo what somebody changed
    since. The next rotation carries the change over.

    Args:
        rotation: the invocation.
        current: the version that bears AWSCURRENT, and from which the label is to be moved; None:
            there is none.
        pending: what the pending version holds.

    Raises:
        VersionStateError: the other members differ, or the current version is newer than the
            pending key, and the rotation was abandoned; or the current version cannot be read yet.
    """
    if current is None:
        return
    reading = rotation.secret.reading(current)
    if reading.problem is not None:
        # Nothing that a rotation could carry over can be read. The version stays as AWSPREVIOUS.
        logger.warning(
            "the current value could not be compared", version=current, reason=reading.problem.code
        )
        return
    if reading.document is None:
        raise unreadable_yet(rotation, current)
    issued_at = pending.key.issued_at
    newer = (
        issued_at is not None
        and reading.created_at is not None
        and reading.created_at - issued_at > CLOCK_TOLERANCE
    )
    if newer or not pending.same_other_members(reading.document):
        abandon(
            rotation,
            VersionStateError(
                f"Somebody stored another value in {rotation.secret.arn} while its rotation was "
                "pending. The rotation was abandoned, so that the change is not undone. Begin a "
                "new rotation with RotateSecret; it carries the change over."
            ),
        )


def refuse_suspect(
    rotation: Rotation, snapshot: Snapshot, journal: Journal, key_id: str | None = None
) -> None:
    """Abandon a pending version whose key was declared compromised, or was proven dead.

    What version 0.2 and older wrote on the secret counts as well, until a reconciliation has
    carried it over.

    Args:
        rotation: the rotation.
        snapshot: the secret.
        journal: the journal of the secret, read just now.
        key_id: the key of the pending version; None: it is not known yet.

    Raises:
        CompromisedKeyError: the token was abandoned.
    """
    formerly = snapshot.formerly_compromised(rotation.token)
    if formerly or journal.suspect(key_id, rotation.token) or journal.dead(key_id):
        which = "a key" if key_id is None else f"the key {key_id}"
        abandon(
            rotation,
            CompromisedKeyError(
                f"{rotation.version} holds {which} that was declared compromised or proven "
                "dead, and will not be promoted. Begin a new rotation with RotateSecret."
            ),
        )


def abandon(rotation: Rotation, error: RotationError) -> NoReturn:
    """Take AWSPENDING off our own token and fail.

    A stored value never changes under its token, so a pending key that can never be promoted would
    fail every retry and block every later rotation. The next rotation begins with a new token. The
    key itself is NOT revoked here.
    """
    rotation.secret.unstage_pending(rotation.token)
    count("RotationsAbandoned")
    logger.warning(
        "rotation abandoned",
        secret=rotation.secret.arn,
        version=rotation.token,
        reason=error.code,
    )
    raise error


def compare_identities(rotation: Rotation, snapshot: Snapshot, proof: Proof) -> None:
    """Warn if the pending key was not accepted as the same identity as the current key."""
    current = readable_current(rotation, snapshot)
    if current is None:
        return
    try:
        before = rotation.prover.prove(current.key, statement(rotation))
    except RotationError:
        return
    if before.identity != proof.identity:
        logger.warning(
            "the pending key has another identity than the current key",
            secret=snapshot.arn,
            identity=proof.identity,
            current_identity=before.identity,
        )


def refuse_short_life(what: str, life: timedelta, least: timedelta, snapshot: Snapshot) -> None:
    """Refuse a key that lives for less than ``least``.

    Where the schedule does not tell the time between rotations, nothing is refused.

    Raises:
        ConfigurationError: ``what`` names the life that is too short.
    """
    if snapshot.rotation_interval is not None and life < least:
        raise ConfigurationError(
            f"{what} is {_days(life)}. {snapshot.arn} needs {_days(least)}, for the time until its "
            "next rotation and the grace after it. Rotate more often or let keys live longer."
        )


def _days(time: timedelta) -> str:
    return f"{time / timedelta(days=1):.1f} days"
