"""A signature made beforehand, so that sealing is measured and not the vendor.

It is a real one, of a local CA, over a digest of its own: whoever checks it does all the work that
there is, and finds it good for that digest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.serialization import Encoding

from rotation.sandbox.vendor import Pki
from rotation.sandbox.vendor.cms import sign

DIGEST: Final = hashlib.sha256(b"canned").digest()


@dataclass(frozen=True)
class Canned:
    """What is in the folder.

    Attributes:
        cms: the signature, DER.
        root: the trust anchor, PEM.
        certificates: the signer's certificate and its issuers', DER.
    """

    cms: bytes = field(repr=False)
    root: bytes
    certificates: tuple[bytes, ...]

    def sign(self, _: bytes) -> bytes:
        """The signature, whatever is to be signed; but that has to be known."""
        return self.cms

    @classmethod
    def write(cls, folder: Path, pki: Pki | None = None) -> None:
        """Make a CA, unless there is one, and one signature."""
        pki = pki or Pki.create(datetime.now(UTC))
        (folder / "cms.der").write_bytes(sign(DIGEST, pki.signer))
        (folder / "root.pem").write_bytes(pki.root_pem)
        chain = (pki.signer.certificate, *pki.signer.chain)
        for number, certificate in enumerate(chain):
            (folder / f"certificate{number}.der").write_bytes(
                certificate.public_bytes(Encoding.DER)
            )

    @classmethod
    def read(cls, folder: str) -> Self:
        """What `write` made."""
        place = Path(folder)
        return cls(
            (place / "cms.der").read_bytes(),
            (place / "root.pem").read_bytes(),
            tuple(path.read_bytes() for path in sorted(place.glob("certificate*.der"))),
        )
