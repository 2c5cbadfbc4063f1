"""The functions as they are deployed, in processes that kill themselves at a call of theirs.

The folder ``FAULT_FOLDER`` tells: a file with the function's name and ``.kill`` holds the number
of the outbound call, and whether to die before or after it; ``clock`` holds by how many seconds
the world's clock is ahead. Every call, to AWS or to the vendor, goes through urllib3.
"""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import urllib3.connectionpool

from rotation.handlers.wiring import vendor as wiring

_FOLDER = Path(os.environ["FAULT_FOLDER"])
_PLAN = _FOLDER / f"{os.environ['AWS_LAMBDA_FUNCTION_NAME']}.kill"
_MADE = _FOLDER / f"{os.environ['AWS_LAMBDA_FUNCTION_NAME']}.calls"


def _now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float((_FOLDER / "clock").read_text()))


# Before the handlers are imported, which take this name over.
wiring.utc_now = _now

from rotation.handlers import reconcile as _reconcile  # noqa: E402
from rotation.handlers import rotate as _rotate  # noqa: E402

rotate = _rotate.handler
reconcile = _reconcile.handler

_urlopen = urllib3.connectionpool.HTTPConnectionPool.urlopen


def _counted(pool: Any, *arguments: Any, **named: Any) -> Any:
    made = int(_MADE.read_text()) if _MADE.exists() else 0
    _MADE.write_text(str(made + 1))
    number, _, when = (_PLAN.read_text() if _PLAN.exists() else "-1").partition(" ")
    struck = made == int(number)
    if struck and when == "before":
        _die()
    answer = _urlopen(pool, *arguments, **named)
    if struck:
        _die()
    return answer


def _die() -> None:
    _PLAN.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


setattr(urllib3.connectionpool.HTTPConnectionPool, "urlopen", _counted)  # noqa: B010
