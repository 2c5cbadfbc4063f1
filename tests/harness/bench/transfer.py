"""Sealing from S3 to S3: time from end to end, and memory that does not grow.

S3 is on this machine and hands out bytes by sendfile; what it is asked to copy, the kernel copies.
The vendor is the sandbox's. So what is seen is what the sealer adds to the least that there is to
do; over a network that is slower than loopback it adds less.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rotation.sandbox.vendor import Pki, ValidationServices, VendorEmulator
from tests.harness.bench.canned import Canned
from tests.harness.bench.documents import GB, KB, MB, write_scans
from tests.harness.bench.results import Figure
from tests.harness.bench.turns import Subject, take_turns
from tests.harness.s3_server import S3Server
from tests.harness.s3_server.store import Bucket
from tests.sealing.storage.large_documents import write_sparse_pdf

INCOMING: Final = "incoming"
OUTGOING: Final = "sealed"
SIZES: Final = {"50kb": 50 * KB, "100mb": 100 * MB, "1gb": GB, "4_5gb": 45 * GB // 10}

FIGURES: Final = (
    Figure("e2e_50kb_over_pyhanko", "50 KB, against boto3's GET and PUT around pyHanko", 1.10),
    Figure("e2e_100mb_over_get_and_hash", "100 MB, against one GET, hashed as it comes", 2.0),
    Figure("e2e_1gb_over_get_and_hash", "1 GB, against the same", 1.4),
    Figure("seal_1gb_rss_over_imports_mb", "1 GB: MiB at the peak over the imports", 64),
    Figure("seal_4_5gb_rss_over_imports_mb", "4.5 GB: the same", 64),
    Figure("seal_4_5gb_rss_over_1gb_mb", "MiB between the two", 16),
    Figure("e2e_50kb_ms", "milliseconds for 50 KB"),
    Figure("e2e_50kb_pyhanko_ms", "milliseconds of pyHanko between GET and PUT"),
    Figure("e2e_100mb_ms", "milliseconds for 100 MB"),
    Figure("e2e_100mb_get_and_hash_ms", "milliseconds of GET and hash"),
    Figure("e2e_1gb_ms", "milliseconds for 1 GB"),
    Figure("e2e_1gb_get_and_hash_ms", "milliseconds of GET and hash"),
    Figure("e2e_4_5gb_ms", "milliseconds for 4.5 GB"),
)


@dataclass(frozen=True)
class Office:
    """S3 with the documents, the vendor, validation services, and what a function needs of them."""

    folder: Path
    s3: S3Server
    vendor: VendorEmulator
    services: ValidationServices

    @property
    def pki(self) -> Pki:
        """The certificates of the vendor."""
        return self.services.pki

    def environment(self) -> dict[str, str]:
        """As the function's."""
        return {
            "AWS_ENDPOINT_URL": self.s3.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "VENDOR_URL": self.vendor.url,
            "SIGNER_TRUST_ANCHORS": str(self.folder / "root.pem"),
            "SIGNER_ORGANIZATION": "Trusted Signatures Sandbox",
            "SOURCE_LOCATIONS": INCOMING,
            "DESTINATION_LOCATIONS": OUTGOING,
            "VALIDATION_HOSTS": self.services.host,
            "TSA_URL": self.services.tsa_url,
        }

    def event(self, name: str, **options: object) -> dict[str, Any]:
        """A sealing request for one of the documents."""
        key = self.vendor.keys.create()
        return {
            "source": {"bucket": INCOMING, "key": name},
            "destination": {"bucket": OUTGOING, "key": name},
            "credential": {"apiKey": key.material, "apiKeyId": key.id},
            "options": options,
        }

    def ours(self, name: str, **options: object) -> Subject:
        """`Sealer.seal` of one of the documents."""
        settings = {"event": self.event(name, **options)}
        return Subject("tests.harness.bench.subjects.ours:stored", settings, self.environment())

    def get_and_hash(self, name: str) -> Subject:
        """The least that there is to do with it."""
        settings = {"bucket": INCOMING, "key": name}
        maker = "tests.harness.bench.subjects.bare:getting_and_hashing"
        return Subject(maker, settings, self.environment())

    def pyhanko(self, name: str) -> Subject:
        """The rival's way with a small one."""
        settings = {"event": self.event(name), "canned": str(self.folder)}
        maker = "tests.harness.bench.subjects.pyhanko_flow:stored"
        return Subject(maker, settings, self.environment())

    def sealed(self, name: str) -> bytes:
        """What one of them has become."""
        [path] = self.s3.store.version(OUTGOING, name, None).content.files
        return path.read_bytes()

    def clear(self) -> None:
        """Remove what was sealed; overwritten contents stay on the disk otherwise."""
        kept = {
            path
            for versions in self.s3.store.bucket(INCOMING).objects.values()
            for version in versions
            for path in version.content.files
        }
        self.s3.store.bucket(OUTGOING).objects.clear()
        self.s3.store.bucket(OUTGOING).uploads.clear()
        for path in (self.folder / "s3").iterdir():
            if path not in kept:
                path.unlink()


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def open_office(documents: Sequence[str] = tuple(SIZES)) -> Iterator[Office]:
    """Everything that there is, and some documents in it."""
    with (
        ValidationServices(Pki.create(_now()), clock=_now) as services,
        tempfile.TemporaryDirectory() as folder,
        S3Server(Path(folder, "s3"), checksums=False) as s3,
        VendorEmulator(services.pki, clock=_now) as vendor,
    ):
        office = Office(Path(folder), s3, vendor, services)
        Canned.write(office.folder, office.pki)
        (office.folder / "s3").mkdir()
        s3.store.buckets |= {INCOMING: Bucket(), OUTGOING: Bucket()}
        for name in documents:
            path = office.folder / "s3" / name
            write = write_sparse_pdf if name == "4_5gb" else write_scans
            write(path, SIZES[name])
            s3.store.adopt(INCOMING, name, path)
        yield office


def measured() -> dict[str, float]:
    """Every figure of sealing from S3 to S3."""
    with open_office() as office:
        found = _against_pyhanko(office)
        found |= _against_get_and_hash(office, "100mb", rounds=11)
        found |= _against_get_and_hash(office, "1gb", rounds=5)
        largest = office.ours("4_5gb")
        take_turns(largest, rounds=1, after=office.clear)
    found |= _memory("4_5gb", largest) | {"e2e_4_5gb_ms": _ms(largest)}
    growth = found["seal_4_5gb_rss_over_imports_mb"] - found["seal_1gb_rss_over_imports_mb"]
    found["seal_4_5gb_rss_over_1gb_mb"] = round(abs(growth), 1)
    return {figure.name: found[figure.name] for figure in FIGURES}


def _against_pyhanko(office: Office) -> dict[str, float]:
    ours, theirs = office.ours("50kb"), office.pyhanko("50kb")
    take_turns(ours, theirs, rounds=21, times=10, after=office.clear)
    return {
        "e2e_50kb_over_pyhanko": ours.over(theirs),
        "e2e_50kb_ms": _ms(ours),
        "e2e_50kb_pyhanko_ms": _ms(theirs),
    }


def _against_get_and_hash(office: Office, name: str, *, rounds: int) -> dict[str, float]:
    ours, bare = office.ours(name), office.get_and_hash(name)
    take_turns(ours, bare, rounds=rounds, after=office.clear)
    return _memory(name, ours) | {
        f"e2e_{name}_over_get_and_hash": ours.over(bare),
        f"e2e_{name}_ms": _ms(ours),
        f"e2e_{name}_get_and_hash_ms": _ms(bare),
    }


def _memory(name: str, subject: Subject) -> dict[str, float]:
    over = round(subject.peak_mib - subject.imports_mib, 1)
    return {f"seal_{name}_rss_over_imports_mb": over}


def _ms(subject: Subject) -> float:
    return round(subject.median() * 1000, 1)
