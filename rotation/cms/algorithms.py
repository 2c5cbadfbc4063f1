"""Says which algorithms are too weak to prove anything, and names them.

Collisions of MD5 and SHA-1 have been made; RSA below 2048 bits, curves below 256 bits and DSA are
not among the recommended suites of ETSI TS 119 312 (7 and 8), nor of NIST SP 800-131A Rev. 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

_WEAK_DIGESTS: Final = {"md2": "MD2", "md4": "MD4", "md5": "MD5", "sha1": "SHA-1"}
_SMALLEST_RSA: Final = 2048
_SMALLEST_CURVE: Final = 256


def weak_algorithm(digests: Iterable[str], key: object) -> str | None:
    """The weakest part of a signature, in words; None if nothing about it is weak.

    Args:
        digests: the digest algorithms that the signature relies on, as asn1crypto names them.
        key: the signer's public key, of `cryptography`.
    """
    for digest in digests:
        if digest.lower() in _WEAK_DIGESTS:
            return _WEAK_DIGESTS[digest.lower()]
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SMALLEST_RSA:
        return f"RSA with {key.key_size} bits"
    # Edwards curves have 255 bits or more by definition, and count as strong (TS 119 312, 7.2).
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < _SMALLEST_CURVE:
        return f"an elliptic curve with {key.curve.key_size} bits"
    return None
