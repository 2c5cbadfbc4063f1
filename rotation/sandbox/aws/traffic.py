"""What passes between the clients and the sandbox: a log of calls, and faults on demand.

A WSGI application in front of moto's. Calls are recorded by operation and secret, never by value.
The calls of the JSON and query protocols go to CloudTrail's event history too.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from rotation.sandbox.aws.event_history import EventHistory, ServedRequest
from rotation.sandbox.aws.object_store import xml_error

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

# IAM UserGuide reference_sigv-create-signed-request: Credential=<access key id>/<scope>.
_credential: Final = re.compile(r"Credential=([^/,]+)/(?:\d+/([^/]+)/([^/]+)/)?")
_invocation: Final = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_xml_code: Final = re.compile(r"<Code>([^<]*)</Code>")
_xml_key: Final = re.compile(r"<AccessKeyId>([^<]*)</AccessKeyId>")


@dataclass(frozen=True)
class AwsCall:
    """One request, whatever became of it.

    Attributes:
        index: its place among all requests since the start; grows, and a reset keeps it growing.
        operation: the API operation, ``GetSecretValue``; for REST interfaces other than Lambda's
            Invoke, method and path.
        secret_id: SecretId, or Name for CreateSecret, as the caller gave it.
        rotation_token: whether a RotationToken came with it.
        caller: the access key id that signed it; empty where none did.
    """

    index: int
    operation: str
    secret_id: str | None
    rotation_token: bool = False
    caller: str = ""


@dataclass(frozen=True)
class AwsError:
    """An error answer of the service: ``AwsError("ThrottlingException")``."""

    code: str
    message: str = "injected by the sandbox"
    status: int = 400


@dataclass(frozen=True)
class Dropped:
    """The connection ends without an answer.

    Attributes:
        first: called before that, such as to kill who made the call.
    """

    first: Callable[[], object] = lambda: None


AwsFault = AwsError | Dropped


class AwsFaults:
    """Which of the next calls fail, and how. Each is used once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._planned: list[tuple[str, Literal["before", "after"], AwsFault]] = []

    def before(self, operation: str, fault: AwsFault, times: int = 1) -> None:
        """Fail the next ``times`` calls of ``operation``; they never reach the service."""
        with self._lock:
            self._planned.extend([(operation, "before", fault)] * times)

    def after(self, operation: str, fault: AwsFault, times: int = 1) -> None:
        """Let the next ``times`` calls of ``operation`` take effect, and answer with a fault."""
        with self._lock:
            self._planned.extend([(operation, "after", fault)] * times)

    def clear(self) -> None:
        """Plan no faults."""
        with self._lock:
            self._planned.clear()

    def take(self, operation: str) -> tuple[Literal["before", "after"], AwsFault] | None:
        """Use up the first fault that is planned for ``operation``."""
        with self._lock:
            for index, (planned, when, fault) in enumerate(self._planned):
                if planned == operation:
                    del self._planned[index]
                    return when, fault
        return None


class Traffic:
    """Records each call, applies planned faults, and names the account to moto."""

    def __init__(self, application: Application, account: str, history: EventHistory) -> None:
        self.faults = AwsFaults()
        self._application = application
        self._history = history
        self._account = account
        self._lock = Lock()
        self._calls: list[AwsCall] = []
        self._next_index = 0
        self._denied: dict[str, frozenset[str]] = {}

    def deny(self, caller: str, *operations: str) -> None:
        """Refuse ``operations`` to the access key id ``caller``, until the next reset."""
        self._denied[caller] = self._denied.get(caller, frozenset()) | {*operations}

    @property
    def calls(self) -> list[AwsCall]:
        """Every call since the start or the last reset, in the order of their arrival."""
        with self._lock:
            return list(self._calls)

    def reset(self) -> None:
        """Forget the calls, the faults and the denials."""
        self.faults.clear()
        self._denied.clear()
        with self._lock:
            self._calls.clear()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        environ.setdefault("HTTP_X_MOTO_ACCOUNT_ID", self._account)
        operation, members = _read(environ)
        self._record(environ, operation, members)
        caller = _caller(environ)
        request = _served(environ, operation, members)
        refused = self._denied.get(caller, frozenset())
        if operation in refused or (request is not None and request.operation in refused):
            denial = _denial(caller, operation)
            if request is not None:
                self._history.record(request, error=(denial.code, denial.message), answer={})
            query = request is not None and operation == "POST /"
            return _answer(denial, start_response, query=query, s3=_is_s3(environ, operation))
        planned = self.faults.take(operation)
        if planned is None:
            if request is None:
                return self._application(environ, start_response)
            return self._observed(request, environ, start_response)
        when, fault = planned
        if when == "after":
            answer = self._application(environ, lambda *_: None)
            for _ in answer:
                pass
            getattr(answer, "close", lambda: None)()
        if isinstance(fault, Dropped):
            fault.first()
            # Who was killed has closed the connection before us.
            with contextlib.suppress(OSError):
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError("injected by the sandbox")
        return _answer(fault, start_response, s3=_is_s3(environ, operation))

    def _observed(
        self, request: ServedRequest, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve a request whose answer goes to the event history before it is sent."""
        statuses: list[int] = []

        def started(status: str, *rest: Any) -> Any:
            statuses.append(int(status.split(maxsplit=1)[0]))
            return start_response(status, *rest)

        answer = self._application(environ, started)
        try:
            body = b"".join(answer)
        finally:
            getattr(answer, "close", lambda: None)()
        failed = statuses[-1] >= 400
        self._history.record(
            request,
            error=_error_of(body) if failed else None,
            answer={} if failed else _shown_of(request.operation, body),
        )
        return [body]

    def _record(self, environ: Environ, operation: str, members: Mapping[str, Any]) -> None:
        with self._lock:
            call = AwsCall(
                caller=_caller(environ),
                index=self._next_index,
                operation=operation,
                secret_id=members.get("SecretId") or members.get("Name"),
                rotation_token="RotationToken" in members,
            )
            self._calls.append(call)
            self._next_index += 1


def _caller(environ: Environ) -> str:
    signed = _credential.search(environ.get("HTTP_AUTHORIZATION", ""))
    return signed[1] if signed else ""


def _denial(caller: str, operation: str) -> AwsError:
    what = f"User: {caller} is not authorized to perform: {operation} with an explicit deny"
    if " " in operation:
        return AwsError("AccessDenied", what, 403)
    return AwsError("AccessDeniedException", what)


def _is_s3(environ: Environ, operation: str) -> bool:
    """Whether it is ``GET /bucket/key`` and no other service's REST interface is signed for."""
    signed = _credential.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = signed[3] if signed is not None else None
    return " /" in operation and not operation.endswith(" /") and service in ("s3", None)


def _read(environ: Environ) -> tuple[str, dict[str, Any]]:
    """The operation of a request, and its members where it is of the JSON protocol."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target is None:
        path = environ.get("PATH_INFO", "")
        if _invocation.fullmatch(path):
            return "Invoke", {}
        return f"{environ['REQUEST_METHOD']} {path}", {}
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    try:
        members = json.loads(body)
    except ValueError:
        members = {}
    return target.rpartition(".")[2], members if isinstance(members, dict) else {}


def _served(environ: Environ, operation: str, members: Mapping[str, Any]) -> ServedRequest | None:
    """A call of the JSON or the query protocol; None for one of a REST interface, or unsigned."""
    signed = _credential.search(environ.get("HTTP_AUTHORIZATION", ""))
    if signed is None or signed[3] is None or operation == "Invoke":
        return None
    if " " in operation:
        form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
        if not form or not operation.endswith(" /"):
            return None
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        members = dict(parse_qsl(body.decode()))
        operation = members.get("Action", "")
    return ServedRequest(
        service=signed[3],
        operation=operation,
        members=members,
        access_key=signed[1],
        region=signed[2],
        address=environ.get("REMOTE_ADDR", ""),
        agent=environ.get("HTTP_USER_AGENT", ""),
    )


def _error_of(body: bytes) -> tuple[str, str]:
    """The code and the message of an error answer."""
    try:
        said = json.loads(body)
    except ValueError:
        found = _xml_code.search(body.decode(errors="replace"))
        return found[1] if found else "Unknown", ""
    code = str(said.get("__type", "Unknown")).rpartition("#")[2]
    return code, str(said.get("message") or said.get("Message") or "")


def _shown_of(operation: str, body: bytes) -> dict[str, Any]:
    """What the event history may show of an answer: ids, and no values."""
    if operation == "BatchGetSecretValue":
        said = json.loads(body)
        arns = [one["ARN"] for one in said.get("SecretValues", ())]
        return {"ARNs": arns, "Errors": said.get("Errors", ())}
    if operation.startswith("AssumeRole"):
        key = _xml_key.search(body.decode(errors="replace"))
        return {"Session": {"credentials": {"accessKeyId": key[1]}}} if key else {}
    return {}


def _answer(
    fault: AwsError, start_response: StartResponse, *, s3: bool, query: bool = False
) -> Iterable[bytes]:
    """Answer with an error, in S3's form, in that of the query protocol, or as JSON."""
    if s3:
        status, headers, text = xml_error(fault.status, fault.code, fault.message)
        body = text.encode()
    elif query:
        # The query protocol wraps the error (API_CommonErrors of IAM and STS).
        status, headers, text = xml_error(fault.status, fault.code, fault.message)
        error = text.partition("\n")[2]
        body = f"<ErrorResponse>{error}</ErrorResponse>".encode()
    else:
        status, body = (
            fault.status,
            json.dumps({"__type": fault.code, "message": fault.message}).encode(),
        )
        headers = {"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": fault.code}
    headers["content-length"] = str(len(body))
    start_response(f"{status} Injected", list(headers.items()))
    return [body]
