"""The metrics that AWS's services publish by themselves, of what happened in the sandbox.

Lambda developer guide, "Types of metrics for Lambda functions", and SQS developer guide,
"Available CloudWatch metrics for Amazon SQS". Only those that ``template.yaml`` watches, and
Invocations, and only by function and by queue: moto finds a metric with further dimensions too,
where AWS keeps it apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from moto.cloudwatch.models import cloudwatch_backends
from moto.sqs.models import sqs_backends

from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.functions import Invocation

#: "Available CloudWatch metrics for Amazon SQS", ApproximateAgeOfOldestMessage.
_TOO_OFTEN: Final = 3


def publish_invocation(invocation: Invocation, timeout: timedelta) -> None:
    """Count an invocation, dated when it began; a metric that would be 0 is not sent.

    Args:
        invocation: as it ended.
        timeout: of the function. No duration is longer: Lambda ends what takes longer.
    """
    if invocation.result is None:
        metrics = {"Throttles": (1.0, "Count")}
    else:
        milliseconds = min(invocation.duration, timeout) / timedelta(milliseconds=1)
        metrics = {"Invocations": (1.0, "Count"), "Duration": (milliseconds, "Milliseconds")}
        if invocation.result.error:
            metrics["Errors"] = (1.0, "Count")
    dimension = {"Name": "FunctionName", "Value": invocation.function}
    _put("AWS/Lambda", dimension, invocation.began, metrics)


def measure_queues(now: datetime) -> None:
    """Publish what each queue holds, as SQS does once a minute.

    A message that was received three times and not deleted has no age any more, whether or not
    there is a queue for dead letters; without a message that has one, no age is published.

    Args:
        now: the services' time.
    """
    for queue in sqs_backends[ACCOUNT][REGION].queues.values():
        visible = queue.approximate_number_of_messages
        metrics = {"ApproximateNumberOfMessagesVisible": (float(visible), "Count")}
        sent = [
            one.sent_timestamp / 1000
            for one in queue._messages  # noqa: SLF001 - moto shows only those that are visible
            if one.approximate_receive_count < _TOO_OFTEN
        ]
        if sent:
            metrics["ApproximateAgeOfOldestMessage"] = (now.timestamp() - min(sent), "Seconds")
        _put("AWS/SQS", {"Name": "QueueName", "Value": queue.name}, now, metrics)


def _put(
    namespace: str,
    dimension: Mapping[str, str],
    at: datetime,
    metrics: Mapping[str, tuple[float, str]],
) -> None:
    data = [
        {
            "MetricName": name,
            "Dimensions": [dimension],
            "Value": value,
            "Unit": unit,
            # moto has times without a zone.
            "Timestamp": at.astimezone(UTC).replace(tzinfo=None),
        }
        for name, (value, unit) in metrics.items()
    ]
    cloudwatch_backends[ACCOUNT][REGION].put_metric_data(namespace, data)
