"""Each level, as independent validators see it: now, and when everything has expired."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from asn1crypto import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.ades import simulate_future_ades_lta_validation
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import CertRevTrustPolicy, RevocationCheckingPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from rotation.errors import LevelError
from rotation.sandbox.vendor import (
    PADES,
    PKCS7,
    Algorithm,
    Pki,
    Trouble,
    ValidationService,
    ValidationServices,
    VendorEmulator,
    VendorProfile,
)
from rotation.sealing.request import Level
from rotation.sealing.verification.report import FileVerdict
from rotation.sealing.verify import examine
from tests.harness.s3_server import S3Server
from tests.harness.s3_server.store import Bucket
from tests.paths import ROOT
from tests.sealing.conftest import now
from tests.sealing.levels.conftest import LevelFixture
from tests.sealing.malformed_certificates import (
    ocsp_with_a_malformed_certificate,
    timestamp_with_a_malformed_certificate,
)
from tests.sealing.pdf_tools import qpdf_check, trusted_by_pdfsig
from tests.sealing.pdfs import encrypted, pdf
from tests.sealing.storage.large_documents import write_sparse_pdf

FIVE_YEARS = timedelta(days=5 * 365)
SEALING = KeyUsageConstraints(key_usage={"non_repudiation"})
PROFILES = {
    "PAdES": PADES,
    "PKCS #7": PKCS7,
    "RSA-PSS": VendorProfile(algorithm=Algorithm.RSA_PSS),
}


def seal(fixture: LevelFixture, level: Level, document: bytes | None = None) -> dict[str, Any]:
    fixture.put("a.pdf", document or pdf())
    request = fixture.request(options={"level": level.value})
    return fixture.sealer.seal(request).answer()


def trust(pki: Pki) -> SimpleTrustManager:
    root = x509.Certificate.load(pki.root.certificate.public_bytes(Encoding.DER))
    return SimpleTrustManager.build(trust_roots=[root])


def specification(pki: Pki) -> PdfSignatureValidationSpec:
    """Every certificate must have revocation data, and none of it may be fetched."""
    required = CertRevTrustPolicy(RevocationCheckingPolicy.from_legacy("require"))
    # Nobody can know five years ahead what is said of the authority then.
    unknown = CertRevTrustPolicy(RevocationCheckingPolicy.from_legacy("soft-fail"))
    return PdfSignatureValidationSpec(
        SignatureValidationSpec(
            CertValidationPolicySpec(trust(pki), required),
            RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
            ts_cert_validation_policy=CertValidationPolicySpec(trust(pki), unknown),
            key_usage_settings=SEALING,
        )
    )


def embedded(document: bytes, password: str | None = None) -> Any:
    reader = PdfFileReader(BytesIO(document))
    if password is not None:
        reader.decrypt(password)
    (signature,) = reader.embedded_regular_signatures
    return signature


def valid(
    document: bytes,
    pki: Pki,
    *,
    long_term: bool,
    password: str | None = None,
    at: datetime | None = None,
) -> bool:
    """Whether pyHanko finds the signature valid at a time, with the network off.

    With ``long_term``, each certificate of the signer's chain needs revocation data of the DSS, and
    is judged at the time of the timestamp.
    """
    signature = embedded(document, password)
    root = x509.Certificate.load(pki.root.certificate.public_bytes(Encoding.DER))
    options: dict[str, Any] = {"trust_roots": [root], "allow_fetching": False}
    stamps = ValidationContext(**options, moment=at)
    if long_term:
        store: Any = DocumentSecurityStore.read_dss(signature.reader)
        unsigned = {
            one["type"].native: one["values"] for one in signature.signer_info["unsigned_attrs"]
        }
        token = unsigned["signature_time_stamp_token"][0]["content"]
        signed_at = token["encap_content_info"]["content"].parsed["gen_time"].native
        signer = store.as_validation_context(
            options
            | {"moment": signed_at, "revocation_mode": "require", "retroactive_revinfo": True}
        )
    else:
        signer = ValidationContext(**options, moment=at)
    status = validate_pdf_signature(signature, signer, stamps, key_usage_settings=SEALING)
    return bool(status.bottom_line)


def archived(document: bytes, pki: Pki, at: datetime) -> bool:
    """Whether EN 319 102-1 finds it valid then, if its last timestamp was renewed until then."""
    found = asyncio.run(
        simulate_future_ades_lta_validation(embedded(document), specification(pki), at)
    )
    return found.ades_subindic is AdESPassed.OK


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("level", Level)
def test_each_level_is_accepted_by_validators(
    level_fixture: LevelFixture, level: Level, name: str, tmp_path: Path
) -> None:
    """PyHanko's own judgement of the level, pdfsig's of the signatures, qpdf's of the file."""
    level_fixture.emulator.profile = PROFILES[name]
    answer = seal(level_fixture, level)
    assert answer["level"] == {"name": level, "asked": level, "problem": None}
    content = level_fixture.sealed()
    assert valid(content, level_fixture.pki, long_term=level.reaches(Level.B_LT))
    assert trusted_by_pdfsig(content, level_fixture.pki.root_pem, tmp_path)
    assert "No syntax or stream encoding errors" in qpdf_check(content, tmp_path)
    reader = PdfFileReader(BytesIO(content))
    assert ("/DSS" in reader.root) == level.reaches(Level.B_LT)
    assert len(reader.embedded_timestamp_signatures) == (level is Level.B_LTA)
    assert content.startswith(pdf())


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("level", [Level.B_LT, Level.B_LTA])
def test_the_higher_levels_survive_the_certificates(
    level_fixture: LevelFixture, level: Level, name: str
) -> None:
    """Five years on, the signer has expired and was revoked, and nothing can be fetched."""
    level_fixture.emulator.profile = PROFILES[name]
    seal(level_fixture, level)
    assert level_fixture.services is not None
    level_fixture.services.revoke(level_fixture.pki.signer.certificate)
    level_fixture.services.trouble = dict.fromkeys(ValidationService, Trouble.DOWN)
    content, pki = level_fixture.sealed(), level_fixture.pki
    later = now() + FIVE_YEARS
    assert pki.signer.certificate.not_valid_after_utc < later
    assert valid(content, pki, long_term=True, at=later)
    assert not valid(content, pki, long_term=False, at=later)
    if level is Level.B_LTA:
        assert archived(content, pki, later)


def test_an_encrypted_document_is_raised(level_fixture: LevelFixture) -> None:
    """A document with an empty user password gets the same proof."""
    answer = seal(level_fixture, Level.B_LTA, encrypted(user_password=""))
    assert answer["level"]["problem"] is None
    assert valid(level_fixture.sealed(), level_fixture.pki, long_term=True, password="")


@pytest.mark.parametrize(
    ("down", "asked", "reached"),
    [
        (ValidationService.OCSP, Level.B_LT, Level.B_LT),
        (ValidationService.CRL, Level.B_LT, Level.B_T),
        (ValidationService.CRL, Level.B_LTA, Level.B_T),
        (ValidationService.TSA, Level.B_LT, Level.B_LT),
        (ValidationService.TSA, Level.B_LTA, Level.B_LT),
    ],
)
@pytest.mark.parametrize("trouble", [Trouble.DOWN, Trouble.NONSENSE])
def test_a_service_that_fails_is_said(
    level_fixture: LevelFixture,
    down: ValidationService,
    trouble: Trouble,
    asked: Level,
    reached: Level,
) -> None:
    """The document has the level that the answer names, and the answer says what is missing."""
    assert level_fixture.services is not None
    level_fixture.services.trouble[down] = trouble
    answer = seal(level_fixture, asked)
    assert answer["level"]["name"] == reached
    assert (answer["level"]["problem"] is None) == (asked is reached)
    assert valid(level_fixture.sealed(), level_fixture.pki, long_term=reached.reaches(Level.B_LT))


@pytest.mark.parametrize(
    ("service", "changed"),
    [
        (ValidationService.TSA, timestamp_with_a_malformed_certificate),
        (ValidationService.OCSP, ocsp_with_a_malformed_certificate),
    ],
)
def test_a_malformed_certificate_of_a_service_spoils_no_document(
    level_fixture: LevelFixture,
    service: ValidationService,
    changed: Callable[[bytes], bytes],
) -> None:
    """Nothing needs it, so it is left out. A CRL takes the place of a malformed OCSP response."""
    assert level_fixture.services is not None
    level_fixture.services.alter = lambda asked, content: (
        changed(content) if asked is service else content
    )
    answer = seal(level_fixture, Level.B_LTA)
    assert (answer["level"]["name"], answer["level"]["problem"]) == (Level.B_LTA, None)
    report = examine(BytesIO(level_fixture.sealed()), level_fixture.pki.root_pem)
    assert report.verdict is FileVerdict.OK
    assert valid(level_fixture.sealed(), level_fixture.pki, long_term=True)


def test_a_level_that_is_demanded_is_reached_or_nothing_is_stored(
    level_fixture: LevelFixture,
) -> None:
    """With LEVEL_ON_FAILURE=fail, a lower level is an error that may pass."""
    assert level_fixture.services is not None
    level_fixture.use(fail=True)
    level_fixture.services.trouble[ValidationService.TSA] = Trouble.DOWN
    with pytest.raises(LevelError, match=r"B-LT and not as B-LTA.*LEVEL_ON_FAILURE") as told:
        seal(level_fixture, Level.B_LTA)
    assert (told.value.code, told.value.retryable) == ("level", True)
    assert level_fixture.nothing_sealed()


def test_only_hosts_of_the_settings_are_asked(level_fixture: LevelFixture) -> None:
    """An address in a certificate opens no way to another host."""
    assert level_fixture.services is not None
    level_fixture.use(hosts=frozenset({"ocsp.example.org"}))
    answer = seal(level_fixture, Level.B_LT)
    assert answer["level"]["name"] == Level.B_T
    assert "is not a host of VALIDATION_HOSTS" in answer["level"]["problem"]
    assert not level_fixture.services.requests


def test_a_revoked_signer_gets_no_proof(level_fixture: LevelFixture) -> None:
    """The seal is B-T at most, and the reason is told; waiting does not help."""
    assert level_fixture.services is not None
    level_fixture.use(fail=True)
    level_fixture.services.revoke(level_fixture.pki.signer.certificate)
    with pytest.raises(LevelError, match="revoked") as told:
        seal(level_fixture, Level.B_LT)
    assert not told.value.retryable


@pytest.mark.parametrize("trouble", [Trouble.DRIPPING_HEADERS, Trouble.DRIPPING_BODY])
@pytest.mark.parametrize(
    "dripping", [ValidationService.OCSP, ValidationService.CRL, ValidationService.TSA]
)
def test_a_service_that_drips_costs_its_budget_and_no_more(
    level_fixture: LevelFixture, dripping: ValidationService, trouble: Trouble
) -> None:
    """One time limit holds for all exchanges of a document, however slowly an answer comes."""
    from time import monotonic

    assert level_fixture.services is not None
    level_fixture.services.trouble[dripping] = trouble
    level_fixture.use(time=timedelta(seconds=3))
    begun = monotonic()
    answer = seal(level_fixture, Level.B_LTA)
    took = monotonic() - begun
    assert answer["level"]["problem"]
    assert valid(level_fixture.sealed(), level_fixture.pki, long_term=False)
    # Without an end each of them would drip for ever; how fast the rest is depends on the machine.
    assert took < 120


def test_a_large_document_is_raised_without_being_held(
    s3_server: S3Server, services: ValidationServices, tmp_path: Path
) -> None:
    """S3 copies it; its bytes are read once, and one part brings the seal and all of its proof."""
    size = 24 * 1024 * 1024
    write_sparse_pdf(tmp_path / "source.pdf", size)
    s3_server.store.buckets |= {"incoming": Bucket(), "outgoing": Bucket()}
    s3_server.store.adopt("incoming", "source.pdf", tmp_path / "source.pdf")
    s3 = boto3.client(
        "s3",
        endpoint_url=s3_server.url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    with VendorEmulator(services.pki, clock=now) as emulator:
        fixture = LevelFixture(
            s3, emulator, services.pki, "incoming", "outgoing", largest=2 * size, services=services
        )
        request = fixture.request("source.pdf", options={"level": "B-LTA"})
        answer = fixture.sealer.seal(request).answer()
        assert answer["level"] == {"name": "B-LTA", "asked": "B-LTA", "problem": None}
        assert s3_server.bytes_served < 1.2 * size
        content = fixture.sealed()
        fixture.http.close()
    s3.close()
    assert valid(content, services.pki, long_term=True)
    report = examine(BytesIO(content), services.pki.root_pem)
    assert [seal.problem for seal in report.seals] == [None]
    assert [stamp.problem for stamp in report.document_timestamps] == [None]


@pytest.mark.slow
def test_only_those_who_ask_for_a_level_pay_its_imports() -> None:
    """The functions start without the part of pyHanko that signs and validates."""
    program = (
        "import sys; import rotation.handlers.seal, rotation.handlers.seal_events; "
        "import rotation.handlers.seal_batch, rotation.cli.seal.client; "
        "print(*sorted(m for m in sys.modules if m.startswith(('rotation.sealing.levels', "
        "'pyhanko.sign', 'pyhanko_certvalidator.fetchers.requests_fetchers'))))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert loaded.stdout.split() == []
