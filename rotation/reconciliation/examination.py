"""Reads one secret's keys: the vendor's list, then the labels and tags, then the values.

The order matters: a key that is stored meanwhile is missing from the older list rather than from
the newer one. This is the only module of reconciliation that reads key material. Nothing here
changes anything; `Examiner.ask_vendor` alone costs something, a signature for each living key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from rotation.core.listing import list_own_keys
from rotation.core.policy import ReconciliationPolicy
from rotation.core.ports import KeyIssuer, KeyListing, KeyProver
from rotation.core.statements import of_a_reconciliation
from rotation.credential import ApiKey
from rotation.errors import (
    CredentialRejectedError,
    RotationError,
)
from rotation.journal.model import Journal
from rotation.reconciliation.situation import (
    ExaminedVersion,
    Reading,
    Situation,
    once_a_day,
)
from rotation.secrets_manager.snapshot import ListedVersion, Snapshot
from rotation.secrets_manager.versions import SecretVersions

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class FirstLook:
    """What is known of a secret before any of its values is read.

    Attributes:
        listing: the vendor's keys of this secret; None: they could not be listed.
        listing_error: why they could not be listed, or None.
        snapshot: the secret as DescribeSecret shows it, later than ``listing``.
    """

    listing: KeyListing | None
    listing_error: RotationError | None
    snapshot: Snapshot


@dataclass(frozen=True)
class Examination:
    """One secret as it was found.

    Attributes:
        situation: what was found, without key material.
        keys: the keys of the versions that were read in this run, by version id. Two versions can
            hold one key id with different materials.
        listing_error: why the vendor's keys could not be listed, or None.
    """

    situation: Situation
    keys: Mapping[str, ApiKey] = field(repr=False)
    listing_error: RotationError | None = None


@dataclass(frozen=True)
class Examiner:
    """Reads the keys of one secret after the other.

    Attributes:
        issuer: lists the vendor's keys.
        prover: asks the vendor whether it accepts a key.
        policy: what the organisation decided.
        clock: our clock, aware UTC.
    """

    issuer: KeyIssuer
    prover: KeyProver
    policy: ReconciliationPolicy
    clock: Callable[[], datetime]

    def look(self, secret: SecretVersions) -> FirstLook:
        """List the vendor's keys of ``secret``, then read its labels and tags.

        Raises:
            VersionStateError: the secret does not name our rotation function (any more), or may not
                be rotated.
            SecretStoreError: Secrets Manager refused or failed.
        """
        listing, listing_error = self._list_keys(secret)
        snapshot = secret.snapshot()
        snapshot.require_rotated_by(self.policy.rotation_function)
        self.policy.rotated_secrets.require(snapshot.arn)
        return FirstLook(listing, listing_error, snapshot)

    def examine(self, secret: SecretVersions, look: FirstLook, journal: Journal) -> Examination:
        """List the versions of ``secret`` and read the values that a plan needs.

        The value of a version never changes, so only those are read that the journal does not
        know, and those of the current and the pending version. A version that is older than any key
        lives is read only if an open incident names it.

        Raises:
            SecretStoreError: Secrets Manager failed, and may answer later; half the facts make no
                plan.
        """
        versions = _united(look.snapshot, secret.list_versions(), journal)
        situation = Situation(look.snapshot, versions, look.listing, self.clock(), journal)
        keys: dict[str, ApiKey] = {}
        if look.snapshot.deleted_at is None:
            read = {
                version.id: _read_one(secret, version, keys)
                for version in versions
                if self._wanted(version, situation)
            }
            versions = tuple(read.get(version.id, version) for version in versions)
            situation = replace(situation, versions=versions)
        return Examination(situation, keys, look.listing_error)

    def ask_vendor(self, examination: Examination) -> Examination:
        """Ask the vendor about the current key, once a day, whatever its list says.

        A test seal: one that is accepted buys a signature.
        """
        situation = examination.situation
        current = situation.current
        key = examination.keys.get(current.id) if current else None
        if current is None or key is None or situation.snapshot.deleted_at is not None:
            return examination
        made, now = current.created_at, situation.now
        if key.expired(now) or made is None or not once_a_day(made, now):
            return examination
        answers = {key.id: self._accepted(situation, key)}
        return replace(examination, situation=replace(situation, answers=answers))

    def _list_keys(self, secret: SecretVersions) -> tuple[KeyListing | None, RotationError | None]:
        try:
            return list_own_keys(self.issuer, self.policy.installations, secret.arn), None
        except RotationError as error:
            # An issuer that cannot be asked must not keep displaced versions from being marked.
            return None, error

    def _wanted(self, version: ExaminedVersion, situation: Situation) -> bool:
        """Whether to read the value of ``version`` in this run."""
        if version.current or version.pending:
            return True
        too_old = (
            version.created_at is not None
            and situation.now - version.created_at > self.policy.longest_key_life
        )
        incident = situation.journal.open_incident
        named = incident is not None and version.id in incident.versions
        return version.reading is Reading.NOT_READ and (named or not too_old)

    def _accepted(self, situation: Situation, key: ApiKey) -> bool | None:
        try:
            self.prover.prove(key, of_a_reconciliation(situation.snapshot.arn))
        except CredentialRejectedError:
            return False
        except RotationError:
            return None
        return True


def look_again(secret: SecretVersions, examination: Examination, journal: Journal) -> Examination:
    """Read again which labels the versions bear, and which version is current, before acting.

    Raises:
        SecretStoreError: Secrets Manager refused or failed.
    """
    snapshot = secret.snapshot()
    keys = dict(examination.keys)
    known = {version.id: version for version in examination.situation.versions}
    versions = []
    for version in known.keys() | snapshot.labels.keys():
        labels = snapshot.labels.get(version, frozenset())
        again = replace(known.get(version, ExaminedVersion(version, labels)), labels=labels)
        if not again.displaced and again.reading is not Reading.READ:
            again = _read_one(secret, again, keys)
        versions.append(again)
    situation = replace(
        examination.situation, snapshot=snapshot, versions=_in_order(versions), journal=journal
    )
    return replace(examination, situation=situation, keys=keys)


def read_keys(secret: SecretVersions, examination: Examination, key_id: str) -> tuple[ApiKey, ...]:
    """The key with this id as each version has it, each material once; none: no version gives it.

    Somebody may have stored an id with another key's material. A rejection of that material says
    nothing of the key, so a proof needs every one of them.

    Raises:
        SecretStoreError: Secrets Manager failed, and may answer later.
    """
    found: list[ApiKey] = []
    for version in examination.situation.holders.get(key_id, ()):
        keys: dict[str, ApiKey] = {}
        _read_one(secret, version, keys)
        key = keys.get(version.id)
        if (
            key is not None
            and key.id == key_id
            and all(key.material != other.material for other in found)
        ):
            found.append(key)
    return tuple(found)


def _united(
    snapshot: Snapshot, listed: tuple[ListedVersion, ...], journal: Journal
) -> tuple[ExaminedVersion, ...]:
    """The versions of both lists, each with the labels of both, the oldest first."""
    found = {one: ExaminedVersion(one, labels) for one, labels in snapshot.labels.items()}
    for one in listed:
        labels = one.labels | snapshot.labels.get(one.id, frozenset())
        found[one.id] = ExaminedVersion(one.id, labels, one.created_at)
    return _in_order(_as_known(version, journal) for version in found.values())


def _as_known(version: ExaminedVersion, journal: Journal) -> ExaminedVersion:
    """The version with what the journal knows of it."""
    record = journal.versions.get(version.id)
    if record is None:
        return version
    return replace(
        version,
        reading=Reading.NOT_READ if record.key_id is None else Reading.READ,
        key_id=record.key_id,
        issued_at=record.issued_at,
        expires_at=record.expires_at,
        was_current=record.was_current,
    )


def _in_order(versions: Iterable[ExaminedVersion]) -> tuple[ExaminedVersion, ...]:
    return tuple(sorted(versions, key=lambda version: (version.created_at or _NEVER, version.id)))


def _read_one(
    secret: SecretVersions, version: ExaminedVersion, keys: dict[str, ApiKey]
) -> ExaminedVersion:
    """The version with what its value says; its key is added to ``keys`` under the version's id.

    A value that is no key, or that Secrets Manager definitely refuses to give, as one whose KMS key
    was disabled, is one version without a known key.
    """
    answer = secret.reading(version.id)
    if answer.problem is not None:
        return replace(version, reading=Reading.UNREADABLE, problem=str(answer.problem))
    document = answer.document
    if document is None:
        # One answer does not tell a version without a value from one that does not show yet.
        known = version.reading is Reading.READ
        return version if known else replace(version, reading=Reading.EMPTY)
    key = document.key
    keys[version.id] = key
    return replace(
        version,
        reading=Reading.READ,
        key_id=key.id,
        issued_at=key.issued_at,
        expires_at=key.expires_at,
    )
