from __future__ import annotations

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotation.sandbox.vendor import Pki, VendorEmulator
from rotation.sandbox.vendor.request_auth import authorization
from tests.sandbox.vendor.caller import (
    DIGEST,
    Caller,
    Clock,
    error_code,
    sign_body,
    signature_of,
)

JSON = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())
LABEL = "fixture|arn:aws:secretsmanager:eu-west-1:000000000000:secret:trusted|token"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[]",
        b"\xff\xfe",
        b'{"digestAlgorithm": "SHA256"}',
        json.dumps({"digest": base64.b64encode(DIGEST).decode()}).encode(),
        sign_body(DIGEST[:31]),
        sign_body(DIGEST + b"."),
        sign_body(digestAlgorithm="SHA512"),
        sign_body(digest=DIGEST.hex()),
        sign_body(digest=base64.b64encode(DIGEST).decode() + "*"),
        sign_body(digest=7),
        sign_body(tsaTimestamp="true"),
        sign_body(apiKey="hello"),
    ],
)
def test_a_signing_request_must_be_right(signer: Caller, body: bytes) -> None:
    """Signed by a good key and wrong all the same: 400, a reason, and nothing billed."""
    answer = signer.call("POST", "/v1/sign", body)
    assert (answer.status, error_code(answer)) == (400, "invalid_request")
    assert not signer.emulator.signatures


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary()
    | st.builds(
        json.dumps,
        st.fixed_dictionaries(dict.fromkeys(("digestAlgorithm", "digest", "label"), JSON)),
    ).map(str.encode)
)
def test_no_body_breaks_the_server(signer: Caller, admin: Caller, body: bytes) -> None:
    """Whatever a good key signs, the answer is a refusal and not a failure."""
    for caller, path in ((signer, "/v1/sign"), (admin, "/v1/keys")):
        answer = caller.call("POST", path, body)
        assert (answer.status, error_code(answer)) == (400, "invalid_request")


def test_signatures_are_counted_by_key(signer: Caller, clock: Clock) -> None:
    """Every signature is billed to the key that asked for it."""
    other = Caller(signer.emulator, signer.emulator.keys.create(), clock)
    for caller in (signer, other, signer):
        assert signature_of(caller.sign())
    assert signer.emulator.signatures == {signer.key.id: 2, other.key.id: 1}


def test_each_kind_of_key_is_refused_the_others_work(admin: Caller, signer: Caller) -> None:
    """A signing key manages no keys and an admin key signs no documents: 403."""
    victim = signer.emulator.keys.create()
    for answer in (
        admin.sign(),
        signer.create(),
        signer.list_keys(),
        signer.revoke(victim.id),
    ):
        assert (answer.status, error_code(answer)) == (403, "forbidden")
    assert signer.emulator.keys.accepted(victim.id) == victim
    assert not signer.emulator.signatures


def test_get_and_delete_have_no_body(admin: Caller, signer: Caller) -> None:
    """A body where none belongs is refused, however well it is signed."""
    for method, target in (("GET", "/v1/keys"), ("DELETE", f"/v1/keys/{signer.key.id}")):
        answer = admin.call(method, target, b"{}")
        assert (answer.status, error_code(answer)) == (400, "invalid_request")
    assert signer.sign().status == 200


@pytest.mark.parametrize(
    ("method", "target", "status", "allowed"),
    [
        ("GET", "/v1/sign", 405, "POST"),
        ("DELETE", "/v1/keys", 405, "GET, POST"),
        ("PUT", "/v1/keys/00000000-0000-0000-0000-000000000000", 405, "DELETE"),
        ("POST", "/v1/signs", 404, None),
        ("GET", "/", 404, None),
    ],
)
def test_other_paths_and_methods(
    admin: Caller, method: str, target: str, status: int, allowed: str | None
) -> None:
    """404 where nothing is, 405 with the methods that exist where something is."""
    answer = admin.call(method, target)
    assert (answer.status, answer.headers.get("Allow")) == (status, allowed)
    assert admin.emulator.requests[-1].operation == "unknown"


@pytest.mark.slow
def test_the_signing_path_can_be_another(pki: Pki, clock: Clock) -> None:
    """A vendor that signs elsewhere signs nowhere else."""
    with VendorEmulator(pki, clock=clock, sign_paths=("/v2/seal",)) as emulator:
        signer = Caller(emulator, emulator.keys.create(), clock)
        assert signer.sign(path="/v2/seal").status == 200
        assert signer.sign().status == 404


def test_requests_are_logged_without_what_they_held(
    admin: Caller, signer: Caller, clock: Clock
) -> None:
    """Time, operation, key id and status, in order; a wrong key header is not repeated."""
    signer.sign()
    created = admin.create()
    admin.list_keys()
    admin.revoke(signer.key.id)
    headers = signer.headers() | {"X-Authorization-Key": signer.key.material}
    signer.call("POST", "/v1/sign", headers=headers)
    records = signer.emulator.requests
    assert [(record.operation, record.key_id, record.status) for record in records] == [
        ("sign", signer.key.id, 200),
        ("create", admin.key.id, 201),
        ("list", admin.key.id, 200),
        ("delete", admin.key.id, 204),
        ("sign", None, 401),
    ]
    assert {record.time for record in records} == {clock()}
    assert records[1].request_id == created.headers["X-Request-Id"]
    assert len({record.request_id for record in records}) == len(records)


def test_material_is_shown_once_and_nowhere_else(admin: Caller, signer: Caller) -> None:
    """Only the answer to POST /v1/keys holds material, and only the new key's."""
    created = admin.create(LABEL)
    new = created.json()["key"]
    answers = [
        signer.sign(),
        signer.sign(tsaTimestamp=True),
        signer.sign(path="/nowhere"),
        signer.create(),
        admin.sign(),
        admin.list_keys(),
        admin.list_keys("fixture"),
        admin.create("x" * 513),
        admin.call("GET", f"/v1/keys/{signer.key.material}"),
        admin.call("GET", f"/v1/keys?cursor={signer.key.material}"),
        admin.revoke(signer.key.material),
        admin.revoke(created.json()["id"]),
        admin.list_keys(),
        signer.call("POST", "/v1/sign", signer.key.material.encode()),
    ]
    for material in (new, signer.key.material, admin.key.material):
        forms = renderings(material)
        for answer in answers:
            assert not any(form in answer.everything for form in forms)
        assert any(form in created.everything for form in forms) == (material == new)
        assert not any(form in repr(signer.emulator.requests).encode() for form in forms)


def renderings(material: str) -> list[bytes]:
    raw = bytes.fromhex(material)
    return [material.encode(), base64.b64encode(raw), base64.b64encode(material.encode()), raw]


def test_the_mac_covers_neither_method_nor_path(admin: Caller) -> None:
    """The vendor's rule is kept as it is: an empty body and a time fit any such request."""
    headers = admin.headers()
    expected = authorization(admin.key.material, b"", headers["X-Authorization-Time"])
    assert headers["X-Authorization"] == expected
    victim = admin.emulator.keys.create()
    assert admin.call("GET", "/v1/keys", headers=headers).status == 200
    assert admin.call("DELETE", f"/v1/keys/{victim.id}", headers=headers).status == 204
