"""The logger and the metrics of the Lambda functions.

They are those of Powertools (metrics as EMF), with a formatter that scrubs each finished line. A
log line has a fact and its ids (``secret``, ``version``, ``key_id``, ``step``), never a value.

`rotation.privacy.library_logs` scrubs what other libraries write to the same log.
"""

from __future__ import annotations

import json
from threading import Lock
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit

from rotation.privacy.printable import printable_lines
from rotation.privacy.redaction import HIDDEN, hide_keys, is_hidden_field, scrub

SERVICE: Final = "trusted-signatures-rotation"
NAMESPACE: Final = "TrustedSignatures"
_counting: Final = Lock()
#: The dimension that names the Lambda function.
FUNCTION: Final = "function"

# The lines of a longer text are looked at one by one.
_LONG: Final = 1000


class RedactingFormatter(LambdaPowertoolsFormatter):
    """Scrubs and shortens each text of a log line: message, fields, exception and stack."""

    def serialize(self, log: Any) -> str:
        """The line as text, without key material, and as one line for every reader.

        JSON escapes the line breaks of ASCII, and leaves U+2028 and others as they are.
        """
        line = hide_keys(super().serialize(_safe(log)))
        return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)


def _safe(value: Any) -> Any:
    """``value`` with each text in it scrubbed, and with none that is too long for a log.

    What is known to come from others was made short where it came in. This is for what was not:
    the messages of libraries' exceptions, which may quote a whole document. Each text is scrubbed
    by itself, so that a quote in one text never reaches into the next.
    """
    if isinstance(value, dict):
        return {
            str(name): HIDDEN if is_hidden_field(str(name)) and _is_text(item) else _safe(item)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return printable_lines(text) if len(text) > _LONG else scrub(text)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bytes | bytearray)


logger: Final = Logger(
    service=SERVICE, logger_formatter=RedactingFormatter(), use_rfc3339=True, utc=True
)
metrics: Final = Metrics(namespace=NAMESPACE, service=SERVICE)


def set_function_dimension(function_name: str) -> None:
    """Count this invocation's metrics for one function, so that two stacks can be told apart."""
    metrics.add_dimension(name=FUNCTION, value=function_name)


def count(name: str, value: float = 1) -> None:
    """Add ``value`` to the metric ``name`` of this invocation.

    Outside of a Lambda function nothing is counted. Nobody would send the metrics of an application
    that seals in its own process, and Powertools would print them once it has a hundred values.
    """
    if FUNCTION not in metrics.dimension_set:
        return
    # Powertools reads a metric's values and writes them back: two threads could lose one.
    with _counting:
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
