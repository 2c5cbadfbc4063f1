"""Declares every key of a secret compromised, and does what the open incident needs next.

The declaration is written on the secret before anything else happens. So the same command run
again, another laptop or the hourly reconciliation can go on from there. The acts, in their order:

1. tags, in one call: when, why and by whom, and the ids of all versions that are suspect, which is
   every version with a label at that moment. From here on the incident is open, and no clock is
   needed to tell suspect versions from later ones;
2. the staging label ``rotation-compromised-<VersionId>`` on every suspect version;
3. AWSPENDING is taken off every suspect version;
4. a new rotation, with a token that follows from the incident and the number of the attempt;
5. once a key that is not suspect is current, reconciliation revokes the suspects, proves them dead,
   keeps the evidence, and removes labels and tag.

`advance` does the next of these acts, and repeats none. It reads no value, so the responder needs
no right to read one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from rotation.credential import iso_utc
from rotation.errors import SecretStoreError, VersionStateError
from rotation.incident.tag_text import actor_for_tag, reason_for_tag
from rotation.secrets_manager.labels import (
    ATTEMPT_TAG,
    AWSCURRENT,
    AWSPENDING,
    COMPROMISED_PREFIX,
    INCIDENT_TAG,
    SUSPECT_TAGS,
)
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions

#: How many rotations an incident begins, one after the other, before it needs a person.
MOST_ATTEMPTS: Final = 5
#: After that, the next look begins another rotation when this time has passed: an outage ends.
RETRY_AFTER: Final = timedelta(minutes=50)
#: How long a rotation of an incident may take before the next one is begun: Secrets Manager repeats
#: the steps of a failed rotation several times.
ROTATION_TIME_LIMIT: Final = timedelta(minutes=5)

#: DescribeSecret is eventually consistent: for so long it may not show what was just written.
SETTLING_TIME: Final = timedelta(seconds=10)
_NO_SUCH_VERSION: Final = frozenset({"InvalidParameterException", "ResourceNotFoundException"})
_NAMESPACE: Final = uuid.UUID("6d1c1c0e-6f5e-5d0c-9a58-4f1f0f0a7f11")
# API_Tag: 256 characters at most. A version's id has 32 to 64, and a secret has 20 labels at most.
_LONGEST_TAG: Final = 256


@dataclass(frozen=True)
class Declaration:
    """When, why and by whom a secret's keys were declared compromised.

    Attributes:
        at: aware UTC, whole milliseconds.
        reason: one word or a few, such as ``key-compromise``.
        actor: who, such as an ARN; no spaces.
    """

    at: datetime
    reason: str
    actor: str

    @classmethod
    def from_free_text(cls, at: datetime, reason: str, actor: str) -> Declaration:
        """Make a declaration of what somebody typed; `rotation.incident.tag_text` cleans it."""
        return cls(at, reason_for_tag(reason), actor_for_tag(actor))

    def tag(self) -> str:
        """The tag's value: time, reason, actor."""
        reason = " ".join(self.reason.split())
        room = _LONGEST_TAG - len(iso_utc(self.at)) - len(self.actor) - 2
        return f"{iso_utc(self.at)} {reason[:room]} {self.actor}"

    @classmethod
    def read(cls, tag: str) -> Declaration:
        """Read a declaration from the value of the tag.

        Raises:
            VersionStateError: the tag is not ours.
        """
        words = tag.split()
        try:
            at = datetime.fromisoformat(words[0])
        except (IndexError, ValueError):
            at = None
        if at is None or at.tzinfo is None or len(words) < 3:
            raise VersionStateError(
                f"The tag {INCIDENT_TAG} is not what a forced rotation writes. Remove it with "
                "aws secretsmanager untag-resource, and declare the incident again."
            )
        return cls(at.astimezone(UTC), " ".join(words[1:-1]), words[-1])


class Stage(Enum):
    """The stage of an incident: what it waits for."""

    NONE = "no incident is open"
    ROTATING = "the new key is being made, proven and promoted"
    RETIRING = "a key that is not suspect is current; the others are to die"
    EXHAUSTED = "no rotation got through; a person has to look"


@dataclass(frozen=True)
class Progress:
    """How far an incident has come.

    Attributes:
        stage: what it waits for.
        declaration: what was declared, while the incident is open.
        acts: what was done just now, each as a sentence.
        suspects: the versions that were declared compromised.
        current: the version that is current.
        attempt: the number of the last rotation, from 1; 0: none yet.
    """

    stage: Stage
    declaration: Declaration | None = None
    acts: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    current: str | None = None
    attempt: int = 0


def declare(
    secret: SecretVersions, declaration: Declaration, *, again: bool = False
) -> Declaration:
    """Open an incident, unless one is open. Returns the declaration that holds.

    An incident can be open for days, while a person has to revoke keys. Versions that were made
    after it are not suspect. With ``again`` this declaration replaces the open one: every version
    that exists now is suspect, and those that were suspect stay so. Does NOT label or rotate
    anything; `advance` does.

    Raises:
        VersionStateError: the secret is scheduled for deletion, or no function rotates it.
        SecretStoreError: AWS refused or failed; asking again is safe.
    """
    snapshot = secret.snapshot()
    if snapshot.deleted_at is not None:
        raise VersionStateError(
            f"{snapshot.arn} is scheduled for deletion. Restore it first "
            "(aws secretsmanager restore-secret), or revoke its keys in the vendor's portal."
        )
    if snapshot.rotation_function is None:
        raise VersionStateError(
            f"{snapshot.arn} names no rotation function. Configure one with "
            "aws secretsmanager rotate-secret, or replace the key by hand."
        )
    tag = snapshot.tags.get(INCIDENT_TAG)
    if tag is not None:
        held = Declaration.read(tag)
        if not again or iso_utc(held.at) == iso_utc(declaration.at):
            return held
    tag = declaration.tag()
    secret.tag({INCIDENT_TAG: tag, **_suspect_tags(snapshot)})
    return Declaration.read(tag)


def advance(secret: SecretVersions, now: datetime) -> Progress:
    """Do what the open incident needs next. Idempotent; several may do it at the same time.

    Does NOT revoke a key and does NOT wait: call it again until its stage is RETIRING, then have
    the secret reconciled.

    Raises:
        VersionStateError: the incident's tag cannot be read.
        SecretStoreError: AWS refused or failed; asking again is safe.
    """
    snapshot = secret.snapshot()
    tag = snapshot.tags.get(INCIDENT_TAG)
    if tag is None:
        return Progress(Stage.NONE, current=snapshot.version_with(AWSCURRENT))
    declaration = Declaration.read(tag)
    acts: list[str] = []
    suspects = _mark(secret, snapshot, acts)
    current = snapshot.version_with(AWSCURRENT)
    pending = snapshot.version_with(AWSPENDING)
    if pending is not None and pending in suspects:
        secret.remove_label(AWSPENDING, pending)
        acts.append(f"took AWSPENDING off {pending}")
        pending = None
    attempt = _attempt(snapshot, declaration)
    stage = Stage.RETIRING
    if current is None or current in suspects:
        stage = Stage.ROTATING
        limit = ROTATION_TIME_LIMIT if pending is not None else SETTLING_TIME
        begun = pending is not None or attempt.number > 0
        waited = now - attempt.begun
        if not begun or waited >= limit:
            if attempt.number < MOST_ATTEMPTS or waited >= RETRY_AFTER:
                _unstick(secret, pending, acts)
                attempt = _rotate(secret, snapshot.arn, declaration, before=attempt, now=now)
                acts.append(attempt.act)
            else:
                stage = Stage.EXHAUSTED
    return Progress(stage, declaration, tuple(acts), tuple(suspects), current, attempt.number)


def mark(secret: SecretVersions) -> tuple[str, ...]:
    """Label the suspect versions of the open incident, and do nothing else. Returns them all.

    Idempotent; `advance` does it too.

    Raises:
        SecretStoreError: AWS refused or failed; asking again is safe.
    """
    return tuple(_mark(secret, secret.snapshot(), []))


def attempt_token(arn: str, declaration: Declaration, attempt: int) -> str:
    """The ClientRequestToken of an incident's rotation. Everybody who works on it gets the same."""
    return str(uuid.uuid5(_NAMESPACE, f"{arn} {iso_utc(declaration.at)} {attempt}"))


def _suspect_tags(snapshot: Snapshot) -> dict[str, str]:
    """The tags that name every labelled version, and every suspect of an open incident.

    Each tag holds as many ids as fit.
    """
    texts = [""]
    for version in sorted({*snapshot.labels, *snapshot.suspect_versions}):
        if len(texts[-1]) + len(version) + 1 > _LONGEST_TAG:
            texts.append("")
        texts[-1] = f"{texts[-1]} {version}".strip()
    return dict(zip(SUSPECT_TAGS, texts, strict=False))


def _mark(secret: SecretVersions, snapshot: Snapshot, acts: list[str]) -> list[str]:
    """Label the suspect versions that are not labelled yet. Returns every suspect version."""
    marked = [
        version
        for version, labels in snapshot.labels.items()
        if any(label.startswith(COMPROMISED_PREFIX) for label in labels)
    ]
    for version in snapshot.suspect_versions:
        labels = snapshot.labels.get(version, frozenset())
        if version in marked or not snapshot.compromised(version):
            continue
        try:
            secret.add_label(COMPROMISED_PREFIX + version, version)
        except SecretStoreError as error:
            # A version that lost its last label may have been deleted since.
            if labels or error.aws_code not in _NO_SUCH_VERSION:
                raise
        else:
            acts.append(f"declared version {version} compromised")
            marked.append(version)
    return marked


@dataclass(frozen=True)
class _Attempt:
    number: int
    begun: datetime
    act: str = ""


def _attempt(snapshot: Snapshot, declaration: Declaration) -> _Attempt:
    """The incident's last rotation, by its tag. One of an earlier incident does not count."""
    words = snapshot.tags.get(ATTEMPT_TAG, "").split()
    try:
        number, begun, declared = words
        if declared == iso_utc(declaration.at):
            return _Attempt(int(number), datetime.fromisoformat(begun))
    except ValueError:
        pass
    return _Attempt(0, declaration.at)


def _unstick(secret: SecretVersions, pending: str | None, acts: list[str]) -> None:
    if pending is not None:
        secret.remove_label(AWSPENDING, pending)
        acts.append(f"took a stuck AWSPENDING off {pending}")


def _rotate(
    secret: SecretVersions, arn: str, declaration: Declaration, *, before: _Attempt, now: datetime
) -> _Attempt:
    """Begin the next rotation; a refused one does not count."""
    number = before.number + 1
    # The tag comes first: a process that is killed here only makes the next one wait.
    _write_attempt(secret, declaration, number, now)
    try:
        secret.rotate(attempt_token(arn, declaration, number))
    except SecretStoreError as error:
        if error.aws_code != "InvalidRequestException":
            raise
        # A step that was running put its pending version back; the next look takes it off again.
        _write_attempt(secret, declaration, before.number, now)
        return _Attempt(before.number, now, "a rotation was refused: another is under way")
    return _Attempt(number, now, f"began rotation {number}")


def _write_attempt(
    secret: SecretVersions, declaration: Declaration, number: int, now: datetime
) -> None:
    secret.tag({ATTEMPT_TAG: f"{number} {iso_utc(now)} {iso_utc(declaration.at)}"})
