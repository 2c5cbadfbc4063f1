"""Verifies the value of a signature: RSA, RSA-PSS, ECDSA, DSA and the Edwards curves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
    "sha3_224": hashes.SHA3_224,
    "sha3_256": hashes.SHA3_256,
    "sha3_384": hashes.SHA3_384,
    "sha3_512": hashes.SHA3_512,
}


def verifies(key: Any, algorithm: Any, hash_name: str, signature: bytes, signed: bytes) -> bool:
    """Whether ``signature`` is the signature of ``signed`` by ``key``.

    Args:
        key: the public key, of `cryptography`.
        algorithm: the signature algorithm, as asn1crypto has it.
        hash_name: the digest algorithm of the signature, as asn1crypto names it.
        signature: the value of the signature.
        signed: the bytes that it should be over.

    Raises:
        ValueError, KeyError, UnsupportedAlgorithm: the algorithm is not known.
    """
    if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return _holds(lambda: key.verify(signature, signed))
    digest = hashlib.new(hash_name, signed).digest()
    return verifies_digest(key, algorithm, hash_name, signature, digest)


def verifies_digest(
    key: Any, algorithm: Any, hash_name: str, signature: bytes, digest: bytes
) -> bool:
    """As `verifies`, with the digest of what is signed; the Edwards curves cannot use one."""
    scheme = algorithm.signature_algo
    hashed = _HASHES[hash_name]()
    how = Prehashed(hashed)
    if isinstance(key, rsa.RSAPublicKey) and scheme == "rsassa_pkcs1v15":
        return _holds(lambda: key.verify(signature, digest, padding.PKCS1v15(), how))
    if isinstance(key, rsa.RSAPublicKey) and scheme == "rsassa_pss":
        parameters = algorithm["parameters"]
        mask = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
        pss = padding.PSS(padding.MGF1(_HASHES[mask]()), parameters["salt_length"].native)
        return _holds(lambda: key.verify(signature, digest, pss, how))
    if isinstance(key, ec.EllipticCurvePublicKey) and scheme == "ecdsa":
        return _holds(lambda: key.verify(signature, digest, ec.ECDSA(how)))
    if isinstance(key, dsa.DSAPublicKey) and scheme == "dsa":
        return _holds(lambda: key.verify(signature, digest, how))
    raise UnsupportedAlgorithm(f"{scheme} with {type(key).__name__}")


def _holds(verification: Callable[[], None]) -> bool:
    try:
        verification()
    except InvalidSignature:
        return False
    return True
