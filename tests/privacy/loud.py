"""A real handler in a process that says everything it can.

Root logging at DEBUG, Powertools' event logging on, http.client printing what it sends, and every
exception printed with the locals of its frames before it is raised on.
"""

from __future__ import annotations

import http.client
import importlib
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

# Only the one that is asked for: each must protect its process by itself.
_handler = importlib.import_module(os.environ["LOUD_MODULE"]).handler


def handler(event: dict[str, Any], context: Any) -> Any:
    """The handler of LOUD_MODULE, loudly."""
    logging.getLogger("botocore").debug("the loudspeaker is on")
    try:
        return _handler(event, context)
    except Exception as error:
        # Only the frames of the handler and below: the caller's own hold the event, as Lambda's do.
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        told.stack[:] = [frame for frame in told.stack if frame.filename != __file__]
        sys.stdout.write("".join(told.format()))
        raise
