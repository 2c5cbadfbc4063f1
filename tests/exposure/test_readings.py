"""Who did read secrets: what CloudTrail's records tell, and which key it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from rotation.exposure.access import SecretFacts
from rotation.exposure.examination import lives_of
from rotation.exposure.readings import (
    VersionLife,
    is_of,
    readers,
    reading,
    sessions_of,
    versions_read,
)
from tests.exposure.accounts import NOW, arn, secret_arn

SECRET = SecretFacts(secret_arn("s"), "s")
HOUR = timedelta(hours=1)
LIVES = [
    VersionLife("v1", "k1", NOW - 10 * HOUR + timedelta(seconds=0.5), NOW - 4 * HOUR),
    VersionLife("v2", "k2", NOW - 5 * HOUR, None),
]


def record(
    at: datetime = NOW,
    identity: dict[str, Any] | None = None,
    error: str | None = None,
    **asked: Any,
) -> dict[str, Any]:
    return {
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "userIdentity": identity or {"type": "IAMUser", "arn": arn("user", "u")},
        "requestParameters": {"secretId": "s", **asked},
        "sourceIPAddress": "192.0.2.1",
        **({} if error is None else {"errorCode": error}),
    }


def session(role: str, key: str) -> dict[str, Any]:
    return {
        "type": "AssumedRole",
        "arn": f"arn:aws:sts::012345678912:assumed-role/{role}/night",
        "principalId": "AROA:night",
        "accessKeyId": key,
        "sessionContext": {"sessionIssuer": {"arn": arn("role", role)}},
    }


@pytest.mark.parametrize(
    ("at", "asked", "told"),
    [
        (NOW, {"versionId": "v1"}, [("k1", "v1", "event")]),
        (NOW, {"versionId": "gone"}, [(None, "gone", "event")]),
        (NOW, {}, [("k2", "v2", "time")]),
        (NOW - 6 * HOUR, {"versionStage": "AWSCURRENT"}, [("k1", "v1", "time")]),
        (NOW - 4.5 * HOUR, {}, [("k1", "v1", "one-of"), ("k2", "v2", "one-of")]),
        (NOW, {"versionStage": "AWSPENDING"}, [(None, None, "unknown")]),
        (NOW - 11 * HOUR, {}, [(None, None, "unknown")]),
        (NOW - 10 * HOUR + timedelta(seconds=0.7), {}, [("k1", "v1", "time")]),
    ],
)
def test_which_key_a_reading_got(
    at: datetime, asked: dict[str, Any], told: list[tuple[str | None, str | None, str]]
) -> None:
    """As the call names it, else as its time tells; never a guess that is told as a fact."""
    one = reading(record(at, **asked))
    assert one is not None
    assert versions_read(one, LIVES) == told


def test_a_secret_is_named_in_three_ways() -> None:
    """By its name, its ARN, and its ARN without the suffix; a longer name is another secret."""
    for name, same in (
        ("s", True),
        (SECRET.arn, True),
        (SECRET.arn[:-7], True),
        ("s-other", False),
        (secret_arn("s-other"), False),
    ):
        one = reading(record(secretId=name))
        assert one is not None
        assert is_of(one, SECRET) is same
    assert reading({**record(), "requestParameters": None}) is None


def test_sessions_are_followed_back_to_whoever_assumed_the_role() -> None:
    """Over several roles; a circle of sessions ends."""
    assumed: list[dict[str, Any]] = [
        {
            "userIdentity": {"type": "IAMUser", "arn": arn("user", "alice")},
            "responseElements": {"credentials": {"accessKeyId": "ASIA1"}},
        },
        {
            "userIdentity": session("between", "ASIA1"),
            "responseElements": {"credentials": {"accessKeyId": "ASIA2"}},
        },
        {"userIdentity": session("between", "ASIA1"), "responseElements": None},
    ]
    read = [one for one in map(reading, [record(identity=session("reads", "ASIA2"))]) if one]
    [reader] = readers(read, sessions_of(assumed), LIVES)
    assert (reader.arn, reader.through) == (
        arn("role", "reads"),
        (arn("role", "between"), arn("user", "alice")),
    )
    circle = sessions_of([{**assumed[1], "userIdentity": session("between", "ASIA2")}])
    assert len(readers(read, circle, LIVES)[0].through) == 8


def test_refused_calls_are_counted_apart() -> None:
    """They got no key; the newest reader comes first."""
    records = [
        record(NOW - HOUR),
        record(NOW, error="AccessDenied"),
        record(NOW - 2 * HOUR, {"type": "AWSService", "invokedBy": "x.amazonaws.com"}),
    ]
    user, service = readers([one for one in map(reading, records) if one], {}, LIVES)
    assert (user.reads, user.refused, user.first, user.last) == (1, 1, NOW - HOUR, NOW)
    assert user.keys == {("k2", "v2", "time"): 1}
    assert (service.arn, service.kind) == ("x.amazonaws.com", "AWSService")


def test_the_lives_come_from_the_report() -> None:
    """The times of its versions, and when a run saw that nothing used a key any more."""
    report = {
        "versions": [
            {"versionId": "v1", "keyId": "k1", "createdAt": "2027-01-01T00:00:00.000Z"},
            {"versionId": "v2", "keyId": None, "createdAt": None},
        ],
        "keys": [{"keyId": "k1", "displacedAt": "2027-02-01T00:00:00.000Z"}],
    }
    first, second = lives_of(report)
    assert first.created_at is not None
    assert first.displaced_at is not None
    assert first.created_at < first.displaced_at < NOW
    assert (second.key_id, second.created_at, second.displaced_at) == (None, None, None)
