"""Reads one secret's keys: the vendor's list, then the labels and tags, then the values.

The order matters: a key that is stored meanwhile is missing from the older list rather than from
the newer one. This is the only module of reconciliation that reads key material. Nothing here
changes anything; `Examiner.ask_vendor` alone costs something, a signature for each living key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from rotation.core.listing import list_own_keys
from rotation.core.policy import ReconciliationPolicy
from rotation.core.ports import KeyIssuer, KeyListing, KeyProver
from rotation.credential import ApiKey
from rotation.errors import (
    CredentialRejectedError,
    InvalidCredentialError,
    RotationError,
)
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
        keys: the keys that its versions hold, by key id.
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
            VersionStateError: the secret does not name our rotation function (any more).
            SecretStoreError: Secrets Manager refused or failed.
        """
        listing, listing_error = self._list_keys(secret)
        snapshot = secret.snapshot()
        snapshot.require_rotated_by(self.policy.rotation_function)
        return FirstLook(listing, listing_error, snapshot)

    def examine(self, secret: SecretVersions, look: FirstLook) -> Examination:
        """List the versions of ``secret`` and read the values that a plan needs.

        Raises:
            SecretStoreError: Secrets Manager refused or failed; half the facts make no plan.
        """
        versions = _united(look.snapshot, secret.list_versions())
        situation = Situation(look.snapshot, versions, look.listing, self.clock())
        keys: dict[str, ApiKey] = {}
        if look.snapshot.deleted_at is None:
            wanted = [version for version in versions if self._wanted(version, situation)]
            situation = self._read(secret, situation, wanted, keys)
            if _perhaps_stray(situation):
                rest = [
                    version
                    for version in situation.versions
                    if version.reading is Reading.NOT_READ and not version.dead
                ]
                situation = self._read(secret, situation, rest, keys)
        return Examination(situation, keys, look.listing_error)

    def ask_vendor(self, examination: Examination) -> Examination:
        """Ask the vendor about the keys of which nothing else tells whether they are alive.

        A test seal for each of them: one that is accepted buys a signature.
        """
        situation = examination.situation
        if situation.snapshot.deleted_at is not None:
            return examination
        versions = tuple(
            self._ask(version, situation, examination.keys) for version in situation.versions
        )
        return replace(examination, situation=replace(situation, versions=versions))

    def _list_keys(self, secret: SecretVersions) -> tuple[KeyListing | None, RotationError | None]:
        try:
            return list_own_keys(self.issuer, self.policy.installations, secret.arn), None
        except RotationError as error:
            # An issuer that cannot be asked must not keep displaced versions from being marked.
            return None, error

    def _wanted(self, version: ExaminedVersion, situation: Situation) -> bool:
        """Whether the value of ``version`` matters: it may hold a key that is alive."""
        if version.current or version.pending or version.compromised:
            return True
        if version.labels:
            return not version.dead
        listed = situation.listing.keys if situation.listing else ()
        states = {key.active for key in listed if key.label.token == version.id}
        return True in states or (not states and self._may_hold_unlisted_key(version, situation))

    def _may_hold_unlisted_key(self, version: ExaminedVersion, situation: Situation) -> bool:
        """Whether to read a deprecated version that no listed key names in this run.

        It may hold a key that a person made, which bears no label at the vendor, after two
        promotions in a row. It is read for a day after a version was made, and then once a day.
        """
        made = [v.created_at for v in situation.versions if v.created_at is not None]
        if (
            version.created_at is None
            or situation.now - version.created_at > self.policy.longest_key_life
        ):
            return False
        newest = max(made)
        recent = situation.now - newest <= timedelta(days=1)
        return recent or once_a_day(newest, situation.now)

    def _read(
        self,
        secret: SecretVersions,
        situation: Situation,
        wanted: list[ExaminedVersion],
        keys: dict[str, ApiKey],
    ) -> Situation:
        read = {version.id: _read_one(secret, version, keys) for version in wanted}
        versions = tuple(read.get(version.id, version) for version in situation.versions)
        return replace(situation, versions=versions)

    def _ask(
        self, version: ExaminedVersion, situation: Situation, keys: Mapping[str, ApiKey]
    ) -> ExaminedVersion:
        key = keys.get(version.key_id or "")
        if key is None or not self._must_be_asked(version, situation):
            return version
        return replace(version, answers=self._accepted(situation, key))

    def _must_be_asked(self, version: ExaminedVersion, situation: Situation) -> bool:
        now = situation.now
        expired = version.expires_at is not None and version.expires_at <= now
        if expired:
            return False
        if version.current:
            # The current key is asked about once a day, whatever the vendor's list says.
            return version.created_at is not None and once_a_day(version.created_at, now)
        deprecated = not version.labels and version.key_id not in situation.protected
        return deprecated and situation.listed(version.key_id) is None

    def _accepted(self, situation: Situation, key: ApiKey) -> bool | None:
        try:
            self.prover.prove(key, statement(situation.snapshot.arn))
        except CredentialRejectedError:
            return False
        except RotationError:
            return None
        return True


def look_again(secret: SecretVersions, examination: Examination) -> Examination:
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
        again = replace(
            known.get(version, ExaminedVersion(version, labels)),
            labels=labels,
            declared=version in snapshot.suspect_versions,
        )
        if not again.displaced and again.reading is not Reading.READ:
            again = _read_one(secret, again, keys)
        versions.append(again)
    situation = replace(examination.situation, snapshot=snapshot, versions=_in_order(versions))
    return replace(examination, situation=situation, keys=keys)


def statement(arn: str) -> str:
    """The sentence of a test seal by reconciliation, which can be no document."""
    return f"reconciliation test seal for {arn}"


def _united(snapshot: Snapshot, listed: tuple[ListedVersion, ...]) -> tuple[ExaminedVersion, ...]:
    """The versions of both lists, each with the labels of both, the oldest first."""
    declared = frozenset(snapshot.suspect_versions)
    found = {
        version: ExaminedVersion(version, labels, declared=version in declared)
        for version, labels in snapshot.labels.items()
    }
    for one in listed:
        labels = one.labels | snapshot.labels.get(one.id, frozenset())
        found[one.id] = ExaminedVersion(one.id, labels, one.created_at, declared=one.id in declared)
    return _in_order(found.values())


def _in_order(versions: Iterable[ExaminedVersion]) -> tuple[ExaminedVersion, ...]:
    return tuple(sorted(versions, key=lambda version: (version.created_at or _NEVER, version.id)))


def _read_one(
    secret: SecretVersions, version: ExaminedVersion, keys: dict[str, ApiKey]
) -> ExaminedVersion:
    try:
        document = secret.read(version.id)
    except InvalidCredentialError:
        return replace(version, reading=Reading.UNREADABLE)
    if document is None:
        return replace(version, reading=Reading.EMPTY)
    key = document.key
    keys[key.id] = key
    return replace(
        version,
        reading=Reading.READ,
        key_id=key.id,
        issued_at=key.issued_at,
        expires_at=key.expires_at,
    )


def _perhaps_stray(situation: Situation) -> bool:
    named = {version.key_id for version in situation.versions} | situation.in_flight
    listed = situation.listing.keys if situation.listing else ()
    return any(key.active and key.id not in named for key in listed)
