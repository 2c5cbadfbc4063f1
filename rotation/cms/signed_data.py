"""Reads a CMS SignedData (RFC 5652) as tolerantly as viewers do, and verifies its signature.

Tolerant of the encoding alone: BER for DER, padding after the end, attributes that are not sorted.
Nothing is concluded here about the signer.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

from asn1crypto import cms as asn1_cms
from asn1crypto import core, parser
from asn1crypto import tsp as _tsp  # noqa: F401 - names the signing-certificate attributes
from asn1crypto import x509 as asn1_x509
from cryptography.exceptions import UnsupportedAlgorithm

from rotation.cms.signature_value import verifies, verifies_digest

#: More certificates than any chain needs would only make the search for a path long.
MOST_CERTIFICATES: Final = 100

_MOST_ATTRIBUTES: Final = 100
# A SET OF, by the numbers of X.690 (8.1.2).
_UNIVERSAL, _CONSTRUCTED, _SET_OF = 0, 1, 17

#: What asn1crypto, cryptography and our own code raise over bytes that have another structure.
UNREADABLE: Final = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
    UnsupportedAlgorithm,
)


def is_whole(value: Any) -> bool:
    """Whether everything in an object of asn1crypto can be read, and nothing follows it.

    asn1crypto parses only what is looked at, so a malformed part may stay unnoticed until somebody
    else looks at it.
    """
    try:
        _ = type(value).load(value.dump(), strict=True).native
    except UNREADABLE:
        return False
    return True


@dataclass(frozen=True)
class SignedData:
    """A SignedData, and the signature of its first signer.

    Attributes:
        certificate: the signer's certificate; it is the one that the signer names.
        others: the other certificates that are enclosed.
        signers: how many signers it has.
        content_type: the type of what is signed, as asn1crypto names it.
        content: what is signed, where it is enclosed; None if the signature is detached.
        digest_algorithm: of the content, as hashlib names it.
        attributes: the values of the signed attributes by name; empty if there are none.
        unsigned: the values of the unsigned attributes by name.
        signature: the value of the signature.
    """

    certificate: asn1_x509.Certificate
    others: tuple[asn1_x509.Certificate, ...]
    signers: int
    content_type: str
    content: bytes | None
    digest_algorithm: str
    attributes: dict[str, Any]
    unsigned: dict[str, Any]
    signature: bytes
    _algorithm: Any
    _encodings: tuple[bytes, ...]

    @cached_property
    def key(self) -> Any:
        """The signer's public key, of `cryptography`. Raises what `UNREADABLE` names."""
        # It loads ciphers and formats of SSH, which a function's first answer need not wait for.
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        return load_der_public_key(self.certificate.public_key.dump())

    @property
    def digests(self) -> tuple[str, ...]:
        """The digest algorithms that the signature and the signer's certificate rely on."""
        found = [self.digest_algorithm, self._signing_hash]
        certificate = self.certificate
        # Nothing is proven by the signature of a certificate over itself.
        if certificate.issuer.dump() != certificate.subject.dump():
            with suppress(ValueError):  # Edwards curves hash by themselves
                found.append(certificate["signature_algorithm"].hash_algo)
        return tuple(found)

    @property
    def _signing_hash(self) -> str:
        try:
            return str(self._algorithm.hash_algo)
        except ValueError:
            # RFC 5754 section 3.2: with plain rsaEncryption the digest algorithm is the signer's.
            return self.digest_algorithm

    def covers(self, digest: bytes) -> bool:
        """Whether the signature is over content with that digest, by `digest_algorithm`."""
        if not self.attributes:
            return True  # then the signature itself is over the content: `is_genuine` tells
        values = self.attributes.get("message_digest", ())
        return len(values) == 1 and hmac.compare_digest(values[0].native, digest)

    def is_genuine(self, digest: bytes) -> bool:
        """Whether the signature's value is right for the signer's key and this digest.

        Args:
            digest: the content's, by `digest_algorithm`.

        Raises:
            ValueError, UnsupportedAlgorithm: the algorithm is not known.
        """
        if not self.attributes:
            return verifies_digest(
                self.key, self._algorithm, self._signing_hash, self.signature, digest
            )
        return any(
            verifies(self.key, self._algorithm, self._signing_hash, self.signature, encoding)
            for encoding in self._encodings
        )

    def names_its_certificate(self) -> bool | None:
        """Whether the signing-certificate attribute names the certificate; None without one.

        RFC 2634 section 5.4 has its first version (SHA-1), RFC 5035 its second.
        """
        for name in ("signing_certificate_v2", "signing_certificate"):
            if name in self.attributes:
                first = self.attributes[name][0]["certs"][0]
                algorithm = "sha1"
                if name == "signing_certificate_v2":
                    algorithm = first["hash_algorithm"]["algorithm"].native
                named = first["cert_hash"].native
                return bool(named == hashlib.new(algorithm, self.certificate.dump()).digest())
        return None


def read_signed_data(der: bytes, known: Iterable[asn1_x509.Certificate] = ()) -> SignedData:
    """The SignedData in ``der``, which zeros may follow.

    Args:
        der: a ContentInfo.
        known: certificates from elsewhere, among which the signer's may be.

    Raises:
        ValueError, TypeError, KeyError, …: what `UNREADABLE` names; it is no SignedData.
    """
    content = asn1_cms.ContentInfo.load(der)
    if content["content_type"].native != "signed_data":
        raise ValueError("not a SignedData")
    signed_data = content["content"]
    signers = list(signed_data["signer_infos"])
    if not signers:
        raise ValueError("nobody has signed it")
    if len(signed_data["certificates"]) > MOST_CERTIFICATES:
        raise ValueError(f"it encloses more than {MOST_CERTIFICATES} certificates")
    signer = signers[0]
    encodings = attribute_encodings(signer["signed_attrs"])
    encapsulated = signed_data["encap_content_info"]
    enclosed = {
        choice.chosen.dump(): choice.chosen
        for choice in signed_data["certificates"]
        if choice.name == "certificate"
    }
    candidates = [*enclosed.values(), *known]
    found = [one for one in candidates if identifies(signer["sid"], one)]
    if not found:
        raise ValueError("the signer's certificate is missing")
    return SignedData(
        certificate=found[0],
        others=tuple(one for one in enclosed.values() if one is not found[0]),
        signers=len(signers),
        content_type=encapsulated["content_type"].native,
        content=_content(encapsulated["content"]),
        digest_algorithm=signer["digest_algorithm"]["algorithm"].native,
        attributes=attributes_by_name(signer["signed_attrs"]),
        unsigned=attributes_by_name(signer["unsigned_attrs"]),
        signature=signer["signature"].native,
        _algorithm=signer["signature_algorithm"],
        _encodings=encodings,
    )


def attributes_by_name(attributes: Any) -> dict[str, Any]:
    """The values of each attribute.

    Raises:
        ValueError: an attribute is repeated (RFC 5652 section 5.3 forbids it).
    """
    found: dict[str, Any] = {}
    for attribute in attributes if isinstance(attributes, asn1_cms.CMSAttributes) else ():
        name = attribute["type"].native
        if name in found:
            raise ValueError("a repeated attribute")
        found[name] = attribute["values"]
    return found


def identifies(sid: Any, certificate: Any) -> bool:
    """Whether a SignerIdentifier names the certificate."""
    if sid.name == "issuer_and_serial_number":
        return bool(
            sid.chosen["serial_number"].native == certificate.serial_number
            and (
                # The bytes are nearly always equal; comparing names takes a thousand times as long.
                sid.chosen["issuer"].dump() == certificate.issuer.dump()
                or sid.chosen["issuer"] == certificate.issuer
            )
        )
    return bool(sid.native == certificate.key_identifier)


def attribute_encodings(attributes: Any) -> tuple[bytes, ...]:
    """The SET OF that is signed (RFC 5652 section 5.4): in DER, and as it was written.

    It is one if both are the same, and none if there are no attributes. asn1crypto encodes anew
    what was read, so this is asked for first.

    Raises:
        ValueError: there are more than anybody needs; each is cut off the rest, which takes long.
    """
    content: bytes = attributes.contents
    if not content:
        return ()
    ends = [0]
    while ends[-1] < len(content):
        if len(ends) > _MOST_ATTRIBUTES:
            raise ValueError(f"it has more than {_MOST_ATTRIBUTES} attributes")
        ends.append(ends[-1] + parser.peek(content[ends[-1] :]))
    each = [content[start:end] for start, end in pairwise(ends)]
    return tuple(
        dict.fromkeys(
            bytes(parser.emit(_UNIVERSAL, _CONSTRUCTED, _SET_OF, b"".join(one)))
            for one in (sorted(each), each)
        )
    )


def _content(encapsulated: Any) -> bytes | None:
    is_there = isinstance(encapsulated, core.OctetString | core.ParsableOctetString)
    return bytes(encapsulated) if is_there else None
