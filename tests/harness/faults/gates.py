"""The clients' side of the boundary: botocore's HTTP session, and the vendor session's adapter.

botocore's own retries are off in this harness, so that one fault is one fault; what a retry of
its own would do is the way ``repeated``. The vendor client's retries are its own code's and stay:
each attempt of one request fails alike.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any

import requests
import urllib3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)
from requests.adapters import BaseAdapter, HTTPAdapter

from rotation.credential import ApiKey
from rotation.vendor.http import VendorHttp, VendorRequest, VendorResponse
from tests.harness.faults.boundary import Boundary, FaultKind, InterceptedCall, labels_told

#: botocore makes one attempt of each call.
ONE_ATTEMPT = Config(
    proxies={}, retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=4
)


def raise_lost(*, effect: bool) -> Any:
    """What botocore raises when no answer came."""
    kind = ConnectionClosedError if effect else EndpointConnectionError
    raise kind(endpoint_url="https://aws.invalid")


def raise_timed_out() -> Any:
    """What botocore raises when it waited for too long."""
    raise ReadTimeoutError(endpoint_url="https://aws.invalid")


def again(intercepted: InterceptedCall, once: Callable[[], Any]) -> Any:
    """One attempt, and what botocore's own retry would be where the reply of the first is lost."""
    if intercepted.call.kind is FaultKind.REPEATED:
        try:
            return once()
        except HTTPClientError:
            pass
    return once()


def subject_of(operation: str, members: Mapping[str, Any]) -> str:
    """What a Secrets Manager call is about; never a value."""
    if operation == "UpdateSecretVersionStage":
        moved = (members.get("RemoveFromVersionId", ""), members.get("MoveToVersionId", ""))
        return f"{members['VersionStage']} {moved[0][:8]}>{moved[1][:8]}"
    if operation in {"TagResource", "UntagResource"}:
        return ",".join(
            [tag["Key"] for tag in members.get("Tags", ())] + members.get("TagKeys", [])
        )
    return str(members.get("VersionId") or members.get("ClientRequestToken") or "")


class AwsGate:
    """botocore's HTTP session, gated. Give `boundary` before each scenario."""

    def __init__(self, client: Any, service: str) -> None:
        self.boundary = Boundary()
        self._service = service
        self._session = client._endpoint.http_session
        client._endpoint.http_session = self

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send one request, or fail as planned."""
        target = request.headers.get("X-Amz-Target", b"")
        operation = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        body: Any = request.body or b"{}"
        members: dict[str, Any] | None = None
        if self._service == "s3":
            operation, subject = f"{request.method} object", str(request.url).rpartition("/")[2]
        else:
            members = json.loads(body)
            subject = subject_of(operation, members)
        intercepted = self.boundary.open(operation, subject, members)
        wire = _SocketWire(self._service)
        answer: AWSResponse = again(
            intercepted, lambda: intercepted.attempt(lambda: self._send(request), wire)
        )
        return answer

    def _send(self, request: AWSPreparedRequest) -> AWSResponse:
        # A body that was sent once is at its end; botocore rewinds it before a retry of its own.
        request.reset_stream()
        answer: AWSResponse = self._session.send(request)
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class _SocketWire:
    def __init__(self, service: str) -> None:
        self._service = service

    lost = staticmethod(raise_lost)
    timed_out = staticmethod(raise_timed_out)

    def throttled(self) -> AWSResponse:
        """API_*, Common Errors: ThrottlingException, HTTP 400; S3 answers SlowDown, HTTP 503."""
        if self._service == "s3":
            body, status = b"<Error><Code>SlowDown</Code></Error>", 503
        else:
            body, status = json.dumps({"__type": "ThrottlingException"}).encode(), 400
        raw = urllib3.HTTPResponse(body=io.BytesIO(body), preload_content=False, status=status)
        headers: Any = {"Content-Type": "application/x-amz-json-1.1"}
        return AWSResponse("", status, headers, raw)

    def rejected(self) -> AWSResponse:
        raise NotImplementedError("only the vendor answers 401")

    def outcome(self, answer: AWSResponse) -> str:
        if answer.status_code < 300:
            return "ok"
        if self._service == "s3":
            found = re.search(rb"<Code>(\w+)</Code>", answer.content)
            return found[1].decode() if found else str(answer.status_code)
        try:
            return str(json.loads(answer.content)["__type"])
        except ValueError:
            return str(answer.status_code)

    def labels(self, answer: AWSResponse) -> Mapping[str, Sequence[str]] | None:
        if self._service == "s3":
            # The body of an object is a stream, which is read once, by our code.
            return None
        try:
            return labels_told(json.loads(answer.content))
        except ValueError:
            return None


class GatedHttp(VendorHttp):
    """The product's session with the vendor, with our adapter below it.

    Args:
        boundary: where calls pass.
        below: carries a prepared request out: over a socket, or directly.
    """

    def __init__(self, boundary: Boundary, below: BaseAdapter, origin: str, **times: Any) -> None:
        super().__init__(origin, **times)
        self._boundary = boundary
        self._gate = _VendorGate(below, self._clock)
        self._session.mount(self._origin, self._gate)

    def call(self, request: VendorRequest, key: ApiKey) -> VendorResponse:
        """One request of the product's, however many attempts it makes."""
        about = key.id if request.operation == "sign" else request.path.rpartition("/")[2]
        self._gate.intercepted = self._boundary.open(request.operation, about)
        return super().call(request, key)


class _VendorGate(BaseAdapter):
    def __init__(self, below: BaseAdapter, clock: Callable[[], datetime]) -> None:
        super().__init__()
        self._below = below
        self._clock = clock
        self.intercepted: InterceptedCall

    def send(self, request: requests.PreparedRequest, *_: Any, **given: Any) -> requests.Response:
        wire = _VendorWire(request, self._clock())
        return self.intercepted.attempt(lambda: self._below.send(request, **given), wire)

    def close(self) -> None:
        self._below.close()


class _VendorWire:
    def __init__(self, request: requests.PreparedRequest, now: datetime) -> None:
        self._request = request
        self._date = {"Date": format_datetime(now.replace(microsecond=0), usegmt=True)}

    def lost(self, *, effect: bool) -> requests.Response:
        # Never connected, or cut off: the product may repeat a key's creation in the first case.
        kind = requests.ConnectionError if effect else requests.exceptions.ConnectTimeout
        raise kind("lost by the harness")

    def throttled(self) -> requests.Response:
        return built(self._request, 429, headers=self._date)

    def timed_out(self) -> requests.Response:
        raise requests.exceptions.ReadTimeout("lost by the harness")

    def rejected(self) -> requests.Response:
        return built(self._request, 401, headers=self._date)

    def outcome(self, answer: requests.Response) -> str:
        return "ok" if answer.status_code < 300 else str(answer.status_code)

    def labels(self, answer: requests.Response) -> None:
        return None


def built(
    request: requests.PreparedRequest,
    status: int,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """A response as requests makes it of what came over a socket."""
    raw = urllib3.HTTPResponse(
        body=io.BytesIO(body), headers=dict(headers or {}), status=status, preload_content=False
    )
    return HTTPAdapter().build_response(request, raw)
