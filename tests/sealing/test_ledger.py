"""Each seal is entered into the ledger before its document appears; see docs/ledger.md."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rotation.aws.seal_ledger import S3SealLedger
from rotation.errors import LedgerError
from rotation.sandbox.vendor.profiles import VendorProfile
from rotation.sealing.sealer import error_answer
from tests.sealing.conftest import SealerFixture
from tests.sealing.pdfs import pdf


@pytest.fixture
def with_ledger(sealer_fixture: SealerFixture) -> SealerFixture:
    """A sealer whose ledger is below ``ledger/`` of the incoming bucket."""
    ledger = S3SealLedger(
        sealer_fixture.s3, sealer_fixture.incoming, "ledger/", sleep=lambda _: None
    )
    return replace(sealer_fixture, ledger=ledger)


def entries(fixture: SealerFixture) -> list[str]:
    listed = fixture.s3.list_objects_v2(Bucket=fixture.incoming, Prefix="ledger/")
    return [one["Key"] for one in listed.get("Contents", [])]


def test_a_seal_leaves_an_entry_under_the_digest_that_was_signed(
    with_ledger: SealerFixture,
) -> None:
    """It tells the key, the signer, the time, the source and the destination, and no more."""
    version = with_ledger.put("a.pdf", pdf())
    sealed = with_ledger.sealer.seal(with_ledger.request())
    [name] = entries(with_ledger)
    assert name == f"ledger/{sealed.digest.hex()}"
    body = with_ledger.s3.get_object(Bucket=with_ledger.incoming, Key=name)["Body"].read()
    entry = json.loads(body)
    assert entry.pop("schema") == "trusted-signatures-rotation/ledger/1"
    assert datetime.now(UTC) - datetime.fromisoformat(entry.pop("time")) < timedelta(minutes=5)
    assert entry == {
        "digest": sealed.digest.hex(),
        "keyId": with_ledger.key.id,
        "signer": sealed.signer.subject,
        "timestampedAt": None,
        "profile": "pades",
        "level": "B-B",
        "source": {
            "bucket": with_ledger.incoming,
            "key": "a.pdf",
            "versionId": version,
            "etag": sealed.source.etag,
        },
        "destination": {"bucket": with_ledger.outgoing, "key": "sealed/a.pdf"},
    }
    assert with_ledger.material not in body.decode()


def test_every_seal_of_a_document_has_its_entry(with_ledger: SealerFixture) -> None:
    """A repeat is another signature, and another entry."""
    with_ledger.put("a.pdf", pdf())
    digests = {
        with_ledger.sealer.seal(with_ledger.request(options={"reason": reason})).digest.hex()
        for reason in ("once", "twice")
    }
    assert set(entries(with_ledger)) == {f"ledger/{digest}" for digest in digests}


def test_a_signature_that_was_bought_in_vain_is_entered_too(with_ledger: SealerFixture) -> None:
    """The vendor has it on its list, and it is nobody else's."""
    with_ledger.put("a.pdf", pdf())
    with_ledger.emulator.profile = VendorProfile(signing_time=True)
    assert with_ledger.sealer.seal(with_ledger.request()).signatures == 2
    assert len(entries(with_ledger)) == 2


def test_what_cannot_be_entered_does_not_appear(sealer_fixture: SealerFixture) -> None:
    """A sealed document without an entry would pass for a thief's: the seal fails, and says so."""
    nowhere = S3SealLedger(sealer_fixture.s3, "no-such-bucket", "", sleep=lambda _: None)
    fixture = replace(sealer_fixture, ledger=nowhere)
    fixture.put("a.pdf", pdf())
    with pytest.raises(LedgerError) as failed:
        fixture.sealer.seal(fixture.request())
    assert fixture.nothing_sealed()
    answer = error_answer(failed.value)["error"]
    assert answer["code"] == "ledger"
    assert "was not stored" in answer["message"]


def test_a_seal_that_was_refused_leaves_no_entry(with_ledger: SealerFixture) -> None:
    """Only what was signed is entered."""
    with_ledger.put("a.pdf", b"no PDF")
    with pytest.raises(Exception, match="PDF"):
        with_ledger.sealer.seal(with_ledger.request())
    assert entries(with_ledger) == []


def test_without_the_setting_nothing_is_entered(sealer_fixture: SealerFixture) -> None:
    """No ledger, no entry, no further call."""
    sealer_fixture.put("a.pdf", pdf())
    sealer_fixture.sealer.seal(sealer_fixture.request())
    assert entries(sealer_fixture) == []
