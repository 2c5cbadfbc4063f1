"""Does what an open incident needs next, until a key that is not suspect is current.

The acts, in their order: AWSPENDING is taken off a version that must not be promoted; then a
rotation is begun, and another one if it does not get through. Each rotation is written in the
journal before it is begun, so that two who work on the incident begin one. Reconciliation does the
rest: it revokes the suspects, proves them dead and closes the incident.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from rotation.errors import SecretStoreError
from rotation.incident.declaration import rotation_token, tag_text
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import BegunRotation, Incident, Journal
from rotation.privacy.observability import logger
from rotation.secrets_manager.labels import AWSPENDING, INCIDENT_TAG
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


class Stage(Enum):
    """The stage of an incident: what it waits for."""

    NONE = "no incident is open"
    ROTATING = "the new key is being made, proven and promoted"
    RETIRING = "a key that is not suspect is current; the others are to die"
    EXHAUSTED = "no rotation got through; a person has to look"


@dataclass(frozen=True)
class CurrentState:
    """Which versions of the secret are current and pending, as a run found them.

    Attributes:
        current_is_sound: whether the current version holds a key that is known, not suspect, and
            neither dead nor refused by the vendor.
        pending: the version that bears AWSPENDING and is not current; None: there is none.
        pending_is_sound: whether a rotation may promote that version.
        tag: the value of the tag that shows people the incident; None: there is no tag.
    """

    current_is_sound: bool
    pending: str | None
    pending_is_sound: bool
    tag: str | None


@dataclass(frozen=True)
class Progress:
    """How far an incident has come.

    Attributes:
        stage: what it waits for.
        journal: the journal after the acts.
        acts: what was done just now, each as a sentence.
        problem: why no rotation could be begun just now; the next look tries again.
    """

    stage: Stage
    journal: Journal
    acts: tuple[str, ...] = ()
    problem: SecretStoreError | None = None


def advance(
    secret: SecretVersions,
    journal: Journal,
    state: CurrentState,
    *,
    keeper: JournalKeeper,
    now: datetime,
) -> Progress:
    """Do what the open incident needs next. Idempotent; several may do it at the same time.

    Does NOT revoke a key and does NOT wait: call it again until its stage is RETIRING, then have
    the secret reconciled.

    Raises:
        JournalError: the journal could not be changed; asking again is safe.
        SecretStoreError: AWS refused or failed; asking again is safe.
    """
    incident = journal.open_incident
    if incident is None:
        return Progress(Stage.NONE, journal)
    acts: list[str] = []
    _show(secret, incident, state, acts)
    pending = state.pending
    if pending is not None and not state.pending_is_sound:
        secret.remove_label(AWSPENDING, pending)
        acts.append(f"took AWSPENDING off {pending}")
        pending = None
    if state.current_is_sound:
        return Progress(Stage.RETIRING, journal, tuple(acts))
    begun = incident.begun
    if incident.rotations or pending is not None:
        last = incident.rotations[-1].at if incident.rotations else incident.declared_at
        limit = ROTATION_TIME_LIMIT if pending is not None else SETTLING_TIME
        if now - last < limit:
            return Progress(Stage.ROTATING, journal, tuple(acts))
        if len(begun) >= MOST_ATTEMPTS and now - last < RETRY_AFTER:
            return Progress(Stage.EXHAUSTED, journal, tuple(acts))
    if pending is not None:
        secret.remove_label(AWSPENDING, pending)
        acts.append(f"took a stuck AWSPENDING off {pending}")
    journal, problem = _rotate(secret, journal, incident, keeper=keeper, now=now, acts=acts)
    return Progress(Stage.ROTATING, journal, tuple(acts), problem)


def _show(secret: SecretVersions, incident: Incident, state: CurrentState, acts: list[str]) -> None:
    """Set the tag that shows people the incident. Nothing depends on it."""
    text = tag_text(incident.declarations[0])
    if state.tag == text:
        return
    try:
        secret.tag({INCIDENT_TAG: text})
    except SecretStoreError as error:
        logger.warning("incident not shown", extra={"secret": secret.arn, "reason": str(error)})
    else:
        acts.append("tagged the secret, so that people see the incident")


def _rotate(
    secret: SecretVersions,
    journal: Journal,
    incident: Incident,
    *,
    keeper: JournalKeeper,
    now: datetime,
    acts: list[str],
) -> tuple[Journal, SecretStoreError | None]:
    """Begin the next rotation, once, however many ask for it at the same time.

    Returns:
        the journal, and the error that keeps a rotation from being begun but may pass.
    """
    token = rotation_token(secret.arn, incident)
    # Another function, whose clock was ahead, may have declared. The key of this rotation must not
    # count as one that existed then.
    beginning = BegunRotation(token, max(now, incident.declared_at))

    def begin(found: Journal) -> Journal:
        latest = found.open_incident
        if latest is None or latest.id != incident.id or latest.rotations != incident.rotations:
            # Somebody else has begun a rotation, or has closed the incident.
            return found
        return found.with_incident(replace(latest, rotations=(*latest.begun, beginning)))

    changed = keeper.change(journal, begin)
    latest = changed.open_incident
    if latest is None or not latest.rotations or latest.rotations[-1] != beginning:
        acts.append("another run works on this incident")
        return changed, None
    try:
        secret.rotate(token)
    except SecretStoreError as error:
        if error.aws_code == "InvalidRequestException":
            # A step that was running put its pending version back; the next look takes it off.
            acts.append("a rotation was refused: another is under way")
            problem = None
        elif error.retryable:
            # It may have begun all the same. The next look uses the same token, and that begins no
            # second one (API_RotateSecret).
            acts.append(f"no rotation was begun, and the next look tries again: {error}")
            problem = error
        else:
            raise
        return keeper.change(changed, lambda found: _refused(found, token)), problem
    acts.append(f"began rotation {len(latest.begun)}")
    return changed, None


def _refused(journal: Journal, token: str) -> Journal:
    incident = journal.open_incident
    if incident is None:
        return journal
    rotations = tuple(
        replace(one, refused=True) if one.token == token else one for one in incident.rotations
    )
    return journal.with_incident(replace(incident, rotations=rotations))
