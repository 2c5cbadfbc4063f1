"""Raises a signed document level by level, and says how far it came and what stopped it."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from asn1crypto import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from pyhanko.sign.timestamps.common_utils import TimestampRequestError

from rotation.cms.signed_data import UNREADABLE, SignedData, read_signed_data
from rotation.cms.timestamps import Unproven, judge_timestamp
from rotation.deadline import Deadline
from rotation.errors import LevelError, RotationError
from rotation.sealing.levels.clients import ServiceTimeStamper, fetchers
from rotation.sealing.levels.growing_document import FoundSignature, GrowingDocument
from rotation.sealing.levels.services import ServiceHttp, ServiceSettings
from rotation.sealing.levels.validation_data import ValidationData, collect
from rotation.sealing.raised import RaisedLevel
from rotation.sealing.request import Level

_TOKEN: Final = "signature_time_stamp_token"  # noqa: S105 - the name of an attribute
# Another token of the same authority may have a few bytes more: its serial number, its time.
_HEADROOM: Final = 1024
# Some writers end a file with an end of line that no ByteRange covers.
_END_OF_LINE: Final = 2
_DIGEST: Final = "sha256"

Result = TypeVar("Result")


@dataclass(frozen=True)
class LevelRaiser:
    """Raises documents by the same services and trust anchors; safe to share between threads.

    Attributes:
        services: which services may be asked, and how.
        anchors: PEM, the trust anchors of signers and authorities, or None.
        clock: our clock, aware UTC.
    """

    services: ServiceSettings
    anchors: bytes | None
    clock: Callable[[], datetime]

    def level(self, document: GrowingDocument) -> Level | None:
        """The level that the document has; None without a signature. Nothing is fetched."""
        found = document.signatures()
        seals, stamps = _sorted(found)
        if not seals:
            return None
        if not (stamps or all(_TOKEN in seal.unsigned for seal in seals)):
            return Level.B_B
        known = document.validation_data()
        last = found[-1]
        archived = last.is_timestamp and document.size - last.end <= _END_OF_LINE
        # The proof of the last document timestamp itself comes with a renewal.
        signed = [*seals, *_tokens(seals), *(stamps[:-1] if archived else stamps)]
        if not all(self.is_proven(one, known) for one in signed):
            return Level.B_T
        return Level.B_LTA if archived else Level.B_LT

    def is_proven(self, signed: SignedData, known: ValidationData) -> bool:
        """Whether ``known`` proves its whole chain, at a time when answers of it were given."""
        for at in known.times:
            with suppress(LevelError, *UNREADABLE):
                _run(collect([signed], self.roots, fetch=None, known=known, at=at))
                return True
        return False

    def raise_level(
        self, document: GrowingDocument, wanted: Level, deadline: Deadline | None = None
    ) -> RaisedLevel:
        """Append to ``document`` what ``wanted`` needs, as far as the services allow.

        A level that is not reached leaves nothing of itself in the document.

        Args:
            document: it has a signature.
            wanted: the level that it shall have.
            deadline: when all exchanges must have ended; None: by the settings alone.
        """
        with ServiceHttp(self.services, deadline) as http:
            work = _Raising(document, http, self)
            problem = work.until(wanted)
        if problem is None:
            return RaisedLevel(wanted, wanted)
        return RaisedLevel(wanted, work.reached, problem, retryable=work.retryable)

    @property
    def roots(self) -> list[x509.Certificate]:
        """The trust anchors, as asn1crypto has them."""
        if self.anchors is None:
            return []
        return [
            x509.Certificate.load(one.public_bytes(Encoding.DER))
            for one in load_pem_x509_certificates(self.anchors)
        ]


class _Raising:
    """One document on its way up."""

    def __init__(self, document: GrowingDocument, http: ServiceHttp, raiser: LevelRaiser) -> None:
        self._document = document
        self._http = http
        self._raiser = raiser
        self.reached = Level.B_B
        self.retryable = False

    def until(self, wanted: Level) -> str | None:
        """Go up to ``wanted``; why that was not possible, or None."""
        try:
            self._climb(wanted)
        except RotationError as error:
            problem, self.retryable = str(error), error.retryable
        except UNREADABLE as error:
            # asn1crypto parses what it has read only when somebody looks at it.
            problem = f"What a service answered cannot be read ({type(error).__name__})."
            self.retryable = True
        else:
            return None
        return "; ".join(dict.fromkeys([problem, *self._http.problems]))

    def _climb(self, wanted: Level) -> None:
        document = self._document
        seals, stamps = _sorted(document.signatures())
        if not seals:
            raise LevelError("The document has no signature that could be raised.")
        authority = None
        if not stamps and not all(_TOKEN in seal.unsigned for seal in seals):
            if wanted is Level.B_B:
                return
            authority = self._authority()
            self._stamp(authority)
        self.reached = Level.B_T
        if not wanted.reaches(Level.B_LT):
            return
        problem = None
        if wanted is Level.B_LTA and authority is None:
            # The authority's chain belongs into the DSS that its timestamp will cover.
            try:
                authority = self._authority()
            except LevelError as error:
                problem = error
        seals, stamps = _sorted(document.signatures())
        known = document.validation_data()
        # What is proven already needs no new answer, which an expired certificate would not get.
        signed = [
            one
            for one in (*seals, *_tokens(seals), *stamps)
            if not self._raiser.is_proven(one, known)
        ]
        if authority is not None and wanted is Level.B_LTA:
            signed.append(authority.example)
        document.add_validation_data(
            _run(
                collect(
                    signed,
                    self._raiser.roots,
                    fetch=fetchers(self._http),
                    known=known,
                    at=self._raiser.clock(),
                )
            )
        )
        self.reached = Level.B_LT
        if problem is not None:
            raise problem
        if wanted is Level.B_LTA and authority is not None:
            self._stamp(authority)
            self.reached = Level.B_LTA

    def _authority(self) -> _Authority:
        url = self._raiser.services.tsa_url
        if url is None:
            raise LevelError("There is no time-stamping authority: TSA_URL is not set.")
        client = ServiceTimeStamper(self._http, url)
        token = _asked(client, bytes(32))
        try:
            return _Authority(client, read_signed_data(token), len(token))
        except UNREADABLE as error:
            raise LevelError("The authority's answer is no timestamp.") from error

    def _stamp(self, authority: _Authority) -> None:
        def stamp(digest: bytes) -> bytes:
            token = _asked(authority.client, digest)
            try:
                found = judge_timestamp(
                    token, lambda _: digest, chains=None, at=self._raiser.clock()
                )
                same = read_signed_data(token).certificate.dump()
            except UNREADABLE as error:
                raise LevelError("The authority's answer is no timestamp.") from error
            # The chain of the example is checked where validation data is collected.
            if found.unproven is not Unproven.NO_ANCHORS:
                reason = found.unproven.text if found.unproven else "it is not"
                raise LevelError(f"The authority's timestamp proves nothing: {reason}.")
            if same != authority.example.certificate.dump():
                raise LevelError("The authority answered with two different certificates.")
            return token

        self._document.add_timestamp(authority.size + _HEADROOM, stamp)


@dataclass(frozen=True)
class _Authority:
    """A time-stamping authority, and a token of it over nothing, which shows its chain."""

    client: ServiceTimeStamper
    example: SignedData
    size: int


def _asked(client: ServiceTimeStamper, digest: bytes) -> bytes:
    try:
        return bytes(_run(client.async_timestamp(digest, _DIGEST)).dump())
    except (TimestampRequestError, *UNREADABLE) as error:
        problem = LevelError(f"The time-stamping authority gave no timestamp: {str(error)[:300]}")
        problem.retryable = True
        raise problem from error


def _sorted(found: list[FoundSignature]) -> tuple[list[SignedData], list[SignedData]]:
    """The seals and the document timestamps."""
    stamps = [one.signed for one in found if one.is_timestamp]
    return [one.signed for one in found if not one.is_timestamp], stamps


def _tokens(seals: list[SignedData]) -> list[SignedData]:
    """The timestamps that are enclosed in seals."""
    return [
        read_signed_data(token.dump()) for seal in seals for token in seal.unsigned.get(_TOKEN, ())
    ]


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(work)
