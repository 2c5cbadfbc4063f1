"""The payment gateway's API keys: what they look like, and its REST interface for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

import requests

from rotation.core.ports import KeyLabel, KeyListing, Proof, Revocation, VendorKey
from rotation.credential import ApiKey, KeyFormat, KeyMember, iso_utc, matching
from rotation.errors import (
    CredentialRejectedError,
    KeyQuotaError,
    MalformedResponseError,
    VendorError,
    VendorRefusedError,
    VendorUnavailableError,
)

#: The secret holds {"keyId": "key_…", "secretKey": "sk_live_…"}.
GATEWAY_KEY: Final = KeyFormat(
    id=KeyMember("keyId", "key_ and 16 letters or digits", matching(r"key_[A-Za-z0-9]{16}")),
    material=KeyMember(
        "secretKey", "sk_live_ and 32 letters or digits", matching(r"sk_live_[A-Za-z0-9]{32}")
    ),
)


@dataclass(frozen=True)
class Answer:
    """The status, the JSON object, which may hold a new key, and the gateway's clock."""

    status: int
    members: dict[str, Any] = field(repr=False)
    time: datetime


class GatewayApi:
    """Requests with bearer tokens; a refusal becomes an error of `rotation.errors`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False  # a .netrc would replace the bearer token

    def call(
        self, operation: str, method: str, path: str, key: ApiKey, accept: int = 200, **content: Any
    ) -> Answer:
        """Ask once; ``accept`` is a status above 299 that the caller reads itself."""
        try:
            got = self._session.request(
                method,
                self._url + path,
                headers={"Authorization": f"Bearer {key.material.reveal()}"},
                timeout=10,
                allow_redirects=False,
                **content,
            )
            members = dict(got.json()) if got.content else {}
            time = parsedate_to_datetime(got.headers["Date"]).astimezone(UTC)
        except (requests.RequestException, KeyError, TypeError, ValueError) as error:
            problem = type(error).__name__
        else:
            if got.status_code < 300 or got.status_code == accept:
                return Answer(got.status_code, members, time)
            raise _refusal(operation, key, got.status_code, time)
        # Outside of the except block: the cause holds the request, and with it the bearer token.
        raise VendorUnavailableError(operation, f"no usable answer ({problem})")


def _refusal(operation: str, key: ApiKey, status: int, time: datetime) -> VendorError:
    kind: type[VendorError] = VendorRefusedError
    if status == 401:
        kind = CredentialRejectedError
    elif status == 429 or status >= 500:
        kind = VendorUnavailableError
    return kind(
        operation, f"the gateway did not do it for key {key.id}", status=status, vendor_time=time
    )


class GatewayIssuer:
    """`rotation.core.ports.KeyIssuer` over ``/v1/api_keys``, with the bearer token of an admin."""

    def __init__(self, api: GatewayApi, admin_key: Callable[[], ApiKey]) -> None:
        self._api = api
        self._admin_key = admin_key

    def issue(self, label: KeyLabel, lifetime: timedelta) -> ApiKey:
        """A new key, whose metadata say whose it is; the only answer that shows the key itself."""
        now = datetime.now(UTC)
        wanted = {"metadata": vars(label), "expires_at": iso_utc(now + lifetime)}
        answer = self._call("create key", "POST", "", accept=409, json=wanted)
        if answer.status == 409:
            raise KeyQuotaError(f"The gateway creates no more keys for {label.secret_arn}.")
        return ApiKey.from_text(
            answer.members.get("id"),
            answer.members.get("secret"),
            issued_at=iso_utc(now),
            expires_at=answer.members.get("expires_at"),
            key_format=GATEWAY_KEY,
        )

    def list_keys(self, installation: str, secret_arn: str) -> KeyListing:
        """Our keys of this secret, on every page; the account may have keys of others."""
        found: list[VendorKey] = []
        page: dict[str, str] | None = {}
        while page is not None:
            answer = self._call("list keys", "GET", "", params=page)
            try:
                found += [key for entry in answer.members["data"] if (key := _listed(entry))]
                page = {"after": answer.members["next"]} if answer.members["next"] else None
            except (KeyError, TypeError, ValueError) as error:
                raise MalformedResponseError("list keys", "not a list of keys") from error
        whose = (installation, secret_arn)
        ours = [key for key in found if (key.label.installation, key.label.secret_arn) == whose]
        return KeyListing(ours, answer.time)

    def revoke(self, key_id: str) -> Revocation:
        """404: the gateway does not know the key."""
        answer = self._call("revoke key", "DELETE", f"/{quote(key_id, safe='')}", accept=404)
        return Revocation.ALREADY_GONE if answer.status == 404 else Revocation.REVOKED

    def forget(self, key_id: str) -> None:
        """Nothing: this issuer keeps no record of its own."""

    def _call(self, operation: str, method: str, path: str, **more: Any) -> Answer:
        return self._api.call(operation, method, f"/v1/api_keys{path}", self._admin_key(), **more)


def _listed(entry: dict[str, Any]) -> VendorKey | None:
    """One entry of a list; None for a key that somebody else made."""
    metadata = entry["metadata"]
    if metadata.keys() != {"installation", "secret_arn", "token"}:
        return None
    return VendorKey(
        id=entry["id"],
        label=KeyLabel(**metadata),
        created_at=datetime.fromisoformat(entry["created_at"]),
        expires_at=datetime.fromisoformat(entry["expires_at"]),
        active=entry["status"] == "active",
    )


class GatewayProver:
    """`rotation.core.ports.KeyProver`: a GET that every live key may send."""

    def __init__(self, api: GatewayApi) -> None:
        self._api = api

    def prove(self, key: ApiKey, statement: str) -> Proof:  # noqa: ARG002 - nothing is signed
        """Read the account of ``key``; the key that replaces it must be of the same account."""
        answer = self._api.call("read account", "GET", "/v1/account", key)
        account = str(answer.members.get("id"))
        return Proof(datetime.now(UTC), answer.time, account, facts={"account": account})
