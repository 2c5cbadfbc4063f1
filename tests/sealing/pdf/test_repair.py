"""A document is repaired only on request, the answer says so, and no signature is destroyed."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.errors import DamagedPdfError, EncryptedPdfError, InvalidRequestError
from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from rotation.sealing.verify import verify
from tests.paths import ROOT
from tests.sealing.pdfs import cms_over, encrypted, pdf, signed_by_author

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
REPAIR = SealOptions(repair=True)
HEADLESS = pdf().replace(b"%PDF-1.7", b"%QDF-1.7")

PROGRAM = """
import sys
sys.modules["pikepdf"] = None
from datetime import UTC, datetime
from io import BytesIO
from rotation.errors import InvalidRequestError
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
try:
    prepare(BytesIO(sys.stdin.buffer.read()), SealOptions(repair=True), datetime.now(UTC))
except InvalidRequestError as error:
    print(error)
"""


@pytest.mark.slow
def test_without_pikepdf_the_answer_says_so() -> None:
    """An installation that cannot repair says so, and what is wrong with the document."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=HEADLESS, capture_output=True, check=True, cwd=ROOT
    )
    assert b"no pikepdf" in done.stdout
    assert b"there is no %PDF-" in done.stdout


def test_a_repair_is_made_where_it_can_be(signer: SimpleSigner, pki: Pki) -> None:
    """The document is rewritten and sealed, and says that it was rewritten."""
    prepared = prepare(BytesIO(HEADLESS), REPAIR, AT)
    assert prepared.repaired
    (report,) = verify(prepared.embed(cms_over(prepared.digest, signer)), pki.root_pem)
    assert report.problem is None


def test_a_document_that_needs_none_is_not_repaired() -> None:
    """The option changes nothing where the document can be sealed in place."""
    content = pdf()
    prepared = prepare(BytesIO(content), REPAIR, AT)
    assert not prepared.repaired
    assert prepared.embed(b"").startswith(content)


def test_a_repair_is_not_done_unasked() -> None:
    """Without the option a damaged document is refused, and the message names the option."""
    with pytest.raises(DamagedPdfError):
        prepare(BytesIO(HEADLESS), SealOptions(), AT)


def test_a_signed_document_is_never_rewritten(signer: SimpleSigner) -> None:
    """A repair would destroy the signature: refused, with pikepdf or without it."""
    signed = signed_by_author(pdf(), signer)
    damaged = re.sub(rb"startxref\n\d+\n%%EOF\n$", b"startxref\n5\n%%EOF\n", signed)
    with pytest.raises((DamagedPdfError, InvalidRequestError), match="signature"):
        prepare(BytesIO(damaged), REPAIR, AT)


def test_a_password_is_no_damage() -> None:
    """A repair does not open a document that needs a password."""
    with pytest.raises(EncryptedPdfError):
        prepare(BytesIO(encrypted(user_password="secret")), REPAIR, AT)
