"""Where a cache fetches from: the adapter over real sockets, and the one that the tests time."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from rotation.client.secret_source import secrets_manager_client
from rotation.errors import InvalidCredentialError, SecretStoreError
from rotation.sandbox.aws.traffic import Dropped
from tests.client.fixtures import NAME, FakeSecrets, SandboxSecrets, SecretsUnderTest, document
from tests.rotation_fixture import RotationFixture


@pytest.fixture(params=["in memory", "over sockets"])
def secrets(request: pytest.FixtureRequest, rotation_fixture: RotationFixture) -> SecretsUnderTest:
    """Each of the two, of the test's own."""
    return FakeSecrets() if request.param == "in memory" else SandboxSecrets(rotation_fixture)


def test_a_fetch_brings_version_arn_and_key(secrets: SecretsUnderTest) -> None:
    """By name or by ARN: the same version, the whole ARN, the key of the value."""
    value = document()
    version = secrets.put(value)
    for secret_id in (NAME, secrets.arn):
        fetched = secrets.source.fetch(secret_id, "AWSCURRENT")
        assert (fetched.version, fetched.arn) == (version, secrets.arn)
        assert fetched.key.id == json.loads(value)["apiKeyId"]
    assert secrets.count() == 2


def test_each_stage_has_a_version_of_its_own(secrets: SecretsUnderTest) -> None:
    """AWSCURRENT moves with each put and with a rollback, and never shows what is pending."""
    first, second = secrets.put(), secrets.put()
    pending = secrets.put(stage="AWSPENDING")
    assert secrets.source.fetch(NAME, "AWSCURRENT").version == second
    assert secrets.source.fetch(NAME, "AWSPREVIOUS").version == first
    assert secrets.source.fetch(NAME, "AWSPENDING").version == pending
    secrets.roll_back()
    assert secrets.source.fetch(NAME, "AWSCURRENT").version == first


Arrange = Callable[[SecretsUnderTest], object]
MISSING = ("ResourceNotFoundException", False)
REFUSALS: dict[str, tuple[Arrange, tuple[str, str], tuple[str, bool]]] = {
    "no stage": (lambda one: None, (NAME, "no-such-stage"), MISSING),
    "no secret": (lambda one: None, ("another", "AWSCURRENT"), MISSING),
    "no value yet": (lambda one: one.stage_empty(), (NAME, "AWSPENDING"), MISSING),
    "deleted": (
        lambda one: one.delete(),
        *((NAME, "AWSCURRENT"), ("InvalidRequestException", False)),
    ),
    "denied": (
        lambda one: one.fail("AccessDeniedException"),
        *((NAME, "AWSCURRENT"), ("AccessDeniedException", False)),
    ),
    "throttled": (
        lambda one: one.fail("ThrottlingException"),
        *((NAME, "AWSCURRENT"), ("ThrottlingException", True)),
    ),
}


@pytest.mark.parametrize(("arrange", "asked", "refusal"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_has_its_code(
    secrets: SecretsUnderTest, arrange: Arrange, asked: tuple[str, str], refusal: tuple[str, bool]
) -> None:
    """What cannot be had, and why: the code that AWS gives, and whether it may pass."""
    secrets.put()
    arrange(secrets)
    with pytest.raises(SecretStoreError) as refused:
        secrets.source.fetch(*asked)
    assert (refused.value.aws_code, refused.value.retryable) == refusal


def test_a_secret_without_a_value_is_not_found(secrets: SecretsUnderTest) -> None:
    """It exists, and there is nothing in it: AWS calls that ResourceNotFoundException."""
    with pytest.raises(SecretStoreError) as refused:
        secrets.source.fetch(NAME, "AWSCURRENT")
    assert refused.value.aws_code == "ResourceNotFoundException"


@pytest.mark.parametrize("value", ["not JSON", "[]", '{"apiKey": "00"}'])
def test_a_value_that_is_no_key_is_told_from_a_refusal(
    secrets: SecretsUnderTest, value: str
) -> None:
    """Secrets Manager answered, and a person has to mend the value."""
    secrets.put(value)
    with pytest.raises(InvalidCredentialError, match=NAME):
        secrets.source.fetch(NAME, "AWSCURRENT")


def test_a_binary_value_is_no_key(rotation_fixture: RotationFixture) -> None:
    """SecretBinary is what some tools write; it is refused like any other wrong value."""
    rotation_fixture.client.put_secret_value(
        SecretId=rotation_fixture.arn, SecretBinary=b"\x00\x01"
    )
    with pytest.raises(InvalidCredentialError, match="not a JSON object"):
        SandboxSecrets(rotation_fixture).source.fetch(NAME, "AWSCURRENT")


def test_a_lost_connection_may_pass(rotation_fixture: RotationFixture) -> None:
    """No answer is no refusal."""
    rotation_fixture.store()
    rotation_fixture.cloud.faults.before("GetSecretValue", Dropped())
    with pytest.raises(SecretStoreError) as lost:
        SandboxSecrets(rotation_fixture).source.fetch(NAME, "AWSCURRENT")
    assert lost.value.retryable


@pytest.mark.slow
def test_the_client_that_is_made_by_default_gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds, not minutes: somebody waits for a miss."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = secrets_manager_client().meta.config
    assert config.connect_timeout + config.read_timeout <= 6  # type: ignore[attr-defined]
    assert config.retries["total_max_attempts"] == 3  # type: ignore[attr-defined]
