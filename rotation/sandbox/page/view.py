"""What the page shows of a sandbox. Keys are named by their id; nothing here holds material."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rotation.aws.journal_bucket import S3JournalStore
from rotation.credential import API_KEY_ID, Confidential, json_object
from rotation.errors import JournalError
from rotation.journal.document import parse
from rotation.journal.model import Incident, Journal, KeyLife
from rotation.sandbox.aws.cloud import StoredVersion
from rotation.sandbox.aws.rotations import StepRun
from rotation.sandbox.aws.versions import AWSPENDING
from rotation.sandbox.deployment import (
    DESTINATION_BUCKET,
    EVIDENCE_BUCKET,
    RECONCILE,
    ROTATE,
    SEAL,
    SECRET,
    Deployment,
)
from rotation.sandbox.page.actions import Actions
from rotation.sandbox.page.lives import KeyLives, KeyPhase, KeySighting, Timeline
from rotation.sandbox.page.log_lines import LogFiles, LogLine
from rotation.sandbox.page.thief import StolenKey
from rotation.sandbox.vendor import PortalKey, Role, VendorPortal

_MOST_LINES: Final = 14
_MOST_STEPS: Final = 8
_MOST_VERSIONS: Final = 8
_MOST_KEYS: Final = 8
_MOST_DOCUMENTS: Final = 8


@dataclass(frozen=True)
class VersionRow:
    """A version of the secret.

    Attributes:
        key_id: the key that it holds; None: it holds none, or what is no key.
    """

    id: str
    created_at: datetime
    labels: tuple[str, ...]
    key_id: str | None


@dataclass(frozen=True)
class PortalRow:
    """A key as the vendor's portal lists it.

    Attributes:
        maker: who had it made, in words.
        state: ``active``, ``revoked`` or ``expired``.
        signatures: how many it has made.
        not_shown: whether a person made it on the page and has yet to take it.
    """

    id: str
    maker: str
    created_at: datetime
    expires_at: datetime
    state: str
    signatures: int
    not_shown: bool


@dataclass(frozen=True)
class JournalRow:
    """What the journal says of a key, as short sentences."""

    key_id: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class SealedObject:
    """An object in the bucket of sealed documents."""

    name: str
    size: int
    sealed_at: datetime


@dataclass(frozen=True)
class PageView:
    """Everything that the page shows at one moment. Times are aware UTC, by the sandbox's clock.

    Attributes:
        ahead: how far that clock is ahead of the machine's.
        now_texts: by key id, what the timeline says of the phase that the key is in now, where
            that is more than the phase's name.
        journal: what the journal says of its keys, the newest first.
        journal_notices: what it says of incidents and of failed steps.
        stolen: the keys that a thief has.
        steps: the last steps of rotations, the newest first.
        log: the last lines of the functions' logs, the newest first.
    """

    now: datetime
    ahead: timedelta
    timeline: Timeline
    now_texts: dict[str, str]
    versions: list[VersionRow]
    journal: list[JournalRow]
    journal_notices: list[str]
    portal: list[PortalRow]
    stolen: tuple[StolenKey, ...]
    steps: list[StepRun]
    log: list[LogLine]
    documents: list[SealedObject]
    vendor_down: bool
    throttled: bool
    kill_awaited: bool


class Viewer:
    """Looks at one sandbox. Safe to use from several threads."""

    def __init__(self, deployment: Deployment, portal: VendorPortal, actions: Actions) -> None:
        self._deployment = deployment
        self._portal = portal
        self._actions = actions
        self._lives = KeyLives()
        self._logs = LogFiles(deployment.logs, (ROTATE, RECONCILE, SEAL))
        self._s3 = deployment.cloud.client("s3")

    def observe(self) -> None:
        """Note in which phase each key is now. Brief; may be called at each step of a rotation."""
        with self._deployment.cloud.secrets_at_rest():
            self._lives.observe(self._deployment.now(), self._sightings())

    def view(self) -> PageView:
        """What is to be seen now."""
        deployment, actions = self._deployment, self._actions
        with deployment.cloud.secrets_at_rest():
            self.observe()
            timeline = self._lives.timeline()
            phases = {row.key_id: self._lives.phase(row.key_id) for row in timeline.rows}
            versions = self._versions()
        pending = {one.id for one in versions if AWSPENDING in one.labels}
        journal, notices = self._journal(pending)
        return PageView(
            now=deployment.now(),
            ahead=deployment.ahead,
            timeline=timeline,
            now_texts=_now_texts(phases, journal),
            versions=[_version_row(one) for one in reversed(versions)][:_MOST_VERSIONS],
            journal=_journal_rows(journal),
            journal_notices=notices,
            portal=self._portal_rows(),
            stolen=actions.thief.stolen,
            steps=deployment.cloud.rotations[-_MOST_STEPS:][::-1],
            log=self._logs.newest(_MOST_LINES),
            documents=self._documents(),
            vendor_down=actions.vendor_down,
            throttled=actions.throttled,
            kill_awaited=actions.kill_awaited,
        )

    def document(self, name: str) -> bytes | None:
        """The bytes of a sealed document; None: there is none of that name."""
        try:
            answer = self._s3.get_object(Bucket=DESTINATION_BUCKET, Key=name)
        except self._s3.exceptions.NoSuchKey:
            return None
        return answer["Body"].read()

    def _versions(self) -> tuple[StoredVersion, ...]:
        try:
            return self._deployment.cloud.versions(SECRET)
        except LookupError:
            return ()

    def _sightings(self) -> Iterator[KeySighting]:
        labels: dict[str, set[str]] = {}
        for version in self._versions():
            if key_id := _key_id(version):
                labels.setdefault(key_id, set()).update(version.labels)
        now = self._deployment.vendor.now()
        for key in self._signing_keys():
            ended_at = key.revoked_at or (key.expires_at if key.expires_at <= now else None)
            held = frozenset(labels.get(key.id, ()))
            yield KeySighting(key.id, key.created_at, ended_at, held)

    def _signing_keys(self) -> list[PortalKey]:
        keys = self._deployment.vendor.keys.all()
        return [key for key in keys if key.role is Role.SIGNING]

    def _portal_rows(self) -> list[PortalRow]:
        now = self._deployment.vendor.now()
        signatures = self._deployment.vendor.signatures
        not_shown = self._portal.not_shown()
        rows = [
            PortalRow(
                id=key.id,
                maker="a person" if key.label is None else "a rotation",
                created_at=key.created_at,
                expires_at=key.expires_at,
                state=key.status(now),
                signatures=signatures[key.id],
                not_shown=key.id in not_shown,
            )
            for key in reversed(self._signing_keys())
        ]
        rows.sort(key=lambda row: row.state != "active")
        active = sum(row.state == "active" for row in rows)
        return rows[: max(active, _MOST_KEYS)]

    def _journal(self, pending: Container[str]) -> tuple[Journal | None, list[str]]:
        arn = self._deployment.secret_arn
        try:
            found = S3JournalStore(self._s3, EVIDENCE_BUCKET).read(arn)
            if found is None:
                return None, []
            journal = parse(found[0], arn, found[1])
        except JournalError as error:
            return None, [str(error)]
        failures = [
            f"{one.at:%H:%M:%S} {one.step} failed: {one.code}"
            for one in journal.step_failures[-3:]
            if one.token in pending
        ]
        return journal, [_incident(one) for one in journal.incidents[::-1]] + failures[::-1]

    def _documents(self) -> list[SealedObject]:
        listed = self._s3.list_objects_v2(Bucket=DESTINATION_BUCKET).get("Contents", [])
        documents = [SealedObject(one["Key"], one["Size"], one["LastModified"]) for one in listed]
        return sorted(documents, key=lambda one: one.sealed_at)[::-1][:_MOST_DOCUMENTS]


def _key_id(version: StoredVersion) -> str | None:
    held = json_object(Confidential(version.text or "")) or {}
    key_id = held.get(API_KEY_ID)
    return key_id if isinstance(key_id, str) else None


def _version_row(version: StoredVersion) -> VersionRow:
    return VersionRow(
        version.id, version.created_at, tuple(sorted(version.labels)), _key_id(version)
    )


def _now_texts(phases: dict[str, KeyPhase], journal: Journal | None) -> dict[str, str]:
    """The phases that some keys are in now, with what the journal knows of it."""
    texts = {}
    for key_id, phase in phases.items():
        life = journal.keys.get(key_id) if journal is not None else None
        if phase is KeyPhase.GRACE and life is not None and life.retire_after is not None:
            texts[key_id] = f"{phase} until {life.retire_after:%H:%M}"
        elif phase is KeyPhase.DEAD and life is not None and life.death is not None:
            texts[key_id] = f"{phase}, {'attested' if life.death.attested else 'proven'}"
    return texts


def _journal_rows(journal: Journal | None) -> list[JournalRow]:
    if journal is None:
        return []
    newest_first = sorted(journal.keys.items(), key=lambda one: one[1].first_seen_at, reverse=True)
    return [
        JournalRow(key_id, tuple(_facts(life, suspect=journal.suspect(key_id))))
        for key_id, life in newest_first[:_MOST_KEYS]
    ]


def _facts(life: KeyLife, *, suspect: bool) -> Iterator[str]:
    yield f"first seen {life.first_seen_at:%H:%M:%S}"
    if suspect:
        yield "suspect"
    if life.displaced_at is not None:
        yield f"displaced {life.displaced_at:%H:%M:%S}"
    if life.retire_after is not None and life.asked_at is None and life.death is None:
        yield f"to be revoked after {life.retire_after:%H:%M:%S}"
    if life.asked_at is not None:
        yield f"revocation asked for {life.asked_at:%H:%M:%S}"
    if life.death is not None:
        yield f"{'attested' if life.death.attested else 'proven'} dead {life.death.at:%H:%M:%S}"


def _incident(incident: Incident) -> str:
    declared = incident.declarations[-1]
    closing = incident.closing
    end = "open" if closing is None else f"closed {closing.at:%H:%M:%S}"
    suspects = len(incident.suspects)
    return (
        f"Incident of {declared.at:%H:%M:%S}, {declared.reason}: {end}, "
        f"{suspects} suspect {'key' if suspects == 1 else 'keys'}"
    )
