"""The API key as a value, and the JSON document in the secret that holds it.

Only an explicit call of ``reveal()`` gives confidential text back. repr, str, format and a
traceback that prints local variables show ``<hidden>``; pickle, deepcopy and dataclasses.asdict
raise TypeError.

The secret's value is a JSON object ``{"apiKey": "<hex>", "apiKeyId": "<uuid>"}`` (Trusted
Signatures' documentation); another vendor's keys have a `KeyFormat` of their own. We add
``issuedAt`` and ``expiresAt``, ISO 8601 in UTC. Any further member belongs to the organisation and
survives a rotation untouched.
"""

from __future__ import annotations

import hmac
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, final

from rotation.errors import InvalidCredentialError
from rotation.privacy.redaction import HIDDEN, hide_field, hide_value

API_KEY: Final = "apiKey"
API_KEY_ID: Final = "apiKeyId"
ISSUED_AT: Final = "issuedAt"
EXPIRES_AT: Final = "expiresAt"


@final
class Confidential:
    """Text that only `reveal` gives back, such as a secret's value or a RotationToken."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself. The caller must keep it out of logs, errors and files."""
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
        raise TypeError("confidential text cannot be pickled or copied")


def json_object(text: Confidential | str | bytes) -> dict[str, Any] | None:
    """The members of a JSON object, or None if ``text`` is anything else. Never raises.

    Whatever may hold a key is parsed here: JSONDecodeError carries the whole text in its ``doc``,
    so that exception must not leave this function.
    """
    try:
        members = json.loads(text.reveal() if isinstance(text, Confidential) else text)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


@dataclass(frozen=True)
class KeyMember:
    """A member of the secret's JSON object.

    Attributes:
        name: the member's name.
        description: what its text must be, in words that follow "is".
        normalize: turns equal texts into the same text; raises ValueError if a text is not as
            described.
    """

    name: str
    description: str
    normalize: Callable[[str], str]


@dataclass(frozen=True)
class KeyFormat:
    """What a vendor's API keys look like, and how a secret holds one.

    The text of the member that holds the material is scrubbed from every log.

    Attributes:
        id: the member with the vendor's key id, which is public.
        material: the member with the key itself.
    """

    id: KeyMember
    material: KeyMember

    def __post_init__(self) -> None:
        hide_field(self.material.name)

    @property
    def members(self) -> tuple[str, str]:
        """The names of the members that hold the id and the key."""
        return self.id.name, self.material.name


def matching(pattern: str) -> Callable[[str], str]:
    """A `KeyMember.normalize` that accepts what ``pattern`` matches as a whole, unchanged."""
    compiled = re.compile(pattern)

    def unchanged(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError
        return text

    return unchanged


TRUSTED_SIGNATURES: Final = KeyFormat(
    id=KeyMember(API_KEY_ID, "a UUID", lambda text: str(uuid.UUID(text))),
    material=KeyMember(
        API_KEY,
        "hexadecimal text of 16 to 128 whole bytes",
        matching(r"(?:[0-9A-Fa-f]{2}){16,128}"),
    ),
)


@dataclass(frozen=True)
class ApiKey:
    """One API key.

    Attributes:
        id: the vendor's key id, normalized; it is public.
        material: the key itself.
        issued_at: when it was issued, in UTC, or None.
        expires_at: when it stops working, in UTC, or None.
        key_format: how a secret holds it.
    """

    id: str
    material: Confidential = field(repr=False)
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    key_format: KeyFormat = field(default=TRUSTED_SIGNATURES, repr=False, compare=False)

    @classmethod
    def from_text(
        cls,
        key_id: object,
        material: object,
        *,
        issued_at: object = None,
        expires_at: object = None,
        key_format: KeyFormat = TRUSTED_SIGNATURES,
    ) -> ApiKey:
        """Make a key of the texts in a secret or in an issuer's answer.

        Raises:
            InvalidCredentialError: the id or the material is not what ``key_format`` says, or a
                time is not ISO 8601 with an offset. The message never repeats a value.
        """
        problem = (
            _member_problem(key_format.id, key_id)
            or _member_problem(key_format.material, material)
            or _time_problem(ISSUED_AT, issued_at)
            or _time_problem(EXPIRES_AT, expires_at)
        )
        if problem is None:
            text = key_format.material.normalize(str(material))
            hide_value(str(material))
            hide_value(text)
            return cls(
                id=key_format.id.normalize(str(key_id)),
                material=Confidential(text),
                issued_at=_parse_time(issued_at),
                expires_at=_parse_time(expires_at),
                key_format=key_format,
            )
        # Who mixes up the two has the key in the place of the id.
        del key_id, material
        raise InvalidCredentialError(problem)

    def expired(self, now: datetime) -> bool:
        """Whether the key has expired at ``now``; False if its expiry is not known."""
        return self.expires_at is not None and self.expires_at <= now


@final
class SecretDocument:
    """The JSON object in a secret: an API key and whatever else the organisation keeps there."""

    __slots__ = ("__members", "key")

    def __init__(self, key: ApiKey, members: Mapping[str, Any]) -> None:
        self.key = key
        ours = {*key.key_format.members, ISSUED_AT, EXPIRES_AT}
        self.__members = {name: value for name, value in members.items() if name not in ours}

    @classmethod
    def parse(
        cls, value: Confidential, *, of: str, key_format: KeyFormat = TRUSTED_SIGNATURES
    ) -> SecretDocument:
        """Read a secret's value; ``of`` names the secret in the error.

        Raises:
            InvalidCredentialError: the value is not a JSON object with a usable key.
        """
        members = json_object(value)
        key_id, material = key_format.id, key_format.material
        if members is None:
            raise InvalidCredentialError(
                f"The value of {of} is not a JSON object. Store an object there with the members "
                f'"{material.name}", {material.description}, and "{key_id.name}", '
                f"{key_id.description}."
            )
        try:
            key = ApiKey.from_text(
                members.get(key_id.name),
                members.get(material.name),
                issued_at=members.get(ISSUED_AT),
                expires_at=members.get(EXPIRES_AT),
                key_format=key_format,
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
        """The JSON text to store; our four members come last."""
        members = dict(self.__members)
        members[self.key.key_format.material.name] = self.key.material.reveal()
        members[self.key.key_format.id.name] = self.key.id
        for name, time in ((ISSUED_AT, self.key.issued_at), (EXPIRES_AT, self.key.expires_at)):
            if time is not None:
                members[name] = iso_utc(time)
        return Confidential(json.dumps(members, ensure_ascii=False))

    def __repr__(self) -> str:
        return f"SecretDocument({self.key!r}, …)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret's document cannot be pickled or copied")


def iso_utc(time: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.mmmZ``, the vendor's form of a time."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"


def _member_problem(member: KeyMember, value: object) -> str | None:
    if value is None:
        return f'the member "{member.name}" is missing'
    try:
        if isinstance(value, str):
            member.normalize(value)
            return None
    except ValueError:
        pass
    return f'"{member.name}" is not {member.description}'


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
