"""What may be asked of the sealer."""

from __future__ import annotations

import base64
import copy
import math
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.errors import InvalidCredentialError, InvalidRequestError
from rotation.sealing.request import Certification, ObjectLocation, SealOptions, SealRequest
from rotation.sealing.visible_seal import LARGEST_IMAGE, VisibleSeal

MATERIAL = "7f" * 15 + "0123456789abcdef" * 2 + "3e"
KEY_ID = "4f1c2b3a-0000-4000-8000-1234567890ab"
PNG = b"\x89PNG\r\n\x1a\n"
VISIBLE = {"page": -1, "box": [36, 36, 236, 96.5], "text": "Sealed\n\nZürich"}
EVENT: dict[str, Any] = {
    "source": {"bucket": "documents", "key": "in/a.pdf", "versionId": "v1"},
    "destination": {"bucket": "sealed", "key": "out/a.pdf"},
    "credential": {"apiKey": MATERIAL, "apiKeyId": KEY_ID},
    "options": {
        "fieldName": "Seal",
        "reason": "Final inspection",
        "location": "Zürich, 4. Stock",
        "contact": "qa@example.org",
        "timestamp": True,
        "certify": "FORM_FILLING",
        "visible": {**VISIBLE, "image": base64.b64encode(PNG).decode()},
    },
}


def event_with(path: str, value: object) -> dict[str, Any]:
    """The good event with one member set."""
    event = copy.deepcopy(EVENT)
    *parents, last = path.split("/")
    members = event
    for parent in parents:
        members = members[parent]
    members[last] = value
    return event


def event_without(path: str) -> dict[str, Any]:
    event = copy.deepcopy(EVENT)
    *parents, last = path.split("/")
    members = event
    for parent in parents:
        members = members[parent]
    del members[last]
    return event


def test_a_whole_request_is_understood() -> None:
    """Every member that is documented arrives where it belongs."""
    request = SealRequest.parse(EVENT)
    assert request.source == ObjectLocation("documents", "in/a.pdf", "v1")
    assert request.destination == ObjectLocation("sealed", "out/a.pdf")
    assert request.key.id == KEY_ID
    assert request.key.material.reveal() == MATERIAL
    assert request.options == SealOptions(
        field_name="Seal",
        reason="Final inspection",
        location="Zürich, 4. Stock",
        contact="qa@example.org",
        timestamp=True,
        certify=Certification.FORM_FILLING,
        visible=VisibleSeal(-1, (36.0, 36.0, 236.0, 96.5), "Sealed\n\nZürich", PNG),
    )


def test_options_and_version_may_be_left_out() -> None:
    """The smallest request names a source, a destination and a credential."""
    event = event_without("options")
    del event["source"]["versionId"]
    request = SealRequest.parse(event)
    assert request.options == SealOptions()
    assert request.source.version_id is None


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (None, None),
        ([], None),
        ("seal it", None),
        ({1: 2}, None),
        (event_without("source"), "source"),
        (event_with("source", "s3://documents/in/a.pdf"), "source"),
        (event_without("source/bucket"), "source.bucket"),
        (event_with("source/bucket", "UPPER"), "source.bucket"),
        (event_with("source/bucket", "a/b"), "source.bucket"),
        (event_with("source/bucket", "documents\n"), "source.bucket"),
        (event_with("source/key", ""), "source.key"),
        (event_with("source/key", 7), "source.key"),
        (event_with("source/key", "ü" * 513), "source.key"),
        (event_with("source/key", "a\u0000b"), "source.key"),
        (event_with("source/key", "a\ud800b"), "source.key"),
        (event_with("source/key", "in/../secret.pdf"), "source.key"),
        (event_with("source/versionId", ""), "source.versionId"),
        (event_without("destination"), "destination"),
        (event_with("destination/key", "./a.pdf"), "destination.key"),
        (event_with("destination/versionId", "v1"), "destination.versionId"),
        (event_with("endpoint", "https://elsewhere.example"), "endpoint"),
        (event_with("optoins", {}), "optoins"),
        (event_with("options", None), "options"),
        (event_with("options/reson", "typo"), "options.reson"),
        (event_with("options/reason", ""), "options.reason"),
        (event_with("options/reason", "two\nlines"), "options.reason"),
        (event_with("options/reason", "\u202etxet"), "options.reason"),
        (event_with("options/location", "x" * 257), "options.location"),
        (event_with("options/contact", 12), "options.contact"),
        (event_with("options/contact", None), "options.contact"),
        (event_with("options/fieldName", "x" * 129), "options.fieldName"),
        (event_with("options/timestamp", "yes"), "options.timestamp"),
        (event_with("options/timestamp", 1), "options.timestamp"),
        (event_with("options/certify", None), "options.certify"),
        (event_with("options/certify", "form_filling"), "options.certify"),
        (event_with("options/certify", 2), "options.certify"),
        (event_with("options/certify", ["FORM_FILLING"]), "options.certify"),
        (event_with("options/visible", None), "options.visible"),
        (event_with("options/visible", True), "options.visible"),
        (event_with("options/visible", {}), "options.visible"),
        (event_with("options/visible/font", "Comic"), "options.visible.font"),
        (event_without("options/visible/page"), "options.visible"),
        (event_without("options/visible/box"), "options.visible"),
        (event_with("options/visible", {"page": 1, "box": [0, 0, 9, 9]}), "options.visible"),
        *(
            (event_with("options/visible/page", page), "options.visible.page")
            for page in (0, 1.0, True, "1", None, 10**400)
        ),
        *(
            (event_with("options/visible/box", box), "options.visible.box")
            for box in (
                *([0, 0, 10], [0, 0, 10, 10, 10], "0 0 10 10", None, {"left": 0}),
                *([10, 0, 10, 10], [0, 10, 10, 10], [20, 0, 10, 10], [-1, 0, 10, 10]),
                *([0, 0, 10, True], [0, 0, 10, "10"], [0, 0, math.inf, 10], [0, 0, math.nan, 10]),
                [0, 0, 10**400, 10],
            )
        ),
        *(
            (event_with("options/visible/text", text), "options.visible.text")
            for text in ("", " \n ", "x" * 513, "\n" * 8 + "x", "a\tb", "a\rb", "\u202eb", 7, None)
        ),
        *(
            (event_with("options/visible/image", image), "options.visible.image")
            for image in (
                *("", "no base64!", base64.b64encode(b"GIF89a").decode(), 7, None),
                base64.b64encode(PNG + bytes(LARGEST_IMAGE)).decode(),
                "A" * (4 * LARGEST_IMAGE),
                "ü" * 8,
            )
        ),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_name(event: object, named: str | None) -> None:
    """A wrong, missing or unknown member is refused, and the error names it."""
    with pytest.raises(InvalidRequestError) as refused:
        SealRequest.parse(event)
    assert refused.value.field == named
    assert str(refused.value).startswith(f"{named}: " if named else "The request ")


def test_a_visible_seal_needs_a_place() -> None:
    """Page and box, or the name of a field that may have both; text or image in any case."""
    named = event_with("options/visible", {"text": "Here"})
    assert SealRequest.parse(named).options.visible == VisibleSeal(text="Here")
    del named["options"]["fieldName"]
    with pytest.raises(InvalidRequestError, match=r"options\.visible: needs a place"):
        SealRequest.parse(named)


@pytest.mark.parametrize("certification", ["NO_CHANGES", "FORM_FILLING", "ANNOTATIONS"])
def test_every_certification_is_known_by_its_name(certification: str) -> None:
    """The three that ISO 32000-2 has."""
    event = event_with("options/certify", certification)
    assert SealRequest.parse(event).options.certify == certification


def test_an_image_at_the_limit_is_taken() -> None:
    """256 KiB are accepted; what is in them is looked at when the document is."""
    image = PNG + bytes(LARGEST_IMAGE - len(PNG))
    event = event_with("options/visible/image", base64.b64encode(image).decode())
    visible = SealRequest.parse(event).options.visible
    assert visible
    assert visible.image == image


def test_a_destination_that_is_the_source_is_refused() -> None:
    """A sealed document never replaces what it was made from, whatever version is read."""
    event = event_with("destination", {"bucket": "documents", "key": "in/a.pdf"})
    with pytest.raises(InvalidRequestError, match="destination: is the source"):
        SealRequest.parse(event)


@pytest.mark.parametrize(
    "event",
    [
        event_without("credential/apiKey"),
        event_without("credential/apiKeyId"),
        event_with("credential/apiKey", MATERIAL + "zz"),
        event_with("credential/apiKey", None),
        event_with("credential/apiKey", {"hex": MATERIAL}),
        event_with("credential/apiKeyId", MATERIAL),
        event_with(f"credential/{MATERIAL}", True),
        event_with("credential/expiresAt", "2030-01-01T00:00:00Z"),
        event_with("credential", {MATERIAL: KEY_ID}),
    ],
)
def test_a_bad_credential_is_refused_without_a_word_of_it(event: object) -> None:
    """The error says which member is wrong; neither a value nor a stray name is repeated."""
    with pytest.raises(InvalidCredentialError) as refused:
        SealRequest.parse(event)
    assert MATERIAL not in str(refused.value)
    assert "credential" in str(refused.value)


@pytest.mark.parametrize(
    "misplaced", [event_with(MATERIAL, 1), event_with(f"source/{MATERIAL}", 1)]
)
def test_a_key_in_the_place_of_a_name_is_not_repeated(misplaced: object) -> None:
    """An unknown member is named only if its name cannot be a key."""
    with pytest.raises(InvalidRequestError) as refused:
        SealRequest.parse(misplaced)
    assert MATERIAL not in str(refused.value)


def refused_by(make: Callable[[], object]) -> BaseException:
    # The event is made in here, so that this frame does not hold what is searched for.
    try:
        SealRequest.parse(make())
    except (InvalidRequestError, InvalidCredentialError) as error:
        return error
    raise AssertionError("it was accepted")


@pytest.mark.parametrize(
    "make",
    [
        lambda: event_with("unknown", 1),
        lambda: event_with("options/timestamp", 1),
        lambda: event_with("source/key", ""),
        lambda: event_with("options/visible/image", MATERIAL),
        lambda: event_with("options/visible/box", [MATERIAL]),
        lambda: event_with("credential/apiKeyId", "no uuid"),
        lambda: event_with("credential/apiKey", MATERIAL + "zz"),
    ],
)
def test_a_traceback_with_locals_shows_no_key(make: Callable[[], object]) -> None:
    """No frame that a refusal leads through holds the event, and no earlier error hangs on it."""
    error = refused_by(make)
    printed = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )
    assert MATERIAL[:12] not in printed
    assert error.__context__ is None


def test_the_request_does_not_print_its_key() -> None:
    """A request as a log or a debugger prints it hides the material."""
    assert MATERIAL not in repr(SealRequest.parse(EVENT))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
paths = st.sampled_from(
    [
        f"{parent}/{name}" if parent else name
        for parent, names in {
            "": ("source", "destination", "credential", "options"),
            "source": ("bucket", "key", "versionId"),
            "destination": ("bucket", "key"),
            "credential": ("apiKey", "apiKeyId"),
            "options": ("fieldName", "reason", "location", "contact", "timestamp", "certify"),
            "options/visible": ("page", "box", "text", "image"),
        }.items()
        for name in names
    ]
)


@given(json_values)
def test_no_event_raises_anything_but_a_typed_error(event: object) -> None:
    """Whatever JSON arrives, it is refused in words."""
    with pytest.raises((InvalidRequestError, InvalidCredentialError)):
        SealRequest.parse(event)


@given(paths, json_values)
def test_no_member_raises_anything_but_a_typed_error(path: str, value: object) -> None:
    """Whatever one member of a good event becomes, it is accepted as it is or refused in words."""
    event = event_with(path, value)
    try:
        request = SealRequest.parse(event)
    except (InvalidRequestError, InvalidCredentialError) as error:
        said = str(error)
    else:
        said = repr(request)
        assert request.source.key == event["source"]["key"]
        assert request.destination.key == event["destination"]["key"]
    assert MATERIAL not in said
