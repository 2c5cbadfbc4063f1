"""What passes between the clients and the sandbox: a log of calls, and faults on demand.

A WSGI application in front of moto's. Calls are recorded by operation and secret, never by value.
"""

from __future__ import annotations

import io
import json
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Literal

from rotation.sandbox.aws.object_store import xml_error

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

# IAM UserGuide reference_sigv-create-signed-request: Credential=<access key id>/<scope>.
_credential: Final = re.compile(r"Credential=([^/,]+)/")
_invocation: Final = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


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
    """The connection ends without an answer."""


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

    def __init__(self, application: Application, account: str) -> None:
        self.faults = AwsFaults()
        self._application = application
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
        operation = self._record(environ)
        caller = _caller(environ)
        if operation in self._denied.get(caller, ()):
            return _answer(_denial(caller, operation), operation, start_response)
        planned = self.faults.take(operation)
        if planned is None:
            return self._application(environ, start_response)
        when, fault = planned
        if when == "after":
            answer = self._application(environ, lambda *_: None)
            for _ in answer:
                pass
            getattr(answer, "close", lambda: None)()
        if isinstance(fault, Dropped):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError("injected by the sandbox")
        return _answer(fault, operation, start_response)

    def _record(self, environ: Environ) -> str:
        operation, members = _read(environ)
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
        return operation


def _caller(environ: Environ) -> str:
    signed = _credential.search(environ.get("HTTP_AUTHORIZATION", ""))
    return signed[1] if signed else ""


def _denial(caller: str, operation: str) -> AwsError:
    what = f"User: {caller} is not authorized to perform: {operation} with an explicit deny"
    if _is_s3(operation):
        return AwsError("AccessDenied", what, 403)
    return AwsError("AccessDeniedException", what)


def _is_s3(operation: str) -> bool:
    """Whether it is ``GET /bucket/key``; services of the query protocol have the path ``/``."""
    return " /" in operation and not operation.endswith(" /")


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


def _answer(fault: AwsError, operation: str, start_response: StartResponse) -> Iterable[bytes]:
    if _is_s3(operation):
        status, headers, text = xml_error(fault.status, fault.code, fault.message)
        body = text.encode()
    else:
        status, body = (
            fault.status,
            json.dumps({"__type": fault.code, "message": fault.message}).encode(),
        )
        headers = {"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": fault.code}
    headers["content-length"] = str(len(body))
    start_response(f"{status} Injected", list(headers.items()))
    return [body]
