"""Which objects a message of S3's names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rotation.errors import InvalidEventError
from rotation.sealing.request import ObjectLocation
from rotation.unattended.s3_events import new_objects


def event(**created: Any) -> dict[str, Any]:
    """By way of EventBridge (UserGuide ev-events, "Object created")."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-12T00:00:00Z",
        "region": "ca-central-1",
        "resources": ["arn:aws:s3:::in"],
        "detail": {
            "version": "0",
            "bucket": {"name": "in"},
            "object": {"key": "a.pdf", "size": 5, "etag": "b1946ac9", "sequencer": "61"} | created,
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
    }


def record(name: str = "ObjectCreated:Put", **created: Any) -> dict[str, Any]:
    """One of S3's own notifications (UserGuide notification-content-structure)."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "ca-central-1",
        "eventTime": "2026-11-12T00:00:00.000Z",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": "in", "arn": "arn:aws:s3:::in"},
            "object": {"key": "a.pdf", "size": 5, "eTag": "b1946ac9"} | created,
        },
    }


@pytest.mark.parametrize("key", ["a.pdf", "a b+c%2B.pdf", "2026/ä.PDF"])
def test_eventbridge_has_keys_as_they_are(key: str) -> None:
    """A plus is a plus there, and a percent sign a percent sign."""
    told = new_objects(json.dumps(event(key=key, **{"version-id": "v1"})))
    assert told == [ObjectLocation("in", key, "v1")]


def test_s3_s_own_notifications_have_keys_as_a_form_encodes_them() -> None:
    """The same key comes back; one message may hold several records."""
    records = [
        record(key="a+b%2Bc%252B.pdf", versionId="v1"),
        record("ObjectCreated:CompleteMultipartUpload", key="2026/%C3%A4.PDF"),
        record("ObjectRemoved:Delete"),
    ]
    assert new_objects(json.dumps({"Records": records})) == [
        ObjectLocation("in", "a b+c%2B.pdf", "v1"),
        ObjectLocation("in", "2026/ä.PDF"),
    ]


@pytest.mark.parametrize("version", [None, "", "null"])
def test_a_bucket_without_versions_names_none(version: str | None) -> None:
    """However it says so."""
    for message in (event(**{"version-id": version}), {"Records": [record(versionId=version)]}):
        assert new_objects(json.dumps(message)) == [ObjectLocation("in", "a.pdf")]


@pytest.mark.parametrize(
    "message",
    [
        event() | {"detail-type": "Object Deleted"},
        event() | {"detail-type": "Object Tags Added"},
        event() | {"detail-type": "Object Restore Completed"},
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "in"},
        {"Records": [record("ObjectRemoved:Delete"), record("ObjectTagging:Put")]},
    ],
)
def test_other_news_names_no_document(message: dict[str, Any]) -> None:
    """Deletions, tags, restores, and the test of a new notification."""
    assert new_objects(json.dumps(message)) == []


@pytest.mark.parametrize(
    "message",
    [
        *("", "poison", "[]", "null", '"text"', "3", "{}", '{"Records": 3}', '{"Records": [{}]}'),
        "[" * 200_000,
        '{"source":' * 50_000,
        '{"source": "aws.s3"}',
        json.dumps(event() | {"detail": {}}),
        json.dumps(event(key=3)),
        json.dumps(event(**{"version-id": 3})),
        json.dumps(event() | {"source": "somebody"}),
        json.dumps({"Records": [record(key=None)]}),
    ],
)
def test_what_is_no_message_of_s3_s_is_refused(message: str) -> None:
    """With a code; the message itself is repeated nowhere."""
    with pytest.raises(InvalidEventError) as caught:
        new_objects(message)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "poison" not in str(caught.value)
