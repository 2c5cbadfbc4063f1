"""One document from start to end: real S3 over sockets, the emulated vendor over sockets."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime

import pytest

from rotation.credential import ApiKey
from rotation.errors import (
    CredentialRejectedError,
    DestinationError,
    DocumentTooLargeError,
    InvalidRequestError,
    RotationError,
    SealVerificationError,
    SignatureTooLargeError,
    SourceNotFoundError,
    UnsupportedPdfError,
    VendorUnavailableError,
)
from rotation.privacy.observability import counted_for, metrics
from rotation.sandbox.vendor import Fault, Outage
from rotation.sealing.request import SealRequest
from rotation.sealing.verify import verify
from rotation.vendor.cms import Signer, verify_cms
from tests.sealing.conftest import LARGEST, Office
from tests.sealing.pdfs import pdf


@pytest.fixture(autouse=True)
def no_metrics_before() -> None:
    """Every test counts from nothing, as a function does."""
    metrics.clear_metrics()
    counted_for("seal")


def counted() -> dict[str, float]:
    values = {name: sum(metric["Value"]) for name, metric in metrics.metric_set.items()}
    metrics.clear_metrics()
    counted_for("seal")
    return values


def refused(office: Office, request: SealRequest) -> RotationError:
    """The error that the request ends in, after a look that nothing was left behind."""
    with pytest.raises(RotationError) as failed:
        office.sealer.seal(request)
    assert office.nothing_sealed()
    assert counted() == {"SealsFailed": 1}
    return failed.value


def test_a_document_is_sealed_from_bucket_to_bucket(office: Office) -> None:
    """The sealed file stands at the destination, verifiable, with its provenance."""
    source = pdf()
    version = office.put("a.pdf", source)
    sealed = office.sealer.seal(office.request())
    stored = office.s3.get_object(Bucket=office.outgoing, Key="sealed/a.pdf")
    content = stored["Body"].read()
    (report,) = verify(content, office.pki.root_pem)
    assert (report.problem, report.covers_whole_file) == (None, True)
    assert content.startswith(source)
    assert stored["ContentType"] == "application/pdf"
    assert stored["Metadata"] == {
        "source-etag": hashlib.md5(source).hexdigest(),
        "source-version-id": version,
        "seal-key-id": office.key.id,
    }
    assert sealed.answer()["destination"]["versionId"] == stored["VersionId"]
    assert counted() == {"DocumentsSealed": 1}


def test_the_answer_tells_what_was_done(office: Office) -> None:
    """Source and destination as they were read and stored, the key, the digest, the signer."""
    version = office.put("a.pdf", pdf())
    answer = office.sealer.seal(office.request()).answer()
    content = office.sealed()
    found = re.search(rb"/ByteRange \[0 (\d+) (\d+) (\d+)\]", content)
    assert found
    first, start, length = map(int, found.groups())
    digest = hashlib.sha256(content[:first] + content[start : start + length]).digest()
    assert answer["status"] == "sealed"
    assert answer["source"] == {
        "bucket": office.incoming,
        "key": "a.pdf",
        "versionId": version,
        "etag": hashlib.md5(pdf()).hexdigest(),
    }
    assert answer["destination"].keys() == {"bucket", "key", "versionId", "etag"}
    assert answer["keyId"] == office.key.id
    assert base64.b64decode(answer["digest"]) == digest
    assert answer["signer"]["organization"] == "Trusted Signatures Sandbox"
    assert answer["signer"]["chained"] is True
    assert answer["bytes"] == len(content)


def test_only_the_digest_leaves_the_account(office: Office) -> None:
    """The vendor is asked once, and what it is sent is a digest and no byte of the document."""
    office.put("a.pdf", pdf())
    asked: list[tuple[str, bytes, bool]] = []
    sign = office.sign

    def listening(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        asked.append((key.id, digest, timestamp))
        return sign(key, digest, timestamp=timestamp)

    office.sign = listening
    sealed = office.sealer.seal(office.request(options={"timestamp": True}))
    assert asked == [(office.key.id, sealed.digest, True)]
    assert office.emulator.signatures[office.key.id] == 1


def test_a_timestamp_is_embedded_when_it_is_asked_for(office: Office) -> None:
    """The seal carries the vendor's timestamp, and verifies with it."""
    office.put("a.pdf", pdf())
    office.sealer.seal(office.request(options={"timestamp": True}))
    (report,) = verify(office.sealed(), office.pki.root_pem)
    assert report.problem is None
    # The object identifier of the signature-time-stamp attribute (RFC 3161, appendix A).
    assert b"060b2a864886f70d010910020e" in office.sealed().lower()


def test_a_seal_without_the_timestamp_that_was_asked_for_is_not_stored(office: Office) -> None:
    """A vendor that ignores the wish is not passed off as one that granted it."""
    office.put("a.pdf", pdf())
    sign = office.sign

    def forgetful(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        return sign(key, digest)

    office.sign = forgetful
    with pytest.raises(SealVerificationError, match="timestamp was asked for"):
        office.sealer.seal(office.request(options={"timestamp": True}))
    assert office.nothing_sealed()
    assert office.sealer.seal(office.request()).answer()["timestampedAt"] is None


def test_a_pinned_version_is_the_one_that_is_sealed(office: Office) -> None:
    """A newer version of the source does not find its way into the seal."""
    version = office.put("a.pdf", pdf())
    office.put("a.pdf", b"something else")
    event = office.event()
    event["source"]["versionId"] = version
    sealed = office.sealer.seal(SealRequest.parse(event))
    assert sealed.source.version_id == version
    assert office.sealed().startswith(pdf())


def test_a_signature_too_large_is_bought_anew_with_more_room(office: Office) -> None:
    """The document is prepared again, larger, and signed once more: two signatures, one seal."""
    office.put("a.pdf", pdf())
    office.emulator.faults.next("sign", Fault.LARGE, times=2)
    sealed = office.sealer.seal(office.request())
    (report,) = verify(office.sealed(), office.pki.root_pem)
    assert (report.problem, report.covers_whole_file) == (None, True)
    assert office.emulator.signatures[office.key.id] == 2
    assert sealed.stored.size > 2 * 48 * 1024


def test_a_signature_that_never_fits_is_given_up(office: Office) -> None:
    """After one larger attempt nothing more is bought."""
    office.put("a.pdf", pdf())
    sign, padding = office.sign, iter((20_000, 120_000))

    def swelling(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        return sign(key, digest, timestamp=timestamp) + bytes(next(padding))

    def check_without_padding(cms: bytes, digest: bytes, at: datetime) -> Signer:
        return verify_cms(cms.rstrip(b"\0"), digest, office.policy, at)

    office.sign, office.check = swelling, check_without_padding
    error = refused(office, office.request())
    assert isinstance(error, SignatureTooLargeError)
    assert office.emulator.signatures[office.key.id] == 2


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fault.OTHER_DIGEST, "another digest"),
        (Fault.STRANGER, "does not chain"),
        (Fault.IMPOSTOR, "does not chain"),
        (Fault.NEIGHBOUR, "not of the organisation"),
        (Fault.CORRUPTED_SIGNATURE, "does not verify"),
        (Fault.NOT_CMS, "not a detached CMS"),
    ],
)
def test_a_signature_that_is_not_ours_is_not_embedded(
    fault: Fault, problem: str, office: Office
) -> None:
    """Another digest, another signer, a damaged signature: checked before it is stored."""
    office.put("a.pdf", pdf())
    office.emulator.faults.next("sign", fault)
    error = refused(office, office.request())
    assert isinstance(error, SealVerificationError)
    assert problem in str(error)


def test_a_rejected_key_is_said_to_be_rejected(office: Office) -> None:
    """A revoked key gives the code on which an application fetches its credential anew."""
    office.put("a.pdf", pdf())
    office.emulator.keys.revoke(office.key.id)
    error = refused(office, office.request())
    assert isinstance(error, CredentialRejectedError)
    assert (error.code, error.retryable) == ("credential_rejected", False)


def test_a_vendor_that_is_down_is_an_error_that_passes(office: Office) -> None:
    """503 to every attempt: nothing is stored, and asking again later may help."""
    office.put("a.pdf", pdf())
    office.emulator.outage = Outage.UNAVAILABLE
    error = refused(office, office.request())
    assert isinstance(error, VendorUnavailableError)
    assert error.retryable


@pytest.mark.parametrize("content", [b"", b"no PDF", pdf()[:-30], pdf()[:100]])
def test_a_file_that_cannot_be_sealed_costs_nothing(content: bytes, office: Office) -> None:
    """No signature is bought for a document that cannot be sealed."""
    office.put("a.pdf", content)
    assert isinstance(refused(office, office.request()), UnsupportedPdfError)
    assert office.emulator.requests == ()


def test_a_document_that_is_too_large_is_not_read(office: Office) -> None:
    """Larger than the function accepts: refused before anything else."""
    office.put("a.pdf", pdf() + b" " * LARGEST)
    assert isinstance(refused(office, office.request()), DocumentTooLargeError)
    assert office.emulator.requests == ()


def test_a_missing_source_is_told(office: Office) -> None:
    """No object, no seal."""
    assert isinstance(refused(office, office.request("missing.pdf")), SourceNotFoundError)


def test_a_source_outside_the_allow_list_is_not_even_read(office: Office) -> None:
    """Another bucket is refused by name, though the function's role could read it."""
    event = office.event()
    event["source"] = {"bucket": office.outgoing, "key": "sealed/other.pdf"}
    error = refused(office, SealRequest.parse(event))
    assert isinstance(error, InvalidRequestError)
    assert "SOURCE_LOCATIONS" in str(error)


@pytest.mark.parametrize("key", ["unsealed/a.pdf", "sealed", "sealed-elsewhere/a.pdf"])
def test_a_destination_outside_the_allow_list_is_refused_unread(key: str, office: Office) -> None:
    """A prefix is a prefix, and nothing is read or bought before it has been looked at."""
    event = office.event()
    event["destination"]["key"] = key
    error = refused(office, SealRequest.parse(event))
    assert isinstance(error, InvalidRequestError)
    assert "DESTINATION_LOCATIONS" in str(error)
    assert office.emulator.requests == ()


def test_a_destination_that_cannot_be_written_holds_nothing(office: Office) -> None:
    """The bucket is gone when the sealed document is ready: an error, and nothing half-written."""
    office.put("a.pdf", pdf())
    sign = office.sign

    def sign_and_lose_the_bucket(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        office.s3.delete_bucket(Bucket=office.outgoing)
        return sign(key, digest, timestamp=timestamp)

    office.sign = sign_and_lose_the_bucket
    with pytest.raises(DestinationError, match="NoSuchBucket"):
        office.sealer.seal(office.request())
    assert office.outgoing not in {bucket["Name"] for bucket in office.s3.list_buckets()["Buckets"]}
    assert counted() == {"SealsFailed": 1}


def test_sealing_again_gives_a_new_version_of_the_same_worth(office: Office) -> None:
    """A repeated request harms nothing: the destination gets another good seal."""
    office.put("a.pdf", pdf())
    first = office.sealer.seal(office.request())
    second = office.sealer.seal(office.request())
    assert first.stored.version_id != second.stored.version_id
    (report,) = verify(office.sealed(), office.pki.root_pem)
    assert report.covers_whole_file
