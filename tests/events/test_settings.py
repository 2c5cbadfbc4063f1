"""What the functions for events and for bulk accept of their environment."""

from __future__ import annotations

import pytest

from rotation.errors import ConfigurationError
from rotation.settings import EventSealingSettings, Location

NEEDED = {
    "CREDENTIAL_SECRET": "trusted-signatures-api",
    "SOURCE_LOCATIONS": "in",
    "DESTINATION_LOCATIONS": "out/sealed/",
}


def test_the_sealing_function_s_settings_hold_here_too() -> None:
    """And those of its own: the secret, and how documents are sealed."""
    settings = EventSealingSettings.from_environment(
        NEEDED | {"SEAL_REASON": "Arrived", "SEAL_TIMESTAMP": "true", "COPY_TAGS": "true"}
    )
    assert settings.credential_secret == "trusted-signatures-api"
    assert settings.destination == Location("out", "sealed/")
    assert (settings.reason, settings.location, settings.contact) == ("Arrived", None, None)
    assert settings.timestamp
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
        EventSealingSettings.from_environment(NEEDED | overlapping)


@pytest.mark.parametrize(
    ("sources", "destination"),
    [("in/incoming/", "in/sealed/"), ("in", "out"), ("in/a/, in/b/", "in/c/")],
)
def test_places_apart_are_accepted(sources: str, destination: str) -> None:
    """Another bucket, or another prefix of the same one."""
    apart = {"SOURCE_LOCATIONS": sources, "DESTINATION_LOCATIONS": destination}
    assert EventSealingSettings.from_environment(NEEDED | apart).destination.bucket in "in out"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("DESTINATION_LOCATIONS", "out/a/, out/b/"), ("SOURCE_LOCATIONS", "in, in-too")],
)
def test_there_is_one_destination_for_each_source(variable: str, value: str) -> None:
    """What would leave a choice, or give two documents one destination, is refused."""
    with pytest.raises(ConfigurationError, match=variable):
        EventSealingSettings.from_environment(NEEDED | {variable: value})
