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
from rotation.vendor.http import VendorHttp, VendorRequest, VendorResponse

OPERATION: Final = "sign"


class SigningApi:
    """The vendor's signing call."""

    def __init__(self, http: VendorHttp, path: str) -> None:
        self._http = http
        self._path = path

    def sign(self, key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        """As `sign_with_vendor_time`, without the time."""
        return self.sign_with_vendor_time(key, digest, timestamp=timestamp)[0]

    def sign_with_vendor_time(
        self, key: ApiKey, digest: bytes, *, timestamp: bool = False
    ) -> tuple[bytes, datetime | None]:
        """Have ``digest`` signed; the signature, and the vendor's clock where it told it.

        The signature is the DER of a detached CMS SignedData. The vendor counts each accepted call
        as a signature. A call whose answer was lost is repeated: a second signature over the same
        digest does no harm. Does NOT check the signature; `rotation.vendor.cms` does.

        Args:
            key: the key to sign with.
            digest: the SHA-256 digest, 32 bytes.
            timestamp: whether the signature shall carry a timestamp of the vendor's TSA.

        Raises:
            VendorError: as `VendorHttp.call` says, or an answer without a signature.
        """
        members: dict[str, object] = {
            "digestAlgorithm": "SHA256",
            "digest": base64.b64encode(digest).decode(),
            "tsaTimestamp": timestamp,
        }
        request = VendorRequest(
            OPERATION, "POST", self._path, repeatable=True, body=json.dumps(members).encode()
        )
        response = self._http.call(request, key)
        signature = _signature(response)
        if signature is None:
            raise MalformedResponseError(
                OPERATION,
                'the answer is not JSON with a base64 "signature"; check VENDOR_URL and '
                "VENDOR_SIGN_PATH",
                status=response.status,
                request_id=response.request_id,
            )
        return signature, response.date


def _signature(response: VendorResponse) -> bytes | None:
    text = (response.json_object() or {}).get("signature")
    if not isinstance(text, str) or not text:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None
