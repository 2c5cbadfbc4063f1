"""`rotation migrate`: what it does to a secret, what it refuses, and what it tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.cli.migrate.migration import MIGRATING, MigrationRequest, SecretWriter
from rotation.cli.migrate.plan import MigrationAction
from rotation.credential import ApiKey, SecretDocument
from rotation.errors import VersionStateError
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sandbox.vendor import PortalKey
from rotation.secrets_manager.labels import AWSCURRENT
from tests.cli.json_answers import answer_of
from tests.cli.migrate.conftest import CommandRunner
from tests.paths import ROOT
from tests.privacy.canary import Canary
from tests.rotation_fixture import RotationFixture

SECRET = "trusted-signatures-api"


def typed(key: PortalKey, **more: Any) -> str:
    return json.dumps({"apiKeyId": key.id, "apiKey": key.material} | more)


def exists(rotation_fixture: RotationFixture, name: str) -> bool:
    listed = rotation_fixture.client.list_secrets(IncludePlannedDeletion=True)["SecretList"]
    return name in {secret["Name"] for secret in listed}


def test_a_secret_is_created(rotation_fixture: RotationFixture, run_command: CommandRunner) -> None:
    """Without `--apply` only the plan is shown; with it the secret holds the proven key."""
    key = rotation_fixture.vendor.keys.create()
    said = run_command("new-secret", typed=f"{key.id}\n{key.material}\n").output
    assert f"Create the secret new-secret with key {key.id}. (proven; it signs as " in said
    assert "Nothing was changed. Add --apply to do it." in said
    assert not exists(rotation_fixture, "new-secret")
    run_command("new-secret", "--apply", "--expires", day(), typed=typed(key))
    answer = rotation_fixture.client.get_secret_value(SecretId="new-secret")
    held = json.loads(answer["SecretString"])
    assert held == {
        "apiKey": key.material,
        "apiKeyId": key.id,
        "expiresAt": f"{day()}T00:00:00.000Z",
    }
    assert rotation_fixture.vendor.signatures[key.id] == 2


def day() -> str:
    return f"{datetime.now(UTC) + timedelta(days=200):%Y-%m-%d}"


def test_a_terminal_shows_what_is_waited_for(
    rotation_fixture: RotationFixture, run_command: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the answer, which a program may read from standard output."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    done = run_command("--apply", typed=typed(rotation_fixture.vendor.keys.create()))
    for awaited in ("the vendor, which is asked for a test seal", "Secrets Manager, which stores"):
        assert f"waiting for {awaited}" in done.stderr
    assert "waiting for" not in done.stdout
    assert "Done: arn:" in done.stdout


def test_a_secret_without_a_value_is_adopted(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """The template makes an empty secret; it gets the key, and no label of ours stays behind."""
    key = rotation_fixture.vendor.keys.create()
    said = run_command("--apply", typed=typed(key)).output
    assert (
        f"Store key {key.id} in the secret {rotation_fixture.arn}, which has no value yet." in said
    )
    assert f"Done: {rotation_fixture.arn}" in said
    assert rotation_fixture.value(AWSCURRENT)["apiKeyId"] == key.id
    assert MIGRATING not in {
        label for labels in rotation_fixture.labels().values() for label in labels
    }


def test_what_an_organisation_keeps_there_stays(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """A secret with other members gets the key beside them."""
    rotation_fixture.put({"team": "archive", "retries": 3})
    key = rotation_fixture.vendor.keys.create()
    assert "2 other members stay" in run_command("--apply", typed=typed(key)).output
    assert rotation_fixture.value(AWSCURRENT) == {
        "team": "archive",
        "retries": 3,
        "apiKey": key.material,
        "apiKeyId": key.id,
    }


def test_the_same_key_again_changes_nothing(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """A second run says so, buys no signature, and prints the next steps again."""
    key = rotation_fixture.vendor.keys.create()
    run_command("--apply", typed=typed(key))
    labels = rotation_fixture.labels()
    for arguments in ((), ("--apply",)):
        said = run_command(*arguments, typed=typed(key)).output
        assert (
            f"{rotation_fixture.arn} holds key {key.id} already: there is nothing to store." in said
        )
        assert "What comes next:" in said
    assert rotation_fixture.labels() == labels
    assert rotation_fixture.vendor.signatures[key.id] == 1


def test_an_expiry_that_is_not_stored_is_said(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """The secret holds the key already, with another expiry or without one."""
    key = rotation_fixture.vendor.keys.create()
    run_command("--apply", typed=typed(key))
    said = run_command("--apply", "--expires", day(), typed=typed(key)).output
    assert "there is nothing to store. It does not say when the key expires; that stays" in said
    rotation_fixture.put(
        {"apiKeyId": key.id, "apiKey": key.material, "expiresAt": "2027-01-02T00:00:00Z"}
    )
    said = run_command("--expires", day(), typed=typed(key)).output
    assert "It says that the key expires at 2027-01-02T00:00:00.000Z; that stays" in said
    rotation_fixture.put(
        {"apiKeyId": key.id, "apiKey": key.material, "expiresAt": f"{day()}T00:00:00Z"}
    )
    said = run_command("--expires", day(), typed=typed(key)).output
    assert "there is nothing to store.\n" in said


def test_another_key_is_never_overwritten(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """The error names the id of the key that is there and what to do; nothing is changed."""
    there = rotation_fixture.store()
    key = rotation_fixture.vendor.keys.create()
    said = run_command("--apply", typed=typed(key), code=1).output
    assert f"{rotation_fixture.arn} holds another key: {there.id} in version" in said
    assert "rotation migrate ANOTHER-NAME" in said
    assert rotation_fixture.value(AWSCURRENT)["apiKeyId"] == there.id
    assert rotation_fixture.vendor.requests == ()


def test_a_mistyped_key_is_found_out(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """The same id with other material is refused: one of the two is wrong."""
    there, other = rotation_fixture.store(), rotation_fixture.vendor.keys.create()
    said = run_command("--apply", typed=typed(other, apiKeyId=there.id), code=1).output
    assert "with other material than was given" in said
    assert rotation_fixture.value(AWSCURRENT)["apiKey"] == there.material


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("a text", "not a JSON object. It is not overwritten"),
        ({"apiKey": "8c1f" * 16}, 'the member "apiKeyId" is missing'),
    ],
)
def test_a_value_that_is_something_else_is_not_touched(
    rotation_fixture: RotationFixture, run_command: CommandRunner, value: object, says: str
) -> None:
    """The value is not replaced, because somebody may use it."""
    rotation_fixture.put(value)
    before = rotation_fixture.labels()
    assert (
        says
        in run_command("--apply", typed=typed(rotation_fixture.vendor.keys.create()), code=1).output
    )
    assert rotation_fixture.labels() == before


def test_a_key_that_does_not_sign_is_not_stored(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """The key is mistyped or revoked; `--unproven` stores it all the same, and says so."""
    key = rotation_fixture.vendor.keys.create()
    rotation_fixture.vendor.keys.revoke(key.id)
    said = run_command("--apply", typed=typed(key), code=1).output
    assert "The key was not stored. Check the id and the key" in said
    assert "VersionIdsToStages" not in rotation_fixture.client.describe_secret(SecretId=SECRET)
    assert "(not proven)" in run_command("--apply", "--unproven", typed=typed(key)).output
    assert rotation_fixture.value(AWSCURRENT)["apiKeyId"] == key.id


def test_a_secret_that_is_being_deleted(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """The refusal comes before anybody types a key, with the command that restores the secret."""
    rotation_fixture.store()
    rotation_fixture.client.delete_secret(SecretId=SECRET)
    assert f"restore-secret --secret-id {SECRET}" in run_command("--apply", code=1).output


def test_an_arn_that_names_nothing_cannot_be_created(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """AWS chooses the ARN of a new secret, so the refusal comes before anybody types a key."""
    key = rotation_fixture.vendor.keys.create()
    said = run_command(
        f"{rotation_fixture.arn[:-6]}AbCdEf", "--apply", typed=typed(key), code=1
    ).output
    assert "There is no such secret, and one cannot be created by its ARN" in said
    assert "name instead" in said
    assert rotation_fixture.vendor.requests == ()


def test_a_secret_just_created_need_not_be_seen_at_once(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """Secrets Manager is eventually consistent; the next steps are printed all the same."""
    key = rotation_fixture.vendor.keys.create()
    not_yet = AwsError("ResourceNotFoundException")
    rotation_fixture.cloud.faults.before("DescribeSecret", not_yet, times=2)
    told = answer_of(
        "migrate", run_command("new-secret", "--apply", "--json", typed=typed(key)).output
    )
    arn = rotation_fixture.client.get_secret_value(SecretId="new-secret")["ARN"]
    assert (told["arn"], told["done"]) == (arn, True)
    assert len(told["next"]) == 5


def test_what_aws_refuses_is_said_in_words(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """The error names the missing right."""
    rotation_fixture.cloud.faults.before("DescribeSecret", AwsError("AccessDeniedException"))
    assert "Allow secretsmanager:DescribeSecret" in run_command(code=1).output


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", ["json", "lines"])
def test_a_key_from_a_file_of_another_coding(
    rotation_fixture: RotationFixture, environment: dict[str, str], coding: str, form: str
) -> None:
    """A byte order mark is ignored; input that is not UTF-8 is refused and not repeated."""
    key = rotation_fixture.vendor.keys.create()
    text = typed(key) if form == "json" else f"{key.id}\r\n{key.material}\r\n"
    ran = subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "rotation", "migrate", SECRET],
        input=text.encode(coding),
        env={**os.environ, **environment, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict"},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    said = (ran.stdout + ran.stderr).decode()
    canary = Canary()
    canary.plant(key.material, key.id)
    assert canary.find(said.encode()) is None
    assert "Traceback" not in said
    if coding == "utf-16":
        assert ran.returncode == 1
        assert "Standard input holds no API key as UTF-8 text" in said
    else:
        assert ran.returncode == 0, said
        assert f"Store key {key.id}" in said


def test_a_key_is_never_taken_from_an_argument(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """A key is refused in the place of the secret's name and after it, and is not repeated."""
    key = rotation_fixture.vendor.keys.create()
    for arguments in ((key.material,), (key.id, key.material), (SECRET, key.material)):
        assert "never taken from an argument" in run_command(*arguments, code=2).output


@pytest.fixture
def document(rotation_fixture: RotationFixture) -> SecretDocument:
    key = rotation_fixture.vendor.keys.create()
    return SecretDocument.empty(ApiKey.from_text(key.id, key.material))


def test_a_value_stored_meanwhile_is_not_overwritten(
    rotation_fixture: RotationFixture, environment: dict[str, str], document: SecretDocument
) -> None:
    """Somebody stored another value after the plan; that value stays current."""
    writer = SecretWriter(MigrationRequest(SECRET, None, False, None, None))
    for first_value in (True, False):
        if not first_value:
            rotation_fixture.put({"team": "archive"})
        existing = writer.read()
        theirs = rotation_fixture.store()
        with pytest.raises(VersionStateError, match="Somebody else changed"):
            writer.write(MigrationAction.STORE, existing, document)
        assert rotation_fixture.value(AWSCURRENT)["apiKeyId"] == theirs.id
    assert MIGRATING not in {
        label for labels in rotation_fixture.labels().values() for label in labels
    }


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("PutSecretValue", SECRET),
        ("UpdateSecretVersionStage", SECRET),
        ("CreateSecret", "new-secret"),
    ],
)
def test_a_lost_answer_is_not_taken_for_somebody_else(
    rotation_fixture: RotationFixture, run_command: CommandRunner, operation: str, name: str
) -> None:
    """The call took effect and was repeated; the version that it meets is its own."""
    rotation_fixture.put({"team": "archive"})
    key = rotation_fixture.vendor.keys.create()
    rotation_fixture.cloud.faults.after(operation, Dropped())
    told = answer_of("migrate", run_command(name, "--apply", "--json", typed=typed(key)).output)
    assert told["done"] is True
    held = json.loads(rotation_fixture.client.get_secret_value(SecretId=name)["SecretString"])
    assert held["apiKeyId"] == key.id
    assert MIGRATING not in {
        label for labels in rotation_fixture.labels().values() for label in labels
    }


def test_a_secret_created_meanwhile_is_not_overwritten(
    rotation_fixture: RotationFixture, environment: dict[str, str], document: SecretDocument
) -> None:
    """The same holds for a secret that did not exist."""
    rotation_fixture.store()
    writer = SecretWriter(MigrationRequest(SECRET, None, False, None, None))
    with pytest.raises(VersionStateError, match="Somebody else changed"):
        writer.write(MigrationAction.CREATE, None, document)


def test_a_machine_may_read_it(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """One JSON object holds the plan, whether it was done, and the next steps."""
    key = rotation_fixture.vendor.keys.create()
    planned = answer_of("migrate", run_command("--json", typed=typed(key)).output)
    assert (planned["action"], planned["done"]) == ("store", False)
    assert "next" not in planned
    done = answer_of(
        "migrate",
        run_command("--json", "--apply", "--sealing-function", "seal", typed=typed(key)).output,
    )
    assert (done["action"], done["done"], done["arn"]) == ("store", True, rotation_fixture.arn)
    assert done["keyId"] == key.id
    assert "rotation doctor trusted-signatures-api --sealing-function seal" in done["next"][1]
    assert len(done["next"]) == 5
    assert "rotate-secret" in done["next"][2]
    again = answer_of("migrate", run_command("--json", typed=typed(key)).output)
    assert (again["action"], again["done"]) == ("nothing", True)


def test_rotation_that_is_on_is_left_alone(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """The next steps leave out what is done already."""
    key = rotation_fixture.store()
    answer = rotation_fixture.client.rotate_secret(
        SecretId=SECRET,
        RotationLambdaARN=rotation_fixture.function_arn,
        RotationRules={"AutomaticallyAfterDays": 30},
        RotateImmediately=False,
    )
    rotation_fixture.cloud.wait_for_rotation(rotation_fixture.arn, answer["VersionId"])
    told = answer_of("migrate", run_command("--json", typed=typed(key)).output)
    assert told["next"][2] == "Rotation is turned on already."


def test_a_customer_managed_key(
    rotation_fixture: RotationFixture, run_command: CommandRunner
) -> None:
    """A new secret is encrypted with that key."""
    key = rotation_fixture.vendor.keys.create()
    kms = "arn:aws:kms:us-east-1:012345678912:key/0c5f2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"
    run_command("new-secret", "--apply", "--kms-key", kms, typed=typed(key))
    assert rotation_fixture.client.describe_secret(SecretId="new-secret")["KmsKeyId"] == kms


@pytest.fixture
def ctrl_c() -> Iterator[Dropped]:
    """Ctrl-C is pressed while AWS stores the key, and no answer comes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Dropped(first=lambda: os.kill(os.getpid(), signal.SIGINT))
    signal.signal(signal.SIGINT, before)


def test_who_presses_ctrl_c_while_the_key_is_stored_is_told_how_to_go_on(
    rotation_fixture: RotationFixture, run_command: CommandRunner, ctrl_c: Dropped
) -> None:
    """The command that it names finds the key stored, and stores it no second time."""
    key = rotation_fixture.vendor.keys.create()
    rotation_fixture.cloud.faults.after("CreateSecret", ctrl_c)
    said = run_command("new-secret", "--apply", typed=typed(key), code=130).output
    assert "Interrupted. The key may be stored or not. Run the command again" in said
    stored = rotation_fixture.client.describe_secret(SecretId="new-secret")["VersionIdsToStages"]
    again = run_command("new-secret", "--apply", typed=typed(key)).output
    assert f"holds key {key.id} already: there is nothing to store." in again
    now = rotation_fixture.client.describe_secret(SecretId="new-secret")["VersionIdsToStages"]
    assert now == stored
