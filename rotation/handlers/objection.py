"""An objection to the retirement of a key, as an event of EventBridge brings it.

Who objects is the event's source and account. EventBridge sets the account, and IAM lets a consumer
put events of its own source alone, by the condition key events:source (EventBridge UserGuide,
eb-use-conditions). ``docs/phases.md`` describes the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rotation.errors import InvalidEventError

DETAIL_TYPE: Final = "API Key Retirement Objection"
#: The source of an objection begins with this, and goes on with the name of the consumer.
CONSUMERS: Final = "trusted-signatures-consumer."


def is_objection(event: object) -> bool:
    """Whether an event is the envelope of an objection."""
    return isinstance(event, dict) and event.get("detail-type") == DETAIL_TYPE


def objection_request(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event of the action ``object`` that an objection stands for, not validated yet.

    Raises:
        InvalidEventError: it is not the objection of a consumer.
    """
    detail, source, account = event.get("detail"), event.get("source"), event.get("account")
    if not isinstance(detail, dict):
        raise InvalidEventError("The detail of the objection is no JSON object.")
    if not isinstance(source, str) or not source.startswith(CONSUMERS):
        raise InvalidEventError(f'The source of an objection begins with "{CONSUMERS}".')
    return {
        "action": "object",
        "secrets": [detail.get("secret")],
        "key": detail.get("keyId"),
        "until": detail.get("until"),
        "reason": detail.get("reason"),
        "actor": f"{source}@{account}",
    }
