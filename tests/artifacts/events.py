"""EventBridge as far as a rule needs it: whether an event matches, and what the target is sent.

moto decides what matches; nobody here wrote that. What is sent follows the EventBridge UserGuide,
eb-transform-target-input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from moto.events.models import EventPattern


def matches(rule: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether the rule takes the event, which may be a read-only one of CloudTrail."""
    detail = event["detail"]
    state = rule.get("State", "ENABLED")
    # eb-service-event-cloudtrail-management.
    if detail.get("readOnly") and state != "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS":
        return False
    pattern = EventPattern.load(json.dumps(rule["EventPattern"]))
    return bool(pattern.matches_event(event))


def sent(rule: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """The text that the rule's target is sent for the event."""
    [target] = rule["Targets"]
    transformer = target["InputTransformer"]
    found = {name: _at(event, path) for name, path in transformer["InputPathsMap"].items()}
    text = re.sub(
        r"<(\w+)>",
        lambda one: json.dumps(str(found[one[1]]))[1:-1],
        transformer["InputTemplate"],
    )
    told: str = json.loads(text)
    return told


def _at(event: Mapping[str, Any], path: str) -> Any:
    """What lies at ``$.a.b``; an empty text where nothing does."""
    found: Any = event
    for name in path.removeprefix("$.").split("."):
        found = found.get(name, "") if found else ""
    return found
