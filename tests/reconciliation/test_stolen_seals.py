"""After a leak: which seals are ours, and which are the thief's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rotation.aws.seal_ledger import S3SealLedger
from rotation.cli.verify.command import verify
from rotation.credential import ApiKey
from rotation.sealing.pdf import prepare
from rotation.sealing.request import ObjectLocation, SealOptions, SealRequest
from rotation.sealing.sealer import Sealer
from rotation.sealing.storage.s3 import S3Documents
from rotation.settings.environment import Location
from rotation.vendor.cms import verify_cms
from rotation.vendor.signer import SignerPolicy
from tests.incident.incident_fixture import IncidentFixture
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture
from tests.sealing.pdfs import pdf

LEDGER = "ledger"
OURS, STOLEN = 50, 10


class Leak:
    """A key that leaked: we seal with it, and so does a thief, who asks the vendor directly."""

    def __init__(self, fixture: ReconciliationFixture, folder: Path) -> None:
        self.fixture = fixture
        self.folder = folder
        self.rotation = fixture.rotation
        key = self.rotation.store()
        self.key = ApiKey.from_text(key.id, key.material)
        pending = self.rotation.stage()
        self.rotation.rotation(pending).secret.unstage_pending(pending)
        for bucket in ("documents", LEDGER):
            fixture.s3.create_bucket(Bucket=bucket)
        self.ledger = S3SealLedger(fixture.s3, LEDGER, "seals/")
        policy = SignerPolicy.from_pem(self.rotation.pki.root_pem, None)
        self.sealer = Sealer(
            S3Documents(fixture.s3, self.rotation.now),
            self.rotation.signing.sign,
            lambda cms, digest, at: verify_cms(cms, digest, policy, at),
            self.rotation.now,
            sources=(Location("documents", ""),),
            destinations=(Location("documents", ""),),
            max_document_bytes=1_000_000,
            ledger=self.ledger,
        )
        fixture.s3.put_object(Bucket="documents", Key="a.pdf", Body=pdf())

    def seal(self, number: int) -> None:
        """Seal as our functions do."""
        place = ObjectLocation("documents", f"sealed/{number}.pdf")
        options = SealOptions(reason=f"ours {number}")
        self.sealer.seal(
            SealRequest(ObjectLocation("documents", "a.pdf"), place, self.key, options)
        )
        stored = self.fixture.s3.get_object(Bucket="documents", Key=place.key)["Body"].read()
        (self.folder / f"ours-{number}.pdf").write_bytes(stored)

    def steal(self, number: int) -> None:
        """Seal as somebody does who has nothing but the key."""
        options = SealOptions(reason=f"stolen {number}")
        prepared = prepare(BytesIO(pdf()), options, datetime.now(UTC))
        sealed = prepared.embed(self.rotation.signing.sign(self.key, prepared.digest))
        (self.folder / f"stolen-{number}.pdf").write_bytes(sealed)

    def verify(self, *more: str, code: int = 1) -> str:
        """What `rotation verify --ledger` says of every file."""
        files = sorted(str(path) for path in self.folder.glob("*.pdf"))
        trust = self.folder / "root.pem"
        trust.write_bytes(self.rotation.pki.root_pem)
        done = CliRunner(env=self.rotation.cloud.environment()).invoke(
            verify, [*more, "--trust", str(trust), *files]
        )
        assert done.exit_code == code, done.output
        return done.output


@pytest.fixture
def leak(reconciliation: ReconciliationFixture, tmp_path: Path) -> Leak:
    """A secret whose key has leaked."""
    return Leak(reconciliation, tmp_path)


def test_the_ledger_and_the_record_tell_ours_from_the_thiefs(leak: Leak) -> None:
    """50 documents are ours and 10 are stolen, and verify and the incident's record say so."""
    for number in range(OURS):
        leak.seal(number)
    for number in range(STOLEN):
        leak.steal(number)
    address = f"s3://{LEDGER}/seals"

    said = json.loads(leak.verify("--ledger", address, "--json"))
    assert said["ledger"] == {"ours": OURS, "not-in-ledger": STOLEN, "cannot-be-told": 0}
    answers = {
        Path(file["file"]).name.partition("-")[0]: file["signatures"][0]["ledger"]["answer"]
        for file in said["files"]
    }
    assert answers == {"ours": "ours", "stolen": "not-in-ledger"}

    leak.fixture.ledger, leak.fixture.signatures = leak.ledger, leak.rotation.signatures
    assert IncidentFixture(leak.fixture).force().contained
    [record] = leak.fixture.evidence()
    counted = {key["keyId"]: key for key in record["seals"]["keys"]}
    assert record["seals"]["complete"]
    assert counted[leak.key.id] == {
        "keyId": leak.key.id,
        "inLedger": OURS,
        "notInLedger": STOLEN,
    }


def record_of(leak: Leak) -> dict[str, Any]:
    leak.seal(1)
    leak.steal(1)
    assert IncidentFixture(leak.fixture).force().contained
    [record] = leak.fixture.evidence()
    return dict(record)


def test_a_vendor_that_does_not_tell_leaves_the_thiefs_uncounted(leak: Leak) -> None:
    """With a pool of keys nobody can be asked what else was signed: null, and not zero."""
    leak.fixture.ledger = leak.ledger
    [key] = [one for one in record_of(leak)["seals"]["keys"] if one["keyId"] == leak.key.id]
    assert (key["inLedger"], key["notInLedger"]) == (1, None)


def test_a_ledger_that_cannot_be_read_does_not_hold_up_the_record(leak: Leak) -> None:
    """The record is kept, and names the problem instead of a count."""
    leak.fixture.ledger = S3SealLedger(leak.fixture.s3, "no-such-bucket", "")
    assert record_of(leak)["seals"] == {"complete": False, "problem": "ledger", "keys": []}


def test_without_a_ledger_a_record_says_nothing_of_seals(leak: Leak) -> None:
    """The member is null."""
    assert record_of(leak)["seals"] is None


def test_what_cannot_be_asked_cannot_be_told(leak: Leak) -> None:
    """A ledger that may not be read says nothing against a seal. The command exits 1."""
    leak.seal(1)
    leak.steal(2)
    said = json.loads(leak.verify("--ledger", "s3://no-such-bucket", "--json"))
    assert said["ledger"] == {"ours": 0, "not-in-ledger": 0, "cannot-be-told": 2}
    assert "2 seals: 1 ours, 1 not-in-ledger, 0 cannot-be-told" in leak.verify(
        "--ledger", f"s3://{LEDGER}/seals"
    )


def test_a_seal_of_ours_exits_as_without_a_ledger(leak: Leak) -> None:
    """Nothing is wrong, the signer is trusted, and the seal is ours."""
    leak.seal(1)
    assert "1 seals: 1 ours" in leak.verify("--ledger", f"s3://{LEDGER}/seals/", code=0)


def test_a_changed_file_is_nobodys(leak: Leak) -> None:
    """What was signed is not what the file holds, so that the ledger cannot be asked."""
    leak.seal(1)
    path = leak.folder / "ours-1.pdf"
    path.write_bytes(
        path.read_bytes().replace(b"/MediaBox [0 0 200 200]", b"/MediaBox [0 0 200 201]")
    )
    said = json.loads(leak.verify("--ledger", f"s3://{LEDGER}/seals", "--json"))
    assert said["ledger"]["cannot-be-told"] == 1


@pytest.mark.parametrize("address", ["ledger", "https://ledger/x", "s3://", "s3://UP/x"])
def test_what_is_no_address_is_refused(leak: Leak, address: str) -> None:
    """The command line is wrong, which exits 2."""
    leak.seal(1)
    assert "s3://bucket" in leak.verify("--ledger", address, code=2)
