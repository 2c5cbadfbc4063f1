"""CloudWatch as far as an alarm needs it: metrics printed or published, and the alarm's state.

The rules are those of the CloudWatch UserGuide: CloudWatch_Embedded_Metric_Format_Specification,
and AlarmThatSendsEmail, "Evaluating an alarm" and "Configuring how CloudWatch alarms treat missing
data". Nothing of it is shared with the code that prints the metrics.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from rotation.sandbox.aws.cloud import Cloud

_STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
}
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
}
_MISSING: Final = {"breaching": True, "notBreaching": False}


def printed(log: str, alarm: Mapping[str, Any], names: Mapping[str, str]) -> list[float]:
    """What a function's log holds of an alarm's metric; empty where nothing matches.

    Args:
        log: what the function printed.
        alarm: the properties of the alarm.
        names: what a function that the template names is called here.
    """
    wanted = {
        one["Name"]: names.get(one["Value"], one["Value"]) for one in alarm.get("Dimensions", ())
    }
    found: list[float] = []
    for line in log.splitlines():
        if '"_aws"' not in line:
            continue
        event = json.loads(line)
        for directive in event["_aws"]["CloudWatchMetrics"]:
            sets = [{name: event[name] for name in one} for one in directive["Dimensions"]]
            listed = {one["Name"] for one in directive["Metrics"]}
            if (
                directive["Namespace"] == alarm["Namespace"]
                and alarm["MetricName"] in listed
                and wanted in sets
            ):
                values = event[alarm["MetricName"]]
                found += values if isinstance(values, list) else [values]
    return found


def raised(
    cloud: Cloud, alarms: Mapping[str, Mapping[str, Any]], since: datetime, until: datetime
) -> set[str]:
    """The alarms that the metrics of AWS's services have raised within a time, by name.

    Args:
        cloud: where they were published.
        alarms: the properties by name, with the names of what was created. Each looks at one
            period.
        since: aware UTC.
        until: the same, and later.
    """
    client: Any = cloud.client("cloudwatch")  # type: ignore[call-overload]
    found: set[str] = set()
    for name, alarm in alarms.items():
        assert alarm["EvaluationPeriods"] == 1
        answer = client.get_metric_statistics(
            Namespace=alarm["Namespace"],
            MetricName=alarm["MetricName"],
            Dimensions=alarm["Dimensions"],
            StartTime=since,
            EndTime=until + timedelta(seconds=1),
            Period=alarm["Period"],
            Statistics=[alarm["Statistic"]],
        )
        periods = [one[alarm["Statistic"]] for one in answer["Datapoints"]]
        if any(fires(alarm, [[value]]) for value in periods):
            found.add(name)
    return found


def fires(alarm: Mapping[str, Any], periods: Iterable[Sequence[float]]) -> bool:
    """Whether the alarm is in the state ALARM after these periods, the oldest first.

    Args:
        alarm: the properties of the alarm.
        periods: the values that arrived in each period; none: the data is missing.
    """
    needed = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])
    missing = _MISSING[alarm["TreatMissingData"]]
    statistic = _STATISTICS[alarm["Statistic"]]
    compare = _COMPARISONS[alarm["ComparisonOperator"]]
    threshold = float(alarm["Threshold"])
    seen = [compare(statistic(values), threshold) if values else missing for values in periods]
    breaching: int = sum(seen[-alarm["EvaluationPeriods"] :])
    return breaching >= int(needed)
