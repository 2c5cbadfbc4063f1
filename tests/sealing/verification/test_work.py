"""The work of verifying is counted: linear in the file, and bounded for files made to cost."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import pytest

from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from rotation.sealing.verification.digests import SignedBytes
from rotation.sealing.verification.examination import FileExamination
from rotation.sealing.verification.report import FileVerdict, Problem
from tests.sealing.pdfs import cms_over, large, pdf, signer_of

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC)


def examined(document: bytes, pki: Pki) -> FileExamination:
    return FileExamination(BytesIO(document), pki.root_pem, NOW)


def sealed_often(pki: Pki, document: bytes, times: int) -> bytes:
    signer = signer_of(pki.signer)
    for _ in range(times):
        prepared = prepare(BytesIO(document), SealOptions(), NOW, reserve=6_000)
        document = prepared.embed(cms_over(prepared.digest, signer))
    return document


def test_many_signatures_cost_one_pass_over_the_file(pki: Pki) -> None:
    """Twice as many signatures on a large file make at most two and a half times the work."""
    document = large(2_000_000)
    work = {}
    for times in (12, 24):
        sealed = sealed_often(pki, document, times)
        examination = examined(sealed, pki)
        assert examination.report().verdict is FileVerdict.OK
        assert examination.signed_bytes.hashed <= 1.2 * len(sealed)
        work[times] = examination.history.reads + examination.judged
    assert work[24] <= 2.5 * work[12]


def test_a_thousand_fields_that_share_a_signature_are_one_signature(pki: Pki) -> None:
    """It is hashed and verified once, and reported for each field."""
    first, count = 6, 1_000
    signature = first + count + 1  # the next number that the writer gives
    fields = {
        first + at: b"<< /FT /Sig /T (F%d) /V %d 0 R >>" % (at, signature) for at in range(count)
    }
    listed = b" ".join(b"%d 0 R" % number for number in fields)
    catalog = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [%b] >> >>" % listed
    document = pdf({1: catalog, **fields})
    prepared = prepare(BytesIO(document), SealOptions(), NOW)
    sealed = prepared.embed(cms_over(prepared.digest, signer_of(pki.signer)))
    examination = examined(sealed, pki)
    report = examination.report()
    assert len(report.seals) == count + 1
    assert {seal.intact for seal in report.seals} == {True}
    assert examination.judged == 1
    assert examination.signed_bytes.hashed <= len(sealed)
    assert examination.history.reads <= 2 * count


def test_ranges_that_were_made_to_cost_are_not_followed() -> None:
    """A thousand ranges that each cover nearly all of a file read it a few times, and no more."""
    content = bytes(100_000)
    asked = []
    signed = SignedBytes(BytesIO(content), len(content), lambda: asked.append(1))
    wanted = [((0, 10, 20 + at, len(content) - 20 - at), "sha256") for at in range(1_000)]
    found = signed.digests(wanted)
    assert 1 <= len(found) < 20 + 1024 * 1024 // len(content)
    assert signed.hashed <= 5 * len(content) + 1024 * 1024
    assert asked


def test_a_signature_that_would_cost_too_much_is_named(pki: Pki) -> None:
    """The first ones are verified, and the others are not passed over in silence."""
    value = cms_over(bytes(32), signer_of(pki.signer)).hex().encode()
    body = b"".join(
        b"<< /Type /Sig /Filter /A /SubFilter /adbe.pkcs7.detached /ByteRange [0 9 %d %d] "
        b"/Contents <%b> >>\n" % (20 + at, 3_000_000 - at, value)
        for at in range(20)
    )
    signatures = body.split(b"\n")[:20]
    fields = {
        6 + at: b"<< /FT /Sig /T (F%d) /V %b >>" % (at, one) for at, one in enumerate(signatures)
    }
    listed = b" ".join(b"%d 0 R" % number for number in fields)
    catalog = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [%b] >> >>" % listed
    stream = b"<< /Length 3100000 >>\nstream\n%b\nendstream" % b" ".rjust(3_100_000)
    report = examined(pdf({1: catalog, 4: stream, **fields}), pki).report()
    codes = [seal.findings[0].problem for seal in report.seals]
    assert set(codes) == {Problem.ALTERED, Problem.TOO_MUCH_WORK}
    assert report.verdict is FileVerdict.PROBLEM
