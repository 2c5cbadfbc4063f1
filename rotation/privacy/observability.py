"""What the Lambda functions say about themselves: one JSON line a fact, one metric a count.

Powertools Logger and Metrics (EMF), with a formatter that scrubs each finished line. Logs carry
facts with their ids (``secret``, ``version``, ``key_id``, ``step``), never values.

The debugging of other libraries is kept out of the same logs by `rotation.privacy.library_logs`.
"""

from __future__ import annotations

from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit

from rotation.privacy.redaction import scrub

SERVICE: Final = "trusted-signatures-rotation"
NAMESPACE: Final = "TrustedSignatures"
#: The dimension that names the Lambda function.
FUNCTION: Final = "function"


class RedactingFormatter(LambdaPowertoolsFormatter):
    """Powertools' JSON line, scrubbed after it is complete: message, fields, exception, stack."""

    def serialize(self, log: Any) -> str:
        """The line as text, without key material."""
        return scrub(super().serialize(log))


logger: Final = Logger(
    service=SERVICE, logger_formatter=RedactingFormatter(), use_rfc3339=True, utc=True
)
metrics: Final = Metrics(namespace=NAMESPACE, service=SERVICE)


def set_function_dimension(function_name: str) -> None:
    """Have what this invocation counts tell the function, so that two stacks are told apart."""
    metrics.add_dimension(name=FUNCTION, value=function_name)


def count(name: str, value: float = 1) -> None:
    """Add ``value`` to the metric ``name`` of this invocation.

    Counts nothing outside of a function: an application that seals in its own process has nobody
    who sends them, and Powertools prints a metric whenever it has a hundred values.
    """
    if FUNCTION not in metrics.dimension_set:
        return
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
