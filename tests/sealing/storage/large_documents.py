"""Large PDFs that take no space on disk, and what a seal of one costs: memory, requests, time.

Usage: ``python -m tests.sealing.storage.large_documents URL PART``. It runs in a process of its
own, since it measures the process's peak memory. Prints one line of JSON; `measured` starts it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from rotation.sealing.pdf import prepare
from rotation.sealing.request import ObjectLocation, SealOptions
from rotation.sealing.storage.multipart import PART, MultipartCopy, ObjectProperties
from rotation.sealing.storage.ranges import RangedObject
from rotation.sealing.storage.remote_file import RemoteDocument
from tests.harness.s3_server import S3Server
from tests.harness.s3_server.store import Bucket
from tests.paths import ROOT

SEALED = "sealed.pdf"


def write_sparse_pdf(path: Path, size: int) -> None:
    """A PDF of about ``size`` bytes, nearly all of which are one stream of zeros: a hole."""
    bodies = {
        1: b"<< /Type /Catalog /Pages 2 0 R /Names 5 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>",
        4: b"<< /Length 20 >>\nstream\n10 10 50 50 re f Q q\nendstream",
        5: b"<< /EmbeddedFiles << /Names [(a) << /Type /Filespec /EF << /F 6 0 R >> >>] >> >>",
    }
    with path.open("wb") as file:
        file.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        table = b"0000000000 65535 f \n"
        for number, body in bodies.items():
            table += b"%010d 00000 n \n" % file.tell()
            file.write(b"%d 0 obj\n%b\nendobj\n" % (number, body))
        table += b"%010d 00000 n \n" % file.tell()
        file.write(b"6 0 obj\n<< /Type /EmbeddedFile /Length %d >>\nstream\n" % size)
        file.seek(size, 1)
        file.write(b"\nendstream\nendobj\n")
        xref = file.tell()
        file.write(b"xref\n0 7\n%btrailer\n<< /Size 7 /Root 1 0 R >>\n" % table)
        file.write(b"startxref\n%d\n%%%%EOF\n" % xref)


def seal(source: RangedObject, destination: ObjectLocation, part: int) -> dict[str, Any]:
    """Prepare, copy and complete, with something in the placeholder that is no signature."""
    begun = time.perf_counter()
    with RemoteDocument(source) as document:
        prepared = prepare(document, SealOptions(), now())
        storing = ObjectProperties({"source-etag": source.etag})
        with MultipartCopy.begin(source, destination, storing, now, part=part) as transfer:
            digest = prepared.digest
            digested = time.perf_counter()
            tail = prepared.update(b"no signature")
            stored = transfer.complete(tail)
    return {
        "digest_seconds": round(digested - begun, 2),
        "seconds": round(time.perf_counter() - begun, 2),
        "etag": stored.etag,
        "digest": digest.hex(),
        "tail": len(tail),
    }


def now() -> datetime:
    return datetime.now(UTC)


def measured(folder: Path, size: int, part: int = PART) -> dict[str, Any]:
    """Seal a sparse PDF of ``size`` bytes in a process of its own; what that took.

    Among it ``peak_mib``, the peak of its memory over what it had after its imports, its client
    included; ``requests`` of any kind; ``read``, bytes of objects that were sent to it.
    """
    with S3Server(folder) as server:
        server.store.buckets |= {"in": Bucket(), "out": Bucket()}
        write_sparse_pdf(folder / "source.pdf", size)
        server.store.adopt("in", "source.pdf", folder / "source.pdf")
        finished = subprocess.run(
            [sys.executable, "-m", "tests.sealing.storage.large_documents", server.url, str(part)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        assert server.crashes == []
        assert list(server.store.unfinished("out")) == []
        sealed = server.store.version("out", SEALED, None).content
        source = server.store.version("in", "source.pdf", None).content
        took: dict[str, Any] = json.loads(finished.stdout)
        assert sealed.size == source.size + took["tail"]
        return took | {
            "requests": server.requests.total(),
            "gets": server.requests["GetObject"],
            "read": server.bytes_served,
        }


def main() -> None:
    """Seal the source and print what it took."""
    url, part = sys.argv[1:]
    imported = _memory("VmRSS")
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(read_timeout=60, retries={"mode": "standard", "total_max_attempts": 3}),
    )
    source = RangedObject.find(s3, ObjectLocation("in", "source.pdf"))
    took = seal(source, ObjectLocation("out", SEALED), int(part))
    took["cpu_seconds"] = round(time.process_time(), 2)
    took["peak_mib"] = round((_memory("VmHWM") - imported) / 1024, 1)
    sys.stdout.write(json.dumps(took))


def _memory(of: str) -> int:
    """The process's memory now (VmRSS) or at its peak (VmHWM), KiB; proc_pid_status(5).

    Not ru_maxrss, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{of}:")[2].split()[0])


if __name__ == "__main__":
    main()
