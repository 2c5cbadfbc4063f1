"""Reads the event that Secrets Manager sends when a staging label has moved.

UserGuide event-detail-secret-label-updated-secretsmanager: sent to EventBridge's default bus for
every label but AWSPENDING and AWSPREVIOUS, without CloudTrail; ``detail`` holds ``name``,
``labelUpdated`` and ``versionId``, and ``resources`` the secret's ARN. Delivery is at least once
and in any order (EventBridge UserGuide eb-troubleshooting).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SOURCE: Final = "aws.secretsmanager"
DETAIL_TYPE: Final = "Secret Label Updated"


@dataclass(frozen=True)
class LabelUpdate:
    """A staging label is now on another version.

    Attributes:
        arn: the secret's ARN.
        label: the staging label, such as ``AWSCURRENT``.
        version: the id of the version that bears it now.
    """

    arn: str
    label: str
    version: str


def label_update(event: object) -> LabelUpdate | None:
    """The label update in ``event``, as EventBridge delivers it; None for any other event."""
    if not isinstance(event, Mapping):
        return None
    detail, resources = event.get("detail"), event.get("resources")
    if (event.get("source"), event.get("detail-type")) != (SOURCE, DETAIL_TYPE):
        return None
    if not isinstance(detail, Mapping) or not isinstance(resources, list) or len(resources) != 1:
        return None
    arn, label, version = resources[0], detail.get("labelUpdated"), detail.get("versionId")
    if isinstance(arn, str) and isinstance(label, str) and isinstance(version, str):
        return LabelUpdate(arn, label, version)
    return None
