"""Keeps the debugging of AWS and HTTP libraries from printing keys.

At DEBUG botocore logs whole request parameters and response bodies, and ``http.client`` prints
what it sends to stdout. Every process of ours calls `protect_process` before its first call.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from rotation.privacy.redaction import scrub

_LIBRARIES: Final = frozenset(
    {"asyncio", "boto3", "botocore", "requests", "s3transfer", "urllib3", "werkzeug"}
)

_make_record = logging.getLogRecordFactory()


def protect_process() -> None:
    """Scrub what those libraries log, for this process. Idempotent.

    Their records are scrubbed as they are made, so that no handler sees the original, and
    ``http.client``'s debug level is pinned to 0 on the classes that urllib3 and botocore use.
    """
    import botocore.awsrequest
    import urllib3.connection

    for connection in (
        urllib3.connection.HTTPConnection,
        urllib3.connection.HTTPSConnection,
        botocore.awsrequest.AWSHTTPConnection,
        botocore.awsrequest.AWSHTTPSConnection,
    ):
        # A subclass that has the attribute no longer looks at its parent's.
        connection.debuglevel = 0
    if logging.getLogRecordFactory() is not _scrubbed_record:
        global _make_record  # noqa: PLW0603 - the factory that was there before ours
        _make_record = logging.getLogRecordFactory()
        logging.setLogRecordFactory(_scrubbed_record)


def _scrubbed_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = _make_record(*args, **kwargs)
    if record.name.partition(".")[0] in _LIBRARIES:
        record.msg = scrub(record.getMessage())
        record.args = ()
        if record.exc_info:
            record.exc_text = scrub(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
    return record
