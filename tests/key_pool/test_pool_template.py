"""What the template deploys for a pool of keys, and what it then leaves out."""

from __future__ import annotations

import pytest

from rotation.settings.rotation import ADMIN_API, KEY_POOL, RotationSettings
from tests.artifacts.template import Template, actions

TOPIC = "arn:aws:sns:eu-central-1:012345678912:people"
ALARMS = "arn:aws:sns:eu-central-1:012345678912:signatures-AlarmTopic"


def by_sid(template: Template) -> dict[str, set[str]]:
    return {one["Sid"]: actions([one]) for one in template.statements("RotationRole")}


def test_the_function_gets_settings_for_a_pool_that_it_accepts() -> None:
    """Pool and topic arrive; the admin credential is not asked for."""
    template = Template.read(KeyIssuer="key-pool", NotificationTopicArn=TOPIC)
    environment = template.environment("RotationFunction")
    settings = RotationSettings.from_environment(environment)
    assert settings.key_issuer == KEY_POOL
    assert settings.pool_secret.endswith(":secret:PoolSecret-AbCdEf")
    assert settings.notification_topic == TOPIC
    assert "ADMIN_SECRET" not in environment


def test_the_default_is_the_pool() -> None:
    """It works with the vendor as published; people are asked through the alarm topic."""
    environment = Template.read().environment("RotationFunction")
    settings = RotationSettings.from_environment(environment)
    assert settings.key_issuer == KEY_POOL
    assert settings.notification_topic == ALARMS
    assert "ADMIN_SECRET" not in environment


def test_the_administration_interface_needs_no_pool() -> None:
    """Whoever chooses it gets the secret for the admin credential instead."""
    environment = Template.read(KeyIssuer="admin-api").environment("RotationFunction")
    settings = RotationSettings.from_environment(environment)
    assert settings.key_issuer == ADMIN_API
    assert "POOL_SECRET" not in environment


@pytest.mark.parametrize(
    ("issuer", "secret", "outputs"),
    [
        ("key-pool", "PoolSecret", "PoolSecretName"),
        ("admin-api", "AdminSecret", "AdminSecretArn"),
    ],
)
def test_only_the_secret_that_is_used_is_created(issuer: str, secret: str, outputs: str) -> None:
    """Each issuer's secret and output exist under its condition alone, and outlive the stack."""
    template = Template.read(KeyIssuer=issuer)
    conditions = template.document["Conditions"]
    for name, output in (("PoolSecret", "PoolSecretName"), ("AdminSecret", "AdminSecretArn")):
        resource = template.resource(name)
        assert template.resolve(conditions[resource["Condition"]]) is (name == secret)
        assert template.document["Outputs"][output]["Condition"] == resource["Condition"]
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resource["Properties"].keys() == {"Name", "Description"}
    assert (
        template.document["Outputs"][outputs]["Condition"] == template.resource(secret)["Condition"]
    )


def test_rotation_may_change_the_pool_and_no_admin_credential() -> None:
    """The five calls of a compare-and-swap on the pool secret; a message only with a topic."""
    without = by_sid(Template.read(KeyIssuer="key-pool"))
    assert "ReadAdminCredential" not in without
    assert without["LeaseFromPool"] == {
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:ListSecretVersionIds",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
    }
    assert "AskPeople" not in without
    told = Template.read(KeyIssuer="key-pool", NotificationTopicArn=TOPIC)
    [asking] = [one for one in told.statements("RotationRole") if one["Sid"] == "AskPeople"]
    assert (asking["Action"], asking["Resource"]) == ("sns:Publish", TOPIC)


@pytest.mark.parametrize("value", ["people", TOPIC + ".fifo", "arn:aws:sqs:eu-central-1:1:people"])
def test_what_is_no_topic_is_refused_at_deployment(value: str) -> None:
    """Nor a FIFO topic, to which no e-mail address can subscribe."""
    with pytest.raises(AssertionError, match="NotificationTopicArn"):
        Template.read(NotificationTopicArn=value)
