from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from rotation.sandbox.vendor import Pki, Role, VendorEmulator
from tests.sandbox.vendor.caller import (
    Caller,
    Clock,
    error_code,
    iso,
    signature_of,
)

LABEL = "fixture|arn:aws:secretsmanager:eu-west-1:000000000000:secret:trusted|token"


def test_a_created_key_signs(admin: Caller, clock: Clock) -> None:
    """What POST /v1/keys shows is a key that works, with the label and expiry asked for."""
    expires = clock() + timedelta(days=90)
    answer = admin.create(LABEL, iso(expires))
    assert answer.status == 201
    created = answer.json()
    assert created.keys() == {"id", "key", "label", "createdAt", "expiresAt", "status"}
    assert (created["label"], created["status"]) == (LABEL, "active")
    assert datetime.fromisoformat(created["createdAt"]) == clock()
    assert datetime.fromisoformat(created["expiresAt"]) == expires
    key = admin.emulator.keys.get(created["id"])
    assert key is not None
    assert key.material == created["key"]
    assert signature_of(Caller(admin.emulator, key, clock).sign())


@pytest.mark.parametrize(
    ("label", "expires_in", "more"),
    [
        ("", timedelta(days=1), {}),
        (None, timedelta(days=1), {}),
        (["x"], timedelta(days=1), {}),
        ("x" * 513, timedelta(days=1), {}),
        ("x", timedelta(0), {}),
        ("x", timedelta(days=366), {}),
        ("x", timedelta(days=1), {"expiresAt": "2026-01-01"}),
        ("x", timedelta(days=1), {"expiresAt": "2026-01-01T00:00:00+02:00"}),
        ("x", timedelta(days=1), {"expiresAt": "2026-13-01T00:00:00Z"}),
        ("x", timedelta(days=1), {"expiresAt": None}),
        ("x", timedelta(days=1), {"material": "00"}),
    ],
)
def test_a_key_request_must_be_right(
    admin: Caller, label: object, expires_in: timedelta, more: dict[str, object]
) -> None:
    """A bad label, lifetime or member gives 400 and no key."""
    content = {"label": label, "expiresAt": iso(admin.clock() + expires_in), **more}
    answer = admin.call("POST", "/v1/keys", json.dumps(content).encode())
    assert (answer.status, error_code(answer)) == (400, "invalid_request")
    assert admin.list_keys().json()["keys"] == []


def test_a_label_may_have_512_characters(admin: Caller) -> None:
    """The longest label is accepted and given back unchanged."""
    label = "\u00e9" * 512
    assert admin.create(label).json()["label"] == label
    assert admin.list_keys(label[:1]).json()["keys"][0]["label"] == label


@pytest.mark.slow
def test_the_quota_answers_409(pki: Pki, clock: Clock) -> None:
    """One key too many is refused by name, until a key is revoked."""
    with VendorEmulator(pki, clock=clock, key_quota=2) as emulator:
        admin = Caller(emulator, emulator.keys.create(role=Role.ADMIN), clock)
        first = admin.create().json()["id"]
        assert admin.create().status == 201
        refused = admin.create()
        assert (refused.status, error_code(refused)) == (409, "key_quota_exceeded")
        assert admin.revoke(first).status == 204
        assert admin.create().status == 201


def test_expiry_and_revocation_end_a_key(admin: Caller, signer: Caller, clock: Clock) -> None:
    """A revoked key and an expired key get the bare 401 that any stranger gets."""
    assert signer.sign().status == 200
    assert admin.revoke(signer.key.id).status == 204
    assert (signer.sign().status, signer.sign().body) == (401, b"")

    short = signer.emulator.keys.create(expires_at=clock() + timedelta(hours=1))
    other = Caller(signer.emulator, short, clock)
    assert other.sign().status == 200
    clock.now = short.expires_at
    assert (other.sign().status, other.sign().body) == (401, b"")


@pytest.mark.slow
def test_propagation_delays_birth_and_death(pki: Pki, clock: Clock) -> None:
    """A new key is rejected, and a revoked one accepted, until the delay is over."""
    delay = timedelta(seconds=5)
    with VendorEmulator(pki, clock=clock, propagation_delay=delay) as emulator:
        admin = Caller(emulator, emulator.keys.create(role=Role.ADMIN), clock)
        signer = Caller(emulator, emulator.keys.create(), clock)
        assert signer.sign().status == 401
        clock.advance(delay)
        assert signer.sign().status == 200
        assert admin.revoke(signer.key.id).status == 204
        assert signer.sign().status == 200
        clock.advance(delay)
        assert signer.sign().status == 401


def test_a_key_is_revoked_once(admin: Caller, signer: Caller) -> None:
    """Again, unknown, and no UUID at all: 404."""
    assert admin.revoke(signer.key.id).status == 204
    for key_id in (signer.key.id, "00000000-0000-0000-0000-000000000000", "x", "a/b", ""):
        answer = admin.revoke(key_id)
        assert (answer.status, error_code(answer)) == (404, "not_found")


def test_an_admin_key_is_neither_listed_nor_revoked(admin: Caller) -> None:
    """The interface manages signing keys; an admin key cannot end itself."""
    assert admin.list_keys().json() == {"keys": [], "next": None}
    assert admin.revoke(admin.key.id).status == 404
    assert admin.list_keys().status == 200


@pytest.mark.slow
def test_a_listing_comes_in_pages_newest_first(pki: Pki, clock: Clock) -> None:
    """Pages of two, by label prefix, with what died, and unmoved by keys created meanwhile."""
    with VendorEmulator(pki, clock=clock, page_size=2) as emulator:
        admin = Caller(emulator, emulator.keys.create(role=Role.ADMIN), clock)
        emulator.keys.create()
        ids = []
        for number in range(5):
            clock.advance(timedelta(seconds=1))
            ids.append(admin.create(f"ours|{number}").json()["id"])
            admin.create(f"theirs|{number}")
        admin.revoke(ids[1])

        first = admin.list_keys("ours|").json()
        assert [key["id"] for key in first["keys"]] == [ids[4], ids[3]]
        admin.create("ours|late")
        second = admin.list_keys("ours|", first["next"]).json()
        assert [(key["id"], key["status"]) for key in second["keys"]] == [
            (ids[2], "active"),
            (ids[1], "revoked"),
        ]
        third = admin.list_keys("ours|", second["next"]).json()
        assert [key["id"] for key in third["keys"]] == [ids[0]]
        assert third["next"] is None


@pytest.mark.slow
def test_a_full_last_page_has_no_next(pki: Pki, clock: Clock) -> None:
    """A cursor is given only where something follows that bears the prefix."""
    with VendorEmulator(pki, clock=clock, page_size=2) as emulator:
        admin = Caller(emulator, emulator.keys.create(role=Role.ADMIN), clock)
        for label in ("theirs", "ours", "ours"):
            admin.create(label)
        assert admin.list_keys("ours").json()["next"] is None
        assert admin.list_keys().json()["next"] is not None


def test_an_expired_key_is_listed_as_expired(admin: Caller, clock: Clock) -> None:
    """So is a key that a person made in the portal, which has no label."""
    admin.emulator.keys.create(expires_at=clock() + timedelta(hours=1))
    clock.advance(timedelta(hours=1))
    (listed,) = admin.list_keys().json()["keys"]
    assert listed.keys() == {"id", "label", "createdAt", "expiresAt", "status"}
    assert (listed["label"], listed["status"]) == (None, "expired")


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=",
        "page=2",
        "label=a&label=b",
        "cursor=YmVmb3JlOi0x",
        "label=" + "x" * 513,
    ],
)
def test_a_listing_request_must_be_right(admin: Caller, query: str) -> None:
    """A cursor that was never given out, or an unknown parameter, is 400."""
    answer = admin.call("GET", f"/v1/keys?{query}")
    assert (answer.status, error_code(answer)) == (400, "invalid_request")
