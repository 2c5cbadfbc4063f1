"""EventBridge's "Secret Label Updated": what it changes, and what passes for it."""

from __future__ import annotations

from typing import Any

import pytest

from rotation.client.credential_cache import CredentialCache
from rotation.client.label_events import LabelUpdate, label_update
from tests.client.fixtures import NAME, PATIENCE, FakeSecrets, is_idle, wait_until


def moved(version: str, label: str = "AWSCURRENT", **changes: Any) -> dict[str, Any]:
    """The event as the user guide shows it (event-detail-secret-label-updated-secretsmanager)."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "Secret Label Updated",
        "source": "aws.secretsmanager",
        "account": "012345678912",
        "time": "2026-02-06T16:43:48Z",
        "region": "us-east-1",
        "resources": [FakeSecrets.arn],
        "detail": {"name": NAME, "labelUpdated": label, "versionId": version},
    } | changes


def test_an_event_brings_the_new_version_before_the_ttl(
    cache: CredentialCache, fake: FakeSecrets
) -> None:
    """Nobody waits for it: the refresh runs behind, and then the new version is there."""
    old = cache.get(NAME)
    new = fake.put()
    held = fake.hold()
    assert cache.on_event(moved(new)) is True
    assert held.arrived.wait(PATIENCE)
    assert cache.get(NAME) is old
    held.release()
    wait_until(lambda: is_idle(cache))
    assert cache.get(NAME).version == new
    assert fake.count() == 2


def test_an_event_told_twice_fetches_once(cache: CredentialCache, fake: FakeSecrets) -> None:
    """Delivery is at least once: the second finds nothing to do."""
    cache.get(NAME)
    new = fake.put()
    assert cache.on_event(moved(new))
    wait_until(lambda: is_idle(cache))
    assert cache.on_event(moved(new)) is False
    assert fake.count() == 2


def test_an_event_during_a_refresh_has_it_repeated(
    cache: CredentialCache, fake: FakeSecrets
) -> None:
    """What had been read before the label moved does not stay for another soft TTL."""
    old = cache.get(NAME).version
    held = fake.hold()
    fake.put()
    assert cache.on_event(moved("an-earlier-version"))
    assert held.arrived.wait(PATIENCE)
    new = fake.put()
    assert cache.on_event(moved(new))
    held.release()
    wait_until(lambda: is_idle(cache))
    assert cache.get(NAME).version not in {old, new}
    wait_until(lambda: is_idle(cache))
    assert cache.get(NAME).version == new
    assert fake.count() == 3


def test_an_outage_at_an_event_keeps_what_is_there(
    cache: CredentialCache, fake: FakeSecrets
) -> None:
    """An event takes nothing away."""
    old = cache.get(NAME)
    new = fake.put()
    fake.fail("InternalServiceError")
    cache.on_event(moved(new))
    wait_until(lambda: is_idle(cache))
    assert cache.get(NAME) is old


@pytest.mark.parametrize(
    "change",
    [
        {"resources": ["arn:aws:secretsmanager:us-east-1:012345678912:secret:other-AbCdEf"]},
        {"resources": []},
        {"resources": [FakeSecrets.arn, FakeSecrets.arn]},
        {"resources": {}},
        {"source": "my.application"},
        {"detail-type": "AWS API Call via CloudTrail"},
        {"detail": None},
        {"detail": {"labelUpdated": "AWSCURRENT"}},
        {"detail": {"labelUpdated": ["AWSCURRENT"], "versionId": "v"}},
        {"detail": {"labelUpdated": "rotation-retire-after-20260301T000000Z-v", "versionId": "v"}},
    ],
)
def test_anything_else_is_passed_over(
    cache: CredentialCache, fake: FakeSecrets, change: dict[str, Any]
) -> None:
    """Another secret, another label, another event, or nonsense: no fetch, and no exception."""
    cache.get(NAME)
    assert cache.on_event(moved("new") | change) is False
    assert fake.count() == 1


@pytest.mark.parametrize("event", [None, [], 7, "text", {}])
def test_what_is_no_event_is_none(event: object) -> None:
    """Whatever a queue delivers."""
    assert label_update(event) is None


def test_an_event_for_what_is_not_held_does_nothing(
    cache: CredentialCache, fake: FakeSecrets
) -> None:
    """A cold cache stays cold."""
    assert cache.on_event(moved(fake.labels["AWSCURRENT"])) is False
    assert fake.count() == 0


def test_the_event_is_read_as_the_guide_shows_it() -> None:
    """ARN from resources, label and version from detail."""
    expected = LabelUpdate(FakeSecrets.arn, "AWSCURRENT", "v2")
    assert label_update(moved("v2")) == expected


def test_another_stage_is_refreshed_by_its_own_event(
    cache: CredentialCache, fake: FakeSecrets
) -> None:
    """A label of one's own, with a cache entry of its own."""
    fake.put(stage="blue")
    cache.get(NAME)
    cache.get(NAME, "blue")
    new = fake.put(stage="blue")
    assert cache.on_event(moved(new, "blue"))
    wait_until(lambda: is_idle(cache))
    assert cache.get(NAME, "blue").version == new
    assert cache.get(NAME).version == fake.labels["AWSCURRENT"]
    assert fake.count() == 3
