"""Judges the value of a signature: is it genuine, who made it, and who vouches for that?

The table of findings is the specification: each has a code, a class, and one condition on facts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from asn1crypto import x509

from rotation.cms.algorithms import weak_algorithm
from rotation.cms.signed_data import UNREADABLE, SignedData
from rotation.cms.timestamps import Timestamp, judge_timestamp
from rotation.privacy.printable import outside_text
from rotation.sealing.verification.paths import TrustAnchors
from rotation.sealing.verification.report import Finding, Problem

#: A subject has several parts, and each may be that long (RFC 5280, appendix A.1: 64 characters).
_LONGEST_NAME: Final = 500
# A certificate that has no other purpose than these was not issued to sign documents.
_OTHER_PURPOSES: Final = frozenset(
    {"server_auth", "client_auth", "time_stamping", "ocsp_signing", "code_signing"}
)


@dataclass(frozen=True)
class SignatureVerdict:
    """What the value of a signature is worth, whatever came after it.

    Attributes:
        intact: it is genuine, and the bytes that it covers are unchanged.
        trusted: its signer chains to a trust anchor; None: there are none.
        subject: the signer's subject.
        organization: the signer's organisation (O).
        claimed: the signing-time attribute, if there is one.
        timestamp: the timestamp that it encloses.
        findings: what is wrong.
    """

    intact: bool
    trusted: bool | None
    subject: str
    organization: str | None
    claimed: datetime | None
    timestamp: Timestamp | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class SignatureJudge:
    """Judges signatures by the same anchors and at the same time.

    Attributes:
        anchors: the trust anchors; None: there are none.
        at: when certificates must be valid, unless an earlier time is proven.
        known: certificates from the file that no signature encloses.
    """

    anchors: TrustAnchors | None
    at: datetime
    known: tuple[x509.Certificate, ...] = ()

    def judge(
        self,
        signed: SignedData,
        digest: bytes,
        claimed: datetime | None,
        proven_later: datetime | None,
        relied_on: tuple[str, ...] = (),
    ) -> SignatureVerdict:
        """The verdict on a seal.

        Args:
            signed: the seal's CMS.
            digest: the digest of what the ByteRange covers, by the CMS's own algorithm.
            claimed: M in the signature dictionary, if the CMS has no signing-time.
            proven_later: a time at which a document timestamp proves that the seal existed.
            relied_on: digest algorithms that the form of the signature relies on, besides its own.
        """
        findings = list(_damage(signed, digest))
        intact = not findings
        claimed = _signing_time(signed) or claimed
        timestamp, damaged = self._timestamp(signed, claimed, proven_later or self.at)
        if damaged:
            findings.append(
                Finding(
                    Problem.TIMESTAMP, "The timestamp is damaged, forged, or of another signature."
                )
            )
        moment = timestamp.time if timestamp and timestamp.proven else None
        certificate = signed.certificate
        # A time at which the signer could not sign proves nothing for it.
        if moment is None and proven_later is not None and _is_valid(certificate, proven_later):
            moment = proven_later
        trusted = self._trusted(signed, moment or self.at) and intact if self.anchors else None
        if intact:
            findings += _weaknesses(signed, relied_on)
            findings += self._distrust(certificate, moment, trusted=trusted)
        subject = certificate.subject
        return SignatureVerdict(
            intact=intact,
            trusted=trusted,
            subject=outside_text(subject.human_friendly, _LONGEST_NAME),
            organization=_text(subject.native.get("organization_name")),
            claimed=claimed,
            timestamp=timestamp,
            findings=tuple(findings),
        )

    def judge_stamp(
        self,
        token: bytes,
        digest: Any,
        at: datetime,
        signed_at: datetime | None,
    ) -> Timestamp:
        """The verdict on a document timestamp. Raises what `UNREADABLE` names."""
        return judge_timestamp(
            token,
            digest,
            chains=self.anchors.chains if self.anchors else None,
            at=at,
            signed_at=signed_at,
            known=self.known,
        )

    def _trusted(self, signed: SignedData, moment: datetime) -> bool:
        assert self.anchors is not None
        return self.anchors.chains(signed.certificate, (*signed.others, *self.known), moment)

    def _timestamp(
        self, signed: SignedData, claimed: datetime | None, at: datetime
    ) -> tuple[Timestamp | None, bool]:
        """The enclosed timestamp, and whether it is damaged."""
        values: Sequence[Any] = signed.unsigned.get("signature_time_stamp_token", ())
        if not len(values):
            return None, False
        try:
            timestamp = judge_timestamp(
                values[0].dump(),
                lambda algorithm: hashlib.new(algorithm, signed.signature).digest(),
                chains=self.anchors.chains if self.anchors else None,
                at=at,
                signed_at=claimed if claimed and claimed.tzinfo else None,
                signer=signed.certificate,
                known=self.known,
            )
        except UNREADABLE:
            return None, True
        return timestamp, not timestamp.intact

    def _distrust(
        self, certificate: x509.Certificate, moment: datetime | None, *, trusted: bool | None
    ) -> list[Finding]:
        """Why a genuine signature's signer is not to be trusted."""
        found = _unfit(certificate)
        first, last = certificate.not_valid_before, certificate.not_valid_after
        if not _is_valid(certificate, moment or self.at):
            text = (
                f"The signer's certificate is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}, and "
                "no trusted timestamp proves that the signature was made then."
            )
            found.append(Finding(Problem.EXPIRED, text))
        elif trusted is False:
            found.append(
                Finding(
                    Problem.UNTRUSTED,
                    "The signer's certificate does not chain to a given trust anchor.",
                )
            )
        return found


def _is_valid(certificate: x509.Certificate, at: datetime) -> bool:
    return bool(certificate.not_valid_before <= at <= certificate.not_valid_after)


def _damage(signed: SignedData, digest: bytes) -> list[Finding]:
    """What is wrong with the signature, whoever the signer is."""
    if not signed.covers(digest):
        return [Finding(Problem.ALTERED, "The document was changed after it was sealed.")]
    named = signed.names_its_certificate()
    if not signed.is_genuine(digest) or named is False:
        return [Finding(Problem.FORGED, "The signature itself is damaged or forged.")]
    return []


def _weaknesses(signed: SignedData, relied_on: tuple[str, ...]) -> list[Finding]:
    found = []
    weak = weak_algorithm((*signed.digests, *relied_on), signed.key)
    if weak:
        text = f"The signature relies on {weak}, which is too weak to prove anything."
        found.append(Finding(Problem.WEAK_ALGORITHM, text))
    if signed.signers > 1:
        text = "Several have signed in one signature, and only the first one was verified."
        found.append(Finding(Problem.UNSUPPORTED, text))
    return found


def _unfit(certificate: x509.Certificate) -> list[Finding]:
    """RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12: no CA, and issued to sign documents."""
    if certificate.ca:
        return [Finding(Problem.CA_SIGNER, "The signer is a CA, which signs no documents.")]
    usage = certificate.key_usage_value
    purposes = certificate.extended_key_usage_value
    # A certificate that signs documents may name either usage (ETSI EN 319 412-2, 4.3.2).
    may_sign = usage is None or usage.native & {"digital_signature", "non_repudiation"}
    if not may_sign or (purposes is not None and set(purposes.native) <= _OTHER_PURPOSES):
        return [
            Finding(Problem.PURPOSE, "The signer's certificate was not issued to sign documents.")
        ]
    return []


def _signing_time(signed: SignedData) -> datetime | None:
    values = signed.attributes.get("signing_time", ())
    time = values[0].native if len(values) else None
    return time.astimezone(UTC) if isinstance(time, datetime) else None


def _text(found: object) -> str | None:
    if isinstance(found, list):
        found = found[0] if found else None
    return outside_text(found) if isinstance(found, str) else None
