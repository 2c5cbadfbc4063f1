"""The real handlers in a process that says everything it can.

Root logging at DEBUG, Powertools' event logging on, http.client printing what it sends, and every
exception printed with the locals of its frames before it is raised on.
"""

from __future__ import annotations

import http.client
import logging
import os
import sys
import traceback
from typing import Any

logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)
os.environ["POWERTOOLS_LOG_LEVEL"] = "DEBUG"
os.environ["POWERTOOLS_LOGGER_LOG_EVENT"] = "true"
os.environ["POWERTOOLS_DEV"] = "true"
http.client.HTTPConnection.debuglevel = 1

from rotation.handlers.rotate import handler as rotate_handler  # noqa: E402
from rotation.handlers.seal import handler as seal_handler  # noqa: E402


def rotate(event: dict[str, Any], context: Any) -> Any:
    """The rotation function, loudly."""
    return _loudly(rotate_handler, event, context)


def seal(event: dict[str, Any], context: Any) -> Any:
    """The sealing function, loudly."""
    return _loudly(seal_handler, event, context)


def _loudly(handler: Any, event: dict[str, Any], context: Any) -> Any:
    logging.getLogger("botocore").debug("the loudspeaker is on")
    try:
        return handler(event, context)
    except Exception as error:
        # Only the frames of the handler and below: the caller's own hold the event, as Lambda's do.
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        told.stack[:] = [frame for frame in told.stack if frame.filename != __file__]
        sys.stdout.write("".join(told.format()))
        raise
