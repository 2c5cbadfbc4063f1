"""The four calls of the emulated vendor, for a caller whose key has been checked.

Signing is as Trusted Signatures documents it; the three key calls are as our
``docs/admin-api.yaml`` assumes them.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import Any, Final

from rotation.sandbox.vendor import cms
from rotation.sandbox.vendor.faults import VendorFault
from rotation.sandbox.vendor.keys import KeyQuotaReachedError, KeyStore, PortalKey, Role
from rotation.sandbox.vendor.messages import (
    RefusedError,
    Reply,
    Request,
    iso,
    json_reply,
    members,
    refuse_body,
    sha256_digest,
    utc_time,
)
from rotation.sandbox.vendor.pki import EcdsaIdentity, Identity, Pki
from rotation.sandbox.vendor.profiles import PADES, Algorithm

LONGEST_LABEL: Final = 512

_PADDING = 48 * 1024

_SIGNATURES_A_PAGE: Final = 1000


class Account:
    """An account at the vendor: its keys, its seal, and what it has been billed.

    Args:
        pki: who signs.
        keys: the account's keys.
        clock: the vendor's clock, aware UTC.
        page_size: how many keys a page of the list holds.

    Attributes:
        profile: what kind of CMS it gives.
    """

    def __init__(
        self, pki: Pki, keys: KeyStore, clock: Callable[[], datetime], *, page_size: int
    ) -> None:
        self._pki = pki
        self._keys = keys
        self._clock = clock
        self._page_size = page_size
        self._lock = Lock()
        self._digests: dict[str, list[bytes]] = {}
        self._other_signers: dict[VendorFault | Algorithm, Identity | EcdsaIdentity] = {}
        self.profile = PADES

    @property
    def signatures(self) -> Counter[str]:
        """How many signatures each key id has made, spoilt and unanswered ones included."""
        with self._lock:
            return Counter({key: len(digests) for key, digests in self._digests.items()})

    def sign(self, key: PortalKey, request: Request, fault: VendorFault | None) -> Reply:
        """``POST /v1/sign``: a CMS over the digest, spoilt as ``fault`` says."""
        content = members(
            request, required={"digestAlgorithm", "digest"}, optional=["tsaTimestamp"]
        )
        if content["digestAlgorithm"] != "SHA256":
            raise RefusedError(400, "digestAlgorithm must be SHA256.")
        timestamp = content.get("tsaTimestamp", False)
        if not isinstance(timestamp, bool):
            raise RefusedError(400, "tsaTimestamp must be true or false.")
        digest = sha256_digest(content["digest"])
        with self._lock:
            self._digests.setdefault(key.id, []).append(digest)
        return json_reply(200, {"signature": self._signature(digest, timestamp, fault)})

    def create(self, request: Request) -> Reply:
        """``POST /v1/keys``: a new signing key, the only answer that shows material."""
        content = members(request, required={"label", "expiresAt"})
        label = content["label"]
        if not isinstance(label, str) or not 1 <= len(label) <= LONGEST_LABEL:
            raise RefusedError(400, f"label must be text of 1 to {LONGEST_LABEL} characters.")
        expires_at = utc_time(content["expiresAt"])
        try:
            key = self._keys.create(label=label, expires_at=expires_at)
        except KeyQuotaReachedError as error:
            raise RefusedError(409, str(error)) from error
        except ValueError as error:
            raise RefusedError(400, f"expiresAt: {error}") from error
        return json_reply(201, {**self._described(key), "key": key.material})

    def list(self, request: Request) -> Reply:
        """``GET /v1/keys``: one page of the signing keys, newest first."""
        refuse_body(request)
        query = request.query
        if not query.keys() <= {"label", "cursor"} or any(len(each) > 1 for each in query.values()):
            raise RefusedError(400, "The query may hold label and cursor, once each.")
        label = query["label"][0] if "label" in query else ""
        cursor = query["cursor"][0] if "cursor" in query else None
        if len(label) > LONGEST_LABEL:
            raise RefusedError(400, f"label must be at most {LONGEST_LABEL} characters.")
        try:
            page = self._keys.page(label, cursor, self._page_size)
        except ValueError as error:
            raise RefusedError(400, str(error)) from error
        described = [self._described(key) for key in page.keys]
        return json_reply(200, {"keys": described, "next": page.cursor})

    def signatures_of(self, key_id: str, request: Request) -> Reply:
        """``GET /v1/keys/{id}/signatures``: one page of the digests that a key signed."""
        refuse_body(request)
        query = request.query
        cursor = query.get("cursor", ["0"])
        if not query.keys() <= {"cursor"} or len(cursor) > 1 or not cursor[0].isdecimal():
            raise RefusedError(400, "The query may hold cursor, once.")
        key = self._keys.get(key_id)
        if key is None or key.role is not Role.SIGNING:
            raise RefusedError(404, "There is no such key.")
        start = int(cursor[0])
        with self._lock:
            digests = self._digests.get(key_id, [])
            page = digests[start : start + _SIGNATURES_A_PAGE]
            more = start + len(page) < len(digests)
        return json_reply(
            200,
            {
                "digests": [base64.b64encode(digest).decode() for digest in page],
                "next": str(start + len(page)) if more else None,
            },
        )

    def delete(self, key_id: str, request: Request) -> Reply:
        """``DELETE /v1/keys/{id}``: revoke a signing key, once."""
        refuse_body(request)
        key = self._keys.get(key_id)
        if key is None or key.role is not Role.SIGNING or not self._keys.revoke(key_id):
            raise RefusedError(404, "There is no such key, or it was revoked before.")
        return Reply(204)

    def _signature(self, digest: bytes, timestamp: bool, fault: VendorFault | None) -> str:
        if fault is VendorFault.NOT_BASE64:
            return "this is *not* base64"
        if fault is VendorFault.NOT_CMS:
            return base64.b64encode(secrets.token_bytes(64)).decode()
        if fault is VendorFault.OTHER_DIGEST:
            digest = hashlib.sha256(digest).digest()
        profile, now = self.profile, self._clock()
        stamped = timestamp if profile.timestamp is None else profile.timestamp
        issuers = (self._pki.issuing, self._pki.root) if profile.revocation_data else ()
        der = cms.sign(
            digest,
            self._signer(fault, profile.algorithm),
            timestamp=(self._pki.tsa, now) if stamped else None,
            profile=profile,
            at=now,
            crls=[self._pki.crl(issuer, now) for issuer in issuers],
        )
        if fault is VendorFault.CORRUPTED_SIGNATURE:
            der = cms.with_corrupted_signature(der)
        elif fault is VendorFault.LARGE:
            der = cms.with_padding(der, _PADDING)
        return base64.b64encode(der).decode()

    def _signer(self, fault: VendorFault | None, algorithm: Algorithm) -> Identity | EcdsaIdentity:
        make: dict[VendorFault | Algorithm, Callable[[], Identity | EcdsaIdentity]] = {
            Algorithm.ECDSA: self._pki.ecdsa_signer,
            VendorFault.STRANGER: self._pki.stranger,
            VendorFault.IMPOSTOR: self._pki.impostor,
            VendorFault.NEIGHBOUR: self._pki.neighbour,
        }
        other = fault if fault in make else algorithm
        if other not in make:
            return self._pki.signer
        assert other is not None
        with self._lock:
            if other not in self._other_signers:
                self._other_signers[other] = make[other]()
            return self._other_signers[other]

    def _described(self, key: PortalKey) -> dict[str, Any]:
        return {
            "id": key.id,
            "label": key.label,
            "createdAt": iso(key.created_at),
            "expiresAt": iso(key.expires_at),
            "status": key.status(self._clock()),
        }
