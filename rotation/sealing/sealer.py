"""Seals one document: opens and prepares it, has its digest signed, checks, embeds and stores.

Only the SHA-256 digest of the document leaves the account. The destination is written last and as a
whole, so that a failure at any point leaves nothing there.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol

from rotation.cms.timestamps import Timestamp
from rotation.credential import ApiKey, iso_utc
from rotation.deadline import Deadline
from rotation.errors import (
    DocumentTooLargeError,
    InvalidRequestError,
    LevelError,
    RotationError,
    SealVerificationError,
)
from rotation.privacy.observability import count, logger
from rotation.sealing.documents import DocumentStore, SourceDocument, StoredDocument
from rotation.sealing.notices import SealNotice
from rotation.sealing.pdf import Limits, PreparedPdf, larger_reserve, prepare
from rotation.sealing.profile import ProfileChoice
from rotation.sealing.raised import RaisedLevel, RaiseSeal
from rotation.sealing.request import Level, ObjectLocation, SealRequest
from rotation.sealing.signer_name import SignerName
from rotation.sealing.time_limit import Unfinished, finish_by
from rotation.sealing.turns import Turns
from rotation.vendor.signer import Signer

_LARGEST_RESERVE: Final = 256 * 1024
#: For one document: more room, another SubFilter and another name may each need another one.
_MOST_SIGNATURES: Final = 4


class AllowedLocation(Protocol):
    """A bucket, or a prefix in it, that the function may use."""

    def holds(self, bucket: str, key: str) -> bool:
        """Whether the object lies in it."""


class SignFunction(Protocol):
    """Has the vendor sign a digest: `rotation.vendor.signing_api.SigningApi.sign`."""

    def __call__(self, key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        """A DER CMS over ``digest``. Raises VendorError."""


class SealLedger(Protocol):
    """Keeps an entry for each seal: `rotation.aws.seal_ledger.S3SealLedger`."""

    def write(self, digest: bytes, facts: Mapping[str, Any]) -> None:
        """Make the entry for the seal over ``digest``, unless it exists. Raises LedgerError."""


class VerifyFunction(Protocol):
    """Verifies a signature: `rotation.vendor.cms.verify_cms`, with a policy."""

    def __call__(self, cms: bytes, digest: bytes, at: datetime) -> Signer:
        """Who signed. Raises SealVerificationError."""


@dataclass(frozen=True)
class SealedDocument:
    """The result of a seal.

    Attributes:
        request: what was asked for.
        source: the document that was read; its content is closed.
        stored: the sealed document at its destination.
        digest: SHA-256 over the ByteRange, the 32 bytes that were signed.
        signer: who signed.
        repaired: whether the document was rewritten before it was sealed.
        sub_filter: the kind of signature that the signature dictionary announces.
        signatures: how many signatures were bought.
        notices: what the caller should know of the document.
        level: the level that the sealed document has.
    """

    request: SealRequest
    source: SourceDocument
    stored: StoredDocument
    digest: bytes
    signer: Signer
    repaired: bool
    sub_filter: str
    signatures: int
    notices: tuple[SealNotice, ...]
    level: RaisedLevel

    def answer(self) -> dict[str, Any]:
        """The JSON object that the caller gets; ``docs/sealing.md`` describes it."""
        return {
            "status": "sealed",
            "source": _object(self.request.source, self.source),
            "destination": _object(self.request.destination, self.stored),
            "keyId": self.request.key.id,
            "digest": base64.b64encode(self.digest).decode(),
            "signer": {
                "subject": self.signer.subject,
                "organization": self.signer.organization,
                "chained": self.signer.chained,
            },
            "timestampedAt": iso_utc(time) if (time := self.signer.timestamped_at) else None,
            "timestamp": _timestamp(self.signer.timestamp),
            "bytes": self.stored.size,
            "repaired": self.repaired,
            "profile": {**self.signer.profile.members(), "subFilter": self.sub_filter},
            "signatures": self.signatures,
            "notices": [notice.members() for notice in self.notices],
            "level": self.level.members(),
        }


@dataclass(frozen=True)
class _SignedDocument:
    """A document, the signature that it was prepared for, and how many were bought for it."""

    prepared: PreparedPdf
    cms: bytes
    signer: Signer
    signatures: int


class Sealer:
    """Seals one document at a time, from and to allowed locations.

    Args:
        documents: where documents are read and stored.
        sign: buys a signature over a digest.
        verify: checks the signature before it is embedded.
        clock: our clock, aware UTC.
        sources: where documents may be read.
        destinations: where sealed documents may be written.
        max_document_bytes: the largest document accepted.
        limits: what reading one may cost; None: the defaults.
        turns: where several documents are sealed at the same time, those beyond `Limits.shared` are
            prepared one after the other, so that memory and time suffice for all; None: one
            document is sealed at a time, or memory does not matter.
        ends: when a seal that is not done is given up; None: never.
        profile: decides which SubFilter a document gets, for the whole process; None: one of the
            sealer's own, for which the SubFilter follows the CMS.
        ledger: where each seal leaves an entry before the document is stored; None: nowhere.
        signer_name: what the process knows of the signer's name; None: nothing yet.
        raise_seal: raises documents to B-LT and B-LTA; None: requests for them are refused.
    """

    def __init__(
        self,
        documents: DocumentStore,
        sign: SignFunction,
        verify: VerifyFunction,
        clock: Callable[[], datetime],
        *,
        sources: Sequence[AllowedLocation],
        destinations: Sequence[AllowedLocation],
        max_document_bytes: int,
        limits: Limits | None = None,
        turns: Turns | None = None,
        ends: Deadline | None = None,
        profile: ProfileChoice | None = None,
        ledger: SealLedger | None = None,
        signer_name: SignerName | None = None,
        raise_seal: RaiseSeal | None = None,
    ) -> None:
        self._documents = documents
        self._sign = sign
        self._verify = verify
        self._clock = clock
        self._sources = sources
        self._destinations = destinations
        self._max_document_bytes = max_document_bytes
        self._limits = limits or Limits()
        self._turns = turns
        self._ends = ends
        self._profile = profile or ProfileChoice()
        self._ledger = ledger
        self._signer_name = signer_name or SignerName()
        self._raise_seal = raise_seal

    def seal(self, request: SealRequest) -> SealedDocument:
        """Seal the document; log it and count it.

        Buys one signature. It buys another one where the first does not fit the space that was
        reserved, or is the first of this process that does not fit the SubFilter.

        Raises:
            SealingError: the document, its source or its destination cannot be used.
            VendorError: the vendor did not sign; nothing was stored.
            SealVerificationError: the vendor's signature is not what it must be.
            LedgerError: the seal could not be entered into the ledger; nothing was stored.
            LevelError: the level was not reached, and the settings do not accept a lower one.
        """
        ids = {
            "source": str(request.source),
            "destination": str(request.destination),
            "key_id": request.key.id,
        }
        with recording_failure(**ids):
            sealed = finish_by(self._ends, lambda begun: self._seal(request, begun))
        count("DocumentsSealed")
        logger.info(
            "document sealed",
            extra={
                **ids,
                "source_version": sealed.source.version_id,
                "source_etag": sealed.source.etag,
                "source_bytes": sealed.source.size,
                "sealed_version": sealed.stored.version_id,
                "sealed_bytes": sealed.stored.size,
                "signer": sealed.signer.subject,
                "profile": sealed.signer.profile.members(),
                "sub_filter": sealed.sub_filter,
                "signatures": sealed.signatures,
                "notices": [str(notice.code) for notice in sealed.notices],
                "level": sealed.level.members(),
            },
        )
        return sealed

    def _seal(self, request: SealRequest, begun: Unfinished) -> SealedDocument:
        _refuse_outside(self._sources, request.source, "source", "SOURCE_LOCATIONS")
        _refuse_outside(
            self._destinations, request.destination, "destination", "DESTINATION_LOCATIONS"
        )
        if request.options.wanted_level.reaches(Level.B_LT) and self._raise_seal is None:
            raise LevelError("This sealer reaches no level above B-T.")
        with self._documents.open(request.source, most=self._max_document_bytes) as source:
            name = self._signer_name.expected
            prepared = self._prepared(request, source, name)
            # Opened before signing: S3 copies a large document while it is hashed and signed.
            with self._documents.open_writer(
                source,
                request.destination,
                _provenance(request, source),
                rewritten=prepared.repaired,
            ) as writer:
                begun.add(writer.give_up)
                signed = self._signed(request, source, prepared, name)
                level, proof = self._raised(request, signed)
                stored = writer.complete(signed.prepared, signed.cms, proof)
        return SealedDocument(
            request,
            source,
            stored,
            signed.prepared.digest,
            signed.signer,
            signed.prepared.repaired,
            signed.prepared.sub_filter.value,
            signed.signatures,
            signed.prepared.notices,
            level,
        )

    def _signed(
        self, request: SealRequest, source: SourceDocument, prepared: PreparedPdf, name: str
    ) -> _SignedDocument:
        """Buy a signature for ``prepared``, or for the same document prepared again for it.

        Args:
            request: what was asked for.
            source: the document.
            prepared: the same, prepared.
            name: the name that it gives to its signer, if it shows one.
        """
        visible = request.options.visible
        shows_name = visible is not None and "signer" in visible.names
        reserve = None
        for signatures in range(1, _MOST_SIGNATURES + 1):
            cms, signer = self._signature(request, prepared)
            self._enter(request, source, prepared, signer)
            admitted = self._profile.admits(signer.profile, prepared.sub_filter)
            grow = reserve is None and prepared.reserved < len(cms) <= _LARGEST_RESERVE
            shown, name = name, self._signer_name.of(signer)
            if admitted and not grow and (shown == name or not shows_name):
                return _SignedDocument(prepared, cms, signer, signatures)
            if grow:
                reserve = larger_reserve(len(cms))
            prepared = self._prepared(request, source, name, reserve=reserve)
        raise SealVerificationError(
            f"The vendor gave {_MOST_SIGNATURES} signatures, each of another kind or under another "
            "name than the one before: the document cannot say who signed it, and how."
        )

    def _enter(
        self, request: SealRequest, source: SourceDocument, prepared: PreparedPdf, signer: Signer
    ) -> None:
        """Enter a signature into the ledger, one that will not be used too: we have bought it.

        No document appears without its entry: it would pass for a stranger's.
        """
        if self._ledger is not None:
            self._ledger.write(prepared.digest, self._ledger_facts(request, source, signer))

    def _ledger_facts(
        self, request: SealRequest, source: SourceDocument, signer: Signer
    ) -> dict[str, Any]:
        """What the ledger keeps of a seal; ``docs/ledger.md`` describes it."""
        place, timestamp = request.destination, signer.timestamped_at
        return {
            "keyId": request.key.id,
            "signer": signer.subject,
            "time": iso_utc(self._clock()),
            "timestampedAt": iso_utc(timestamp) if timestamp else None,
            "profile": signer.profile.name,
            "level": request.options.wanted_level,
            "source": _object(request.source, source),
            "destination": {"bucket": place.bucket, "key": place.key},
        }

    def _raised(self, request: SealRequest, signed: _SignedDocument) -> tuple[RaisedLevel, bytes]:
        """The level of the document, and the updates that follow its seal."""
        wanted = request.options.wanted_level
        if wanted.reaches(Level.B_LT) and self._raise_seal is not None:
            return self._raise_seal(signed.prepared, signed.cms, wanted)
        reached = Level.B_B if signed.signer.timestamp is None else Level.B_T
        return RaisedLevel(wanted, reached), b""

    def _prepared(
        self,
        request: SealRequest,
        source: SourceDocument,
        name: str,
        reserve: int | None = None,
    ) -> PreparedPdf:
        options, at = request.options, self._clock()
        visible = options.visible and options.visible.with_fields(
            signer=name, time=f"{at:%Y-%m-%d %H:%M:%S} UTC", reason=options.reason
        )
        options = replace(options, visible=visible, signer_name=self._signer_name.certain)

        def within(limits: Limits) -> PreparedPdf:
            return prepare(
                source.content,
                options,
                at,
                sub_filter=self._profile.sub_filter,
                reserve=reserve,
                limits=limits,
            )

        if self._turns is None:
            return within(self._limits)
        with suppress(DocumentTooLargeError):
            return within(self._limits.shared())
        with self._turns.take():
            return within(self._limits)

    def _signature(self, request: SealRequest, prepared: PreparedPdf) -> tuple[bytes, Signer]:
        cms = self._sign(request.key, prepared.digest, timestamp=request.options.wants_timestamp)
        signer = self._verify(cms, prepared.digest, self._clock())
        if request.options.wants_timestamp and signer.timestamped_at is None:
            raise SealVerificationError(
                "A timestamp was asked for, and the vendor's signature has none. Ask without it, "
                "or have the vendor turn timestamps on for this account."
            )
        return cms, signer


def error_answer(error: RotationError) -> dict[str, Any]:
    """The answer for an error: its stable code, its message, and whether to ask again."""
    return make_error_answer(error.code, str(error), retryable=error.retryable)


def make_error_answer(code: str, message: str, *, retryable: bool) -> dict[str, Any]:
    """The shape of every answer that is not a sealed document."""
    return {
        "status": "error",
        "error": {"code": code, "message": message, "retryable": retryable},
    }


@contextmanager
def recording_failure(**ids: str) -> Iterator[None]:
    """Log and count a RotationError that the block raises, and let it pass on."""
    try:
        yield
    except RotationError as error:
        count("SealsFailed")
        logger.warning(
            "document not sealed",
            extra={
                **ids,
                "code": error.code,
                "reason": str(error),
                "retryable": error.retryable,
            },
        )
        raise


def _refuse_outside(
    allowed: Sequence[AllowedLocation], place: ObjectLocation, field: str, variable: str
) -> None:
    if not any(location.holds(place.bucket, place.key) for location in allowed):
        raise InvalidRequestError(
            field=field,
            problem=f"this function may not use {place}. It may use what {variable} names.",
        )


def _provenance(request: SealRequest, source: SourceDocument) -> dict[str, str]:
    metadata = {"source-etag": source.etag, "seal-key-id": request.key.id}
    if source.version_id is not None:
        metadata["source-version-id"] = source.version_id
    return metadata


def _timestamp(timestamp: Timestamp | None) -> dict[str, str | None] | None:
    if timestamp is None:
        return None
    return {
        "status": "proven" if timestamp.proven else "unproven",
        "reason": timestamp.unproven,
        "authority": timestamp.authority,
    }


def _object(place: ObjectLocation, found: SourceDocument | StoredDocument) -> dict[str, str]:
    version = {} if found.version_id is None else {"versionId": found.version_id}
    return {"bucket": place.bucket, "key": place.key, **version, "etag": found.etag}
