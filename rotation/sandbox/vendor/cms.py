"""The CMS SignedData that the emulated vendor answers with: real, and spoilt on demand.

Detached over a digest, of whatever profile is asked for, and optionally with an RFC 3161 timestamp
over the signature value.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final

from asn1crypto import algos, cms, core, crl, pdf, tsp, x509
from cryptography import x509 as pyca
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.sign.timestamps import TimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from rotation.sandbox.vendor.pki import TIMESTAMP_POLICY, EcdsaIdentity, Identity
from rotation.sandbox.vendor.profiles import PADES, Algorithm, VendorProfile

_PADDING_ATTRIBUTE: Final = "2.999.1.3"
_PSS_SALT: Final = 32


def sign(
    digest: bytes,
    signer: Identity | EcdsaIdentity,
    *,
    timestamp: tuple[Identity, datetime] | None = None,
    profile: VendorProfile = PADES,
    at: datetime | None = None,
    crls: Sequence[bytes] = (),
) -> bytes:
    """A DER CMS SignedData over ``digest``, the 32 bytes of a SHA-256.

    Args:
        digest: what the messageDigest attribute will hold.
        signer: who signs.
        timestamp: the time-stamping unit and the time it shall attest, or None.
        profile: what the CMS shall be like. Its algorithm must suit the key of ``signer``. Whether
            there is a timestamp is decided by ``timestamp`` alone.
        at: the time for a signing-time attribute.
        crls: DER, for an adbe-revocationInfoArchival attribute.
    """
    timestamper = _TimestampingUnit(*timestamp) if timestamp else None
    if replace(profile, timestamp=None) == PADES and isinstance(signer, Identity):
        return (
            _sign(digest, signer, timestamper) if timestamper else _Template.of(signer).sign(digest)
        )
    made = _InMemorySigner(signer, profile.algorithm)
    info = asyncio.run(made.async_sign(digest, "sha256", use_pades=True))
    return _reshaped(info, made, timestamper, profile, at=at, crls=crls)


def _reshaped(
    info: cms.ContentInfo,
    signer: _InMemorySigner,
    timestamper: TimeStamper | None,
    profile: VendorProfile,
    *,
    at: datetime | None,
    crls: Sequence[bytes],
) -> bytes:
    """The same CMS with the attributes and certificates of ``profile``, signed anew."""
    signed_data = info["content"]
    signer_info = signed_data["signer_infos"][0]
    attributes = [
        attribute
        for attribute in signer_info["signed_attrs"]
        if profile.signing_certificate or attribute["type"].native != "signing_certificate_v2"
    ]
    if profile.signing_time:
        assert at is not None
        time = cms.Time({"utc_time": at.replace(microsecond=0)})
        attributes.append(cms.CMSAttribute({"type": "signing_time", "values": [time]}))
    if profile.revocation_data:
        archive = pdf.RevocationInfoArchival(
            {"crl": [crl.CertificateList.load(one) for one in crls]}
        )
        attributes.append(
            cms.CMSAttribute({"type": "adobe_revocation_info_archival", "values": [archive]})
        )
    signed = cms.CMSAttributes(attributes)
    value = signer.raw(signed.dump())
    signer_info["signed_attrs"] = signed
    signer_info["signature"] = value
    if not profile.chain:
        assert signer.signing_cert is not None
        own = signer.signing_cert.dump()
        signed_data["certificates"] = [
            choice for choice in signed_data["certificates"] if choice.chosen.dump() == own
        ]
    if timestamper is not None:
        token = asyncio.run(timestamper.async_timestamp(sha256(value).digest(), "sha256"))
        signer_info["unsigned_attrs"] = cms.CMSAttributes(
            [cms.CMSAttribute({"type": "signature_time_stamp_token", "values": [token]})]
        )
    return bytes(info.dump())


def _sign(digest: bytes, signer: Identity, timestamper: TimeStamper | None) -> bytes:
    signing = _InMemorySigner(signer).async_sign(
        digest, "sha256", use_pades=True, timestamper=timestamper
    )
    return bytes(asyncio.run(signing).dump())


def with_corrupted_signature(der: bytes) -> bytes:
    """The same CMS with one bit of its signature value turned; everything else still fits."""
    info = cms.ContentInfo.load(der)
    signer_info = info["content"]["signer_infos"][0]
    value = bytearray(signer_info["signature"].native)
    value[-1] ^= 1
    signer_info["signature"] = bytes(value)
    return bytes(info.dump())


def with_padding(der: bytes, size: int) -> bytes:
    """The same CMS, still valid, with ``size`` more bytes in an unsigned attribute."""
    info = cms.ContentInfo.load(der)
    signer_info = info["content"]["signer_infos"][0]
    existing = signer_info["unsigned_attrs"]
    attributes = [] if existing.native is None else list(existing)
    attributes.append(
        cms.CMSAttribute(
            {
                "type": cms.CMSAttributeType(_PADDING_ATTRIBUTE),
                "values": cms.SetOfAny([core.Any(core.OctetString(bytes(size)))]),
            }
        )
    )
    signer_info["unsigned_attrs"] = cms.CMSAttributes(attributes)
    return bytes(info.dump())


@dataclass(frozen=True)
class _Template:
    """A signature without a timestamp, made by pyHanko once for each signer.

    The next one differs in the digest and in the signature value alone, and both have one length.
    Encoding all else anew takes forty times as long as signing.
    """

    key: rsa.RSAPrivateKey = field(repr=False)
    der: bytes
    digest: bytes
    attributes: bytes
    value: bytes

    @classmethod
    @lru_cache(maxsize=16)
    def of(cls, signer: Identity) -> _Template:
        digest = secrets.token_bytes(32)
        der = _sign(digest, signer, None)
        [info] = cms.ContentInfo.load(der)["content"]["signer_infos"]
        # RFC 5652 section 5.4: what is signed is the attributes as a SET OF.
        attributes = info["signed_attrs"].untag().dump()
        return cls(signer.key, der, digest, attributes, info["signature"].native)

    def sign(self, digest: bytes) -> bytes:
        attributes = self.attributes.replace(self.digest, digest)
        value = self.key.sign(attributes, padding.PKCS1v15(), hashes.SHA256())
        return self.der.replace(self.digest, digest).replace(self.value, value)


class _InMemorySigner(Signer):
    """Signs with a key that is already loaded; pyHanko's own would parse it for each signature.

    Made anew for each signature: asn1crypto's certificates parse themselves lazily and are not
    safe to share between threads.
    """

    def __init__(
        self, identity: Identity | EcdsaIdentity, algorithm: Algorithm = Algorithm.RSA
    ) -> None:
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple([_asn1(certificate) for certificate in identity.chain])
        super().__init__(
            signing_cert=_asn1(identity.certificate),
            cert_registry=store,
            signature_mechanism=_mechanism(algorithm),
        )
        self._key = identity.key
        self._algorithm = algorithm

    def raw(self, data: bytes) -> bytes:
        """The signature value over ``data``."""
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(data, ec.ECDSA(hashes.SHA256()))
        if self._algorithm is Algorithm.RSA_PSS:
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), _PSS_SALT)
            return self._key.sign(data, pss, hashes.SHA256())
        return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())

    async def async_sign_raw(
        self,
        data: bytes,
        digest_algorithm: str,
        dry_run: bool = False,  # noqa: ARG002 - pyHanko's signature
    ) -> bytes:
        assert digest_algorithm == "sha256"
        return self.raw(data)


def _mechanism(algorithm: Algorithm) -> algos.SignedDigestAlgorithm:
    if algorithm is Algorithm.ECDSA:
        return algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})
    if algorithm is Algorithm.RSA:
        return algos.SignedDigestAlgorithm({"algorithm": "sha256_rsa"})
    sha256_algorithm = algos.DigestAlgorithm({"algorithm": "sha256"})
    parameters = algos.RSASSAPSSParams(
        {
            "hash_algorithm": sha256_algorithm,
            "mask_gen_algorithm": algos.MaskGenAlgorithm(
                {"algorithm": "mgf1", "parameters": sha256_algorithm}
            ),
            "salt_length": _PSS_SALT,
        }
    )
    return algos.SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": parameters})


class _TimestampingUnit(TimeStamper):
    """Answers RFC 3161 requests in this process, for one moment."""

    def __init__(self, identity: Identity, at: datetime) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._identity = identity
        self._at = at

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        return await timestamp_response(req, self._identity, self._at)


async def timestamp_response(
    request: tsp.TimeStampReq, authority: Identity, at: datetime
) -> tsp.TimeStampResp:
    """The answer of a time-stamping unit to an RFC 3161 request."""
    info = tsp.TSTInfo(
        {
            "version": "v1",
            "policy": TIMESTAMP_POLICY.dotted_string,
            "message_imprint": request["message_imprint"],
            "serial_number": secrets.randbits(64),
            "gen_time": at.replace(microsecond=0),
            "nonce": request["nonce"],
        }
    ).dump()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(info)
    token = await _InMemorySigner(authority).async_sign(
        digest.finalize(),
        "sha256",
        is_pdf_sig=False,
        encap_content_info=cms.EncapsulatedContentInfo(
            {"content_type": "tst_info", "content": cms.ParsableOctetString(info)}
        ),
    )
    granted = tsp.PKIStatusInfo({"status": "granted"})
    return tsp.TimeStampResp({"status": granted, "time_stamp_token": token})


def _asn1(certificate: pyca.Certificate) -> x509.Certificate:
    return x509.Certificate.load(certificate.public_bytes(Encoding.DER))
