"""Which call a request is, who makes it, what goes wrong: requests in, replies out, no sockets."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Final

from rotation.sandbox.vendor.account import Account
from rotation.sandbox.vendor.faults import STATUSES, VendorFault, VendorFaults
from rotation.sandbox.vendor.keys import KeyStore, PortalKey, Role
from rotation.sandbox.vendor.messages import RefusedError, Reply, Request, refusal
from rotation.sandbox.vendor.request_auth import authenticated, claimed_key_id

KEYS_PATH: Final = "/v1/keys"

_html = b"<!doctype html><title>Sandbox</title><p>A page where an answer was expected.</p>"
_unanswered = frozenset({VendorFault.DISCONNECT, VendorFault.LOSE_REPLY})


@dataclass(frozen=True)
class RequestRecord:
    """That a request was made: never its body, its signature or the answer's body.

    Attributes:
        time: the vendor's clock when the answer was ready, aware UTC.
        operation: ``sign``, ``create``, ``list``, ``delete``, ``signatures`` or ``unknown``.
        key_id: the key that the request claimed to be signed with, if that was a UUID.
        status: the HTTP status, or None where the connection was closed without an answer.
        request_id: the ``X-Request-Id`` of the answer.
    """

    time: datetime
    operation: str
    key_id: str | None
    status: int | None
    request_id: str


class Service:
    """The vendor's side of every call. Safe to use from several threads.

    Args:
        account: who carries the calls out.
        keys: the account's keys.
        faults: what to do wrong.
        clock: the vendor's clock, aware UTC.
        sign_paths: the paths of the signing call.
    """

    def __init__(
        self,
        account: Account,
        keys: KeyStore,
        faults: VendorFaults,
        clock: Callable[[], datetime],
        *,
        sign_paths: tuple[str, ...],
    ) -> None:
        self._account = account
        self._keys = keys
        self._faults = faults
        self._clock = clock
        self._sign_paths = sign_paths
        self._lock = Lock()
        self._records: list[RequestRecord] = []

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """Every request so far, in the order in which the answers were ready."""
        with self._lock:
            return tuple(self._records)

    def answer(self, request: Request, *, down: bool) -> tuple[Reply, VendorFault | None]:
        """The reply, recorded, and the fault with which it is to be delivered."""
        operation = self._operation(request)
        fault = None if down else self._faults.take(operation)
        if down:
            reply = refusal(503, "The service is down.")
        elif fault in STATUSES:
            reply = _failure(STATUSES[fault])
        elif fault is VendorFault.REDIRECT:
            reply = Reply(302, headers={"Location": "/elsewhere"})
        elif fault is VendorFault.DISCONNECT:
            reply = refusal(503, "This is never sent.")
        else:
            reply = self._handle(operation, request, fault)
            if reply.status < 300:
                reply = _spoilt(reply, fault)
        record = RequestRecord(
            time=self._clock(),
            operation=operation,
            key_id=claimed_key_id(request.headers),
            status=None if fault in _unanswered else reply.status,
            request_id=str(uuid.uuid4()),
        )
        with self._lock:
            self._records.append(record)
        headers = {**reply.headers, "X-Request-Id": record.request_id}
        return replace(reply, headers=headers), fault

    def _operation(self, request: Request) -> str:
        if request.method == "POST" and request.path in self._sign_paths:
            return "sign"
        if request.path == KEYS_PATH:
            return {"POST": "create", "GET": "list"}.get(request.method, "unknown")
        if request.method == "GET" and _key_of_signatures(request.path):
            return "signatures"
        if request.method == "DELETE" and request.path.startswith(f"{KEYS_PATH}/"):
            return "delete"
        return "unknown"

    def _handle(self, operation: str, request: Request, fault: VendorFault | None) -> Reply:
        if operation == "unknown":
            return self._nothing_here(request)
        accepted = self._keys.accepted_by_a_node
        key = authenticated(request.headers, request.body, self._clock(), accepted)
        if key is None:
            return Reply(401)
        needed = Role.SIGNING if operation == "sign" else Role.ADMIN
        if key.role is not needed:
            return refusal(403, f"This call is for {needed.value} keys.")
        try:
            return self._carry_out(operation, key, request, fault)
        except RefusedError as refused:
            return refused.reply

    def _carry_out(
        self, operation: str, key: PortalKey, request: Request, fault: VendorFault | None
    ) -> Reply:
        match operation:
            case "sign":
                return self._account.sign(key, request, fault)
            case "create":
                return self._account.create(request)
            case "list":
                return self._account.list(request)
            case "signatures":
                return self._account.signatures_of(_key_of_signatures(request.path), request)
            case _:
                return self._account.delete(request.path.removeprefix(f"{KEYS_PATH}/"), request)

    def _nothing_here(self, request: Request) -> Reply:
        if request.path in self._sign_paths:
            allowed = "POST"
        elif request.path == KEYS_PATH:
            allowed = "GET, POST"
        elif _key_of_signatures(request.path):
            allowed = "GET"
        elif request.path.startswith(f"{KEYS_PATH}/"):
            allowed = "DELETE"
        else:
            return refusal(404, "There is nothing at this path.")
        return replace(refusal(405, f"Use {allowed}."), headers={"Allow": allowed})


def _key_of_signatures(path: str) -> str:
    """The key whose signatures a path is for; empty if it is none."""
    key, slash, rest = path.removeprefix(f"{KEYS_PATH}/").partition("/")
    return key if path.startswith(f"{KEYS_PATH}/") and slash and rest == "signatures" else ""


def _failure(status: int) -> Reply:
    if status == 401:
        return Reply(401)
    headers = {"Retry-After": "1"} if status == 429 else {}
    return replace(refusal(status, "The sandbox was told to answer so."), headers=headers)


def _spoilt(reply: Reply, fault: VendorFault | None) -> Reply:
    match fault:
        case VendorFault.HTML:
            return replace(reply, status=200, body=_html, content_type="text/html; charset=utf-8")
        case VendorFault.TRUNCATED_JSON:
            return replace(reply, body=reply.body[: len(reply.body) // 2])
        case VendorFault.EMPTY_JSON:
            return replace(reply, body=b"{}")
        case _:
            return reply
