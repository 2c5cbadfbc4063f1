from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest

from rotation.sandbox.vendor import KeyQuotaReachedError, KeyStore, Role
from tests.sandbox.vendor.caller import Clock

DELAY = timedelta(seconds=30)
MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def keys(clock: Clock) -> KeyStore:
    return KeyStore(clock, propagation_delay=DELAY, quota=3)


def test_a_new_key_is_accepted_once_it_has_spread(keys: KeyStore, clock: Clock) -> None:
    """Before the propagation delay is over, the vendor does not know its own key."""
    key = keys.create()
    assert key.status(clock()) == "active"
    clock.advance(DELAY - MOMENT)
    assert keys.accepted(key.id) is None
    clock.advance(MOMENT)
    assert keys.accepted(key.id) == key


def test_a_new_key_is_accepted_by_half_of_the_nodes_at_first(keys: KeyStore, clock: Clock) -> None:
    """Each request reaches one node; later every node knows the key."""
    keys.half_known = DELAY
    key = keys.create()
    assert {keys.accepted_by_a_node(key.id) for _ in range(100)} == {None}
    clock.advance(DELAY)
    answers = [keys.accepted_by_a_node(key.id) for _ in range(1000)]
    assert 400 < answers.count(key) < 600
    clock.advance(DELAY)
    assert {keys.accepted_by_a_node(key.id) for _ in range(100)} == {key}


def test_a_revoked_key_is_accepted_until_its_revocation_has_spread(
    keys: KeyStore, clock: Clock
) -> None:
    """Revoked at once by its status, dead only after the propagation delay."""
    key = keys.create()
    clock.advance(DELAY)
    assert keys.revoke(key.id)
    clock.advance(DELAY - MOMENT)
    revoked = keys.accepted(key.id)
    assert revoked is not None
    assert revoked.status(clock()) == "revoked"
    clock.advance(MOMENT)
    assert keys.accepted(key.id) is None


def test_a_key_is_revoked_once(keys: KeyStore) -> None:
    """The second revocation, and that of no key, changes nothing."""
    key = keys.create()
    assert keys.revoke(key.id)
    assert not keys.revoke(key.id)
    assert not keys.revoke("00000000-0000-0000-0000-000000000000")


def test_an_expired_key_is_rejected_to_the_moment(keys: KeyStore, clock: Clock) -> None:
    """The expiry itself is no longer within the lifetime, and knows no delay."""
    key = keys.create(expires_at=clock() + timedelta(days=1))
    clock.now = key.expires_at - MOMENT
    assert keys.accepted(key.id) == key
    clock.now = key.expires_at
    assert keys.accepted(key.id) is None
    assert key.status(clock()) == "expired"


def test_revoked_outlives_expired(keys: KeyStore, clock: Clock) -> None:
    """A key that was revoked and has expired since is listed as revoked."""
    key = keys.create()
    assert keys.revoke(key.id)
    clock.advance(timedelta(days=400))
    (listed,) = keys.page("", None, 10).keys
    assert listed.status(clock()) == "revoked"


@pytest.mark.parametrize("lifetime", [timedelta(0), -MOMENT, timedelta(days=365) + MOMENT])
def test_a_lifetime_outside_a_year_is_refused(
    keys: KeyStore, clock: Clock, lifetime: timedelta
) -> None:
    """A key expires after now and within 365 days."""
    with pytest.raises(ValueError, match="365"):
        keys.create(expires_at=clock() + lifetime)
    assert keys.create(expires_at=clock() + timedelta(days=365)).expires_at > clock()


def test_the_quota_counts_active_signing_keys(keys: KeyStore, clock: Clock) -> None:
    """Admin keys, revoked keys and expired keys take no place."""
    first = keys.create(expires_at=clock() + timedelta(days=1))
    for _ in range(2):
        keys.create()
    keys.create(role=Role.ADMIN)
    with pytest.raises(KeyQuotaReachedError):
        keys.create()
    clock.now = first.expires_at
    replacement = keys.create()
    with pytest.raises(KeyQuotaReachedError):
        keys.create()
    assert keys.revoke(replacement.id)
    assert keys.create().status(clock()) == "active"


def test_the_quota_holds_against_simultaneous_requests(keys: KeyStore) -> None:
    """However many ask at once, the account gets no key too many."""
    ready = Barrier(8)
    refused: list[KeyQuotaReachedError] = []

    def ask() -> None:
        ready.wait()
        try:
            keys.create()
        except KeyQuotaReachedError as error:
            refused.append(error)

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(keys.page("", None, 10).keys), len(refused)) == (3, 5)


def test_material_is_in_no_repr(keys: KeyStore) -> None:
    """A key may be printed."""
    key = keys.create()
    assert len(bytes.fromhex(key.material)) == 32
    assert key.material not in repr(key)
