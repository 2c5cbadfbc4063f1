"""Code of others is left untraced while coverage is measured: nothing of it would be counted.

Python 3.11 calls the tracer for each line that runs, whoever wrote it, and most lines that the
tests run are botocore's, requests' and moto's. Tracing them takes longer than running them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any, Final

import boto3.session
import botocore.client
import requests

#: Where code of ours calls code of others that calls none of ours back.
_ENTRIES: Final = (
    (boto3.session.Session, "client"),
    (botocore.client.BaseClient, "_make_api_call"),
    (requests.Session, "send"),
)


def leave_code_of_others_unmeasured() -> None:
    """Do not trace the calls of AWS and of the vendor, nor the threads that answer them."""
    for owner, name in _ENTRIES:
        setattr(owner, name, _untraced(getattr(owner, name)))
    answer = ThreadingMixIn.process_request_thread

    def answer_untraced(server: Any, request: Any, client_address: Any) -> None:
        sys.settrace(None)
        answer(server, request, client_address)

    ThreadingMixIn.process_request_thread = answer_untraced  # type: ignore[assignment, method-assign]


def _untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return function(*arguments, **named)
        finally:
            sys.settrace(tracer)

    return call
