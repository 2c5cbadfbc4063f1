"""The sealing request, validated before any document is read or any signature is bought.

The request carries the API key. So no frame that raises holds the event or the key's text in a
local variable, no message repeats a value, and a request cannot name the vendor's endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeGuard

from rotation.credential import API_KEY, API_KEY_ID, ApiKey
from rotation.errors import InvalidCredentialError, InvalidRequestError, RotationError
from rotation.privacy.printable import outside_text
from rotation.sealing.json_members import is_printable, object_at, refuse_unknown
from rotation.sealing.visible_seal import NO_PLACE, VisibleSeal

# UserGuide bucketnamingrules: 3 to 63 lower-case letters, digits, dots and hyphens.
_bucket_name = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

#: The path of each option, as `InvalidRequestError` gives it.
OPTIONS: Final = (
    "options.fieldName",
    "options.reason",
    "options.location",
    "options.contact",
    "options.timestamp",
    "options.level",
    "options.repair",
    "options.certify",
    "options.lock",
    "options.visible.page",
    "options.visible.box",
    "options.visible.text",
    "options.visible.image",
    "options.visible.everyPage",
)
_VISIBLE: Final = "options.visible"

_LONGEST_KEY: Final = 1024  # bytes of UTF-8 (UserGuide object-keys)
_LONGEST_FIELD_NAME: Final = 128
_LONGEST_TEXT: Final = 256
_MOST_LOCKED: Final = 100

#: Stands for every field in `SealOptions.lock`.
ALL: Final = "*"


@dataclass(frozen=True)
class ObjectLocation:
    """An S3 object, or the one version of it that is named."""

    bucket: str
    key: str
    version_id: str | None = None

    def __str__(self) -> str:
        """As messages and log lines show it: a long key without its middle."""
        version = f" (version {outside_text(self.version_id)})" if self.version_id else ""
        return f"s3://{outside_text(self.bucket)}/{outside_text(self.key)}{version}"


class Certification(StrEnum):
    """What a certified document still allows (DocMDP, ISO 32000-2, 12.8.2.2)."""

    NO_CHANGES = "NO_CHANGES"
    FORM_FILLING = "FORM_FILLING"
    ANNOTATIONS = "ANNOTATIONS"


class Level(StrEnum):
    """What a seal proves, and for how long (ETSI EN 319 142-1, 6); in ascending order."""

    B_B = "B-B"
    B_T = "B-T"
    B_LT = "B-LT"
    B_LTA = "B-LTA"

    def reaches(self, other: Level) -> bool:
        """Whether it proves at least as much."""
        order = list(Level)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class SealOptions:
    """How the document is to be sealed.

    Attributes:
        field_name: the signature field to fill or to create; None: a new one of our naming.
        reason: why it is sealed (the signature dictionary's Reason, ISO 32000-2 table 255).
        location: where it is sealed (Location).
        contact: how to reach whoever sealed it (ContactInfo).
        timestamp: whether the signature shall carry a timestamp of the vendor's TSA.
        level: the level that the sealed document shall have; None: B-T with a timestamp, else B-B.
        repair: whether a damaged document may be rewritten before it is sealed.
        certify: what the document shall allow from now on; None: the seal does not say.
        lock: the fields of the form that may not be changed any more, by their full names; `ALL`
            means every field; empty: the seal locks none.
        visible: where the seal is seen and what it shows; None: it is not seen.
        signer_name: the signer's name (Name), where it is certain. No request gives it: the sealer
            does.
    """

    field_name: str | None = None
    reason: str | None = None
    location: str | None = None
    contact: str | None = None
    timestamp: bool = False
    level: Level | None = None
    repair: bool = False
    certify: Certification | None = None
    lock: tuple[str, ...] = ()
    visible: VisibleSeal | None = None
    signer_name: str | None = None

    @property
    def wanted_level(self) -> Level:
        """The level that the sealed document shall have."""
        least = Level.B_T if self.timestamp else Level.B_B
        return self.level if self.level and self.level.reaches(least) else least

    @property
    def wants_timestamp(self) -> bool:
        """Whether the signature shall carry a timestamp of the vendor's TSA."""
        return self.wanted_level.reaches(Level.B_T)

    @classmethod
    def parse(cls, value: object) -> SealOptions:
        """The ``options`` of a request, as ``docs/sealing.md`` describes them.

        Raises:
            InvalidRequestError: a member is unknown, or not what it must be.
        """
        members = object_at(value, "options")
        texts = {"reason", "location", "contact"}
        others = {"fieldName", "timestamp", "level", "repair", "certify", "lock", "visible"}
        refuse_unknown(members, texts | others, "options")
        for name in sorted(texts & set(members)):
            if not is_printable(members[name], _LONGEST_TEXT):
                raise InvalidRequestError(
                    field=f"options.{name}",
                    problem=f"must be plain text of 1 to {_LONGEST_TEXT} characters on one line.",
                )
        field_name = members.get("fieldName")
        if field_name is not None and not is_printable(field_name, _LONGEST_FIELD_NAME):
            raise InvalidRequestError(
                field="options.fieldName",
                problem="must be the name of a form field: 1 to "
                f"{_LONGEST_FIELD_NAME} characters on one line.",
            )
        for name in ("timestamp", "repair"):
            if not isinstance(members.get(name, False), bool):
                raise InvalidRequestError(field=f"options.{name}", problem="must be true or false.")
        if members.get("level", Level.B_B) not in list(Level):
            raise InvalidRequestError(
                field="options.level",
                problem=f"must be one of {', '.join(Level)}.",
            )
        if members.get("certify", Certification.NO_CHANGES) not in list(Certification):
            raise InvalidRequestError(
                field="options.certify",
                problem=f"must be one of {', '.join(Certification)}: what the sealed document "
                "still allows.",
            )
        visible = VisibleSeal.parse(members["visible"]) if "visible" in members else None
        if visible and visible.page is None and field_name is None:
            raise InvalidRequestError(field=_VISIBLE, problem=NO_PLACE)
        if visible and "reason" in visible.names and "reason" not in members:
            raise InvalidRequestError(
                field=f"{_VISIBLE}.text", problem="shows {reason}, and no reason is given."
            )
        return cls(
            field_name=field_name,
            reason=members.get("reason"),
            location=members.get("location"),
            contact=members.get("contact"),
            timestamp=members.get("timestamp", False),
            level=Level(members["level"]) if "level" in members else None,
            repair=members.get("repair", False),
            certify=Certification(members["certify"]) if "certify" in members else None,
            lock=_lock(members["lock"]) if "lock" in members else (),
            visible=visible,
        )

    def members(self) -> dict[str, Any]:
        """The JSON object that `parse` reads."""
        found = {
            "fieldName": self.field_name,
            "reason": self.reason,
            "location": self.location,
            "contact": self.contact,
            "timestamp": self.timestamp or None,
            "level": self.level and self.level.value,
            "repair": self.repair or None,
            "certify": self.certify and self.certify.value,
            "lock": list(self.lock) or None,
            "visible": self.visible and self.visible.members(),
        }
        return {name: value for name, value in found.items() if value is not None}


def _lock(value: object) -> tuple[str, ...]:
    if (
        isinstance(value, list)
        and 0 < len(value) <= _MOST_LOCKED
        and all(is_printable(name, _LONGEST_TEXT) for name in value)
        and (ALL not in value or len(value) == 1)
    ):
        return tuple(value)
    raise InvalidRequestError(
        field="options.lock",
        problem=f"must be a list of 1 to {_MOST_LOCKED} names of form fields, or of {ALL} alone, "
        "which means every field.",
    )


def option_names(name: Callable[[str], str]) -> dict[str, str]:
    """What options are called where no request is written, such as on a command line.

    Args:
        name: gives the name of the option that has a path, such as ``options.reason``.
    """
    names = {path: name(path) for path in OPTIONS}
    return names | {
        _VISIBLE: ", ".join(
            called for path, called in names.items() if path.startswith(f"{_VISIBLE}.")
        )
    }


def error_message(error: RotationError, names: Mapping[str, str]) -> str:
    """What ``error`` says, with the member of the request that it concerns by its other name.

    Args:
        error: why a document was not sealed.
        names: see `option_names`. A member that is not in it keeps its path.
    """
    if isinstance(error, InvalidRequestError) and error.field is not None:
        return f"{names.get(error.field, error.field)}: {error.problem}"
    return str(error)


@dataclass(frozen=True)
class SealRequest:
    """One document to seal, where it goes, and the key that pays for it."""

    source: ObjectLocation
    destination: ObjectLocation
    key: ApiKey
    options: SealOptions

    @classmethod
    def parse(cls, event: object) -> SealRequest:
        """The request in a Lambda event: the JSON object that ``docs/sealing.md`` describes.

        Raises:
            InvalidRequestError: a member is missing, unknown, or not what it must be.
            InvalidCredentialError: the credential is not a usable API key.
        """
        try:
            return _read(event)
        except InvalidRequestError as error:
            problem: RotationError = InvalidRequestError(field=error.field, problem=error.problem)
        except InvalidCredentialError as error:
            problem = InvalidCredentialError(str(error))
        # The first error's traceback leads through frames that hold the event: it ends here.
        del event
        raise problem


def _read(event: object) -> SealRequest:
    members = object_at(event, None)
    refuse_unknown(members, {"source", "destination", "credential", "options"}, None)
    source = _location(members.get("source"), "source", versions=True)
    destination = _location(members.get("destination"), "destination", versions=False)
    if (source.bucket, source.key) == (destination.bucket, destination.key):
        raise InvalidRequestError(
            field="destination",
            problem=f"is the source, {destination}. A sealed document never replaces its source. "
            "Name another key.",
        )
    return SealRequest(
        source=source,
        destination=destination,
        key=_credential(members.get("credential")),
        options=SealOptions.parse(members.get("options", {})),
    )


def _location(value: object, name: str, *, versions: bool) -> ObjectLocation:
    members = object_at(value, name)
    known = {"bucket", "key", "versionId"} if versions else {"bucket", "key"}
    refuse_unknown(members, known, name)
    bucket = members.get("bucket")
    if not isinstance(bucket, str) or not _bucket_name.fullmatch(bucket):
        raise InvalidRequestError(
            field=f"{name}.bucket", problem="must be the name of an S3 bucket."
        )
    version_id = members.get("versionId")
    if version_id is not None and not is_printable(version_id, _LONGEST_KEY):
        raise InvalidRequestError(
            field=f"{name}.versionId", problem="must be the id of an S3 object version."
        )
    return ObjectLocation(bucket, _object_key(members.get("key"), f"{name}.key"), version_id)


def is_object_key(key: object) -> TypeGuard[str]:
    """Whether a document may have this key, or this path in its folder."""
    return is_printable(key, _LONGEST_KEY) and len(key.encode()) <= _LONGEST_KEY


def _object_key(key: object, field: str) -> str:
    if not is_object_key(key):
        raise InvalidRequestError(
            field=field,
            problem=f"must be an S3 object key: 1 to {_LONGEST_KEY} bytes of UTF-8 without control "
            "characters.",
        )
    # S3 takes such a segment literally, a client in between may not: the allow-list goes by prefix.
    if {".", ".."} & set(key.split("/")):
        raise InvalidRequestError(field=field, problem="must not have a segment that is . or ..")
    return key


def _credential(value: object) -> ApiKey:
    members = object_at(value, "credential")
    # A name is not repeated here: a member out of place may be the key itself.
    if set(members) != {API_KEY, API_KEY_ID}:
        raise InvalidCredentialError(
            f"credential must hold {API_KEY} and {API_KEY_ID}, and nothing else."
        )
    try:
        return ApiKey.from_text(members[API_KEY_ID], members[API_KEY])
    except InvalidCredentialError as error:
        raise InvalidCredentialError(f"credential is not usable: {error}.") from None
