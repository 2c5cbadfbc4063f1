"""The key administration interface: issue, list, revoke, and what is never repeated."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from rotation.core.ports import KeyLabel, Revocation
from rotation.credential import ApiKey
from rotation.errors import (
    CredentialRejectedError,
    KeyIssueError,
    KeyQuotaError,
    MalformedResponseError,
    VendorError,
    VendorRefusedError,
    VendorUnavailableError,
)
from rotation.sandbox.vendor import Outage, VendorEmulator, VendorFault
from rotation.vendor.admin_api import AdminApi, _page
from rotation.vendor.http import VendorResponse
from tests.vendor.conftest import Act, Client

ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:trusted-signatures-api-AbCdEf"
LIFE = timedelta(days=90)


def label(arn: str = ARN) -> KeyLabel:
    return KeyLabel("fixture", arn, str(uuid.uuid4()))


def test_an_issued_key_works_and_is_listed_under_its_label(client: Client) -> None:
    """What is issued signs at once, expires when it should, and bears its label."""
    wanted = label()
    key = client.admin.issue(wanted, LIFE)
    assert client.prover.prove(key, "rotation test seal").identity_checked
    listing = client.admin.list_keys("fixture", ARN)
    (listed,) = listing.keys
    assert (listed.id, listed.label, listed.active) == (key.id, wanted, True)
    assert key.expires_at is not None
    assert abs(key.expires_at - client.now() - LIFE) < timedelta(minutes=1)
    assert abs(listing.vendor_time - client.now()) < timedelta(seconds=5)


def test_only_this_secret_s_keys_are_listed(client: Client) -> None:
    """Keys of secrets whose ARN begins alike, of other installations and of people stay out."""
    mine = client.admin.issue(label(), LIFE)
    client.admin.issue(label(ARN + "2"), LIFE)
    client.admin.issue(KeyLabel("house2", ARN, str(uuid.uuid4())), LIFE)
    client.emulator.keys.create(label=f"fixture|{ARN}|{'x' * 8}|more")
    assert [key.id for key in client.admin.list_keys("fixture", ARN).keys] == [mine.id]


def test_a_token_that_holds_a_separator_is_found_again(client: Client) -> None:
    """Whoever rotates chooses the token, and its key must not be lost from sight."""
    wanted = KeyLabel("fixture", ARN, "|installation|arn:aws|" + "t" * 32)
    key = client.admin.issue(wanted, LIFE)
    (listed,) = client.admin.list_keys("fixture", ARN).keys
    assert (listed.id, listed.label) == (key.id, wanted)


def test_every_page_is_read(pki: object, client: Client) -> None:
    """A listing longer than a page is whole."""
    client.emulator.keys.quota = 300
    issued = {
        client.emulator.keys.create(label=f"fixture|{ARN}|{uuid.uuid4()}").id for _ in range(250)
    }
    assert {key.id for key in client.admin.list_keys("fixture", ARN).keys} == issued
    assert len([r for r in client.emulator.requests if r.operation == "list"]) == 3


def test_revoking_is_idempotent_and_works(client: Client) -> None:
    """A revoked key no longer signs; revoking it again finds it gone."""
    key = client.admin.issue(label(), LIFE)
    assert client.admin.revoke(key.id) is Revocation.REVOKED
    assert client.admin.revoke(key.id) is Revocation.ALREADY_GONE
    with pytest.raises(CredentialRejectedError):
        client.prover.prove(key, "rotation test seal")
    (listed,) = client.admin.list_keys("fixture", ARN).keys
    assert not listed.active


def test_a_full_quota_is_told_apart(client: Client) -> None:
    """Too many keys is an error of its own: there is something to do about it."""
    client.emulator.keys.quota = 1
    with pytest.raises(KeyQuotaError, match="too many"):
        client.admin.issue(label(), LIFE)


def test_a_life_that_the_vendor_refuses_names_the_setting(client: Client) -> None:
    """More than a year is refused, and the message says which setting to change."""
    with pytest.raises(KeyIssueError, match="KEY_LIFETIME_DAYS"):
        client.admin.issue(label(), timedelta(days=400))


@pytest.mark.parametrize(
    "fault", [VendorFault.LOSE_REPLY, VendorFault.SERVER_ERROR, VendorFault.CUT_BODY]
)
def test_issuing_is_never_repeated_once_it_may_have_begun(
    client: Client, fault: VendorFault
) -> None:
    """A lost answer leaves at most one stray, never two."""
    client.emulator.faults.next("create", fault)
    with pytest.raises(VendorUnavailableError):
        client.admin.issue(label(), LIFE)
    assert len([r for r in client.emulator.requests if r.operation == "create"]) == 1


def test_issuing_is_repeated_when_it_cannot_have_begun(client: Client) -> None:
    """429 means that nothing was made."""
    client.emulator.faults.next("create", VendorFault.THROTTLED, times=2)
    client.admin.issue(label(), LIFE)
    assert len(client.admin.list_keys("fixture", ARN).keys) == 1


def test_issuing_is_repeated_when_nobody_could_be_reached(client: Client) -> None:
    """A refused connection began nothing: four attempts."""
    client.emulator.outage = Outage.REFUSED
    with pytest.raises(VendorUnavailableError):
        client.admin.issue(label(), LIFE)
    assert len(client.pauses) == 3


def test_ids_are_compared_in_one_form(client: Client) -> None:
    """A vendor that writes ids in capitals lists the same keys."""
    listed = {
        "id": "4F1C2D3E-5A6B-4C7D-8E9F-A0B1C2D3E4F5",
        "label": f"fixture|{ARN}|token",
        "createdAt": "2026-01-01T00:00:00Z",
        "expiresAt": None,
        "status": "active",
    }
    page = _page(answer({"keys": [listed], "next": None}))
    assert page is not None
    assert [key.id for key in page[0]] == ["4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"]


GOOD: dict[str, object] = {
    "id": str(uuid.uuid4()),
    "label": f"fixture|{ARN}|token",
    "createdAt": "2026-01-01T00:00:00Z",
    "expiresAt": "2026-06-01T00:00:00Z",
    "status": "active",
}


def answer(members: object) -> VendorResponse:
    return VendorResponse(200, json.dumps(members).encode(), None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x"},
        {"id": None},
        {"label": 7},
        {"label": ["x"]},
        {"createdAt": "9999-12-31T23:59:59-01:00"},
        {"createdAt": "2026-01-01T00:00:00"},
        {"createdAt": None},
        {"expiresAt": "tomorrow"},
        {"expiresAt": 1793000000},
        {"status": True},
        {"status": "ACTIVE"},
        {"status": "suspended"},
        {"status": ["active"]},
        *({name: ...} for name in GOOD),
    ],
    ids=str,
)
def test_a_listed_key_of_another_shape_spoils_the_page(change: dict[str, object]) -> None:
    """Nothing is guessed from an entry that is not what it should be, or that lacks a member."""
    assert _page(answer({"keys": [GOOD], "next": None})) is not None
    entry = {name: value for name, value in (GOOD | change).items() if value is not ...}
    assert _page(answer({"keys": [GOOD, entry], "next": None})) is None


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"next": None},
        {"keys": None, "next": None},
        {"keys": {}, "next": None},
        {"keys": "", "next": None},
        {"keys": []},
        {"keys": [], "next": 7},
        {"keys": [], "next": ""},
        {"keys": [], "next": False},
        {"keys": [None], "next": None},
        [],
    ],
    ids=str,
)
def test_a_page_of_another_shape_is_no_empty_list(members: object) -> None:
    """A page without its keys, or without the word that it is the last, is never "no keys"."""
    assert _page(answer(members)) is None
    assert _page(answer({"keys": [], "next": None})) == ([], None)


class Rewritten:
    """A session whose answers something on the way has rewritten, their status 2xx or 404."""

    def __init__(self, status: int, body: bytes) -> None:
        self._answer = VendorResponse(status, body, datetime.now(UTC), None)

    def call(self, *_: object) -> VendorResponse:
        return self._answer


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>sign in</html>"), (200, b"{}"), (202, b""), (404, b"<html>not here</html>")],
)
def test_a_key_is_revoked_or_gone_only_if_the_vendor_says_so(
    client: Client, status: int, body: bytes
) -> None:
    """A page of a proxy, or of a server that does not know the path, says nothing of a key."""
    api = AdminApi(Rewritten(status, body), "/v1/keys", lambda: client.key, client.now)  # type: ignore[arg-type]
    with pytest.raises(MalformedResponseError, match="revoke key"):
        api.revoke(str(uuid.uuid4()))


def test_pages_that_go_round_in_a_circle_are_no_list(client: Client) -> None:
    """A cursor that comes twice ends the listing at once, and not after a thousand pages."""
    asked: list[object] = []

    class Circle(Rewritten):
        """The same page again and again."""

        def call(self, *request: object) -> VendorResponse:
            asked.append(request)
            return super().call(*request)

    page = Circle(200, b'{"keys": [], "next": "again"}')
    api = AdminApi(page, "/v1/keys", lambda: client.key, client.now)  # type: ignore[arg-type]
    with pytest.raises(MalformedResponseError, match="list keys"):
        api.list_keys("fixture", ARN)
    assert len(asked) == 2


@pytest.mark.parametrize("missing", ["id", "key", "label", "expiresAt"])
def test_an_issued_key_that_lacks_a_member_is_refused(client: Client, missing: str) -> None:
    """A key whose label or expiry nobody knows could not be retired later."""
    wanted = label()
    whole = {
        "id": str(uuid.uuid4()),
        "key": "ab" * 32,
        "label": "|".join((wanted.installation, wanted.secret_arn, wanted.token)),
        "createdAt": "2026-01-01T00:00:00Z",
        "expiresAt": "2026-06-01T00:00:00Z",
        "status": "active",
    }

    def issued(members: dict[str, str]) -> ApiKey:
        http = Rewritten(201, json.dumps(members).encode())
        api = AdminApi(http, "/v1/keys", lambda: client.key, client.now)  # type: ignore[arg-type]
        return api.issue(wanted, LIFE)

    assert issued(whole).id == whole["id"]
    with pytest.raises(MalformedResponseError, match="create key") as failed:
        issued({name: value for name, value in whole.items() if name != missing})
    assert failed.value.__context__ is None
    with pytest.raises(MalformedResponseError):
        issued(whole | {"label": "fixture|another|token"})


def test_issuing_does_not_ride_on_a_connection_that_may_be_dead(client: Client) -> None:
    """After another call, an issue opens its own connection."""
    client.admin.list_keys("fixture", ARN)
    pool = client.http._session.get_adapter(client.emulator.url)
    client.admin.issue(label(), LIFE)
    (connections,) = pool.poolmanager.pools._container.values()  # type: ignore[attr-defined]
    assert connections.num_requests == 1


@pytest.mark.parametrize(
    "fault", [VendorFault.HTML, VendorFault.TRUNCATED_JSON, VendorFault.EMPTY_JSON]
)
@pytest.mark.parametrize("operation", ["create", "list"])
def test_an_answer_of_another_shape_is_typed_and_hidden(
    client: Client, operation: str, fault: VendorFault
) -> None:
    """The error names the document that describes the shape; the body, a key perhaps, stays out."""
    client.emulator.faults.next(operation, fault)  # type: ignore[arg-type]
    acts: dict[str, Act] = {
        "create": lambda: client.admin.issue(label(), LIFE),
        "list": lambda: client.admin.list_keys("fixture", ARN),
    }
    with pytest.raises(MalformedResponseError, match=r"admin-api\.yaml") as failed:
        acts[operation]()
    assert failed.value.__context__ is None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (VendorFault.UNAUTHORIZED, CredentialRejectedError),
        (VendorFault.FORBIDDEN, VendorRefusedError),
    ],
)
def test_a_refused_admin_credential_is_typed(
    client: Client, fault: VendorFault, error: type[VendorError]
) -> None:
    """401 and 403 on the administration interface name the operation."""
    client.emulator.faults.next("list", fault)
    with pytest.raises(error, match="list keys"):
        client.admin.list_keys("fixture", ARN)


def test_a_signing_key_is_no_admin_credential(client: Client, emulator: VendorEmulator) -> None:
    """The two kinds of key are told apart by the vendor."""
    admin = AdminApi(client.http, "/v1/keys", lambda: client.key, client.now)
    with pytest.raises(VendorRefusedError):
        admin.list_keys("fixture", ARN)
