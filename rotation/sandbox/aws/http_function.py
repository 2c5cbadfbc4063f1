"""Invoke a function over the interface of AWS's runtime interface emulator.

One POST for each invocation, the event as body. The emulator answers HTTP 200 for handler errors
too, so an error is known by the body: a JSON object with ``errorType`` and ``errorMessage`` at its
top, or, for a timeout, no JSON at all. A handler that returns such an object by itself cannot be
told apart.

Loopback traffic: goes straight to the address, whatever proxies the environment names.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from rotation.sandbox.aws.functions import InvocationResult

INVOCATIONS: Final = "/2015-03-31/functions/function/invocations"


def post_event(
    url: str,
    payload: bytes,
    timeout: timedelta,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> InvocationResult:
    """Invoke once and wait for the answer.

    Args:
        url: the origin, ``http://127.0.0.1:…``.
        payload: the event, JSON.
        timeout: how long to wait for the answer.
        headers: further headers of the request.

    Raises:
        TimeoutError: no answer in time; the function may still be running.
        OSError: the connection was refused or broke: the process is gone.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=timeout.total_seconds()
    )
    try:
        named = {"Content-Type": "application/json", **headers}
        connection.request("POST", INVOCATIONS, payload, named)
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        raise ConnectionResetError(f"the invocation's answer broke off: {error}") from error
    finally:
        connection.close()
    return InvocationResult(body, error=response.status >= 300 or _is_error(body))


class HttpFunction:
    """A `FunctionRunner` for whatever serves the invoke interface at ``url``."""

    def __init__(self, url: str, timeout: timedelta) -> None:
        self._url = url
        self._timeout = timeout

    def invoke(self, payload: bytes) -> InvocationResult:
        """Invoke once; no answer, or a broken connection, is a failed invocation."""
        try:
            return post_event(self._url, payload, self._timeout)
        except TimeoutError:
            return timed_out(self._timeout)
        except OSError as error:
            return InvocationResult.failure("Runtime.ExitError", f"the runtime is gone: {error}")

    def close(self) -> None:
        """Nothing: the server is somebody else's."""


def timed_out(timeout: timedelta) -> InvocationResult:
    """What Lambda reports of a function that took longer than it may."""
    return InvocationResult.failure(
        "Sandbox.Timedout", f"Task timed out after {timeout.total_seconds():.2f} seconds"
    )


def _is_error(body: bytes) -> bool:
    try:
        document = json.loads(body)
    except ValueError:
        return True
    return isinstance(document, dict) and {"errorType", "errorMessage"} <= document.keys()
