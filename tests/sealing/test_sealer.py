"""One document from start to end: real S3 over sockets, the emulated vendor over sockets."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime

import pytest
from asn1crypto import parser

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
from rotation.privacy.observability import metrics, set_function_dimension
from rotation.sandbox.vendor import Outage, VendorFault
from rotation.sealing.request import SealRequest
from rotation.sealing.verify import verify
from rotation.vendor.cms import verify_cms
from rotation.vendor.signer import Signer
from tests.sealing.conftest import LARGEST, SealerFixture
from tests.sealing.pdfs import pdf


@pytest.fixture(autouse=True)
def no_metrics_before() -> None:
    """Every test counts from nothing, as a function does."""
    metrics.clear_metrics()
    set_function_dimension("seal")


def counted() -> dict[str, float]:
    values = {name: sum(metric["Value"]) for name, metric in metrics.metric_set.items()}
    metrics.clear_metrics()
    set_function_dimension("seal")
    return values


def refused(sealer_fixture: SealerFixture, request: SealRequest) -> RotationError:
    """The error that the request ends in, after a look that nothing was left behind."""
    with pytest.raises(RotationError) as failed:
        sealer_fixture.sealer.seal(request)
    assert sealer_fixture.nothing_sealed()
    assert counted() == {"SealsFailed": 1}
    return failed.value


def test_a_document_is_sealed_from_bucket_to_bucket(sealer_fixture: SealerFixture) -> None:
    """The sealed file stands at the destination, verifiable, with its provenance."""
    source = pdf()
    version = sealer_fixture.put("a.pdf", source)
    sealed = sealer_fixture.sealer.seal(sealer_fixture.request())
    stored = sealer_fixture.s3.get_object(Bucket=sealer_fixture.outgoing, Key="sealed/a.pdf")
    content = stored["Body"].read()
    (report,) = verify(content, sealer_fixture.pki.root_pem)
    assert (report.problem, report.covers_whole_file) == (None, True)
    assert content.startswith(source)
    assert stored["ContentType"] == "application/pdf"
    assert stored["Metadata"] == {
        "source-etag": hashlib.md5(source).hexdigest(),
        "source-version-id": version,
        "seal-key-id": sealer_fixture.key.id,
    }
    assert sealed.answer()["destination"]["versionId"] == stored["VersionId"]
    assert counted() == {"DocumentsSealed": 1}


def test_the_answer_tells_what_was_done(sealer_fixture: SealerFixture) -> None:
    """Source and destination as they were read and stored, the key, the digest, the signer."""
    version = sealer_fixture.put("a.pdf", pdf())
    answer = sealer_fixture.sealer.seal(sealer_fixture.request()).answer()
    content = sealer_fixture.sealed()
    found = re.search(rb"/ByteRange \[0 (\d+) (\d+) (\d+)\]", content)
    assert found
    first, start, length = map(int, found.groups())
    digest = hashlib.sha256(content[:first] + content[start : start + length]).digest()
    assert answer["status"] == "sealed"
    assert answer["source"] == {
        "bucket": sealer_fixture.incoming,
        "key": "a.pdf",
        "versionId": version,
        "etag": hashlib.md5(pdf()).hexdigest(),
    }
    assert answer["destination"].keys() == {"bucket", "key", "versionId", "etag"}
    assert answer["keyId"] == sealer_fixture.key.id
    assert base64.b64decode(answer["digest"]) == digest
    assert answer["signer"]["organization"] == "Trusted Signatures Sandbox"
    assert answer["signer"]["chained"] is True
    assert answer["bytes"] == len(content)


def test_only_the_digest_leaves_the_account(sealer_fixture: SealerFixture) -> None:
    """The vendor is asked once, and what it is sent is a digest and no byte of the document."""
    sealer_fixture.put("a.pdf", pdf())
    asked: list[tuple[str, bytes, bool]] = []
    sign = sealer_fixture.sign

    def listening(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        asked.append((key.id, digest, timestamp))
        return sign(key, digest, timestamp=timestamp)

    sealer_fixture.sign = listening
    sealed = sealer_fixture.sealer.seal(sealer_fixture.request(options={"timestamp": True}))
    assert asked == [(sealer_fixture.key.id, sealed.digest, True)]
    assert sealer_fixture.emulator.signatures[sealer_fixture.key.id] == 1


def test_a_timestamp_is_embedded_when_it_is_asked_for(sealer_fixture: SealerFixture) -> None:
    """The seal carries the vendor's timestamp, and verifies with it."""
    sealer_fixture.put("a.pdf", pdf())
    sealer_fixture.sealer.seal(sealer_fixture.request(options={"timestamp": True}))
    (report,) = verify(sealer_fixture.sealed(), sealer_fixture.pki.root_pem)
    assert report.problem is None
    # The object identifier of the signature-time-stamp attribute (RFC 3161, appendix A).
    assert b"060b2a864886f70d010910020e" in sealer_fixture.sealed().lower()


def test_a_seal_without_the_timestamp_that_was_asked_for_is_not_stored(
    sealer_fixture: SealerFixture,
) -> None:
    """A vendor that ignores the wish is not passed off as one that granted it."""
    sealer_fixture.put("a.pdf", pdf())
    sign = sealer_fixture.sign

    def forgetful(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        return sign(key, digest)

    sealer_fixture.sign = forgetful
    with pytest.raises(SealVerificationError, match="timestamp was asked for"):
        sealer_fixture.sealer.seal(sealer_fixture.request(options={"timestamp": True}))
    assert sealer_fixture.nothing_sealed()
    assert sealer_fixture.sealer.seal(sealer_fixture.request()).answer()["timestampedAt"] is None


def test_a_pinned_version_is_the_one_that_is_sealed(sealer_fixture: SealerFixture) -> None:
    """A newer version of the source does not find its way into the seal."""
    version = sealer_fixture.put("a.pdf", pdf())
    sealer_fixture.put("a.pdf", b"something else")
    event = sealer_fixture.event()
    event["source"]["versionId"] = version
    sealed = sealer_fixture.sealer.seal(SealRequest.parse(event))
    assert sealed.source.version_id == version
    assert sealer_fixture.sealed().startswith(pdf())


def test_a_signature_too_large_is_bought_anew_with_more_room(sealer_fixture: SealerFixture) -> None:
    """The document is prepared again, larger, and signed once more: two signatures, one seal."""
    sealer_fixture.put("a.pdf", pdf())
    sealer_fixture.emulator.faults.next("sign", VendorFault.LARGE, times=2)
    sealed = sealer_fixture.sealer.seal(sealer_fixture.request())
    (report,) = verify(sealer_fixture.sealed(), sealer_fixture.pki.root_pem)
    assert (report.problem, report.covers_whole_file) == (None, True)
    assert sealer_fixture.emulator.signatures[sealer_fixture.key.id] == 2
    assert sealed.stored.size > 2 * 48 * 1024


def test_a_signature_that_never_fits_is_given_up(sealer_fixture: SealerFixture) -> None:
    """After one larger attempt nothing more is bought."""
    sealer_fixture.put("a.pdf", pdf())
    sign, padding = sealer_fixture.sign, iter((20_000, 120_000))

    def swelling(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        return sign(key, digest, timestamp=timestamp) + bytes(next(padding))

    def check_without_padding(cms: bytes, digest: bytes, at: datetime) -> Signer:
        # A signature may end in zeros itself.
        return verify_cms(cms[: parser.peek(cms)], digest, sealer_fixture.policy, at)

    sealer_fixture.sign, sealer_fixture.verify = swelling, check_without_padding
    error = refused(sealer_fixture, sealer_fixture.request())
    assert isinstance(error, SignatureTooLargeError)
    assert sealer_fixture.emulator.signatures[sealer_fixture.key.id] == 2


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (VendorFault.OTHER_DIGEST, "another digest"),
        (VendorFault.STRANGER, "does not chain"),
        (VendorFault.IMPOSTOR, "does not chain"),
        (VendorFault.NEIGHBOUR, "not of the organisation"),
        (VendorFault.CORRUPTED_SIGNATURE, "does not verify"),
        (VendorFault.NOT_CMS, "not a detached CMS"),
    ],
)
def test_a_signature_that_is_not_ours_is_not_embedded(
    fault: VendorFault, problem: str, sealer_fixture: SealerFixture
) -> None:
    """Another digest, another signer, a damaged signature: checked before it is stored."""
    sealer_fixture.put("a.pdf", pdf())
    sealer_fixture.emulator.faults.next("sign", fault)
    error = refused(sealer_fixture, sealer_fixture.request())
    assert isinstance(error, SealVerificationError)
    assert problem in str(error)


def test_a_rejected_key_is_said_to_be_rejected(sealer_fixture: SealerFixture) -> None:
    """A revoked key gives the code on which an application fetches its credential anew."""
    sealer_fixture.put("a.pdf", pdf())
    sealer_fixture.emulator.keys.revoke(sealer_fixture.key.id)
    error = refused(sealer_fixture, sealer_fixture.request())
    assert isinstance(error, CredentialRejectedError)
    assert (error.code, error.retryable) == ("credential_rejected", False)


def test_a_vendor_that_is_down_is_an_error_that_passes(sealer_fixture: SealerFixture) -> None:
    """503 to every attempt: nothing is stored, and asking again later may help."""
    sealer_fixture.put("a.pdf", pdf())
    sealer_fixture.emulator.outage = Outage.UNAVAILABLE
    error = refused(sealer_fixture, sealer_fixture.request())
    assert isinstance(error, VendorUnavailableError)
    assert error.retryable


@pytest.mark.parametrize("content", [b"", b"no PDF", pdf()[:-30], pdf()[:100]])
def test_a_file_that_cannot_be_sealed_costs_nothing(
    content: bytes, sealer_fixture: SealerFixture
) -> None:
    """No signature is bought for a document that cannot be sealed."""
    sealer_fixture.put("a.pdf", content)
    assert isinstance(refused(sealer_fixture, sealer_fixture.request()), UnsupportedPdfError)
    assert sealer_fixture.emulator.requests == ()


def test_a_document_that_is_too_large_is_not_read(sealer_fixture: SealerFixture) -> None:
    """Larger than the function accepts: refused before anything else."""
    sealer_fixture.put("a.pdf", pdf() + b" " * LARGEST)
    assert isinstance(refused(sealer_fixture, sealer_fixture.request()), DocumentTooLargeError)
    assert sealer_fixture.emulator.requests == ()


def test_a_missing_source_is_told(sealer_fixture: SealerFixture) -> None:
    """No object, no seal."""
    assert isinstance(
        refused(sealer_fixture, sealer_fixture.request("missing.pdf")), SourceNotFoundError
    )


def test_a_source_outside_the_allow_list_is_not_even_read(sealer_fixture: SealerFixture) -> None:
    """Another bucket is refused by name, though the function's role could read it."""
    event = sealer_fixture.event()
    event["source"] = {"bucket": sealer_fixture.outgoing, "key": "sealed/other.pdf"}
    error = refused(sealer_fixture, SealRequest.parse(event))
    assert isinstance(error, InvalidRequestError)
    assert "SOURCE_LOCATIONS" in str(error)


@pytest.mark.parametrize("key", ["unsealed/a.pdf", "sealed", "sealed-elsewhere/a.pdf"])
def test_a_destination_outside_the_allow_list_is_refused_unread(
    key: str, sealer_fixture: SealerFixture
) -> None:
    """A prefix is a prefix, and nothing is read or bought before it has been looked at."""
    event = sealer_fixture.event()
    event["destination"]["key"] = key
    error = refused(sealer_fixture, SealRequest.parse(event))
    assert isinstance(error, InvalidRequestError)
    assert "DESTINATION_LOCATIONS" in str(error)
    assert sealer_fixture.emulator.requests == ()


def test_a_destination_that_cannot_be_written_holds_nothing(sealer_fixture: SealerFixture) -> None:
    """The bucket is gone when the sealed document is ready: an error, and nothing half-written."""
    sealer_fixture.put("a.pdf", pdf())
    sign = sealer_fixture.sign

    def sign_and_lose_the_bucket(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        sealer_fixture.s3.delete_bucket(Bucket=sealer_fixture.outgoing)
        return sign(key, digest, timestamp=timestamp)

    sealer_fixture.sign = sign_and_lose_the_bucket
    with pytest.raises(DestinationError, match="NoSuchBucket"):
        sealer_fixture.sealer.seal(sealer_fixture.request())
    assert sealer_fixture.outgoing not in {
        bucket["Name"] for bucket in sealer_fixture.s3.list_buckets()["Buckets"]
    }
    assert counted() == {"SealsFailed": 1}


def test_sealing_again_gives_a_new_version_of_the_same_worth(sealer_fixture: SealerFixture) -> None:
    """A repeated request harms nothing: the destination gets another good seal."""
    sealer_fixture.put("a.pdf", pdf())
    first = sealer_fixture.sealer.seal(sealer_fixture.request())
    second = sealer_fixture.sealer.seal(sealer_fixture.request())
    assert first.stored.version_id != second.stored.version_id
    (report,) = verify(sealer_fixture.sealed(), sealer_fixture.pki.root_pem)
    assert report.covers_whole_file
