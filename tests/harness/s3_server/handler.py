"""One connection: requests read, operations carried out, answers written."""

from __future__ import annotations

import base64
import os
import re
import select
import socket
import uuid
from collections.abc import Iterator
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.harness.s3_server.faults import Trouble
from tests.harness.s3_server.store import About, Bucket, Content, RefusedError, Version
from tests.harness.s3_server.wire import BadDigestError, Body

if TYPE_CHECKING:
    from tests.harness.s3_server.server import Server

_REFUSALS = {
    Trouble.INTERNAL_ERROR: RefusedError(500, "InternalError"),
    Trouble.SLOW_DOWN: RefusedError(503, "SlowDown"),
    Trouble.DENIED: RefusedError(403, "AccessDenied"),
}
# Which operation a request is: its method, on a bucket or an object, and what its query holds.
_OPERATIONS = {
    ("PUT", False): {"versioning": "PutBucketVersioning", "": "CreateBucket"},
    ("GET", False): {"uploads": "ListMultipartUploads", "versions": "ListObjectVersions"},
    ("HEAD", True): {"": "HeadObject"},
    ("GET", True): {"tagging": "GetObjectTagging", "uploadId": "ListParts", "": "GetObject"},
    ("PUT", True): {"tagging": "PutObjectTagging", "uploadId": "UploadPart", "": "PutObject"},
    ("POST", True): {"uploads": "CreateMultipartUpload", "uploadId": "CompleteMultipartUpload"},
    ("DELETE", True): {"uploadId": "AbortMultipartUpload", "": "DeleteObject"},
}


class EndedError(Exception):
    """The connection ends here."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # Small answers are not held back until more follows.
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *arguments: Any) -> None:
        """Keep the terminal quiet."""

    def setup(self) -> None:
        super().setup()
        self.server.s3.connections.add(self.connection)

    def finish(self) -> None:
        self.server.s3.connections.discard(self.connection)
        # The other end may be gone.
        try:
            super().finish()
        except OSError:
            self.wfile.close()

    def handle_one_request(self) -> None:
        # Clients drop connections in the middle of a body: those that read ahead, and tests.
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_GET(self) -> None:
        """Answer, unless something goes wrong on purpose."""
        url = urlsplit(self.path)
        self.query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
        _, self.bucket, *rest = unquote(url.path).split("/", 2)
        self.key = rest[0] if rest else ""
        self.operation = self._operation()
        self.s3 = self.server.s3
        self.body = Body(self.headers, self.rfile)  # type: ignore[arg-type]
        self.body.checked = self.operation != "CompleteMultipartUpload"
        self.s3.heard(self.operation)
        self.trouble = self.s3.faults.strike(self.operation)
        try:
            self._answer()
        except EndedError:
            self.close_connection = True

    def do_PUT(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def _operation(self) -> str:
        names = _OPERATIONS.get((self.command, bool(self.key)), {})
        found = next((name for mark, name in names.items() if mark in self.query), None)
        operation = found or names.get("", "Unknown")
        if operation == "UploadPart" and "x-amz-copy-source" in self.headers:
            return "UploadPartCopy"
        return operation

    def _answer(self) -> None:
        try:
            if self.trouble is Trouble.KILLED:
                self._end()
            if self.trouble is Trouble.HANGS:
                self._hang()
            if self.trouble in _REFUSALS:
                for _ in self.body.pieces():
                    pass
                raise _REFUSALS[self.trouble]
            if self.trouble is Trouble.ERROR_IN_200:
                for _ in self.body.pieces():
                    pass
                self._send(200, _error("InternalError"))
                return
            getattr(self, re.sub("([A-Z])", r"_\1", self.operation).lower())()
        except BadDigestError:
            self._refuse(RefusedError(400, "BadDigest"))
        except RefusedError as refused:
            self._refuse(refused)

    def _refuse(self, refused: RefusedError) -> None:
        self._send(refused.status, _error(refused.code))

    def _end(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        raise EndedError

    def _hang(self) -> None:
        for _ in self.body.pieces():
            pass
        while not self.s3.stopping.is_set():
            if select.select([self.connection], [], [], 0.02)[0]:
                break
        raise EndedError

    def _send(self, status: int, body: str = "", headers: dict[str, str] | None = None) -> None:
        if self.trouble is Trouble.LOST:
            self._end()
        content = body.encode()
        self.send_response(status)
        self.send_header("x-amz-request-id", uuid.uuid4().hex)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # --- Buckets

    def _create_bucket(self) -> None:
        self.body.all()
        self.s3.store.buckets.setdefault(self.bucket, Bucket())
        self._send(200)

    def _put_bucket_versioning(self) -> None:
        wanted = _text(ElementTree.fromstring(self.body.all()), "Status")
        self.s3.store.bucket(self.bucket).versioned = wanted == "Enabled"
        self._send(200)

    def _list_multipart_uploads(self) -> None:
        prefix = self.query.get("prefix", "")
        found = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload.id}</UploadId>"
            f"<Initiated>{_iso(upload.initiated)}</Initiated></Upload>"
            for upload in self.s3.store.unfinished(self.bucket)
            if upload.key.startswith(prefix)
        )
        self._send(
            200, _xml("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{found}")
        )

    def _list_object_versions(self) -> None:
        found = "".join(
            f"<Version><Key>{escape(key)}</Key><VersionId>{version.id or 'null'}</VersionId>"
            f"<Size>{version.content.size}</Size></Version>"
            for key, versions in self.s3.store.bucket(self.bucket).objects.items()
            for version in versions
        )
        self._send(200, _xml("ListVersionsResult", f"<IsTruncated>false</IsTruncated>{found}"))

    # --- Objects

    def _put_object(self) -> None:
        content = self.s3.store.written(self.body.pieces())
        version = self.s3.store.put(self.bucket, self.key, content, self._about())
        self._send(200, headers=_named(version))

    def _delete_object(self) -> None:
        self.s3.store.delete(self.bucket, self.key)
        self._send(204)

    def _head_object(self) -> None:
        self._get_object()

    def _get_object(self) -> None:
        version = self._version(self.bucket, self.key, self.query.get("versionId"))
        self._match(version, self.headers.get("If-Match"))
        content, wanted = version.content, self.headers.get("Range")
        first, last, status = 0, content.size - 1, 200
        headers = _named(version) | {
            "Content-Type": version.about.content_type,
            "Last-Modified": format_datetime(version.modified, usegmt=True),
            "Accept-Ranges": "bytes",
            **{f"x-amz-meta-{name}": value for name, value in version.about.metadata.items()},
            **version.about.encryption,
        }
        if wanted:
            first, last = _range(wanted, content.size)
            status = 206
            headers["Content-Range"] = f"bytes {first}-{last}/{content.size}"
        elif self.headers.get("x-amz-checksum-mode") == "ENABLED" and content.crc32 is not None:
            headers["x-amz-checksum-crc32"] = _base64(content.crc32)
            headers["x-amz-checksum-type"] = "FULL_OBJECT"
        if self.trouble is Trouble.LOST:
            self._end()
        self.send_response(status)
        headers["Content-Length"] = str(last - first + 1)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send_file(content, first, last - first + 1)

    def _send_file(self, content: Content, first: int, length: int) -> None:
        self.wfile.flush()
        length = length // 2 if self.trouble is Trouble.CUT else length
        with self.s3.sending() as tell:
            for path, start, count in content.slices(first, length):
                begin, end = start, start + count
                with path.open("rb") as file:
                    while begin < end:
                        socket, left = self.connection.fileno(), end - begin
                        sent = os.sendfile(socket, file.fileno(), begin, left)
                        begin += sent
                        tell(sent)
        if self.trouble is Trouble.CUT:
            self._end()

    def _get_object_tagging(self) -> None:
        version = self._version(self.bucket, self.key, self.query.get("versionId"))
        tags = "".join(
            f"<Tag><Key>{escape(name)}</Key><Value>{escape(value)}</Value></Tag>"
            for name, value in version.about.tags.items()
        )
        self._send(200, _xml("Tagging", f"<TagSet>{tags}</TagSet>"))

    # --- Multipart uploads

    def _create_multipart_upload(self) -> None:
        self.body.all()
        upload = self.s3.store.begin(self.bucket, self.key, self._about())
        self._send(
            200,
            _xml("InitiateMultipartUploadResult", f"<UploadId>{upload.id}</UploadId>"),
            {"x-amz-checksum-algorithm": self.headers.get("x-amz-checksum-algorithm", "")},
        )

    def _upload_part(self) -> None:
        content = self.s3.store.written(self.body.pieces())
        self._add(content)
        crc32 = _base64(content.crc32 or 0)
        self._send(200, headers={"ETag": f'"{content.etag}"', "x-amz-checksum-crc32": crc32})

    def _upload_part_copy(self) -> None:
        self.body.all()
        path, _, version_id = self.headers["x-amz-copy-source"].partition("?versionId=")
        bucket, _, key = unquote(path).removeprefix("/").partition("/")
        version = self._version(bucket, key, version_id or None)
        self._match(version, self.headers.get("x-amz-copy-source-if-match"))
        first, last = 0, version.content.size - 1
        if wanted := self.headers.get("x-amz-copy-source-range"):
            first, last = _range(wanted, version.content.size)
            if version.content.size <= 5 * 10**6:
                raise RefusedError(400, "InvalidRequest")
        content = self.s3.store.copied(version.content, first, last)
        self._add(content)
        self._send(
            200,
            _xml(
                "CopyPartResult",
                f'<ETag>"{content.etag}"</ETag>{_checksum(content)}',
            ),
        )

    def _add(self, content: Content) -> None:
        number = int(self.query["partNumber"])
        self.s3.store.add(self.bucket, self.key, self.query["uploadId"], number, content)

    def _list_parts(self) -> None:
        upload = self.s3.store.upload(self.bucket, self.key, self.query["uploadId"])
        parts = "".join(
            f'<Part><PartNumber>{number}</PartNumber><ETag>"{part.etag}"</ETag>'
            f"<Size>{part.size}</Size></Part>"
            for number, part in sorted(upload.parts.items())
        )
        self._send(200, _xml("ListPartsResult", f"<IsTruncated>false</IsTruncated>{parts}"))

    def _complete_multipart_upload(self) -> None:
        listed = ElementTree.fromstring(self.body.all())
        upload_id = self.query["uploadId"]
        parts = [
            (int(_text(part, "PartNumber")), _text(part, "ETag").strip('"'))
            for part in listed
            if part.tag.endswith("Part")
        ]
        with self.s3.store.lock:
            upload = self.s3.store.upload(self.bucket, self.key, upload_id)
            if upload.became is None:
                size, crc32 = self.s3.store.expected(self.bucket, self.key, upload_id)
                if self.headers.get("x-amz-mp-object-size", str(size)) != str(size):
                    raise RefusedError(400, "InvalidRequest")
                told = self.headers.get("x-amz-checksum-crc32")
                if None not in (told, crc32) and told != _base64(crc32 or 0):
                    raise RefusedError(400, "BadDigest")
            version = self.s3.store.complete(self.bucket, self.key, upload_id, parts)
        self._send(
            200,
            _xml("CompleteMultipartUploadResult", f'<ETag>"{version.content.etag}"</ETag>'),
            _named(version),
        )

    def _abort_multipart_upload(self) -> None:
        self.s3.store.abort(self.bucket, self.key, self.query["uploadId"])
        self._send(204)

    # --- What they share

    def _version(self, bucket: str, key: str, version_id: str | None) -> Version:
        return self.s3.store.version(bucket, key, version_id)

    def _match(self, version: Version, condition: str | None) -> None:
        if condition is not None and condition.strip('"') != version.content.etag:
            raise RefusedError(412, "PreconditionFailed")

    def _about(self) -> About:
        named = {name.lower(): value for name, value in self.headers.items()}
        return About(
            content_type=named.get("content-type", "binary/octet-stream"),
            metadata={
                name.removeprefix("x-amz-meta-"): value
                for name, value in named.items()
                if name.startswith("x-amz-meta-")
            },
            tags=dict(parse_qsl(named.get("x-amz-tagging", ""))),
            encryption={
                name: value
                for name, value in named.items()
                if name.startswith("x-amz-server-side-encryption")
            },
        )


def _range(wanted: str, size: int) -> tuple[int, int]:
    """The first and the last byte (RFC 9110, 14.1.2)."""
    begin, _, end = wanted.removeprefix("bytes=").partition("-")
    if not begin:
        return max(0, size - int(end)), size - 1
    first, last = int(begin), min(int(end), size - 1) if end else size - 1
    if first > last:
        raise RefusedError(416, "InvalidRange")
    return first, last


def _named(version: Version) -> dict[str, str]:
    headers = {"ETag": f'"{version.content.etag}"'}
    if version.id is not None:
        headers["x-amz-version-id"] = version.id
    return headers


def _xml(name: str, content: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{name}>'
    )


def _error(code: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'


def _text(element: ElementTree.Element, name: str) -> str:
    found: Iterator[str] = (
        child.text or "" for child in element if child.tag.rpartition("}")[2] == name
    )
    return next(found)


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", ".000Z")


def _checksum(content: Content) -> str:
    if content.crc32 is None:
        return ""
    return f"<ChecksumCRC32>{_base64(content.crc32)}</ChecksumCRC32>"


def _base64(crc32: int) -> str:
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()
