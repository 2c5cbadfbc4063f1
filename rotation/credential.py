"""The API key as a value, and the secret that holds it.

Whatever is confidential here is readable by one explicit call, ``reveal()``, and by nothing else:
repr, str, format and a traceback that prints locals give ``<hidden>``; pickle, deepcopy and
dataclasses.asdict refuse.

The secret's value is a JSON object ``{"apiKey": "<hex>", "apiKeyId": "<uuid>"}`` (Trusted
Signatures' documentation). We add ``issuedAt`` and ``expiresAt``, ISO 8601 in UTC. Any further
member belongs to the organisation and survives a rotation untouched.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, final

from rotation.errors import InvalidCredentialError
from rotation.privacy.redaction import HIDDEN, remember

API_KEY: Final = "apiKey"
API_KEY_ID: Final = "apiKeyId"
ISSUED_AT: Final = "issuedAt"
EXPIRES_AT: Final = "expiresAt"

_hex_key = re.compile(r"(?:[0-9A-Fa-f]{2}){16,128}")


@final
class Confidential:
    """Text that only `reveal` gives back: a secret's value, a RotationToken."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself. Whoever calls this answers for where it goes."""
        return self.__text

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Confidential):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash(self.__text)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("confidential text is not pickled or copied")


@dataclass(frozen=True)
class ApiKey:
    """One Trusted Signatures API key.

    Attributes:
        id: the vendor's key id, a UUID in lower case; public.
        issued_at: when it was issued, aware UTC, where known.
        expires_at: when it stops working, aware UTC, where known.
    """

    id: str
    material: Confidential = field(repr=False)
    issued_at: datetime | None = None
    expires_at: datetime | None = None

    @classmethod
    def from_text(
        cls,
        key_id: object,
        material: object,
        *,
        issued_at: object = None,
        expires_at: object = None,
    ) -> ApiKey:
        """A key from the texts in which a secret or an issuer's answer holds it.

        Raises:
            InvalidCredentialError: the id is no UUID, the key is not hex of 16 to 128 bytes, or a
                time is not ISO 8601 with an offset. The message never repeats a value.
        """
        problem = (
            _key_problem(key_id, material)
            or _time_problem(ISSUED_AT, issued_at)
            or _time_problem(EXPIRES_AT, expires_at)
        )
        if problem is None:
            remember(str(material))
            return cls(
                id=str(uuid.UUID(str(key_id))),
                material=Confidential(str(material)),
                issued_at=_parse_time(issued_at),
                expires_at=_parse_time(expires_at),
            )
        del material
        raise InvalidCredentialError(problem)

    def mac(self, message: bytes) -> bytes:
        """HMAC-SHA256 over ``message`` with the raw bytes of the hex key: 32 bytes."""
        return hmac.digest(bytes.fromhex(self.material.reveal()), message, hashlib.sha256)

    def expired(self, now: datetime) -> bool:
        """Whether the key's known lifetime is over at ``now``."""
        return self.expires_at is not None and self.expires_at <= now


@final
class SecretDocument:
    """The JSON object in a secret: an API key and whatever else the organisation keeps there."""

    __slots__ = ("__members", "key")

    def __init__(self, key: ApiKey, members: Mapping[str, Any]) -> None:
        self.key = key
        self.__members = {
            name: value
            for name, value in members.items()
            if name not in {API_KEY, API_KEY_ID, ISSUED_AT, EXPIRES_AT}
        }

    @classmethod
    def parse(cls, value: Confidential, *, of: str) -> SecretDocument:
        """Read a secret's value; ``of`` names the secret in the error.

        Raises:
            InvalidCredentialError: not a JSON object with a usable key. The secret is untouched.
        """
        members = _json_object(value)
        if members is None:
            raise InvalidCredentialError(
                f"The value of {of} is not a JSON object. Store "
                f'{{"{API_KEY}": "<hex>", "{API_KEY_ID}": "<uuid>"}} there.'
            )
        try:
            key = ApiKey.from_text(
                members.get(API_KEY_ID),
                members.get(API_KEY),
                issued_at=members.get(ISSUED_AT),
                expires_at=members.get(EXPIRES_AT),
            )
        except InvalidCredentialError as error:
            problem = str(error)
        else:
            return cls(key, members)
        del members
        raise InvalidCredentialError(f"The value of {of} holds no usable API key: {problem}")

    @classmethod
    def empty(cls, key: ApiKey) -> SecretDocument:
        """A document that holds ``key`` and nothing else."""
        return cls(key, {})

    def with_key(self, key: ApiKey) -> SecretDocument:
        """The same document with another key; every other member stays as it is."""
        return SecretDocument(key, self.__members)

    def serialize(self) -> Confidential:
        """The JSON text to store, our four members last."""
        members = dict(self.__members)
        members[API_KEY] = self.key.material.reveal()
        members[API_KEY_ID] = self.key.id
        for name, time in ((ISSUED_AT, self.key.issued_at), (EXPIRES_AT, self.key.expires_at)):
            if time is not None:
                members[name] = iso_utc(time)
        return Confidential(json.dumps(members, ensure_ascii=False))

    def __repr__(self) -> str:
        return f"SecretDocument({self.key!r}, …)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret's document is not pickled or copied")


def iso_utc(time: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.mmmZ``, the vendor's form of a time."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"


def _json_object(value: Confidential) -> dict[str, Any] | None:
    # JSONDecodeError carries the whole document in .doc: it must not leave this frame.
    try:
        members = json.loads(value.reveal())
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def _key_problem(key_id: object, material: object) -> str | None:
    if key_id is None or material is None:
        missing = API_KEY_ID if key_id is None else API_KEY
        return f'the member "{missing}" is missing'
    if not isinstance(material, str) or not _hex_key.fullmatch(material):
        return f'"{API_KEY}" is not hexadecimal text of 16 to 128 whole bytes'
    try:
        uuid.UUID(key_id if isinstance(key_id, str) else "")
    except ValueError:
        return f'"{API_KEY_ID}" is not a UUID'
    return None


def _time_problem(name: str, value: object) -> str | None:
    if value is None or _parse_time(value) is not None:
        return None
    return f'"{name}" is not an ISO 8601 time with an offset'


def _parse_time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
        return None if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
