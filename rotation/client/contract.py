"""The sealing function's contract on the caller's side: writes the request, reads the answer.

``docs/sealing.md`` describes both. An answer is compared with its request, so that an answer of a
proxy, of another version of the function or of a wrong function does not pass for a seal.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from rotation.credential import API_KEY, API_KEY_ID
from rotation.errors import (
    CertifiedPdfError,
    ClockSkewError,
    CmsProfileError,
    ConfigurationError,
    CredentialRejectedError,
    DamagedPdfError,
    DestinationError,
    DocumentTooLargeError,
    EncryptedPdfError,
    InvalidCredentialError,
    InvalidRequestError,
    LedgerError,
    LevelError,
    MalformedResponseError,
    NoPagesError,
    RotationError,
    SealingError,
    SealVerificationError,
    SignatureTooLargeError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
    UnsupportedPdfError,
    VendorError,
    VendorRefusedError,
    VendorUnavailableError,
)
from rotation.privacy.printable import outside_text
from rotation.privacy.redaction import scrub
from rotation.sealing.notices import SealNotice
from rotation.sealing.request import ObjectLocation, SealRequest

Exact = TypeVar("Exact")

_ERRORS: Final[Mapping[str, type[RotationError]]] = {
    error.code: error
    for error in (
        CertifiedPdfError,
        CmsProfileError,
        ConfigurationError,
        DamagedPdfError,
        DestinationError,
        DocumentTooLargeError,
        EncryptedPdfError,
        InvalidCredentialError,
        LedgerError,
        LevelError,
        NoPagesError,
        SealVerificationError,
        SignatureTooLargeError,
        SourceChangedError,
        SourceNotFoundError,
        SourceUnavailableError,
        UnsupportedPdfError,
    )
}
_VENDOR_ERRORS: Final[Mapping[str, type[VendorError]]] = {
    error.code: error
    for error in (
        ClockSkewError,
        CredentialRejectedError,
        MalformedResponseError,
        VendorError,
        VendorRefusedError,
        VendorUnavailableError,
    )
}
_LONGEST_MESSAGE: Final = 1000


@dataclass(frozen=True)
class StoredObject:
    """An S3 object as it was read or written."""

    location: ObjectLocation
    etag: str


@dataclass(frozen=True)
class Seal:
    """What the sealing function answered: the document is sealed, and where it is.

    Attributes:
        key_id: the id of the key that paid for it.
        digest: SHA-256 over the ByteRange, the 32 bytes that were signed.
        signer: the signing certificate's subject, RFC 4514.
        organization: its organisation (O), where it names one.
        chained: whether the signer was held against configured trust anchors.
        timestamped_at: the time in the enclosed timestamp, aware UTC, or None.
        timestamp_proven: whether the function verified that timestamp; None without one, or where
            the function is older than this member of its answer.
        size: the sealed document's bytes.
        repaired: whether the document was rewritten before it was sealed.
        profile: the kind of signature that the vendor gave, ``pades`` or ``pkcs7``; None where an
            older function does not say.
        sub_filter: the SubFilter of the signature dictionary, or None likewise.
        signatures: how many signatures the seal cost; an older function's answer counts as one.
        notices: what to know of the document; ``docs/sealing.md`` has the codes.
        level: the level that the document has, such as ``B-LT``; None where an older function does
            not say.
        level_problem: why it has not the level that was asked for; None: it has.
    """

    source: StoredObject
    destination: StoredObject
    key_id: str
    digest: bytes
    signer: str
    organization: str | None
    chained: bool
    timestamped_at: datetime | None
    size: int
    repaired: bool = False
    timestamp_proven: bool | None = None
    profile: str | None = None
    sub_filter: str | None = None
    signatures: int = 1
    notices: tuple[SealNotice, ...] = ()
    level: str | None = None
    level_problem: str | None = None


def event_of(request: SealRequest) -> dict[str, Any]:
    """The JSON object to send. It holds the key as text, so no frame that raises may keep it."""
    event: dict[str, Any] = {
        "source": _place(request.source),
        "destination": _place(request.destination),
        "credential": {API_KEY: request.key.material.reveal(), API_KEY_ID: request.key.id},
    }
    options = request.options.members()
    return event | ({"options": options} if options else {})


def read_answer(answer: object, request: SealRequest) -> Seal | RotationError:
    """The seal in the answer; or the error in it; or an error that says what is wrong with it."""
    members = answer if isinstance(answer, Mapping) else {}
    if members.get("status") == "error":
        error = members.get("error")
        return _error(error if isinstance(error, Mapping) else {})
    try:
        seal = _seal(members)
    except (KeyError, TypeError, ValueError, OverflowError) as problem:
        return _unusable(f"a member of it is missing or wrong ({type(problem).__name__})")
    sent = request.source, request.destination
    places = seal.source.location, seal.destination.location
    if [(place.bucket, place.key) for place in places] != [(one.bucket, one.key) for one in sent]:
        return _unusable("it names another document")
    if seal.key_id != request.key.id:
        return _unusable("it names another key")
    return seal


def _seal(members: Mapping[str, Any]) -> Seal:
    if members["status"] != "sealed":
        raise ValueError("status")
    signer = members["signer"]
    organization, timestamped_at = signer["organization"], members["timestampedAt"]
    profile, level = members.get("profile", {}), members.get("level", {})
    return Seal(
        source=_stored(members["source"]),
        destination=_stored(members["destination"]),
        key_id=_text(members["keyId"]),
        digest=_digest(_text(members["digest"])),
        signer=_text(signer["subject"]),
        organization=None if organization is None else _text(organization),
        chained=_exactly(bool, signer["chained"]),
        timestamped_at=None if timestamped_at is None else _time(_text(timestamped_at)),
        size=_exactly(int, members["bytes"]),
        repaired=_exactly(bool, members.get("repaired", False)),
        timestamp_proven=_proven(members.get("timestamp")),
        profile=_text(profile["name"]) if profile else None,
        sub_filter=_text(profile["subFilter"]) if profile else None,
        signatures=_exactly(int, members.get("signatures", 1)),
        notices=tuple(_notice(one) for one in _exactly(list, members.get("notices", []))),
        level=_text(level["name"]) if level else None,
        level_problem=_text(level["problem"]) if level and level["problem"] is not None else None,
    )


def _proven(timestamp: object) -> bool | None:
    if timestamp is None:
        return None
    status = _text(timestamp["status"]) if isinstance(timestamp, Mapping) else ""
    return {"proven": True, "unproven": False}[status]


def _notice(value: object) -> SealNotice:
    members = _exactly(dict, value)
    code, message = _text(members["code"]), _text(members["message"])
    return SealNotice(scrub(code[:64]), scrub(message[:_LONGEST_MESSAGE]))


def _stored(value: object) -> StoredObject:
    if not isinstance(value, Mapping):
        raise TypeError("object")
    version_id = value.get("versionId")
    location = ObjectLocation(
        _text(value["bucket"]),
        _text(value["key"]),
        None if version_id is None else _text(version_id),
    )
    return StoredObject(location, _text(value["etag"]))


def _text(value: object) -> str:
    text = _exactly(str, value)
    if not text:
        raise ValueError("empty")
    return text


def _exactly(kind: type[Exact], value: object) -> Exact:
    if type(value) is not kind:
        raise TypeError(kind.__name__)
    return value


def _digest(text: str) -> bytes:
    digest = base64.b64decode(text, validate=True)
    if len(digest) != 32:
        raise ValueError("length")
    return digest


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("offset")
    return time.astimezone(UTC)


def _error(members: Mapping[str, Any]) -> RotationError:
    code, message, retryable = (members.get(name) for name in ("code", "message", "retryable"))
    if not (isinstance(code, str) and isinstance(message, str) and isinstance(retryable, bool)):
        return _unusable("its error lacks code, message or retryable")
    # The function keeps keys out of its messages; this one is about to enter other people's logs.
    text = outside_text(scrub(message), _LONGEST_MESSAGE)
    error: RotationError
    if code in _VENDOR_ERRORS:
        operation, colon, detail = text.partition(": ")
        error = _VENDOR_ERRORS[code](*((operation, detail) if colon else ("sign", text)))
    elif code == InvalidRequestError.code:
        field, colon, problem = text.partition(": ")
        # A field is a path, without spaces; an older function's message begins with no path.
        known = colon and " " not in field
        error = InvalidRequestError(
            field=field if known else None, problem=problem if known else text
        )
    elif code in _ERRORS:
        error = _ERRORS[code](text)
    else:
        error = SealingError(
            f"The sealing function answered {outside_text(scrub(code), 64)}: {text}"
        )
    error.retryable = retryable
    return error


def _unusable(problem: str) -> SealingError:
    return SealingError(
        f"The sealing function's answer is not what docs/sealing.md promises: {problem}. Check the "
        "function's name and version. The document may have been sealed."
    )


def _place(location: ObjectLocation) -> dict[str, str]:
    version = {} if location.version_id is None else {"versionId": location.version_id}
    return {"bucket": location.bucket, "key": location.key, **version}
