"""Code of others is left untraced while coverage is measured: nothing of it would be counted.

Python 3.11 calls the tracer for each line that runs, whoever wrote it, and most lines that the
tests run are botocore's, requests', moto's and pyHanko's. Tracing them takes longer than running
them.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any, Final

import boto3.session
import botocore.client
import requests

from tests.paths import ROOT

#: Where code of ours calls code of others that calls none of ours back.
_ENTRIES: Final = (
    (boto3.session.Session, "client"),
    (botocore.client.BaseClient, "_make_api_call"),
    (requests.Session, "send"),
)

_MEASURED: Final = str(ROOT / "rotation" / "sealing")


def leave_code_of_others_unmeasured() -> None:
    """Do not trace calls of AWS and of the vendor, the threads that answer them, and signatures.

    pyHanko signs and validates in coroutines of its own; one of ours is traced as ever.
    """
    for owner, name in _ENTRIES:
        setattr(owner, name, _untraced(getattr(owner, name)))
    run = asyncio.run
    run_untraced = _untraced(run)

    def run_by_author(main: Any, **named: Any) -> Any:
        ours = main.cr_code.co_filename.startswith(_MEASURED)
        return (run if ours else run_untraced)(main, **named)

    asyncio.run = run_by_author
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
