"""Our sealer: file to file with a canned signature, and S3 to S3 with all that there is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3

from rotation.aws.client_config import OBJECT_METADATA
from rotation.client.credential_cache import CredentialCache
from rotation.client.in_process import InProcessInvoker
from rotation.client.sealing_client import SealingClient
from rotation.client.secret_source import FetchedSecret
from rotation.credential import ApiKey
from rotation.deadline import Deadline
from rotation.handlers.seal_events import answer
from rotation.handlers.wiring.sealing import SealerWiring
from rotation.sealing.documents import DocumentWriter, SourceDocument, StoredDocument
from rotation.sealing.pdf import PreparedPdf
from rotation.sealing.pdf.limits import documents_at_once
from rotation.sealing.request import ObjectLocation, SealOptions, SealRequest
from rotation.sealing.sealer import Sealer
from rotation.sealing.storage.s3 import IN_MEMORY
from rotation.settings.environment import Location
from rotation.settings.sealing import SealingSettings
from rotation.unattended.idempotent_sealer import IdempotentSealer
from rotation.vendor.cms import verify_cms
from rotation.vendor.signer import SignerPolicy
from tests.harness.bench.canned import DIGEST, Canned


def sealing(source: str, destination: str, canned: str, *, whole: bool) -> Callable[[], object]:
    """`Sealer.seal` from file to file; the signature is there already, and is checked.

    Args:
        source: the document.
        destination: the file to write.
        canned: the folder with the signature.
        whole: whether all of a large document is written, or the update alone, which is what the
            sealer sends.
    """
    ready = Canned.read(canned)
    policy = SignerPolicy.from_pem(ready.root, None)
    sealer = Sealer(
        Files(whole),
        lambda _, digest, *, timestamp=False: ready.sign(digest),
        lambda cms, _, at: verify_cms(cms, DIGEST, policy, at),
        lambda: datetime.now(UTC),
        sources=[Location("files", "")],
        destinations=[Location("files", "")],
        max_document_bytes=2**40,
    )
    request = SealRequest(
        ObjectLocation("files", source),
        ObjectLocation("files", destination),
        ApiKey.from_text("4f1c2b3a-0000-4000-8000-1234567890ab", "00" * 32),
        SealOptions(),
    )
    return lambda: sealer.seal(request)


def stored(event: dict[str, Any]) -> Callable[[], object]:
    """`Sealer.seal`, wired as the function wires it, by its environment."""
    settings = SealingSettings.from_environment()
    sealer = SealerWiring(settings).sealer(Deadline.after(timedelta(days=1)))
    request = SealRequest.parse(event)
    return lambda: sealer.seal(request)


@dataclass(frozen=True)
class Files:
    """`DocumentStore` in files, like `S3Documents`: small ones are held, large ones are copied."""

    whole: bool

    def open(self, source: ObjectLocation, *, most: int) -> SourceDocument:
        """The document, held or not."""
        path = Path(source.key)
        size = path.stat().st_size
        held = size <= min(IN_MEMORY, most)
        content = BytesIO(path.read_bytes()) if held else path.open("rb")
        return SourceDocument(content, source, size, "etag", None, {})

    def open_writer(
        self,
        source: SourceDocument,
        destination: ObjectLocation,
        metadata: Mapping[str, str],
        *,
        rewritten: bool,
    ) -> DocumentWriter:
        """Begin to copy a large document."""
        place = Path(destination.key)
        if isinstance(source.content, BytesIO):
            return Writing(place, None)
        place.unlink(missing_ok=True)
        copying = ThreadPoolExecutor(1)
        begun = copying.submit(_copy, Path(source.location.key), place, source.size * self.whole)
        copying.shutdown(wait=False)
        return Writing(place, begun)


@dataclass(frozen=True)
class Writing:
    """`DocumentWriter` to a file: of all there is, or of the update after what was copied."""

    place: Path
    copied: Future[None] | None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def give_up(self) -> None:
        """Nothing is undone."""

    def complete(self, prepared: PreparedPdf, cms: bytes, proof: bytes = b"") -> StoredDocument:
        """Write it."""
        if self.copied is None:
            self.place.write_bytes(prepared.embed(cms))
        else:
            update = prepared.update(cms)
            self.copied.result()
            with self.place.open("ab") as file:
                file.write(update)
        return StoredDocument("etag", None, self.place.stat().st_size)


def _copy(source: Path, destination: Path, length: int) -> None:
    """Have the kernel copy ``length`` bytes, as S3 would."""
    with source.open("rb") as origin, destination.open("wb") as file:
        while length:
            length -= os.copy_file_range(origin.fileno(), file.fileno(), length)


def arrivals(
    names: Sequence[str], each: int, memory: int, credential: dict[str, str]
) -> Callable[[], object]:
    """What the function for events does with a message for each document.

    Args:
        names: the keys of the documents.
        each: how many messages an invocation brings.
        memory: the function's memory in MB.
        credential: the key that its secret holds.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    at_once = documents_at_once(memory)
    settings = SealingSettings.from_environment()
    sealers, deadline = SealerWiring(settings, at_once), Deadline.after(timedelta(days=1))
    key = ApiKey.from_text(credential["apiKeyId"], credential["apiKey"])
    sealing = IdempotentSealer(
        boto3.client("s3", config=OBJECT_METADATA),
        SealingClient(
            InProcessInvoker(sealers.sealer(deadline)), CredentialCache(_Held(key)), "the key"
        ),
        settings.destinations[0].bucket,
        "",
        SealOptions(),
        deadline,
    )
    records = [_record(settings.sources[0].bucket, name) for name in names]
    batches = [records[begin : begin + each] for begin in range(0, len(records), each)]

    def run() -> None:
        for batch in batches:
            assert answer({"Records": batch}, sealing, at_once) == {"batchItemFailures": []}

    return run


def _record(bucket: str, name: str) -> dict[str, Any]:
    detail = {"bucket": {"name": bucket}, "object": {"key": name}}
    body = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
    return {"messageId": name, "body": json.dumps(body), "attributes": {}}


@dataclass(frozen=True)
class _Held:
    """`SecretSource`: a secret that is there at once."""

    key: ApiKey

    def fetch(self, secret_id: str, stage: str) -> FetchedSecret:
        """The key."""
        return FetchedSecret("the key", "version", self.key)
