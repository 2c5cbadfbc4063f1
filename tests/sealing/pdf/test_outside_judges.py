"""Poppler's pdfsig and qpdf, which share no code with ours, judge seals."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from tests.sealing.pdf_tools import nss_database, pdfsig, qpdf_check
from tests.sealing.pdfs import DATA, cms_over, pdf

pytestmark = pytest.mark.slow

SOUND = "No syntax or stream encoding errors found"
DOCUMENTS = [pdf(), pdf(ending=b""), *(path.read_bytes() for path in sorted(DATA.glob("*.pdf")))]
NAMES = ["classic", "no end of line", *(path.name for path in sorted(DATA.glob("*.pdf")))]


@pytest.fixture(scope="module")
def anchors(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An NSS database that trusts the vendor's root."""
    return nss_database(tmp_path_factory.mktemp("anchors"), pki.root_pem)


def sealed(document: bytes, signer: SimpleSigner) -> bytes:
    prepared = prepare(BytesIO(document), SealOptions(), datetime.now(UTC))
    return prepared.embed(cms_over(prepared.digest, signer))


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_pdfsig_finds_the_seal_valid_trusted_and_over_all(
    document: bytes, signer: SimpleSigner, anchors: Path, tmp_path: Path
) -> None:
    """The signature is valid, chains to the root, covers the whole document, and is a PAdES one."""
    said = pdfsig(sealed(document, signer), tmp_path, anchors=anchors)
    assert "Signature is Valid." in said
    assert "Certificate is Trusted." in said
    assert "Total document signed" in said
    assert "ETSI.CAdES.detached" in said


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_qpdf_finds_nothing_wrong_that_was_not_wrong_before(
    document: bytes, signer: SimpleSigner, tmp_path: Path
) -> None:
    """The structure of the sealed file is as sound as the source's."""
    assert SOUND in qpdf_check(document, tmp_path), "the test needs a sound source"
    assert SOUND in qpdf_check(sealed(document, signer), tmp_path)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.95])
def test_pdfsig_rejects_one_changed_byte(
    place: float, signer: SimpleSigner, anchors: Path, tmp_path: Path
) -> None:
    """One byte of the source's content changed after sealing is found."""
    source = pdf()
    forged = bytearray(sealed(source, signer))
    at = source.index(b"/MediaBox") if place == 0.5 else int(place * len(source))
    forged[at] ^= 0x01
    said = pdfsig(bytes(forged), tmp_path, anchors=anchors)
    assert "Signature is Valid." not in said


def test_pdfsig_does_not_trust_a_stranger(pki: Pki, tmp_path: Path, signer: SimpleSigner) -> None:
    """The same seal under another root is valid and not trusted, so pdfsig does check trust."""
    other = nss_database(tmp_path, Pki.create(pki.made_at).root_pem)
    said = pdfsig(sealed(pdf(), signer), tmp_path, anchors=other)
    assert "Signature is Valid." in said
    assert "Certificate is Trusted." not in said
