"""The settings that choose where keys come from."""

from __future__ import annotations

import pytest

from rotation.errors import ConfigurationError
from rotation.settings.rotation import KEY_POOL, RotationSettings
from tests.artifacts.template import Template

POOL = {
    "INSTALLATION_ID": "fixture-1",
    "ROTATED_SECRETS": "arn:aws:secretsmanager:eu-central-1:012345678912:secret:seals/*",
    "EVIDENCE_BUCKET": "evidence",
    "POOL_SECRET": "our-pool",
}


def test_a_pool_needs_no_admin_credential() -> None:
    """A pool is the default; its secret alone is required, and a topic may be named."""
    settings = RotationSettings.from_environment(POOL)
    assert (settings.key_issuer, settings.pool_secret) == (KEY_POOL, "our-pool")
    assert (settings.admin_secret, settings.notification_topic) == ("", None)
    topic = "arn:aws:sns:us-east-1:012345678912:people"
    told = RotationSettings.from_environment(POOL | {"NOTIFICATION_TOPIC": topic})
    assert told.notification_topic == topic


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEY_ISSUER", "pool"),
        ("KEY_ISSUER", "KEY-POOL"),
        ("POOL_SECRET", ""),
        ("NOTIFICATION_TOPIC", "people"),
        ("NOTIFICATION_TOPIC", "arn:aws:sns:us-east-1:012345678912:people.fifo"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_s_name(name: str, value: str) -> None:
    """Nobody has to guess which variable is meant."""
    with pytest.raises(ConfigurationError, match=name):
        RotationSettings.from_environment(POOL | {name: value})


def test_the_administration_interface_needs_its_credential() -> None:
    """Who chooses admin-api is asked for ADMIN_SECRET, and for no pool."""
    named = {"INSTALLATION_ID": "fixture-1", "KEY_ISSUER": "admin-api"}
    with pytest.raises(ConfigurationError, match="ADMIN_SECRET is not set"):
        RotationSettings.from_environment(named)


def test_the_code_and_the_template_have_one_default() -> None:
    """A function without KEY_ISSUER does what a stack without KeyIssuer does."""
    [default] = {
        Template.read().parameters["KeyIssuer"],
        RotationSettings.from_environment(POOL).key_issuer,
    }
    assert default == KEY_POOL


def test_keys_of_a_pool_live_as_long_as_people_gave_them() -> None:
    """KEY_LIFETIME_DAYS is about keys that are issued: short or long, it refuses no pool."""
    RotationSettings.from_environment(POOL | {"KEY_LIFETIME_DAYS": "2", "GRACE_HOURS": "720"})
