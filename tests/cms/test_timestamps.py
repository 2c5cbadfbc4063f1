"""A timestamp is believed when everything about it holds, and the reason is named when not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rotation.cms.signed_data import read_signed_data
from rotation.cms.timestamps import Timestamp, Unproven, judge_timestamp
from rotation.sandbox.vendor import Identity, Pki
from rotation.sandbox.vendor.cms import sign

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


class Stamped:
    """A signature with a timestamp, and what is needed to judge it."""

    def __init__(self, pki: Pki, authority: Identity | None = None, time: datetime = NOW) -> None:
        der = sign(bytes(32), pki.signer, timestamp=(authority or pki.tsa, time))
        self.signed = read_signed_data(der)
        self.token: bytes = self.signed.unsigned["signature_time_stamp_token"][0].dump()

    def imprint(self, algorithm: str) -> bytes:
        return hashlib.new(algorithm, self.signed.signature).digest()

    def judged(self, **given: Any) -> Timestamp:
        facts: dict[str, Any] = {"chains": trusting, "at": NOW, "signer": self.signed.certificate}
        return judge_timestamp(self.token, self.imprint, **(facts | given))


def trusting(_: asn1_x509.Certificate, __: Sequence[asn1_x509.Certificate], ___: datetime) -> bool:
    return True


def distrusting(*_: object) -> bool:
    return False


def authority(
    pki: Pki,
    usage: list[x509.ObjectIdentifier] | None,
    *,
    critical: bool = True,
    bits: int = 2048,
    ca: bool = False,
    days: int = 30,
) -> Identity:
    """A time-stamping authority of the test's own making, under the vendor's root."""
    key = rsa.generate_private_key(65537, bits)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")]))
        .issuer_name(pki.root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=critical)
    return Identity(builder.sign(pki.root.key, hashes.SHA256()), key, (pki.root.certificate,))


def test_a_time_is_proven_when_everything_holds(pki: Pki) -> None:
    """The time, the authority and its policy are told, and no reason against them."""
    judged = Stamped(pki).judged(signed_at=NOW)
    assert abs(judged.time - NOW) < timedelta(seconds=2)
    assert "Time-stamping Unit" in judged.authority
    assert (judged.intact, judged.trusted, judged.proven, judged.policy) == (
        *(True, True, True, "2.999.1.2"),
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"chains": None}, Unproven.NO_ANCHORS),
        ({"chains": distrusting}, Unproven.UNTRUSTED),
        ({"at": NOW - HOUR}, Unproven.FUTURE),
        ({"signed_at": NOW + HOUR}, Unproven.BEFORE_SIGNING),
    ],
)
def test_what_is_known_beside_it_can_speak_against_a_time(
    pki: Pki, given: dict[str, Any], reason: Unproven
) -> None:
    """It is intact in each case, and proves nothing."""
    judged = Stamped(pki).judged(**given)
    assert (judged.intact, judged.proven, judged.unproven) == (True, False, reason)
    assert judged.unproven is not None
    assert judged.unproven.text


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"usage": None}, Unproven.PURPOSE),
        ({"usage": [ExtendedKeyUsageOID.TIME_STAMPING], "critical": False}, Unproven.PURPOSE),
        (
            {"usage": [ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING]},
            Unproven.PURPOSE,
        ),
        ({"usage": [ExtendedKeyUsageOID.EMAIL_PROTECTION]}, Unproven.PURPOSE),
        ({"usage": [ExtendedKeyUsageOID.TIME_STAMPING], "ca": True}, Unproven.PURPOSE),
        ({"usage": [ExtendedKeyUsageOID.TIME_STAMPING], "bits": 1024}, Unproven.WEAK_ALGORITHM),
        ({"usage": [ExtendedKeyUsageOID.TIME_STAMPING]}, None),
    ],
)
def test_only_a_certificate_for_timestamps_proves_a_time(
    pki: Pki, made: dict[str, Any], reason: Unproven | None
) -> None:
    """RFC 3161 section 2.3 asks for one extended key usage, and that it is critical."""
    assert Stamped(pki, authority(pki, **made)).judged().unproven is reason


def test_an_authority_attests_no_time_outside_of_its_own_validity(pki: Pki) -> None:
    """An expired key could be used by anybody to attest any time."""
    own = authority(pki, [ExtendedKeyUsageOID.TIME_STAMPING])
    late = Stamped(pki, own, NOW + timedelta(days=60)).judged(at=NOW + timedelta(days=90))
    assert late.unproven is Unproven.AUTHORITY_VALIDITY


def test_a_signer_whose_certificate_was_not_valid_gains_nothing(pki: Pki) -> None:
    """The signature existed then, and the signer's certificate did not."""
    early = Stamped(pki, time=NOW - timedelta(days=100))
    assert early.judged().unproven is Unproven.SIGNER_VALIDITY
    assert early.judged(signer=None).proven


def test_a_timestamp_of_something_else_is_not_intact(pki: Pki) -> None:
    """Taken from another signature, it fits this one not at all."""
    stamped = Stamped(pki)
    judged = judge_timestamp(stamped.token, lambda _: bytes(32), chains=trusting, at=NOW)
    assert (judged.intact, judged.unproven) == (False, Unproven.OTHER_CONTENT)


def test_a_forged_timestamp_is_not_intact(pki: Pki) -> None:
    """Another time in the token breaks the authority's signature."""
    stamped = Stamped(pki)
    year = f"{NOW:%Y}".encode()
    forged = stamped.token.replace(b"\x18\x0f" + year, b"\x18\x0f2001", 1)
    assert forged != stamped.token
    judged = judge_timestamp(forged, stamped.imprint, chains=trusting, at=NOW)
    assert (judged.intact, judged.unproven) == (False, Unproven.FORGED)


def test_a_certificate_that_another_names_is_not_the_authority(pki: Pki) -> None:
    """A token whose certificate was exchanged for one with the same key is forged."""
    stamped = Stamped(pki)
    own = pki.tsa.certificate.public_bytes(Encoding.DER)
    other = bytearray(own)
    other[-1] ^= 1
    forged = stamped.token.replace(own, bytes(other))
    judged = judge_timestamp(forged, stamped.imprint, chains=trusting, at=NOW)
    assert judged.unproven is Unproven.FORGED
