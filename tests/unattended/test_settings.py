"""What the functions for events and for bulk accept of their environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotation.errors import ConfigurationError
from rotation.handlers.wiring.seal_options import VARIABLES, seal_options
from rotation.sealing.request import OPTIONS, Certification, SealOptions
from rotation.sealing.visible_seal import VisibleSeal
from rotation.settings.environment import Location
from rotation.settings.unattended import UnattendedSettings
from tests.docs.test_docs import Noting
from tests.sealing.images import image, png, saved

NEEDED = {
    "CREDENTIAL_SECRET": "trusted-signatures-api",
    "SOURCE_LOCATIONS": "in",
    "DESTINATION_LOCATIONS": "out/sealed/",
}


def test_the_sealing_function_s_settings_hold_here_too() -> None:
    """And those of its own: the secret, and how documents are sealed."""
    settings = UnattendedSettings.from_environment(
        NEEDED | {"SEAL_REASON": "Arrived", "SEAL_TIMESTAMP": "true", "COPY_TAGS": "true"}
    )
    assert settings.credential_secret == "trusted-signatures-api"
    assert settings.destination == Location("out", "sealed/")
    assert seal_options(settings.options) == SealOptions(reason="Arrived", timestamp=True)
    assert settings.sealing.copy_tags


@pytest.mark.parametrize(
    ("sources", "destination"),
    [
        ("in", "in"),
        ("in", "in/sealed/"),
        ("in/incoming/", "in"),
        ("in/a/", "in/a/sealed/"),
        ("in/a/b/", "in/a/"),
        ("in/incoming", "in/incoming-sealed/"),
        ("in/x/, in/a/", "in/a/"),
    ],
)
def test_a_function_never_writes_where_its_own_trigger_listens(
    sources: str, destination: str
) -> None:
    """Places that overlap are refused at the start, by name."""
    overlapping = {"SOURCE_LOCATIONS": sources, "DESTINATION_LOCATIONS": destination}
    with pytest.raises(ConfigurationError, match="overlap"):
        UnattendedSettings.from_environment(NEEDED | overlapping)


@pytest.mark.parametrize(
    ("sources", "destination"),
    [("in/incoming/", "in/sealed/"), ("in", "out"), ("in/a/, in/b/", "in/c/")],
)
def test_places_apart_are_accepted(sources: str, destination: str) -> None:
    """Another bucket, or another prefix of the same one."""
    apart = {"SOURCE_LOCATIONS": sources, "DESTINATION_LOCATIONS": destination}
    assert UnattendedSettings.from_environment(NEEDED | apart).destination.bucket in "in out"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("DESTINATION_LOCATIONS", "out/a/, out/b/"), ("SOURCE_LOCATIONS", "in, in-too")],
)
def test_there_is_one_destination_for_each_source(variable: str, value: str) -> None:
    """What would leave a choice, or give two documents one destination, is refused."""
    with pytest.raises(ConfigurationError, match=variable):
        UnattendedSettings.from_environment(NEEDED | {variable: value})


def options(**variables: str) -> SealOptions:
    """How documents are sealed with these settings beside those that are needed."""
    return seal_options(UnattendedSettings.from_environment(NEEDED | variables).options)


def test_everything_that_a_request_may_ask_for_is_a_setting(tmp_path: Path) -> None:
    """All options at once; an empty variable counts as not set."""
    logo = tmp_path / "logo.png"
    logo.write_bytes(saved(image()))
    assert options(
        SEAL_REASON="Arrived",
        SEAL_LOCATION="Bern",
        SEAL_CONTACT="qa@example.org",
        SEAL_FIELD_NAME="Arrival",
        SEAL_TIMESTAMP="true",
        SEAL_REPAIR="true",
        SEAL_CERTIFY="FORM_FILLING",
        SEAL_VISIBLE_PAGE="-1",
        SEAL_VISIBLE_BOX="36, 36, 236.5, 84",
        SEAL_VISIBLE_TEXT="Sealed by Example Ltd\\nBern",
        SEAL_VISIBLE_IMAGE=str(logo),
    ) == SealOptions(
        "Arrival",
        "Arrived",
        "Bern",
        "qa@example.org",
        timestamp=True,
        repair=True,
        certify=Certification.FORM_FILLING,
        visible=VisibleSeal(
            -1, (36.0, 36.0, 236.5, 84.0), "Sealed by Example Ltd\nBern", logo.read_bytes()
        ),
    )
    empty = dict.fromkeys(variables(), "")
    assert options(**empty) == SealOptions()


def test_a_field_of_the_documents_may_be_where_the_seal_is_seen() -> None:
    """Then there is no page and no box."""
    assert options(SEAL_FIELD_NAME="Arrival", SEAL_VISIBLE_TEXT="x").visible == VisibleSeal(
        text="x"
    )


def variables() -> set[str]:
    return {VARIABLES[path] for path in OPTIONS}


def test_each_option_has_its_variable() -> None:
    """What is read is what the messages name."""
    environment = Noting(NEEDED)
    UnattendedSettings.from_environment(environment)
    read = {name for name in environment.asked if name.startswith("SEAL_")}
    # These are settings of the sealing function, too, and no options of a request.
    assert read == variables() | {"SEAL_PROFILE", "SEAL_LEDGER"}


PLACED = {"SEAL_VISIBLE_PAGE": "1", "SEAL_VISIBLE_BOX": "36,36,236,84"}


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SEAL_REASON": "x" * 257}, "SEAL_REASON"),
        ({"SEAL_LOCATION": "two\nlines"}, "SEAL_LOCATION"),
        ({"SEAL_CONTACT": "\u202e"}, "SEAL_CONTACT"),
        ({"SEAL_FIELD_NAME": "x" * 129}, "SEAL_FIELD_NAME"),
        ({"SEAL_TIMESTAMP": "yes"}, "SEAL_TIMESTAMP"),
        ({"SEAL_REPAIR": "1"}, "SEAL_REPAIR"),
        ({"SEAL_CERTIFY": "form-filling"}, "SEAL_CERTIFY"),
        (PLACED, "SEAL_VISIBLE_TEXT"),
        ({"SEAL_VISIBLE_TEXT": "x"}, "SEAL_VISIBLE_PAGE, SEAL_VISIBLE_BOX"),
        ({"SEAL_VISIBLE_TEXT": "x", "SEAL_VISIBLE_PAGE": "1"}, "SEAL_VISIBLE_BOX"),
        (PLACED | {"SEAL_VISIBLE_PAGE": "0", "SEAL_VISIBLE_TEXT": "x"}, "SEAL_VISIBLE_PAGE"),
        (PLACED | {"SEAL_VISIBLE_PAGE": "1.5", "SEAL_VISIBLE_TEXT": "x"}, "SEAL_VISIBLE_PAGE"),
        (PLACED | {"SEAL_VISIBLE_BOX": "1,2,3", "SEAL_VISIBLE_TEXT": "x"}, "SEAL_VISIBLE_BOX"),
        (PLACED | {"SEAL_VISIBLE_BOX": "1,2,x,4", "SEAL_VISIBLE_TEXT": "x"}, "SEAL_VISIBLE_BOX"),
        (PLACED | {"SEAL_VISIBLE_BOX": "9,9,1,1", "SEAL_VISIBLE_TEXT": "x"}, "SEAL_VISIBLE_BOX"),
        (PLACED | {"SEAL_VISIBLE_BOX": "nan,2,3,4", "SEAL_VISIBLE_TEXT": "x"}, "SEAL_VISIBLE_BOX"),
        (PLACED | {"SEAL_VISIBLE_TEXT": "\u4e2d"}, "SEAL_VISIBLE_TEXT"),
        (PLACED | {"SEAL_VISIBLE_TEXT": "x" * 500}, "SEAL_VISIBLE_TEXT"),
        (PLACED | {"SEAL_VISIBLE_IMAGE": "/not/there.png"}, "SEAL_VISIBLE_IMAGE"),
    ],
)
def test_a_wrong_option_is_refused_with_its_variable(variables: dict[str, str], named: str) -> None:
    """At the start, and not document by document."""
    with pytest.raises(ConfigurationError, match=named) as refused:
        options(**variables)
    assert "options." not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"no picture", saved(image()) + bytes(256 * 1024)),
        *(saved(image())[:-20], png(9000, 9000, data=b"")),
    ],
)
def test_an_image_that_cannot_be_shown_is_refused(content: bytes, tmp_path: Path) -> None:
    """Empty, another kind of file, too many bytes, cut off, or too many pixels."""
    file = tmp_path / "logo.png"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="SEAL_VISIBLE_IMAGE"):
        options(SEAL_VISIBLE_IMAGE=str(file), **PLACED)
