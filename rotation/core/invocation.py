"""One invocation of one step: whether it is legitimate, and what its token stands for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from rotation.core.policy import RotationPolicy
from rotation.core.ports import KeyIssuer, KeyProver
from rotation.core.statements import of_a_step
from rotation.credential import SecretDocument
from rotation.deadline import Deadline
from rotation.errors import InvalidCredentialError, SecretStoreError, VersionStateError
from rotation.journal.keeper import JournalReader
from rotation.privacy.observability import logger
from rotation.privacy.printable import outside_text
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from rotation.secrets_manager.snapshot import Snapshot, same_function
from rotation.secrets_manager.versions import SecretVersions


@dataclass(frozen=True)
class Rotation:
    """One invocation of one step: the secret, the token, and what they need.

    Attributes:
        secret: the secret that is rotated.
        token: the ClientRequestToken, which is the id of the version being made.
        function_arn: the ARN of the function that runs; the secret must name it.
        journal: reads which keys were declared compromised.
        deadline: when this invocation ends.
    """

    secret: SecretVersions
    token: str
    function_arn: str
    journal: JournalReader
    issuer: KeyIssuer
    prover: KeyProver
    policy: RotationPolicy
    deadline: Deadline
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep

    @property
    def version(self) -> str:
        """The version being made, as a message names it: whoever rotates chooses the token."""
        return f"Version {outside_text(self.token)} of {self.secret.arn}"


def classify(rotation: Rotation) -> Snapshot | None:
    """Classify the token: the snapshot if it is staged, None if it is current already.

    The event is hostile: whoever may invoke the function could have made it up (a responder needs
    ``lambda:InvokeFunction``), so nothing in it is believed that the secret does not say too. And
    the secret must be an allowed one: whoever made the event could have made a secret as well.
    """
    rotation.policy.rotated_secrets.require(rotation.secret.arn)
    snapshot = rotation.secret.snapshot()
    token = rotation.token
    if snapshot.arn != rotation.secret.arn:
        raise VersionStateError(f"{rotation.secret.arn} is not the full ARN of {snapshot.arn}.")
    if not same_function(snapshot.rotation_function, rotation.function_arn):
        raise VersionStateError(
            f"{snapshot.arn} is not rotated by this function but by "
            f"{snapshot.rotation_function or 'none'}. Name this function in RotateSecret."
        )
    if snapshot.deleted_at is not None:
        raise VersionStateError(
            f"{snapshot.arn} is scheduled for deletion. Restore it before rotating it."
        )
    if snapshot.has(token, AWSCURRENT):
        return None
    if not snapshot.rotation_enabled:
        raise VersionStateError(
            f"Rotation of {snapshot.arn} is turned off. Turn it on with RotateSecret."
        )
    if not snapshot.has(token, AWSPENDING):
        raise VersionStateError(
            f"{rotation.version} is not staged as AWSPENDING. "
            "Begin a new rotation with RotateSecret."
        )
    return snapshot


def current_document(rotation: Rotation, snapshot: Snapshot) -> SecretDocument | None:
    """The document of the AWSCURRENT version; None: there is none, or it has no value."""
    current = snapshot.version_with(AWSCURRENT)
    return None if current is None else rotation.secret.read(current)


def readable_current(rotation: Rotation, snapshot: Snapshot) -> SecretDocument | None:
    """As `current_document`; None also if the value is no key, or may not be read at all.

    Raises:
        SecretStoreError: Secrets Manager failed, and may answer later.
    """
    try:
        return current_document(rotation, snapshot)
    except InvalidCredentialError:
        return None
    except SecretStoreError as error:
        if error.retryable:
            raise
        return None


def unreadable_yet(rotation: Rotation, current: str) -> VersionStateError:
    """The error for a current version that does not show yet: reads are eventually consistent."""
    return VersionStateError(
        f"The current version {outside_text(current)} of {rotation.secret.arn} cannot be read yet; "
        "Secrets Manager will try again."
    )


def statement(rotation: Rotation) -> str:
    """Why a step uses a key: a sentence that describes itself and can be no document."""
    return of_a_step(rotation.secret.arn, rotation.token)


def log_step(fact: str, rotation: Rotation, **ids: object) -> None:
    """Log one fact about a step, with its secret and version."""
    where = {"secret": rotation.secret.arn, "version": rotation.token}
    logger.info(fact, extra=where | ids, stacklevel=3)


def require_staged(rotation: Rotation) -> Snapshot:
    """Look again whether the token is staged, and return the snapshot.

    Raises:
        VersionStateError: it was unstaged while the step was at work.
    """
    snapshot = rotation.secret.snapshot()
    if not snapshot.has(rotation.token, AWSPENDING):
        raise VersionStateError(
            f"{rotation.version} was unstaged while its key was being made. "
            "Begin a new rotation with RotateSecret."
        )
    return snapshot
