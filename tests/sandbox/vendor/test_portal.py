"""The emulated vendor's portal, as a person uses it with curl."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from rotation.sandbox.vendor import VendorPortal
from rotation.sandbox.vendor.keys import KeyStore

pytestmark = pytest.mark.slow


@pytest.fixture
def portal() -> Iterator[VendorPortal]:
    """A portal of an account that may have two keys."""
    keys = KeyStore(lambda: datetime.now(UTC), propagation_delay=timedelta(0), quota=2)
    with VendorPortal(keys) as running:
        yield running


def test_a_key_is_made_and_revoked(portal: VendorPortal) -> None:
    """The answer has what `rotation pool add` reads; a revoked key is not accepted any more."""
    made = requests.post(portal.url, timeout=300)
    assert made.status_code == 201
    key = made.json()
    assert set(key) == {"apiKeyId", "apiKey", "expiresAt"}
    held = portal.keys.accepted(key["apiKeyId"])
    assert held is not None
    assert held.material == key["apiKey"]
    revoked = requests.delete(f"{portal.url}/{key['apiKeyId']}", timeout=300)
    assert revoked.status_code == 200
    assert portal.keys.accepted(key["apiKeyId"]) is None


def test_a_key_that_was_made_elsewhere_is_shown_once(portal: VendorPortal) -> None:
    """As a portal shows it to a person; not again, and not once it is revoked."""
    key_id, revoked = portal.make(), portal.make()
    assert portal.revoke(revoked)[0] == 200
    assert portal.not_shown() == {key_id}
    shown = requests.get(f"{portal.url}/{key_id}", timeout=300)
    held = portal.keys.accepted(key_id)
    assert held is not None
    assert shown.json()["apiKey"] == held.material
    for gone in (key_id, revoked):
        assert requests.get(f"{portal.url}/{gone}", timeout=300).status_code == 404


def test_what_the_portal_does_not_know_changes_nothing(portal: VendorPortal) -> None:
    """A key too many, a key that is not there, and any other address."""
    for _ in range(2):
        requests.post(portal.url, timeout=300)
    assert requests.post(portal.url, timeout=300).status_code == 409
    assert requests.delete(f"{portal.url}/nobody", timeout=300).status_code == 404
    assert requests.get(portal.url, timeout=300).status_code == 404
    assert len(portal.keys.all()) == 2
