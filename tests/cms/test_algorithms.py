"""Weak algorithms are named, and strong ones are not."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from rotation.cms.algorithms import weak_algorithm

RSA = rsa.generate_private_key(65537, 2048).public_key()


@pytest.mark.parametrize(
    ("digests", "key", "named"),
    [
        (["sha256", "sha256"], RSA, None),
        (["sha512", "sha3_256"], ec.generate_private_key(ec.SECP256R1()).public_key(), None),
        (["sha512"], ed25519.Ed25519PrivateKey.generate().public_key(), None),
        (["md5"], RSA, "MD5"),
        (["sha256", "sha1"], RSA, "SHA-1"),
        (["sha256"], rsa.generate_private_key(65537, 1024).public_key(), "RSA with 1024 bits"),
        (
            ["sha256"],
            ec.generate_private_key(ec.SECP224R1()).public_key(),
            "an elliptic curve with 224 bits",
        ),
        (["sha256"], dsa.generate_private_key(2048).public_key(), "DSA"),
    ],
)
def test_the_weakest_part_is_named(digests: list[str], key: object, named: str | None) -> None:
    """MD5, SHA-1, RSA below 2048 bits, curves below 256 bits and DSA prove nothing any more."""
    assert weak_algorithm(digests, key) == named
