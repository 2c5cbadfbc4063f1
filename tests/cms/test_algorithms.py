"""Weak algorithms are named, and strong ones are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from rotation.cms.algorithms import weak_algorithm


def _rsa(bits: int) -> Callable[[], object]:
    return lambda: rsa.generate_private_key(65537, bits).public_key()


def _on(curve: ec.EllipticCurve) -> Callable[[], object]:
    return lambda: ec.generate_private_key(curve).public_key()


# Made by the test itself: whoever only collects the tests does not wait for keys.
@pytest.mark.parametrize(
    ("digests", "make_key", "named"),
    [
        (["sha256", "sha256"], _rsa(2048), None),
        (["sha512", "sha3_256"], _on(ec.SECP256R1()), None),
        (["sha512"], lambda: ed25519.Ed25519PrivateKey.generate().public_key(), None),
        (["md5"], _rsa(2048), "MD5"),
        (["sha256", "sha1"], _rsa(2048), "SHA-1"),
        (["sha256"], _rsa(1024), "RSA with 1024 bits"),
        (
            ["sha256"],
            _on(ec.SECP224R1()),
            "an elliptic curve with 224 bits",
        ),
        (["sha256"], lambda: dsa.generate_private_key(1024).public_key(), "DSA"),
    ],
)
def test_the_weakest_part_is_named(
    digests: list[str], make_key: Callable[[], object], named: str | None
) -> None:
    """MD5, SHA-1, RSA below 2048 bits, curves below 256 bits and DSA prove nothing any more."""
    assert weak_algorithm(digests, make_key()) == named
