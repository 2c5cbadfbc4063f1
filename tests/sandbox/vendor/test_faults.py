from __future__ import annotations

import base64
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic

import pytest

from rotation.sandbox.vendor import VendorFault, VendorFaults
from rotation.sandbox.vendor.faults import Operation
from tests.sandbox.vendor.caller import Answer, Caller

GONE = (http.client.RemoteDisconnected, ConnectionResetError)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (VendorFault.UNAUTHORIZED, 401, None),
        (VendorFault.FORBIDDEN, 403, "forbidden"),
        (VendorFault.THROTTLED, 429, "rate_limited"),
        (VendorFault.SERVER_ERROR, 500, "internal_error"),
        (VendorFault.UNAVAILABLE, 503, "unavailable"),
    ],
)
def test_a_status_fault_answers_so_and_does_nothing(
    admin: Caller, signer: Caller, fault: VendorFault, status: int, code: str | None
) -> None:
    """Each call fails with the status and has no effect; the next is as ever."""
    operations: list[Operation] = ["sign", "create", "list", "delete"]
    for operation in operations:
        admin.emulator.faults.next(operation, fault)
    answers = every_call(admin, signer)
    assert [answer.status for answer in answers] == [status] * 4
    for answer in answers:
        assert (answer.json()["error"]["code"] if answer.body else None) == code
        assert answer.headers.get("Retry-After") == ("1" if status == 429 else None)
    assert not signer.emulator.signatures
    assert [key["id"] for key in admin.list_keys().json()["keys"]] == [signer.key.id]
    assert [answer.status for answer in every_call(admin, signer)] == [200, 201, 200, 204]


def every_call(admin: Caller, signer: Caller) -> list[Answer]:
    return [signer.sign(), admin.create(), admin.list_keys(), admin.revoke(signer.key.id)]


def test_scattered_faults_are_drawn_until_they_are_cleared() -> None:
    """About one request in five, by the draw; a queued fault goes first."""
    faults = VendorFaults()
    faults.scatter("sign", VendorFault.UNAUTHORIZED, one_in=5)
    taken = [faults.take("sign") for _ in range(1000)]
    assert 150 < taken.count(VendorFault.UNAUTHORIZED) < 250
    assert set(taken) == {None, VendorFault.UNAUTHORIZED}
    assert faults.take("list") is None
    faults.next("sign", VendorFault.THROTTLED)
    assert faults.take("sign") is VendorFault.THROTTLED
    faults.clear("sign")
    assert {faults.take("sign") for _ in range(100)} == {None}
    with pytest.raises(ValueError, match="NOT_CMS"):
        faults.scatter("list", VendorFault.NOT_CMS, one_in=2)


def test_a_redirect_leads_to_a_place_that_is_watched(signer: Caller) -> None:
    """A client that follows, and carries its headers there, shows in the log."""
    signer.emulator.faults.next("sign", VendorFault.REDIRECT)
    answer = signer.sign()
    assert (answer.status, answer.body) == (302, b"")
    assert not signer.emulator.signatures
    assert signer.sign(path=answer.headers["Location"]).status == 404
    assert [record.operation for record in signer.emulator.requests] == ["sign", "unknown"]


def test_a_page_of_html_where_an_answer_was_due(admin: Caller, signer: Caller) -> None:
    """200, HTML, and the call has taken effect."""
    admin.emulator.faults.next("sign", VendorFault.HTML)
    admin.emulator.faults.next("delete", VendorFault.HTML)
    for answer in (signer.sign(), admin.revoke(signer.key.id)):
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.body.startswith(b"<!doctype html>")
    assert signer.emulator.signatures[signer.key.id] == 1
    assert signer.sign().status == 401


def test_half_of_the_json(admin: Caller) -> None:
    """A complete HTTP answer that is no JSON; the key exists, and nobody knows its material."""
    admin.emulator.faults.next("create", VendorFault.TRUNCATED_JSON)
    answer = admin.create("stray")
    assert answer.status == 201
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    (stray,) = admin.list_keys("stray").json()["keys"]
    assert stray["status"] == "active"


def test_an_empty_object(admin: Caller, signer: Caller) -> None:
    """JSON without the members that it should have."""
    admin.emulator.faults.next("sign", VendorFault.EMPTY_JSON)
    admin.emulator.faults.next("list", VendorFault.EMPTY_JSON)
    assert [signer.sign().json(), admin.list_keys().json()] == [{}, {}]


def test_a_refusal_is_not_spoilt_further(signer: Caller) -> None:
    """The bare 401 stays bare, and the fault is spent."""
    signer.emulator.faults.next("sign", VendorFault.HTML)
    answer = signer.call("POST", "/v1/sign", headers={})
    assert (answer.status, answer.body) == (401, b"")
    assert signer.sign().json().keys() == {"signature"}


def test_a_signature_that_is_not_base64(signer: Caller) -> None:
    """Text that no strict decoder takes."""
    signer.emulator.faults.next("sign", VendorFault.NOT_BASE64)
    with pytest.raises(ValueError, match="base64"):
        base64.b64decode(signer.sign().json()["signature"], validate=True)
    assert signer.emulator.signatures[signer.key.id] == 1


def test_a_signature_that_is_no_cms(signer: Caller) -> None:
    """Good base64 of bytes that mean nothing."""
    signer.emulator.faults.next("sign", VendorFault.NOT_CMS)
    assert len(base64.b64decode(signer.sign().json()["signature"], validate=True)) == 64


def test_a_disconnect_before_the_effect(admin: Caller) -> None:
    """No answer and no key."""
    admin.emulator.faults.next("create", VendorFault.DISCONNECT)
    with pytest.raises(GONE):
        admin.create()
    assert admin.list_keys().json()["keys"] == []
    assert [record.status for record in admin.emulator.requests] == [None, 200]


def test_a_lost_reply(admin: Caller, signer: Caller) -> None:
    """No answer, and the key exists, or is dead, or the signature is billed."""
    for operation in ("sign", "create", "delete"):
        admin.emulator.faults.next(operation, VendorFault.LOSE_REPLY)
    with pytest.raises(GONE):
        signer.sign()
    with pytest.raises(GONE):
        admin.create()
    with pytest.raises(GONE):
        admin.revoke(signer.key.id)
    assert signer.emulator.signatures[signer.key.id] == 1
    statuses = [key["status"] for key in admin.list_keys().json()["keys"]]
    assert statuses == ["active", "revoked"]


def test_a_body_that_breaks_off(admin: Caller) -> None:
    """The head promises more bytes than come."""
    admin.emulator.faults.next("create", VendorFault.CUT_BODY)
    with pytest.raises(http.client.IncompleteRead):
        admin.create()
    assert len(admin.list_keys().json()["keys"]) == 1


def test_an_answer_withheld(admin: Caller) -> None:
    """The call has taken effect while its caller still waits; on release it gets its answer."""
    admin.emulator.faults.next("create", VendorFault.HANG)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(admin.create, "slow")
        assert admin.emulator.faults.wait_until_holding()
        (key,) = admin.list_keys("slow").json()["keys"]
        assert not waiting.done()
        admin.emulator.faults.release()
        assert waiting.result(timeout=300).json()["id"] == key["id"]
    assert not admin.emulator.faults.wait_until_holding(timedelta(0))


def test_stopping_lets_a_withheld_answer_go(signer: Caller) -> None:
    """A hanging request does not outlive the emulator."""
    signer.emulator.faults.next("sign", VendorFault.HANG)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(signer.sign)
        assert signer.emulator.faults.wait_until_holding()
        signer.emulator.stop()
        assert isinstance(waiting.exception(timeout=300), GONE)


def test_a_slow_answer_comes_in_pieces(signer: Caller) -> None:
    """Every piece arrives before a read times out, and the whole takes ten times the pace."""
    signer.emulator.faults.pace = timedelta(milliseconds=20)
    signer.emulator.faults.next("sign", VendorFault.SLOW)
    connection = signer.connect()
    connection.timeout = 60
    begun = monotonic()
    answer = signer.sign_on(connection)
    assert monotonic() - begun >= 10 * 0.02
    assert answer.json().keys() == {"signature"}
    connection.close()


def test_a_slow_answer_without_a_body(admin: Caller, signer: Caller) -> None:
    """A 204 is slow too, and still a 204."""
    admin.emulator.faults.next("delete", VendorFault.SLOW)
    assert admin.revoke(signer.key.id).status == 204


def test_faults_are_taken_in_order_and_used_up(signer: Caller) -> None:
    """Twice this, once that, and then all is well."""
    signer.emulator.faults.next("sign", VendorFault.THROTTLED, times=2)
    signer.emulator.faults.next("sign", VendorFault.SERVER_ERROR)
    assert [signer.sign().status for _ in range(4)] == [429, 429, 500, 200]


def test_a_fault_lasts_until_cleared(admin: Caller, signer: Caller) -> None:
    """Clearing one operation leaves the others as they are; clearing all leaves none."""
    faults = signer.emulator.faults
    for operation in ("sign", "list", "create"):
        faults.next(operation, VendorFault.UNAVAILABLE, times=None)
    assert [signer.sign().status for _ in range(3)] == [503] * 3
    faults.clear("sign")
    assert (signer.sign().status, admin.list_keys().status) == (200, 503)
    faults.clear()
    assert (admin.list_keys().status, admin.create().status) == (200, 201)


@pytest.mark.parametrize(
    ("operation", "fault", "times"),
    [
        ("create", VendorFault.NOT_BASE64, 1),
        ("list", VendorFault.STRANGER, 1),
        ("delete", VendorFault.CUT_BODY, 1),
        ("delete", VendorFault.TRUNCATED_JSON, 1),
        ("sign", VendorFault.HTML, 0),
    ],
)
def test_an_impossible_fault_is_refused(
    operation: Operation, fault: VendorFault, times: int
) -> None:
    """A test that asks for what cannot happen is told so, not ignored."""
    with pytest.raises(ValueError, match=r"\."):
        VendorFaults().next(operation, fault, times=times)
