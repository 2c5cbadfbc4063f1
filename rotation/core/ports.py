"""What the life of a key needs of others: of a vendor, of a notifier and of an evidence store.

`rotation.core`, `rotation.incident` and `rotation.reconciliation` know a vendor through these types
alone, so another vendor is another folder; docs/examples/payment-gateway.md has one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol

from rotation.credential import ApiKey


@dataclass(frozen=True)
class KeyLabel:
    """Whose key it is: written on the key at the vendor when it is issued.

    Attributes:
        installation: the id of this installation, so that two of them never touch each other's.
        secret_arn: the secret that the key was issued for.
        token: the ClientRequestToken of the rotation that asked for it.
    """

    installation: str
    secret_arn: str
    token: str


@dataclass(frozen=True)
class VendorKey:
    """A key as the vendor lists it: never with its material.

    Attributes:
        revocation_asked: whether a person was asked to revoke it, and it may work until they do.
    """

    id: str
    label: KeyLabel
    created_at: datetime
    expires_at: datetime | None
    active: bool
    revocation_asked: bool = False


@dataclass(frozen=True)
class KeyListing:
    """The vendor's keys of one secret, and the vendor's clock when it listed them.

    Attributes:
        whole: whether no key is missing, as far as the issuer knows.
    """

    keys: Sequence[VendorKey]
    vendor_time: datetime
    whole: bool = True


class Revocation(Enum):
    """The issuer's answer to a request to revoke a key."""

    REVOKED = "revoked"
    ALREADY_GONE = "unknown or already gone"
    MANUAL_ACTION_NEEDED = "manual action needed"


@dataclass(frozen=True)
class IssuerCondition:
    """The condition of an issuer: its credential, and how many keys it can still give.

    Attributes:
        credential_id: the id of the admin credential, if the issuer needs one.
        credential_expires_at: when that stops working, aware UTC, if known.
        keys_left: how many keys it can still give, if that is limited.
        unreadable: of its stock, what it cannot read and sets aside, each with the cause.
    """

    credential_id: str | None = None
    credential_expires_at: datetime | None = None
    keys_left: int | None = None
    unreadable: tuple[str, ...] = ()


class KeyIssuer(Protocol):
    """Creates, lists and revokes keys at the vendor."""

    def issue(self, label: KeyLabel, lifetime: timedelta) -> ApiKey:
        """Get a key that bears ``label``. May not be idempotent: then a lost answer leaves a stray.

        Raises:
            KeyQuotaError: too many keys exist.
            KeyIssueError: the issuer would not give a key.
            VendorError: the issuer could not be asked.
        """

    def list_keys(self, installation: str, secret_arn: str) -> KeyListing:
        """The keys that bear a label of this installation and this secret, and no others."""

    def revoke(self, key_id: str) -> Revocation:
        """Have the vendor or a person make the key stop working. Does NOT prove it. Idempotent."""

    def forget(self, key_id: str) -> None:
        """Remove a key that was proven dead from what the issuer keeps. Idempotent."""


@dataclass(frozen=True)
class Proof:
    """That the vendor accepted a key, and as whose.

    Attributes:
        proven_at: our clock when the answer had been checked, aware UTC.
        vendor_time: the vendor's clock when it answered, whole seconds, where it gave one.
        identity: as whose key it was accepted, such as an account, or the subject of the
            certificate that signed; None where the vendor does not tell.
        identity_checked: whether the identity was compared with a configured one. Where it was
            not, testSecret compares it with the current key's.
        facts: what the log says of the proof.
    """

    proven_at: datetime
    vendor_time: datetime | None = None
    identity: str | None = None
    identity_checked: bool = False
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CondemnedKey:
    """A key that has to die although no secret holds it, as one of a pool that leaked.

    Attributes:
        key: the key.
        declared: when, why and by whom it was declared compromised, as text; never empty.
        due: whether it is time to ask the vendor whether it is dead; asking buys a signature
            while it is not.
    """

    key: ApiKey
    declared: str
    due: bool


class CondemnedKeys(Protocol):
    """The keys that an issuer keeps, that no secret holds, and that have to die."""

    @property
    def name(self) -> str:
        """The name of the pool, as people know it."""

    def condemned(self) -> Sequence[CondemnedKey]:
        """The keys that were declared compromised and are not proven dead."""

    def ask_for_revocation(self) -> None:
        """Ask a person to revoke the condemned keys that nobody was asked about yet."""

    def note_alive(self, key_ids: Sequence[str]) -> None:
        """Note that the vendor still accepted these keys just now."""

    def forget(self, key_id: str) -> None:
        """Remove a key that was proven dead. Idempotent."""


class KeyProver(Protocol):
    """Asks the vendor whether it accepts a key, and judges the answer."""

    def prove(self, key: ApiKey, statement: str) -> Proof:
        """Use ``key`` once, for something that changes nothing.

        Args:
            key: the key.
            statement: why it is used, a sentence that no document can be. A prover that must have
                something signed has this sentence signed.

        Raises:
            CredentialRejectedError: the vendor does not accept the key (yet).
            SealVerificationError: it signed, and the signature is not what it must be.
            VendorError: it could not be asked.
        """


class Notifier(Protocol):
    """Sends a message to a person who has to do something."""

    def notify(self, subject: str, facts: Mapping[str, str]) -> None:
        """Send ``subject``, one line, with ``facts``. Never key material.

        Raises:
            RotationError: the message could not be handed over.
        """


class EventBus(Protocol):
    """Hands events to whoever has a rule for them."""

    def put(self, secret_arn: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Put events about one secret on the bus, in their order. Nobody may be listening.

        Args:
            secret_arn: the full ARN of the secret.
            events: the events as JSON members; ``id`` names each.

        Raises:
            EventBusError: it did not take all of them; the error names those that it took.
        """


class LedgerReader(Protocol):
    """Reads the ledger, in which each seal of ours leaves an entry."""

    def entries(
        self, key_ids: Collection[str], since: datetime | None
    ) -> tuple[Mapping[str, frozenset[bytes]], bool]:
        """The digests of the entries that name each of the keys, and whether all were looked at.

        Args:
            key_ids: the ids of keys.
            since: entries that were made before are left out; None: none are.

        Raises:
            LedgerError: the ledger could not be read.
        """

    def uses(
        self, since: Mapping[str, datetime]
    ) -> tuple[Mapping[str, Mapping[str, Sequence[datetime]]], bool]:
        """When each user has sealed with each key lately, and whether every entry was looked at.

        A user is known by the place where the documents come from.

        What it costs is bounded: of a large ledger a part is looked at, and a use that is not
        found there may have been all the same.

        Args:
            since: the ids of keys, and since when their seals count.

        Raises:
            LedgerError: the ledger could not be read.
        """


class SignatureLog(Protocol):
    """Tells what the vendor has signed."""

    def documents(self, key_id: str, statements: Collection[str]) -> frozenset[bytes] | None:
        """The digests that were signed with a key, without those of ``statements``.

        Args:
            key_id: the key.
            statements: the sentences that test seals were made over.

        Returns:
            None if the vendor does not tell.

        Raises:
            VendorError: it could not be asked.
        """


class EvidenceStore(Protocol):
    """Keeps records that nobody can change or remove for a time."""

    def keep(self, name: str, record: bytes) -> str:
        """Store ``record`` under ``name`` and return where it is. The first record of a name stays.

        Raises:
            EvidenceError: it was not stored.
        """

    def records(self, folder: str) -> Sequence[tuple[str, bytes]]:
        """The newest records whose names begin with ``folder``, newest first: place and content.

        Raises:
            EvidenceError: they could not be read.
        """
