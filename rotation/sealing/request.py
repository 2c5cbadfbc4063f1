"""What may be asked of the sealer, validated before anything is read or bought.

The request carries the API key. So no frame that raises holds the event or the key's text in a
local variable, no message repeats a value, and the vendor's endpoint is not something that a
request can name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from rotation.credential import API_KEY, API_KEY_ID, ApiKey
from rotation.errors import InvalidCredentialError, InvalidRequestError

# UserGuide bucketnamingrules: 3 to 63 lower-case letters, digits, dots and hyphens.
_bucket_name = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# A member's name that may be repeated in a message: too short and too plain to be a key.
_plain_name = re.compile(r"[A-Za-z][A-Za-z_]{0,30}")

_LONGEST_KEY: Final = 1024  # bytes of UTF-8 (UserGuide object-keys)
_LONGEST_FIELD_NAME: Final = 128
_LONGEST_TEXT: Final = 256


@dataclass(frozen=True)
class ObjectLocation:
    """An S3 object, or the one version of it that is named."""

    bucket: str
    key: str
    version_id: str | None = None

    def __str__(self) -> str:
        version = f" (version {self.version_id})" if self.version_id else ""
        return f"s3://{self.bucket}/{self.key}{version}"


@dataclass(frozen=True)
class SealOptions:
    """How the document is to be sealed.

    Attributes:
        field_name: the signature field to fill or to create; None: a new one of our naming.
        reason: why it is sealed (the signature dictionary's Reason, ISO 32000-2 table 255).
        location: where it is sealed (Location).
        contact: how to reach whoever sealed it (ContactInfo).
        timestamp: whether the signature shall carry a timestamp of the vendor's TSA.
        repair: whether a damaged document may be rewritten before it is sealed.
    """

    field_name: str | None = None
    reason: str | None = None
    location: str | None = None
    contact: str | None = None
    timestamp: bool = False
    repair: bool = False


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
        except (InvalidRequestError, InvalidCredentialError) as error:
            problem = type(error)(str(error))
        # The first error's traceback leads through frames that hold the event: it ends here.
        del event
        raise problem


def _read(event: object) -> SealRequest:
    members = _object(event, "the request")
    _refuse_unknown(members, {"source", "destination", "credential", "options"}, "")
    source = _location(members.get("source"), "source", versions=True)
    destination = _location(members.get("destination"), "destination", versions=False)
    if (source.bucket, source.key) == (destination.bucket, destination.key):
        raise InvalidRequestError(
            f"destination is the source, {destination}: a sealed document never replaces what it "
            "was made from. Name another key."
        )
    return SealRequest(
        source=source,
        destination=destination,
        key=_credential(members.get("credential")),
        options=_options(members.get("options", {})),
    )


def _object(value: object, name: str) -> Mapping[str, Any]:
    if value is None:
        raise InvalidRequestError(f"{name} is missing.")
    if not isinstance(value, Mapping) or not all(isinstance(member, str) for member in value):
        raise InvalidRequestError(f"{name} must be a JSON object.")
    return value


def _refuse_unknown(members: Mapping[str, Any], known: set[str], parent: str) -> None:
    for name in members:
        if name not in known:
            plain = _plain_name.fullmatch(name)
            shown = parent + name if plain else f"A member of {parent[:-1] or 'the request'}"
            raise InvalidRequestError(
                f"{shown} is not a member that this function knows. Known are: "
                + ", ".join(f"{parent}{other}" for other in sorted(known))
                + "."
            )


def _location(value: object, name: str, *, versions: bool) -> ObjectLocation:
    members = _object(value, name)
    known = {"bucket", "key", "versionId"} if versions else {"bucket", "key"}
    _refuse_unknown(members, known, f"{name}.")
    bucket = members.get("bucket")
    if not isinstance(bucket, str) or not _bucket_name.fullmatch(bucket):
        raise InvalidRequestError(f"{name}.bucket must be the name of an S3 bucket.")
    version_id = members.get("versionId")
    if version_id is not None and not _printable(version_id, _LONGEST_KEY):
        raise InvalidRequestError(f"{name}.versionId must be the id of an S3 object version.")
    return ObjectLocation(bucket, _object_key(members.get("key"), f"{name}.key"), version_id)


def _object_key(key: object, name: str) -> str:
    if not _printable(key, _LONGEST_KEY) or len(key.encode()) > _LONGEST_KEY:
        raise InvalidRequestError(
            f"{name} must be an S3 object key: 1 to {_LONGEST_KEY} bytes of UTF-8 without control "
            "characters."
        )
    # S3 takes such a segment literally, a client in between may not: the allow-list goes by prefix.
    if {".", ".."} & set(key.split("/")):
        raise InvalidRequestError(f"{name} must not have a segment that is . or ..")
    return key


def _credential(value: object) -> ApiKey:
    members = _object(value, "credential")
    # A name is not repeated here: a member out of place may be the key itself.
    if set(members) != {API_KEY, API_KEY_ID}:
        raise InvalidCredentialError(
            f"credential must hold {API_KEY} and {API_KEY_ID}, and nothing else."
        )
    try:
        return ApiKey.from_text(members[API_KEY_ID], members[API_KEY])
    except InvalidCredentialError as error:
        raise InvalidCredentialError(f"credential is not usable: {error}.") from None


def _options(value: object) -> SealOptions:
    members = _object(value, "options")
    texts = {"reason", "location", "contact"}
    _refuse_unknown(members, texts | {"fieldName", "timestamp", "repair"}, "options.")
    for name in sorted(texts & set(members)):
        if not _printable(members[name], _LONGEST_TEXT):
            raise InvalidRequestError(
                f"options.{name} must be plain text of 1 to {_LONGEST_TEXT} characters on one line."
            )
    field_name = members.get("fieldName")
    if field_name is not None and not _printable(field_name, _LONGEST_FIELD_NAME):
        raise InvalidRequestError(
            "options.fieldName must be the name of a form field: 1 to "
            f"{_LONGEST_FIELD_NAME} characters on one line."
        )
    for name in ("timestamp", "repair"):
        if not isinstance(members.get(name, False), bool):
            raise InvalidRequestError(f"options.{name} must be true or false.")
    return SealOptions(
        field_name=field_name,
        reason=members.get("reason"),
        location=members.get("location"),
        contact=members.get("contact"),
        timestamp=members.get("timestamp", False),
        repair=members.get("repair", False),
    )


def _printable(value: object, most: int) -> TypeGuard[str]:
    # Controls, lone surrogates, bidi overrides and line separators: nothing a reader could see.
    return (
        isinstance(value, str)
        and 0 < len(value) <= most
        and not any(
            unicodedata.category(character)[0] == "C"
            or unicodedata.category(character) in {"Zl", "Zp"}
            for character in value
        )
    )
