"""Keeps the ledger of seals in an S3 bucket: one small object for each seal, under its digest.

An entry says that a signature was bought by us, and for what. It is made with If-None-Match, so the
first entry of a digest stays (S3 UserGuide, conditional-writes), and nobody who holds the right to
make entries can change one.

`docs/ledger.md` says what a ledger costs, and what it cannot know.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from rotation.aws.answers import listed, reading_answer
from rotation.aws.errors import (
    AWS_CALL_ERRORS,
    AwsCallError,
    error_code,
    http_status,
    is_retryable,
)
from rotation.credential import json_object
from rotation.errors import LedgerError
from rotation.privacy.printable import outside_text

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEMA: Final = "trusted-signatures-rotation/ledger/1"

#: How many entries are read at most to count those of a key.
MOST_ENTRIES: Final = 20_000

#: How many entries are listed at most, and read at most, to find out who still uses a key. A list
#: of S3 cannot begin at a time, so all names have to be listed to find the newest. They are
#: digests: those that come first by name are a sample that no time and no user is preferred in.
MOST_LISTED: Final = 200_000
MOST_READ: Final = 1_000

#: Before an entry is written again, on top of the client's own attempts; at most, seconds.
_PAUSES: Final = (0.5, 1.0, 2.0)
#: Entries that are read at the same time.
_READERS: Final = 16
_LARGEST_ENTRY: Final = 64 * 1024
#: How many characters of a place are kept, which comes from outside.
_LONGEST_PLACE: Final = 200
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class S3SealLedger:
    """The ledger of one bucket, or of a prefix in it; a `rotation.core.ports.LedgerReader`.

    Args:
        client: S3; several threads use it.
        bucket: the bucket.
        prefix: what the names of entries begin with; empty, or a text that ends with a slash.
        sleep: waits before an entry is written again, seconds.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        prefix: str,
        *,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._sleep = sleep

    def place(self, digest: bytes) -> str:
        """The address of the entry for a digest."""
        return f"s3://{self._bucket}/{self._name(digest)}"

    def write(self, digest: bytes, facts: Mapping[str, Any]) -> None:
        """Make the entry for a seal, unless it exists.

        Args:
            digest: SHA-256 over the ByteRange, the 32 bytes that were signed.
            facts: what was sealed, when and by which key. Never key material.

        Raises:
            LedgerError: the entry could not be made; retryable if the cause may pass.
        """
        body = json.dumps({"schema": SCHEMA, "digest": digest.hex(), **facts}, indent=1).encode()
        pauses = iter(_PAUSES)
        while True:
            try:
                with reading_answer():
                    self._client.put_object(
                        Bucket=self._bucket,
                        Key=self._name(digest),
                        Body=body,
                        ContentType="application/json",
                        ChecksumAlgorithm="SHA256",
                        IfNoneMatch="*",
                    )["ETag"]
            except AWS_CALL_ERRORS as error:
                if http_status(error) == 412:
                    return
                # 409: another write of the same entry is under way (API_PutObject).
                retryable = is_retryable(error) or http_status(error) == 409
                pause = next(pauses, None) if retryable else None
                if pause is None:
                    raise LedgerError(
                        f"The seal was not entered into the ledger at {self.place(digest)} "
                        f"({error_code(error)}), so it was not stored. Check SEAL_LEDGER, and "
                        "s3:PutObject there in the role.",
                        retryable=retryable,
                    ) from error
                self._sleep(random.uniform(0, pause))  # noqa: S311 - no secret
            else:
                return

    def find(self, digest: bytes) -> Mapping[str, Any] | None:
        """The entry for a digest; None if the ledger has none.

        S3 says that an object does not exist only to who may list the bucket (API_GetObject).

        Raises:
            LedgerError: that could not be found out.
        """
        return self._read(self._name(digest))

    def entries(
        self, key_ids: Collection[str], since: datetime | None
    ) -> tuple[Mapping[str, frozenset[bytes]], bool]:
        """As `rotation.core.ports.LedgerReader.entries`; one GetObject for each entry.

        Of more than `MOST_ENTRIES` only so many are looked at.
        """
        names = list(islice(self._names(since), MOST_ENTRIES + 1))
        found: dict[str, set[bytes]] = {key: set() for key in key_ids}
        with ThreadPoolExecutor(_READERS, thread_name_prefix="ledger") as pool:
            for entry in pool.map(self._read, names[:MOST_ENTRIES]):
                if entry is not None and entry["keyId"] in found:
                    found[entry["keyId"]].add(bytes.fromhex(entry["digest"]))
        whole = len(names) <= MOST_ENTRIES
        return {key: frozenset(digests) for key, digests in found.items()}, whole

    def uses(
        self, since: Mapping[str, datetime]
    ) -> tuple[Mapping[str, Mapping[str, Sequence[datetime]]], bool]:
        """As `rotation.core.ports.LedgerReader.uses`.

        One list for a thousand entries, `MOST_LISTED` at most; one GetObject for each entry that is
        new enough, `MOST_READ` at most.
        """
        # S3 dates an entry to the second.
        earliest = min(since.values()) - timedelta(seconds=1)
        listed = list(islice(self._listed(), MOST_LISTED + 1))
        names = [name for name, made_at in listed[:MOST_LISTED] if made_at >= earliest]
        found: dict[str, dict[str, list[datetime]]] = {}
        with ThreadPoolExecutor(_READERS, thread_name_prefix="ledger") as pool:
            for entry in pool.map(self._read, names[:MOST_READ]):
                if entry is None or entry["keyId"] not in since:
                    continue
                key, at = str(entry["keyId"]), _sealed_at(entry)
                if at is not None and at >= since[key]:
                    found.setdefault(key, {}).setdefault(_source(entry), []).append(at)
        return found, len(listed) <= MOST_LISTED and len(names) <= MOST_READ

    def _names(self, since: datetime | None) -> Iterator[str]:
        return (name for name, made_at in self._listed() if since is None or made_at >= since)

    def _listed(self) -> Iterator[tuple[str, datetime]]:
        """The name of each entry, and when it was made."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        try:
            for page in pages:
                with reading_answer():
                    for one in listed(page, "Contents"):
                        yield one["Key"], one["LastModified"]
        except AWS_CALL_ERRORS as error:
            raise self._unreadable(f"s3://{self._bucket}/{self._prefix}", error) from error

    def _read(self, name: str) -> Mapping[str, Any] | None:
        place = f"s3://{self._bucket}/{name}"
        try:
            with reading_answer():
                answer = self._client.get_object(Bucket=self._bucket, Key=name)
                entry = json_object(answer["Body"].read(_LARGEST_ENTRY))
        except AWS_CALL_ERRORS as error:
            if http_status(error) == 404 and error_code(error) == "NoSuchKey":
                return None
            raise self._unreadable(place, error) from error
        if entry is None or not self._is_entry(entry, name):
            raise LedgerError(
                f"{place} is no entry of a ledger of this version. Is this the ledger's bucket and "
                "prefix?",
                retryable=False,
            )
        return entry

    def _is_entry(self, entry: Mapping[str, Any], name: str) -> bool:
        """Whether an object is an entry, under the digest that it vouches for."""
        digest = name.removeprefix(self._prefix)
        named = _DIGEST.fullmatch(digest) and entry.get("digest") == digest
        return bool(named) and isinstance(entry.get("keyId"), str) and entry.get("schema") == SCHEMA

    def _unreadable(self, place: str, error: AwsCallError) -> LedgerError:
        return LedgerError(
            f"{place} could not be read ({error_code(error)}). Check the ledger's bucket, and "
            "s3:GetObject and s3:ListBucket on it.",
            retryable=is_retryable(error),
        )

    def _name(self, digest: bytes) -> str:
        return f"{self._prefix}{digest.hex()}"


def _sealed_at(entry: Mapping[str, Any]) -> datetime | None:
    """When the seal of an entry was made; None: the entry does not tell."""
    try:
        at = datetime.fromisoformat(entry["time"])
        return at if at.tzinfo is not None else None
    except (KeyError, TypeError, ValueError):
        return None


def _source(entry: Mapping[str, Any]) -> str:
    """The folder that the document of an entry came from."""
    source = entry.get("source")
    if not isinstance(source, dict):
        return "unknown"
    place = f"{source.get('bucket', '')}/{source.get('key', '')}".rpartition("/")[0]
    return outside_text(place, _LONGEST_PLACE) or "unknown"
