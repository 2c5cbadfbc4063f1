"""Reads the messages by which S3 announces new objects.

There are two kinds: EventBridge's events (S3 User Guide ev-events) and S3's own notifications
(notification-content-structure). Both are delivered at least once, and in any order. S3's own
notifications encode keys like the fields of a form; EventBridge's events hold keys as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_plus

from rotation.errors import InvalidEventError
from rotation.sealing.request import ObjectLocation

_CREATED: Final = "Object Created"
# How a bucket without versions may name the one that it keeps (UserGuide Versioning).
_NO_VERSION: Final = frozenset({None, "", "null"})


def new_objects(message: str) -> Sequence[ObjectLocation]:
    """The new objects that ``message`` announces, each in the version that it names.

    Empty if S3 announces something else: a deletion, tags, a restore, or that a notification was
    configured (``s3:TestEvent``).

    Raises:
        InvalidEventError: the message is not one of S3's. The error does not repeat it.
    """
    try:
        event = json.loads(message)
        if event.get("source") == "aws.s3":
            return [_of_event(event["detail"])] if event["detail-type"] == _CREATED else []
        if event.get("Event") == "s3:TestEvent":
            return []
        return [
            _of_record(record["s3"])
            for record in event["Records"]
            if record["eventName"].startswith("ObjectCreated:")
        ]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        problem = type(error).__name__
    raise InvalidEventError(
        "The message is no event of S3's: neither one by way of EventBridge, nor a notification "
        f"of S3's own ({problem}). Find out who sent it."
    )


def _of_event(detail: Mapping[str, Any]) -> ObjectLocation:
    created = detail["object"]
    return _location(detail["bucket"]["name"], created["key"], created.get("version-id"))


def _of_record(record: Mapping[str, Any]) -> ObjectLocation:
    created = record["object"]
    key = unquote_plus(created["key"])
    return _location(record["bucket"]["name"], key, created.get("versionId"))


def _location(bucket: object, key: object, version_id: object) -> ObjectLocation:
    if not isinstance(bucket, str) or not isinstance(key, str):
        raise TypeError("name")
    if version_id in _NO_VERSION:
        return ObjectLocation(bucket, key)
    if not isinstance(version_id, str):
        raise TypeError("version")
    return ObjectLocation(bucket, key, version_id)
