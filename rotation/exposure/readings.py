"""Who did read secrets: the readings that CloudTrail recorded, by principal and by version.

An event names the secret as the caller named it, and the version only if the caller did. Else it
was the version that was current, which is told by the time and by the lives of the keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from rotation.exposure.access import SecretFacts
from rotation.secrets_manager.labels import AWSCURRENT

#: How many addresses and sessions of one reader are named.
MOST_NAMED: Final = 20
#: CloudTrail tells the beginning of the second in which a call was made (API_Event, EventTime).
_PRECISION: Final = timedelta(seconds=1)
#: How many roles in a row a session is followed back.
_MOST_SESSIONS: Final = 8


@dataclass(frozen=True)
class CallerIdentity:
    """Who made a call, as CloudTrail says.

    Attributes:
        arn: the ARN of the user, or of the role whose session it is; of another account's caller
            its ARN; else the service's name.
        kind: CloudTrail's word, such as ``IAMUser`` or ``AssumedRole``.
        session: the name of the session of the role; None: it is no role.
        access_key: the id of the access key that signed; empty where it is not told.
    """

    arn: str
    kind: str
    session: str | None = None
    access_key: str = ""


@dataclass(frozen=True)
class SecretRead:
    """One call that asked for the value of a secret.

    Attributes:
        at: when, aware UTC.
        secret: the secret as the caller named it.
        caller: who asked.
        version: the version that the caller named; None: none.
        stage: the staging label that the caller named; None: none.
        error: the code of the error that was answered; None: the value was answered.
        address: where the call came from.
    """

    at: datetime
    secret: str
    caller: CallerIdentity
    version: str | None
    stage: str | None
    error: str | None
    address: str


@dataclass(frozen=True)
class VersionLife:
    """When a version can have been the current one.

    Attributes:
        version: its id.
        key_id: the key that it holds; None: that is not known.
        created_at: when it was made; None: that is not known.
        displaced_at: when a run first saw that nothing used its key; None: something uses it.
    """

    version: str
    key_id: str | None
    created_at: datetime | None
    displaced_at: datetime | None

    def may_be_current(self, at: datetime) -> bool:
        """Whether it can have been current then."""
        begun = self.created_at is None or self.created_at < at + _PRECISION
        return begun and (self.displaced_at is None or at <= self.displaced_at)


@dataclass
class Reader:
    """Everything that one principal read of one secret.

    Attributes:
        arn: the principal; see `CallerIdentity`.
        kind: CloudTrail's word for it.
        through: who had assumed the role, from the nearest to the first, as far as that is known.
        reads: how many calls were answered with the value.
        refused: how many were answered with an error.
        first: the first of all its calls.
        last: the last of all its calls.
        sessions: the names of its sessions.
        addresses: where its calls came from.
        keys: how many calls were answered for each key, version and way by which that is known:
            ``event``, ``time``, or ``one-of`` where several were possible.
    """

    arn: str
    kind: str
    through: tuple[str, ...]
    first: datetime
    last: datetime
    reads: int = 0
    refused: int = 0
    sessions: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    keys: dict[tuple[str | None, str | None, str], int] = field(default_factory=dict)

    def add(self, reading: SecretRead, lives: Sequence[VersionLife]) -> None:
        """Count one reading."""
        self.first, self.last = min(self.first, reading.at), max(self.last, reading.at)
        if reading.caller.session is not None and len(self.sessions) < MOST_NAMED:
            self.sessions.add(reading.caller.session)
        if len(self.addresses) < MOST_NAMED:
            self.addresses.add(reading.address)
        if reading.error is not None:
            self.refused += 1
            return
        self.reads += 1
        for one in versions_read(reading, lives):
            self.keys[one] = self.keys.get(one, 0) + 1


def reading(event: Mapping[str, Any]) -> SecretRead | None:
    """The reading that a record of GetSecretValue tells of; None if it names no secret."""
    asked = event.get("requestParameters") or {}
    if not isinstance(asked.get("secretId"), str):
        return None
    return SecretRead(
        at=datetime.fromisoformat(event["eventTime"]),
        secret=asked["secretId"],
        caller=caller(event["userIdentity"]),
        version=asked.get("versionId"),
        stage=asked.get("versionStage"),
        error=event.get("errorCode"),
        address=str(event.get("sourceIPAddress", "")),
    )


def caller(identity: Mapping[str, Any]) -> CallerIdentity:
    """Who is meant by the element userIdentity of an event."""
    kind, key = str(identity.get("type", "Unknown")), str(identity.get("accessKeyId", ""))
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {})
    if kind == "AssumedRole" and "arn" in issuer:
        session = str(identity.get("principalId", "")).partition(":")[2]
        return CallerIdentity(issuer["arn"], kind, session, key)
    named = identity.get("arn") or identity.get("invokedBy") or identity.get("principalId")
    return CallerIdentity(str(named or "unknown"), kind, None, key)


def is_of(reading: SecretRead, secret: SecretFacts) -> bool:
    """Whether a reading is of a secret, however the caller named it."""
    return reading.secret in secret.names


def sessions_of(events: Iterable[Mapping[str, Any]]) -> dict[str, CallerIdentity]:
    """Who assumed the role of each session, by the session's access key id.

    Args:
        events: CloudTrail records of AssumeRole.
    """
    return {
        given["accessKeyId"]: caller(event["userIdentity"])
        for event in events
        if (given := (event.get("responseElements") or {}).get("credentials"))
        and "accessKeyId" in given
    }


def readers(
    readings: Iterable[SecretRead],
    sessions: Mapping[str, CallerIdentity],
    lives: Sequence[VersionLife],
) -> list[Reader]:
    """Everybody who read or tried to, those who read most recently first.

    Args:
        readings: the readings of one secret.
        sessions: see `sessions_of`.
        lives: the lives of its versions; none: they are not known.
    """
    found: dict[tuple[str, tuple[str, ...]], Reader] = {}
    for one in readings:
        through = _through(one.caller, sessions)
        reader = found.setdefault(
            (one.caller.arn, through),
            Reader(one.caller.arn, one.caller.kind, through, one.at, one.at),
        )
        reader.add(one, lives)
    return sorted(found.values(), key=lambda one: one.last, reverse=True)


def versions_read(
    one: SecretRead, lives: Sequence[VersionLife]
) -> list[tuple[str | None, str | None, str]]:
    """Key and version that a reading answered, and how that is known.

    Returns:
        One of ``event`` or ``time``; or several of ``one-of``, of which one is right; or one
        without key and version, of ``unknown``.
    """
    if one.version is not None:
        keys = {life.version: life.key_id for life in lives}
        return [(keys.get(one.version), one.version, "event")]
    if one.stage not in (None, AWSCURRENT):
        return [(None, None, "unknown")]
    possible = [life for life in lives if life.may_be_current(one.at)]
    if not possible:
        return [(None, None, "unknown")]
    how = "time" if len(possible) == 1 else "one-of"
    return [(life.key_id, life.version, how) for life in possible]


def _through(one: CallerIdentity, sessions: Mapping[str, CallerIdentity]) -> tuple[str, ...]:
    way: list[str] = []
    for _ in range(_MOST_SESSIONS):
        before = sessions.get(one.access_key) if one.kind == "AssumedRole" else None
        if before is None:
            break
        way.append(before.arn)
        one = before
    return tuple(way)
