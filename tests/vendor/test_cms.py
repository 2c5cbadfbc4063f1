"""CMS verification: whose signature is accepted, and that damage never is."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.errors import ConfigurationError, SealVerificationError
from rotation.sandbox.vendor import Pki
from rotation.sandbox.vendor.cms import sign
from rotation.vendor.cms import SignerPolicy, verify_cms

DIGEST = hashlib.sha256(b"a document").digest()
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def der(pki: Pki) -> bytes:
    """One good signature."""
    return sign(DIGEST, pki.signer)


def test_without_anchors_any_signer_is_accepted_and_said_to_be_unchained(der: bytes) -> None:
    """Nothing configured: the signer is recorded, and nobody is told that it was trusted."""
    signer = verify_cms(der, DIGEST, SignerPolicy(), NOW)
    assert not signer.chained
    assert "Trusted Signatures Sandbox" in signer.subject


def test_the_configured_organisation_is_required_exactly(pki: Pki, der: bytes) -> None:
    """Another organisation under the same root does not sign for us."""
    policy = SignerPolicy.from_pem(pki.root_pem, "Trusted Signatures")
    with pytest.raises(SealVerificationError, match="SIGNER_ORGANIZATION"):
        verify_cms(der, DIGEST, policy, NOW)


@pytest.mark.parametrize("days", [-3650, 36500])
def test_a_signer_is_accepted_only_while_its_certificate_is_valid(der: bytes, days: int) -> None:
    """Before and after its validity a certificate proves nothing, anchors or not."""
    with pytest.raises(SealVerificationError, match="not valid at this time"):
        verify_cms(der, DIGEST, SignerPolicy(), NOW + timedelta(days=days))


def test_another_digest_is_refused(der: bytes) -> None:
    """The signature must cover what was sent, not merely verify."""
    with pytest.raises(SealVerificationError, match="another digest"):
        verify_cms(der, hashlib.sha256(b"another").digest(), SignerPolicy(), NOW)


@given(data=st.data())
def test_damaged_bytes_raise_the_typed_error_and_nothing_else(
    pki: Pki, der: bytes, data: st.DataObject
) -> None:
    """Whatever byte is changed or cut: refused, or a change that no check depends on."""
    policy = SignerPolicy.from_pem(pki.root_pem, None)
    at = data.draw(st.integers(0, len(der) - 1))
    flipped = bytearray(der)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(flipped), der[:at], der + der[:1]):
        try:
            signer = verify_cms(damaged, DIGEST, policy, NOW)
        except SealVerificationError:
            continue
        assert damaged == bytes(flipped)
        assert signer.organization == "Trusted Signatures Sandbox"


@given(st.binary(max_size=300))
def test_random_bytes_are_no_signature(data: bytes) -> None:
    """Nothing but a CMS SignedData gets past the first check."""
    with pytest.raises(SealVerificationError):
        verify_cms(data, DIGEST, SignerPolicy(), NOW)


def test_a_trust_anchor_that_is_no_certificate_is_a_wrong_setting() -> None:
    """The complaint names the setting."""
    with pytest.raises(ConfigurationError, match="SIGNER_TRUST_ANCHORS"):
        SignerPolicy.from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", None)
