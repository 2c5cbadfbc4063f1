"""What the server keeps: buckets, versions and uploads; contents are files."""

from __future__ import annotations

import hashlib
import os
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock

from tests.harness.s3_server.wire import PIECE, combined

SMALLEST_PART = 5 * 1024**2


class RefusedError(Exception):
    """S3's way to say no (API ErrorResponses)."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Content:
    """Files, one after the other, and what is known of them.

    One that was adopted, or not looked at, has no CRC.
    """

    files: tuple[Path, ...]
    size: int
    etag: str
    crc32: int | None

    def slices(self, first: int, length: int) -> Iterator[tuple[Path, int, int]]:
        """The files that hold a range: where in each it begins, and how many bytes of it there."""
        at = 0
        for path in self.files:
            size = path.stat().st_size
            begin, end = max(first, at), min(first + length, at + size)
            if begin < end:
                yield path, begin - at, end - begin
            at += size


@dataclass(frozen=True)
class About:
    """What an object is stored with."""

    content_type: str = "binary/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    encryption: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Version:
    """One version of an object."""

    id: str | None
    content: Content
    about: About
    modified: datetime


@dataclass
class Upload:
    """A multipart upload; completed ones are kept, since completing is idempotent."""

    id: str
    key: str
    about: About
    initiated: datetime
    parts: dict[int, Content] = field(default_factory=dict)
    became: Version | None = None


@dataclass
class Bucket:
    """Objects by key, each with its versions in order."""

    versioned: bool = False
    objects: dict[str, list[Version]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)


class Store:
    """Buckets over one folder.

    Args:
        folder: where contents go.
        checksums: whether the CRC of what is copied is computed, which reads it once more.
    """

    def __init__(self, folder: Path, *, checksums: bool = True) -> None:
        self.folder = folder
        self._checksums = checksums
        self.buckets: dict[str, Bucket] = {}
        self.lock = RLock()

    def bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise RefusedError(404, "NoSuchBucket")
        return self.buckets[name]

    def written(self, pieces: Iterable[bytes]) -> Content:
        """A new file with that content."""
        path, md5, crc32 = self._path(), hashlib.md5(), 0
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                md5.update(piece)
                crc32 = zlib.crc32(piece, crc32)
        return Content((path,), path.stat().st_size, md5.hexdigest(), crc32)

    def copied(self, source: Content, first: int, last: int) -> Content:
        """A new file with those bytes of another one."""
        path, length = self._path(), last - first + 1
        with path.open("wb") as file:
            for origin_path, begin, count in source.slices(first, length):
                with origin_path.open("rb") as origin:
                    _append(origin.fileno(), file.fileno(), begin, count)
        crc32 = _crc32(path) if self._checksums else None
        # S3 promises no MD5 here (API_Object, ETag), and an MD5 takes long.
        name = hashlib.md5(f"{source.etag} {first} {last}".encode()).hexdigest()
        return Content((path,), length, name, crc32)

    def put(self, bucket: str, key: str, content: Content, about: About) -> Version:
        with self.lock:
            found = self.bucket(bucket)
            version_id = uuid.uuid4().hex if found.versioned else None
            version = Version(version_id, content, about, datetime.now(UTC))
            if found.versioned:
                found.objects.setdefault(key, []).append(version)
            else:
                found.objects[key] = [version]
            return version

    def adopt(self, bucket: str, key: str, path: Path) -> Version:
        """Serve a file as it lies there; its entity tag says nothing of its content."""
        content = Content((path,), path.stat().st_size, uuid.uuid4().hex, None)
        return self.put(bucket, key, content, About())

    def version(self, bucket: str, key: str, version_id: str | None) -> Version:
        with self.lock:
            versions = self.bucket(bucket).objects.get(key, [])
            if version_id is None:
                if not versions:
                    raise RefusedError(404, "NoSuchKey")
                return versions[-1]
            for version in versions:
                if version_id == (version.id or "null"):
                    return version
        raise RefusedError(404, "NoSuchVersion")

    def delete(self, bucket: str, key: str) -> None:
        """For good; delete markers are not kept here."""
        with self.lock:
            self.bucket(bucket).objects.pop(key, None)

    def begin(self, bucket: str, key: str, about: About) -> Upload:
        with self.lock:
            # S3 gives whole seconds (API_MultipartUpload).
            now = datetime.now(UTC).replace(microsecond=0)
            upload = Upload(uuid.uuid4().hex, key, about, now)
            self.bucket(bucket).uploads[upload.id] = upload
            return upload

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        with self.lock:
            upload = self.bucket(bucket).uploads.get(upload_id)
            if upload is None or upload.key != key:
                raise RefusedError(404, "NoSuchUpload")
            return upload

    def add(self, bucket: str, key: str, upload_id: str, number: int, content: Content) -> None:
        with self.lock:
            upload = self._unfinished(bucket, key, upload_id)
            upload.parts[number] = content

    def complete(
        self, bucket: str, key: str, upload_id: str, parts: list[tuple[int, str]]
    ) -> Version:
        """Put the parts together; again, the same answer."""
        with self.lock:
            upload = self.upload(bucket, key, upload_id)
            if upload.became is None:
                content = self._joined(upload, parts)
                upload.became = self.put(bucket, key, content, upload.about)
            return upload.became

    def expected(self, bucket: str, key: str, upload_id: str) -> tuple[int, int | None]:
        """Size and CRC-32 of what completing would give."""
        parts = [part for _, part in sorted(self.upload(bucket, key, upload_id).parts.items())]
        return sum(part.size for part in parts), _combined(parts)

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        with self.lock:
            upload = self._unfinished(bucket, key, upload_id)
            del self.bucket(bucket).uploads[upload_id]
            for part in upload.parts.values():
                for path in part.files:
                    path.unlink()

    def unfinished(self, bucket: str) -> Iterator[Upload]:
        with self.lock:
            uploads = list(self.bucket(bucket).uploads.values())
        yield from (upload for upload in uploads if upload.became is None)

    def _unfinished(self, bucket: str, key: str, upload_id: str) -> Upload:
        upload = self.upload(bucket, key, upload_id)
        if upload.became is not None:
            raise RefusedError(404, "NoSuchUpload")
        return upload

    def _joined(self, upload: Upload, parts: list[tuple[int, str]]) -> Content:
        numbers = [number for number, _ in parts]
        if not parts or numbers != sorted(set(numbers)):
            raise RefusedError(400, "InvalidPartOrder" if parts else "MalformedXML")
        for number, etag in parts:
            if number not in upload.parts or upload.parts[number].etag != etag:
                raise RefusedError(400, "InvalidPart")
        chosen = [upload.parts[number] for number in numbers]
        if any(part.size < SMALLEST_PART for part in chosen[:-1]):
            raise RefusedError(400, "EntityTooSmall")
        files = tuple(path for part in chosen for path in part.files)
        size = sum(part.size for part in chosen)
        etags = "".join(part.etag for part in chosen)
        etag = f"{hashlib.md5(bytes.fromhex(etags)).hexdigest()}-{len(chosen)}"
        return Content(files, size, etag, _combined(chosen))

    def _path(self) -> Path:
        return self.folder / uuid.uuid4().hex


def _crc32(path: Path) -> int:
    crc32 = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            crc32 = zlib.crc32(piece, crc32)
    return crc32


def _combined(parts: Iterable[Content]) -> int | None:
    """The CRC-32 of the parts one after the other, if each has one."""
    crc32 = 0
    for part in parts:
        if part.crc32 is None:
            return None
        crc32 = combined(crc32, part.crc32, part.size)
    return crc32


def _append(origin: int, file: int, first: int, length: int) -> None:
    """Append a range of one file to another; holes stay holes, so that sparse files stay small."""
    end, to = first + length, os.lseek(file, 0, os.SEEK_END)
    os.truncate(file, to + length)
    at = first
    while at < end:
        data = end
        with suppress(OSError):  # no data up to the file's end
            data = min(end, os.lseek(origin, at, os.SEEK_DATA))
        if data == end:
            return
        until = min(end, os.lseek(origin, data, os.SEEK_HOLE))
        while data < until:
            data += os.copy_file_range(origin, file, until - data, data, to + data - first)
        at = data
