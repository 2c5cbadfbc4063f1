"""Asks the vendor what was signed with a key, over the key administration interface.

This is OUR assumption, like the whole interface: Trusted Signatures has published no such call. Its
data-processing agreement says that it keeps the digests of documents, and a customer can ask for
them. ``docs/admin-api.yaml`` describes the call; a vendor that does not know it does not tell.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import quote

from rotation.credential import ApiKey
from rotation.errors import MalformedResponseError, VendorRefusedError
from rotation.vendor.http import VendorHttp, VendorRequest, VendorResponse
from rotation.vendor.key_prover import seal_digest_of

_MOST_PAGES: Final = 1000
#: What servers answer that do not know a path or its method.
_UNKNOWN: Final = frozenset({404, 405, 501})


class AdminSignatureLog:
    """A `rotation.core.ports.SignatureLog`.

    Args:
        http: a session with its origin.
        path: the path of the keys, such as ``/v1/keys``.
        admin_key: returns the admin credential; called once for each request.
    """

    def __init__(self, http: VendorHttp, path: str, admin_key: Callable[[], ApiKey]) -> None:
        self._http = http
        self._path = path
        self._admin_key = admin_key

    def documents(self, key_id: str, statements: Collection[str]) -> frozenset[bytes] | None:
        """As `rotation.core.ports.SignatureLog.documents`: every page."""
        path = f"{self._path}/{quote(key_id, safe='')}/signatures"
        found: set[bytes] = set()
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            query = {"cursor": cursor} if cursor else {}
            request = VendorRequest(
                "list signatures", "GET", path, repeatable=True, query=query, accept=_UNKNOWN
            )
            try:
                response = self._http.call(request, self._admin_key())
            except VendorRefusedError:
                return None
            if response.status in _UNKNOWN:
                return None
            page = _page(response)
            if page is None:
                break
            found |= page[0]
            cursor = page[1]
            if cursor is None:
                return frozenset(found) - {seal_digest_of(one) for one in statements}
        raise MalformedResponseError(
            "list signatures",
            "the answer is not what docs/admin-api.yaml describes",
            status=response.status,
            request_id=response.request_id,
        )


def _page(response: VendorResponse) -> tuple[set[bytes], str | None] | None:
    members = response.json_object() or {}
    listed, cursor = members.get("digests"), members.get("next", "")
    if not isinstance(listed, list) or not (cursor is None or (isinstance(cursor, str) and cursor)):
        return None
    try:
        digests = {base64.b64decode(one, validate=True) for one in listed}
    except (TypeError, ValueError):
        return None
    return (digests, cursor) if all(len(one) == 32 for one in digests) else None
