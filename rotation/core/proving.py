"""Decides whether the pending key may be promoted: it proves, waits for or abandons the key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

from rotation.core.invocation import Rotation, current_document, statement
from rotation.core.ports import Proof
from rotation.credential import ApiKey
from rotation.deadline import NEW_KEY_RESERVE
from rotation.errors import (
    CompromisedKeyError,
    ConfigurationError,
    CredentialRejectedError,
    RotationError,
    VersionStateError,
)
from rotation.privacy.observability import count, logger
from rotation.secrets_manager.snapshot import Snapshot


def pending_key(rotation: Rotation, snapshot: Snapshot) -> ApiKey:
    """The key that is to be promoted.

    Raises:
        CompromisedKeyError: it was declared compromised; it was abandoned.
        VersionStateError: there is none yet.
    """
    refuse_compromised(rotation, snapshot)
    document = rotation.secret.read(rotation.token)
    if document is None:
        raise VersionStateError(
            f"{rotation.version} has no value yet. createSecret must succeed first."
        )
    return document.key


def prove_pending(rotation: Rotation, snapshot: Snapshot, key: ApiKey) -> Proof:
    """Prove the pending key, and wait while it propagates. Abandon it if it can never work."""
    refuse_compromised(rotation, snapshot)
    if key.expired(rotation.clock()):
        abandon(rotation, VersionStateError(f"Pending key {key.id} expired at {key.expires_at}."))
    return _prove_until_propagated(
        rotation, key, lambda error: _abandon_if_current_signs(rotation, snapshot, error)
    )


def prove_first(rotation: Rotation, key: ApiKey) -> None:
    """Prove a key that is not stored yet, and wait while it propagates.

    API_PutSecretValue: the first version of a secret gets AWSCURRENT, whatever labels are asked
    for. So in a secret without a current version, storing is promoting, and the proof comes first.
    """

    def give_up(rejection: CredentialRejectedError) -> NoReturn:
        raise rejection

    _prove_until_propagated(rotation, key, give_up)


def _prove_until_propagated(
    rotation: Rotation, key: ApiKey, on_limit: Callable[[CredentialRejectedError], NoReturn]
) -> Proof:
    pause = 0.25
    while True:
        try:
            return rotation.prover.prove(key, statement(rotation))
        except CredentialRejectedError as rejection:
            if _past_propagation(rotation, key):
                on_limit(rejection)
            if rotation.deadline.before(NEW_KEY_RESERVE).left() < timedelta(seconds=pause):
                raise
        rotation.sleep(pause)
        pause = min(2 * pause, 5.0)


def _past_propagation(rotation: Rotation, key: ApiKey) -> bool:
    """Whether the key had its propagation time, counted from its issue, over all retries."""
    if key.issued_at is None:
        return True
    return rotation.clock() - key.issued_at > rotation.policy.propagation_limit


def _abandon_if_current_signs(
    rotation: Rotation, snapshot: Snapshot, rejection: CredentialRejectedError
) -> NoReturn:
    current = current_document(rotation, snapshot)
    if current is None:
        raise rejection
    try:
        rotation.prover.prove(current.key, statement(rotation))
    except RotationError:
        raise rejection from None
    abandon(rotation, rejection)


def refuse_compromised(rotation: Rotation, snapshot: Snapshot) -> None:
    """Abandon a pending version that was declared compromised."""
    if snapshot.compromised(rotation.token):
        abandon(
            rotation,
            CompromisedKeyError(
                f"{rotation.version} holds a key that was declared compromised and will not be "
                "promoted. Begin a new rotation with RotateSecret."
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
    current = current_document(rotation, snapshot)
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
