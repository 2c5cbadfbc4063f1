"""``POST /v1/sign``: a CMS signature over a SHA-256 digest.

Source: the vendor's signing documentation (body, answer) and its own client (``tsaTimestamp``).
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Final

from rotation.credential import ApiKey
from rotation.errors import MalformedResponseError
from rotation.vendor.http import VendorHttp, VendorRequest
from rotation.vendor.response import Answer

OPERATION: Final = "sign"


class SigningApi:
    """The vendor's signing call."""

    def __init__(self, http: VendorHttp, path: str) -> None:
        self._http = http
        self._path = path

    def sign(self, key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        """As `answered`, without the vendor's clock."""
        return self.answered(key, digest, timestamp=timestamp)[0]

    def answered(
        self, key: ApiKey, digest: bytes, *, timestamp: bool = False
    ) -> tuple[bytes, datetime | None]:
        """The DER of a detached CMS SignedData over ``digest``, 32 bytes, and the vendor's clock.

        Each accepted call is a signature that the vendor counts; a call whose answer was lost is
        repeated, since a second signature over the same digest harms nothing. Does NOT check the
        signature: that is `rotation.vendor.cms`.

        Args:
            key: the key to sign with.
            digest: the SHA-256 digest.
            timestamp: whether the signature shall carry a timestamp of the vendor's TSA.

        Raises:
            VendorError: as `VendorHttp.call` says, or an answer without a signature.
        """
        members: dict[str, object] = {
            "digestAlgorithm": "SHA256",
            "digest": base64.b64encode(digest).decode(),
        }
        if timestamp:
            members["tsaTimestamp"] = True
        request = VendorRequest(
            OPERATION, "POST", self._path, repeatable=True, body=json.dumps(members).encode()
        )
        answer = self._http.call(request, key)
        signature = _signature(answer)
        if signature is None:
            raise MalformedResponseError(
                OPERATION,
                'the answer is not JSON with a base64 "signature"; check VENDOR_URL and '
                "VENDOR_SIGN_PATH",
                status=answer.status,
                request_id=answer.request_id,
            )
        return signature, answer.date


def _signature(answer: Answer) -> bytes | None:
    text = (answer.json_object() or {}).get("signature")
    if not isinstance(text, str) or not text:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None
