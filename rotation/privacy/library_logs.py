"""Scrubs keys from what AWS and HTTP libraries log.

At level DEBUG botocore logs whole requests and answers, and ``http.client`` prints what it sends to
stdout. Every process of ours calls `protect_process` before it makes its first call.
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
    """Scrub what these libraries log in this process. It may be called more than once.

    Log records are scrubbed when they are made, so that no handler sees the original. The debug
    level of ``http.client`` is fixed to 0 on the classes that urllib3 and botocore use.
    """
    import botocore.awsrequest
    import urllib3.connection

    for connection in (
        urllib3.connection.HTTPConnection,
        urllib3.connection.HTTPSConnection,
        botocore.awsrequest.AWSHTTPConnection,
        botocore.awsrequest.AWSHTTPSConnection,
    ):
        # Set on the subclass, it takes the place of the value that http.client's classes have.
        connection.debuglevel = 0
    if logging.getLogRecordFactory() is not _scrubbed_record:
        global _make_record  # noqa: PLW0603 - the factory that was set before ours
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
