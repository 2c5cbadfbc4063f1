"""Judges timestamps (RFC 3161): a time is proven, or there is a reason why it is not.

`judge_timestamp` judges timestamps of signatures and of whole documents alike, whether the vendor
sends them or a file holds them. Revocation is NOT checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from asn1crypto import tsp
from asn1crypto import x509 as asn1_x509

from rotation.cms.algorithms import weak_algorithm
from rotation.cms.signed_data import SignedData, read_signed_data
from rotation.privacy.printable import outside_text

#: By so much two clocks that are both right may differ: the authority's and the signer's.
CLOCKS_DIFFER: Final = timedelta(minutes=10)


class Unproven(StrEnum):
    """Why a timestamp proves no time. Stable."""

    OTHER_CONTENT = "other-content"
    FORGED = "forged"
    WEAK_ALGORITHM = "weak-algorithm"
    PURPOSE = "purpose"
    AUTHORITY_VALIDITY = "authority-validity"
    BEFORE_SIGNING = "before-signing"
    FUTURE = "future"
    SIGNER_VALIDITY = "signer-validity"
    NO_ANCHORS = "no-anchors"
    UNTRUSTED = "untrusted"

    @property
    def text(self) -> str:
        """The reason, as the end of a sentence that begins with "not proven, because"."""
        return _TEXTS[self]


_TEXTS: Final = {
    Unproven.OTHER_CONTENT: "the timestamp belongs to something else",
    Unproven.FORGED: "the timestamp is damaged or forged",
    Unproven.WEAK_ALGORITHM: "the timestamp uses a weak algorithm",
    Unproven.PURPOSE: "the authority's certificate was not issued for timestamps alone",
    Unproven.AUTHORITY_VALIDITY: "the authority's certificate was not valid at that time",
    Unproven.BEFORE_SIGNING: "the time lies before the signing",
    Unproven.FUTURE: "the time lies in the future",
    Unproven.SIGNER_VALIDITY: "the signer's certificate was not valid at that time",
    Unproven.NO_ANCHORS: "no trust anchor was given to check the authority by",
    Unproven.UNTRUSTED: "the authority does not chain to a trust anchor",
}


@dataclass(frozen=True)
class Timestamp:
    """A timestamp of a time-stamping authority.

    Attributes:
        time: a time at which the covered content existed, aware UTC.
        authority: the subject of the authority's certificate.
        intact: the timestamp is genuine, and covers the signature or the file that it belongs to.
        trusted: the authority's certificate chains to one of the given anchors; None: no anchors
            were given.
        unproven: why the time is only claimed; None: it is proven.
        policy: the policy under which the authority works, an object identifier.
    """

    time: datetime
    authority: str
    intact: bool
    trusted: bool | None
    unproven: Unproven | None
    policy: str

    @property
    def proven(self) -> bool:
        """Whether the time is proven, and not only claimed."""
        return self.unproven is None


#: Whether a certificate has a path to a trust anchor, by the others, that is valid at a time.
PathCheck = Callable[[asn1_x509.Certificate, Sequence[asn1_x509.Certificate], datetime], bool]


def judge_timestamp(
    token: bytes,
    imprint: Callable[[str], bytes],
    *,
    chains: PathCheck | None,
    at: datetime,
    signed_at: datetime | None = None,
    signer: asn1_x509.Certificate | None = None,
    known: Sequence[asn1_x509.Certificate] = (),
) -> Timestamp:
    """The timestamp in ``token``, and whether its time is proven.

    Args:
        token: a TimeStampToken, DER; zeros may follow.
        imprint: gives the digest of what the timestamp must cover, by an algorithm that hashlib
            names.
        chains: whether the authority chains to a trust anchor; None: there are no anchors.
        at: when the authority's certificate must be valid, aware: now, or an earlier time at which
            the timestamp is proven to have existed.
        signed_at: when the signer claims to have signed what is covered, if it does.
        signer: the certificate of the signature that is covered, if it is one.
        known: certificates from elsewhere that the path may need.

    Raises:
        ValueError, TypeError, KeyError, …: what `UNREADABLE` names; it is no timestamp.
    """
    signed = read_signed_data(token, known)
    if signed.content_type != "tst_info" or signed.content is None:
        raise ValueError("not a TimeStampToken")
    info = tsp.TSTInfo.load(signed.content)
    time = info["gen_time"].native.astimezone(UTC)
    certificate = signed.certificate
    broken = _broken(signed, info, imprint)
    trusted = chains(certificate, (*signed.others, *known), at) if chains else None
    unproven = broken or _weak(signed, info)
    if unproven is None and not _is_for_timestamps(certificate):
        unproven = Unproven.PURPOSE
    if unproven is None:
        unproven = _wrong_time(time, certificate, at, signed_at, signer)
    if unproven is None and not trusted:
        unproven = Unproven.NO_ANCHORS if trusted is None else Unproven.UNTRUSTED
    return Timestamp(
        time=time,
        authority=outside_text(certificate.subject.human_friendly),
        intact=broken is None,
        trusted=trusted,
        unproven=unproven,
        policy=info["policy"].dotted,
    )


def imprint_algorithm(token: bytes, known: Sequence[asn1_x509.Certificate] = ()) -> str:
    """The digest algorithm of what a timestamp covers. Raises what `UNREADABLE` names."""
    info = tsp.TSTInfo.load(read_signed_data(token, known).content or b"")
    return str(info["message_imprint"]["hash_algorithm"]["algorithm"].native)


def _broken(signed: SignedData, info: Any, imprint: Callable[[str], bytes]) -> Unproven | None:
    """RFC 3161 section 2.4.2: the token is signed, names its signer, and covers the imprint."""
    covered = info["message_imprint"]
    algorithm = covered["hash_algorithm"]["algorithm"].native
    if covered["hashed_message"].native != imprint(algorithm):
        return Unproven.OTHER_CONTENT
    assert signed.content is not None
    digest = hashlib.new(signed.digest_algorithm, signed.content).digest()
    if not signed.attributes or not signed.covers(digest) or not signed.is_genuine(digest):
        return Unproven.FORGED
    if signed.signers != 1 or not signed.names_its_certificate():
        return Unproven.FORGED
    if signed.attributes.get("content_type", [None])[0].native != "tst_info":
        return Unproven.FORGED
    return None


def _weak(signed: SignedData, info: Any) -> Unproven | None:
    algorithm = info["message_imprint"]["hash_algorithm"]["algorithm"].native
    weak = weak_algorithm((*signed.digests, algorithm), signed.key)
    return Unproven.WEAK_ALGORITHM if weak else None


def _is_for_timestamps(certificate: asn1_x509.Certificate) -> bool:
    """RFC 3161 section 2.3: the one extended key usage, critical. And it is no CA."""
    purposes = certificate.extended_key_usage_value
    critical = "extended_key_usage" in certificate.critical_extensions
    return (
        purposes is not None
        and critical
        and purposes.native == ["time_stamping"]
        and not (certificate.ca)
    )


def _wrong_time(
    time: datetime,
    certificate: asn1_x509.Certificate,
    at: datetime,
    signed_at: datetime | None,
    signer: asn1_x509.Certificate | None,
) -> Unproven | None:
    if time > at + CLOCKS_DIFFER:
        return Unproven.FUTURE
    if not certificate.not_valid_before <= time <= certificate.not_valid_after:
        return Unproven.AUTHORITY_VALIDITY
    if signed_at is not None and time < signed_at - CLOCKS_DIFFER:
        return Unproven.BEFORE_SIGNING
    if signer is not None and not signer.not_valid_before <= time <= signer.not_valid_after:
        return Unproven.SIGNER_VALIDITY
    return None
