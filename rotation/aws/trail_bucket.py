"""The log files that a trail of CloudTrail wrote into a bucket.

Source: CloudTrail UserGuide cloudtrail-find-log-files (where the files of a day are) and
cloudtrail-log-file-examples (their names, and that a file can hold earlier calls).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from rotation.aws.answers import listed, reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS
from rotation.aws.unread import account_unread
from rotation.credential import json_object

#: How many bytes of JSON one file may hold. CloudTrail begins a new one long before.
LARGEST: Final = 256 * 1024 * 1024
#: How many files are fetched at the same time.
_FETCHED: Final = 8
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Trail:
    """A trail, as DescribeTrails describes it.

    Attributes:
        name: its name.
        arn: its ARN.
        bucket: where it writes.
        prefix: what stands before ``AWSLogs/`` in the bucket; empty: nothing.
        of_organization: whether it writes the calls of an organization's accounts.
    """

    name: str
    arn: str
    bucket: str
    prefix: str
    of_organization: bool


class TrailBucket:
    """The calls of one account in one Region. A `rotation.exposure.older_calls.OlderCalls`.

    Args:
        s3: a boto3 S3 client.
        trail: the trail.
        account: the account's number.
        region: the Region.
        progress: is told how far it is.
    """

    def __init__(
        self,
        s3: Any,
        trail: Trail,
        account: str,
        region: str,
        progress: Callable[[str], object],
    ) -> None:
        self._s3 = s3
        self._trail = trail
        self._account = account
        self._region = region
        self._progress = progress
        self._unread: dict[str, str] = {}
        self._empty: set[date] = set()

    @property
    def name(self) -> str:
        """The trail and its bucket."""
        return f"the trail {self._trail.name} in s3://{self._trail.bucket}"

    def events(self, name: str, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        """The CloudTrail records of the operation ``name``, ``until`` not included.

        A file that is not what CloudTrail writes is passed over, and `missing` names it.

        Raises:
            AccountReadError: S3 refused, or did not answer.
        """
        prefixes = self._prefixes()
        first, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
        day = first
        # A file holds calls from before it was delivered, also from the evening before.
        while day <= last + _DAY:
            self._progress(f"{name} in the log files of {day:%Y-%m-%d}")
            keys = [key for prefix in prefixes for key in self._keys(f"{prefix}{day:%Y/%m/%d}/")]
            if not keys and first < day < last:
                self._empty.add(day)
            with ThreadPoolExecutor(_FETCHED) as pool:
                for records in pool.map(lambda key: self._records(key, name), keys):
                    yield from (one for one in records if since <= _time(one) < until)
            day += _DAY

    def missing(self) -> list[str]:
        """As `rotation.exposure.older_calls.OlderCalls.missing`."""
        told = []
        if self._empty:
            days = f"{min(self._empty):%Y-%m-%d}"
            told.append(f"It has no log file for {len(self._empty)} days, the first is {days}.")
        if self._unread:
            key, problem = next(iter(self._unread.items()))
            told.append(
                f"{len(self._unread)} of its log files could not be read, the first "
                f"s3://{self._trail.bucket}/{key}: {problem}."
            )
        return told

    def _prefixes(self) -> list[str]:
        """Where the files of the account are. An organization's have its id in their path."""
        start = f"{self._trail.prefix}/" if self._trail.prefix else ""
        start += "AWSLogs/"
        end = f"{self._account}/CloudTrail/{self._region}/"
        if not self._trail.of_organization:
            return [start + end]
        found = self._list(Prefix=f"{start}o-", Delimiter="/", member="CommonPrefixes")
        return [one["Prefix"] + end for one in found]

    def _keys(self, prefix: str) -> list[str]:
        found = self._list(Prefix=prefix, member="Contents")
        return [one["Key"] for one in found if one["Key"].endswith(".json.gz")]

    def _list(self, *, member: str, **wanted: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            try:
                with reading_answer():
                    page = self._s3.list_objects_v2(Bucket=self._trail.bucket, **wanted, **more)
                    found += listed(page, member)
                    if not page["IsTruncated"]:
                        return found
                    more = {"ContinuationToken": page["NextContinuationToken"]}
            except AWS_CALL_ERRORS as error:
                raise account_unread(f"s3:ListBucket on {self._trail.bucket}", error) from error

    def _records(self, key: str, name: str) -> list[Mapping[str, Any]]:
        """The records of an operation in a file; none if it is not what CloudTrail writes."""
        try:
            with reading_answer():
                body = self._s3.get_object(Bucket=self._trail.bucket, Key=key)["Body"].read()
        except AWS_CALL_ERRORS as error:
            what = f"s3:GetObject on {self._trail.bucket}/{key}"
            more = ", and kms:Decrypt where the trail has a KMS key"
            raise account_unread(what, error, more) from error
        try:
            text = _unpacked(body)
            # Most files have none: to look for the name is faster than to parse.
            if name.encode() not in text:
                return []
            found = json_object(text) or {}
            records = [one for one in found["Records"] if one["eventName"] == name]
            for one in records:
                _time(one)
        except _TooLargeError:
            self._unread[key] = f"it holds more than {LARGEST} bytes"
        except zlib.error:
            self._unread[key] = "it is not compressed by gzip, or damaged"
        except (KeyError, TypeError, ValueError):
            self._unread[key] = "it is not a log file of CloudTrail"
        else:
            return records
        return []


class _TooLargeError(Exception):
    """A file that holds more than `LARGEST` bytes."""


def _unpacked(body: bytes) -> bytes:
    """What a gzip file holds, however many members it has."""
    found = b""
    while body:
        stream = zlib.decompressobj(wbits=31)
        found += stream.decompress(body, LARGEST - len(found) + 1)
        if len(found) > LARGEST:
            raise _TooLargeError
        if not stream.eof:
            raise zlib.error("incomplete")
        body = stream.unused_data
    return found


def _time(record: Mapping[str, Any]) -> datetime:
    time = datetime.fromisoformat(record["eventTime"])
    if time.tzinfo is None:
        raise ValueError("eventTime")
    return time
