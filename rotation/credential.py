"""The API key as a value, and the JSON document in the secret that holds it.

Only an explicit call of ``reveal()`` gives confidential text back. repr, str, format and a
traceback that prints local variables show ``<hidden>``; pickle, deepcopy and dataclasses.asdict
raise TypeError.

The secret's value is a JSON object ``{"apiKey": "<hex>", "apiKeyId": "<uuid>"}`` (Trusted
Signatures' documentation); another vendor's keys have a `KeyFormat` of their own. We add
``issuedAt`` and ``expiresAt``, ISO 8601 in UTC. Any further member belongs to the organisation and
survives a rotation to the letter: `SecretDocument` keeps its JSON text and never writes it anew, so
that ``1.10`` stays ``1.10``, and a number that no float holds stays what it is.
"""

from __future__ import annotations

import hmac
import json
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final, NoReturn, final

from rotation.errors import InvalidCredentialError
from rotation.privacy.redaction import HIDDEN, hide_field, hide_value

API_KEY: Final = "apiKey"
API_KEY_ID: Final = "apiKeyId"
ISSUED_AT: Final = "issuedAt"
EXPIRES_AT: Final = "expiresAt"

#: A byte order mark. RFC 8259 section 8.1: a parser may ignore one before the JSON text.
_BYTE_ORDER_MARK: Final = "\ufeff"
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


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
        one, two = (text.encode(errors="surrogatepass") for text in (self.__text, other.reveal()))
        return hmac.compare_digest(one, two)

    def __hash__(self) -> int:
        return hash(self.__text)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("confidential text cannot be pickled or copied")


def json_object(text: Confidential | str | bytes) -> dict[str, Any] | None:
    """The members of a JSON object, or None if ``text`` is anything else. Never raises.

    Whatever may hold a key is parsed in this module: JSONDecodeError carries the whole text in its
    ``doc``, so that exception must not leave it. Does NOT keep the text of numbers.
    """
    revealed = text.reveal() if isinstance(text, Confidential) else text
    if isinstance(revealed, str):
        revealed = revealed.removeprefix(_BYTE_ORDER_MARK)
    try:
        members = json.loads(revealed)
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
        longest: how many characters the text has at most; a longer one is refused. createSecret
            reserves so many before it has a key issued.
    """

    name: str
    description: str
    normalize: Callable[[str], str]
    longest: int = 4096


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
    id=KeyMember(API_KEY_ID, "a UUID", lambda text: str(uuid.UUID(text)), longest=64),
    material=KeyMember(
        API_KEY,
        "hexadecimal text of 16 to 128 whole bytes",
        matching(r"(?:[0-9A-Fa-f]{2}){16,128}"),
        longest=256,
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


@dataclass(frozen=True, slots=True)
class _Number:
    """A JSON number as its text. No float holds ``1.10``, 25 digits or ``1e400`` to the letter."""

    text: str


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of a JSON object: its name, its value, and both as they were written."""

    name: str
    value: Any = field(repr=False)
    text: str = field(repr=False)


_DECODER: Final = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_Number)


def exact_json_object(text: Confidential) -> dict[str, Any] | None:
    """As `json_object`, but that numbers are kept as their text; `exact_json` writes them so."""
    try:
        members = _DECODER.decode(text.reveal().removeprefix(_BYTE_ORDER_MARK))
        exact_json(members)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def exact_json(value: Any) -> str:
    """The JSON text, in ASCII, of what `exact_json_object` has read, or of ordinary values."""
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, dict):
        members = [f"{json.dumps(name)}: {exact_json(item)}" for name, item in value.items()]
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join([exact_json(item) for item in value]) + "]"
    return json.dumps(value)


@final
class SecretDocument:
    """The JSON object in a secret: an API key and whatever else the organisation keeps there.

    Attributes:
        key: the key. A time of it that is not ours to understand is None.
        warnings: what was not understood beside the key, as sentences that repeat no value.
    """

    __slots__ = ("__members", "key", "warnings")

    def __init__(
        self, key: ApiKey, members: Iterable[_Member] = (), warnings: tuple[str, ...] = ()
    ) -> None:
        self.key = key
        self.warnings = warnings
        ours = {*key.key_format.members, ISSUED_AT, EXPIRES_AT}
        self.__members = tuple(one for one in members if one.name not in ours)

    @classmethod
    def parse(
        cls,
        value: Confidential | None,
        *,
        of: str,
        key_format: KeyFormat = TRUSTED_SIGNATURES,
    ) -> SecretDocument:
        """Read a secret's value; ``of`` names the secret in the error.

        What stands beside a good key never makes it unreadable. A byte order mark is ignored. Of
        several members with one name the last counts, as it does for the usual JSON parsers. A time
        that is not ISO 8601 with an offset is unknown, with a warning.

        Args:
            value: the secret's text; None: its value is binary.
            of: the secret and the version, for the error message.
            key_format: how the secret holds its key.

        Raises:
            InvalidCredentialError: the value is not a JSON object with a usable key.
        """
        members = _members(value)
        if isinstance(members, str):
            key_id, material = key_format.id, key_format.material
            raise InvalidCredentialError(
                f"The value of {of} {members}. Store an object there, as text, with the members "
                f'"{material.name}", {material.description}, and "{key_id.name}", '
                f"{key_id.description}."
            )
        values = {one.name: one.value for one in members}
        times = {name: values.get(name) for name in (ISSUED_AT, EXPIRES_AT)}
        problems = {name: _time_problem(name, time) for name, time in times.items()}
        try:
            key = ApiKey.from_text(
                values.get(key_format.id.name),
                values.get(key_format.material.name),
                issued_at=None if problems[ISSUED_AT] else times[ISSUED_AT],
                expires_at=None if problems[EXPIRES_AT] else times[EXPIRES_AT],
                key_format=key_format,
            )
        except InvalidCredentialError as error:
            problem = str(error)
        else:
            warnings = tuple(f"In {of} {said}." for said in problems.values() if said)
            return cls(key, members, warnings)
        del members, values, times
        raise InvalidCredentialError(f"The value of {of} holds no usable API key: {problem}")

    @classmethod
    def empty(cls, key: ApiKey) -> SecretDocument:
        """A document that holds ``key`` and nothing else."""
        return cls(key)

    @classmethod
    def added_to(cls, value: Confidential, key: ApiKey, *, of: str) -> SecretDocument:
        """A document with ``key`` and every other member of ``value``; ``of`` names the secret.

        Raises:
            InvalidCredentialError: ``value`` is not a JSON object.
        """
        members = _members(value)
        if isinstance(members, str):
            raise InvalidCredentialError(f"The value of {of} {members}.")
        return cls(key, members)

    def with_key(self, key: ApiKey) -> SecretDocument:
        """The same document with another key; every other member stays as it is."""
        return SecretDocument(key, self.__members)

    def same_other_members(self, other: SecretDocument) -> bool:
        """Whether both hold the same beside a key and its times, in whatever order."""
        return {one.name: one.value for one in self.__members} == {
            one.name: one.value for one in other.__members
        }

    def serialize(self) -> Confidential:
        """The JSON text to store; our four members come last."""
        members = [one.text for one in self.__members]
        ours = {
            self.key.key_format.material.name: self.key.material.reveal(),
            self.key.key_format.id.name: self.key.id,
        }
        for name, time in ((ISSUED_AT, self.key.issued_at), (EXPIRES_AT, self.key.expires_at)):
            if time is not None:
                ours[name] = iso_utc(time)
        members += [
            f"{json.dumps(name)}:{json.dumps(text, ensure_ascii=False)}"
            for name, text in ours.items()
        ]
        # UTF-8 has no lone surrogates. Only a string of JSON can hold one, and there it may be
        # escaped.
        text = _LONE_SURROGATE.sub(lambda one: f"\\u{ord(one[0]):04x}", ",".join(members))
        return Confidential(f"{{{text}}}")

    def largest_size_with_a_new_key(self) -> int:
        """How many bytes this document has at most once it holds another key of its format."""
        key_format = self.key.key_format
        longest = ApiKey(
            id="x" * key_format.id.longest,
            material=Confidential("x" * key_format.material.longest),
            issued_at=datetime.max.replace(tzinfo=UTC),
            expires_at=datetime.max.replace(tzinfo=UTC),
            key_format=key_format,
        )
        return len(self.with_key(longest).serialize().reveal().encode())

    def __repr__(self) -> str:
        return f"SecretDocument({self.key!r}, …)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret's document cannot be pickled or copied")


def whole_milliseconds(time: datetime) -> datetime:
    """A time as `iso_utc` can write it, in UTC: what is smaller than a millisecond is cut off."""
    return time.astimezone(UTC).replace(microsecond=time.microsecond // 1000 * 1000)


def iso_utc(time: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.mmmZ``, the vendor's form of a time."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _members(value: Confidential | None) -> tuple[_Member, ...] | str:
    """The members of a JSON object in their order, or why ``value`` has none. Never raises."""
    if value is None:
        return "is binary (SecretBinary) and not a JSON object"
    try:
        return _split(value.reveal().removeprefix(_BYTE_ORDER_MARK))
    except RecursionError:
        return "is nested too deep to be read"
    except ValueError:
        return "is not a JSON object"


def _split(text: str) -> tuple[_Member, ...]:
    """The members of a JSON object (RFC 8259 section 4), each with its text.

    Raises:
        ValueError: ``text`` is anything else. JSONDecodeError, which is one, holds the text.
        RecursionError: it is nested too deep.
    """
    members: list[_Member] = []
    at = _expect("{", text, 0)
    if text.startswith("}", at):
        return _nothing_after(text, at + 1, members)
    while True:
        name, name_end = _DECODER.raw_decode(text, at)
        if not isinstance(name, str):
            raise ValueError
        start = _expect(":", text, name_end)
        value, end = _DECODER.raw_decode(text, start)
        members.append(_Member(name, value, f"{text[at:name_end]}:{text[start:end]}"))
        at = _after_space(text, end)
        if text.startswith("}", at):
            return _nothing_after(text, at + 1, members)
        at = _expect(",", text, at)


def _expect(mark: str, text: str, at: int) -> int:
    """Where the text goes on after ``mark`` and the white space around it."""
    at = _after_space(text, at)
    if not text.startswith(mark, at):
        raise ValueError
    return _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _nothing_after(text: str, at: int, members: list[_Member]) -> tuple[_Member, ...]:
    if _after_space(text, at) != len(text):
        raise ValueError
    return tuple(members)


def _member_problem(member: KeyMember, value: object) -> str | None:
    if value is None:
        return f'the member "{member.name}" is missing'
    if isinstance(value, str) and len(value) > member.longest:
        return f'"{member.name}" has more than {member.longest} characters'
    try:
        if isinstance(value, str):
            member.normalize(value)
            return None
    except ValueError:
        pass
    return f'"{member.name}" is not {member.description}'


def _time_problem(name: str, value: object) -> str | None:
    """Why ``value`` is not a time that we understand; None if it is one, or missing."""
    if value is None or _parse_time(value) is not None:
        return None
    return f'"{name}" is {_kind_of_time(value)}not an ISO 8601 time with an offset'


def _kind_of_time(value: object) -> str:
    if isinstance(value, int | float | _Number) and not isinstance(value, bool):
        return "a number, "
    if not isinstance(value, str):
        return "no text, "
    try:
        date.fromisoformat(value)
    except ValueError:
        pass
    else:
        return "a date without a time of day, "
    try:
        without_offset = datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        without_offset = False
    return "a time without an offset, " if without_offset else ""


def _parse_time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
        return None if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
