"""What the Lambda functions say about themselves: one JSON line a fact, one metric a count.

Powertools Logger and Metrics (EMF), with a formatter that scrubs each finished line. Logs carry
facts with their ids (``secret``, ``version``, ``key_id``, ``step``), never values.

Call `protect_process` once, before the first call to AWS: it keeps the DEBUG output of botocore,
urllib3 and http.client, which prints whole request and response bodies, out of every log.
"""

from __future__ import annotations

import http.client
import logging
from typing import Any, Final

import urllib3.connection
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit

from rotation.redaction import scrub

SERVICE: Final = "trusted-signatures-rotation"
NAMESPACE: Final = "TrustedSignatures"

_libraries = ("botocore", "boto3", "s3transfer", "urllib3", "requests", "asyncio")


class RedactingFormatter(LambdaPowertoolsFormatter):
    """Powertools' JSON line, scrubbed after it is complete: message, fields, exception, stack."""

    def serialize(self, log: Any) -> str:
        """The line as text, without key material."""
        return scrub(super().serialize(log))


logger: Final = Logger(
    service=SERVICE, logger_formatter=RedactingFormatter(), use_rfc3339=True, utc=True
)
metrics: Final = Metrics(namespace=NAMESPACE, service=SERVICE)


def count(name: str, value: float = 1) -> None:
    """Add ``value`` to the metric ``name`` of this invocation."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def protect_process() -> None:
    """Keep other libraries' debugging from printing bodies. Idempotent; for our own processes.

    Records of the AWS and HTTP libraries are scrubbed as they are made, so that no handler sees
    the original, and ``http.client``'s debug level, which prints request bodies to stdout, is
    pinned to 0 on the classes that those libraries use.
    """
    import botocore.awsrequest

    for connection in (
        urllib3.connection.HTTPConnection,
        urllib3.connection.HTTPSConnection,
        botocore.awsrequest.AWSHTTPConnection,
        botocore.awsrequest.AWSHTTPSConnection,
        http.client.HTTPConnection,
    ):
        connection.debuglevel = 0
    if logging.getLogRecordFactory() is not _scrubbing_factory:
        global _make_record  # noqa: PLW0603 - the factory that was there before ours
        _make_record = logging.getLogRecordFactory()
        logging.setLogRecordFactory(_scrubbing_factory)


_make_record = logging.getLogRecordFactory()


def _scrubbing_factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = _make_record(*args, **kwargs)
    if record.name.partition(".")[0] in _libraries:
        record.msg = scrub(record.getMessage())
        record.args = ()
    return record
