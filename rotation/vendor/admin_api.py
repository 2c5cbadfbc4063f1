"""A KeyIssuer over the key administration interface, which ``docs/admin-api.yaml`` describes.

This interface is OUR assumption: Trusted Signatures has published no API to create, list or revoke
keys. The page has what rotation needs. Requests are signed like every other request, with an admin
credential that a secret of its own holds.

Nothing is concluded from what an answer lacks: a listing without a member that the page requires is
no shorter listing, and a key whose status is another word is not a dead key.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from rotation.core.ports import KeyLabel, KeyListing, Revocation, VendorKey
from rotation.credential import ApiKey, iso_utc
from rotation.errors import (
    InvalidCredentialError,
    KeyIssueError,
    KeyQuotaError,
    MalformedResponseError,
)
from rotation.vendor.http import VendorHttp, VendorRequest, VendorResponse

_SEPARATOR: Final = "|"
#: Whether a key of each status may still work.
_STATUSES: Final = {"active": True, "revoked": False, "expired": False}
_MOST_PAGES: Final = 1000
# API_RotateSecret, ClientRequestToken, "Length Constraints".
_TOKEN_LENGTHS: Final = range(32, 65)


class AdminApi:
    """The key administration interface.

    Args:
        http: a session with its origin.
        path: the path of the keys, such as ``/v1/keys``.
        admin_key: returns the admin credential; called once for each request.
        clock: our clock, aware UTC.
    """

    def __init__(
        self,
        http: VendorHttp,
        path: str,
        admin_key: Callable[[], ApiKey],
        clock: Callable[[], datetime],
    ) -> None:
        self._http = http
        self._path = path
        self._admin_key = admin_key
        self._clock = clock

    def issue(self, label: KeyLabel, lifetime: timedelta) -> ApiKey:
        """As `KeyIssuer.issue`.

        A request that the vendor may have begun is not repeated; a lost answer leaves a stray key.
        """
        now = self._clock()
        body = {"label": _join(label), "expiresAt": iso_utc(now + lifetime)}
        request = VendorRequest(
            "create key",
            "POST",
            self._path,
            repeatable=False,
            body=json.dumps(body).encode(),
            accept=frozenset({400, 409}),
        )
        response = self._http.call(request, self._admin_key())
        if response.status == 409 and _error_code(response) == "key_quota_exceeded":
            raise KeyQuotaError(
                f"The vendor will create no more keys for {label.secret_arn}: too many exist. "
                "Revoke keys that nothing uses."
            )
        if response.status == 400:
            raise KeyIssueError(
                f"The vendor refused to create a key for {label.secret_arn} that lives "
                f"{lifetime.days} days (HTTP 400). Check KEY_LIFETIME_DAYS."
            )
        key = _issued(response, label, now)
        if key is None:
            raise _malformed("create key", response)
        return key

    def list_keys(self, installation: str, secret_arn: str) -> KeyListing:
        """As `KeyIssuer.list_keys`: every page, newest first, with the last page's time."""
        prefix = _SEPARATOR.join((installation, secret_arn, ""))
        keys: list[VendorKey] = []
        cursor: str | None = None
        seen: set[str] = set()
        for _ in range(_MOST_PAGES):
            query = {"label": prefix} | ({"cursor": cursor} if cursor else {})
            request = VendorRequest("list keys", "GET", self._path, repeatable=True, query=query)
            response = self._http.call(request, self._admin_key())
            page = _page(response)
            if page is None or response.date is None:
                raise _malformed("list keys", response)
            found, cursor = page
            # A vendor that ignores the prefix would list keys of others, which we must not touch.
            keys += [key for key in found if _join(key.label).startswith(prefix)]
            if cursor is None:
                return KeyListing(tuple(keys), response.date)
            if cursor in seen:
                break
            seen.add(cursor)
        raise _malformed("list keys", response)

    def revoke(self, key_id: str) -> Revocation:
        """As `KeyIssuer.revoke`. 204 means revoked, and 404 that the key is already gone.

        A 404 without the error code that the page describes comes from somebody else, who does not
        know this path; it says nothing of the key.
        """
        request = VendorRequest(
            "revoke key",
            "DELETE",
            f"{self._path}/{quote(key_id, safe='')}",
            repeatable=True,
            accept=frozenset({404}),
        )
        response = self._http.call(request, self._admin_key())
        if response.status == 404 and _error_code(response) == "not_found":
            return Revocation.ALREADY_GONE
        if response.status == 204:
            return Revocation.REVOKED
        raise _malformed("revoke key", response)

    def forget(self, key_id: str) -> None:
        """As `KeyIssuer.forget`. Nothing is kept here, so there is nothing to drop."""


def _join(label: KeyLabel) -> str:
    return _SEPARATOR.join((label.installation, label.secret_arn, label.token))


def _error_code(response: VendorResponse) -> object:
    error = (response.json_object() or {}).get("error")
    return error.get("code") if isinstance(error, dict) else None


def _issued(response: VendorResponse, label: KeyLabel, now: datetime) -> ApiKey | None:
    members = response.json_object() or {}
    # A key without our label would never be listed as ours, and so never be retired.
    if members.get("label") != _join(label) or members.get("expiresAt") is None:
        return None
    try:
        return ApiKey.from_text(
            members.get("id"),
            members.get("key"),
            # By our clock, which also counts the time that a new key may take to work.
            issued_at=iso_utc(now),
            expires_at=members.get("expiresAt"),
        )
    except InvalidCredentialError:
        return None


def _page(response: VendorResponse) -> tuple[list[VendorKey], str | None] | None:
    """The keys of a page, and the cursor of the next; None: it is not what the page describes."""
    members = response.json_object() or {}
    listed, cursor = members.get("keys"), members.get("next", "")
    if not isinstance(listed, list) or not (cursor is None or (isinstance(cursor, str) and cursor)):
        return None
    try:
        return [key for key in map(_listed, listed) if key is not None], cursor
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _listed(entry: dict[str, Any]) -> VendorKey | None:
    """One entry of a listing; None for a key whose label is not of our form."""
    parts = (entry["label"] or "").split(_SEPARATOR, 2)
    key_id, active, created_at = entry["id"], _STATUSES[entry["status"]], _time(entry["createdAt"])
    expires = entry["expiresAt"]
    if len(parts) != 3:
        return None
    # Whoever rotates chooses the token, so it may hold a separator. No id and no ARN does.
    if _SEPARATOR in parts[2] and len(parts[2]) not in _TOKEN_LENGTHS:
        return None
    return VendorKey(
        # The form that ApiKey.id has, so that both can be compared.
        id=str(uuid.UUID(key_id)),
        label=KeyLabel(*parts),
        created_at=created_at,
        expires_at=None if expires is None else _time(expires),
        active=active,
    )


def _time(value: str) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError("a time needs an offset")
    return time.astimezone(UTC)


def _malformed(operation: str, response: VendorResponse) -> MalformedResponseError:
    return MalformedResponseError(
        operation,
        "the answer is not what docs/admin-api.yaml describes; check ADMIN_API_URL and "
        "ADMIN_API_KEYS_PATH",
        status=response.status,
        request_id=response.request_id,
    )
