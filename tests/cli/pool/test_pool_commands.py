"""``rotation pool``: what people type, what it prints, and what it never prints."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from rotation.cli.commands import rotation
from rotation.credential import iso_utc
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import PortalKey
from tests.cli.json_answers import answer_of
from tests.key_pool.pool_fixture import NAME, PoolFixture
from tests.privacy.canary import Canary

BIN = Path(sys.executable).parent
YEAR = timedelta(days=364)
#: Runs the command: arguments, and what is typed or piped in.
CommandRunner = Callable[..., Result]


@pytest.fixture
def environment(key_pool: PoolFixture, tmp_path: Path) -> dict[str, str]:
    """What makes the command talk to the sandbox."""
    root = tmp_path / "root.pem"
    root.write_bytes(key_pool.rotation.pki.root_pem)
    return {
        **key_pool.rotation.cloud.environment(),
        "VENDOR_URL": key_pool.rotation.vendor.url,
        "SIGNER_TRUST_ANCHORS": str(root),
    }


@pytest.fixture
def run_command(environment: dict[str, str]) -> CommandRunner:
    """Runs a command in this process."""

    def run(*arguments: str, typed: str = "", code: int = 0) -> Result:
        boto3.setup_default_session()
        result = CliRunner().invoke(
            rotation, ["pool", *arguments], input=typed, env=environment, catch_exceptions=False
        )
        assert result.exit_code == code, result.output
        return result

    return run


def two_lines(key: PortalKey) -> str:
    return f"{key.id}\n{key.material}\n"


def as_json(key: PortalKey, **more: Any) -> str:
    return json.dumps({"apiKeyId": key.id, "apiKey": key.material} | more)


@pytest.mark.parametrize("write", [two_lines, as_json])
def test_a_key_is_piped_in_proven_and_added(
    key_pool: PoolFixture, run_command: CommandRunner, write: Callable[[PortalKey], str]
) -> None:
    """Two lines or JSON; one signature is bought; the answer names the key and the pool."""
    key = key_pool.rotation.vendor.keys.create()
    said = run_command("add", typed=write(key)).output
    assert f"Key {key.id} is in the pool {NAME} (proven; it signs as " in said
    assert "1 key is free. Make more" in said
    assert key_pool.states() == {key.id: "free"}
    assert key_pool.rotation.vendor.signatures[key.id] == 1
    assert key_pool.lease().id == key.id


def test_a_key_is_typed_at_a_prompt_and_not_shown(
    key_pool: PoolFixture, environment: dict[str, str]
) -> None:
    """On a terminal the id is echoed, the key is not."""
    key = key_pool.rotation.vendor.keys.create()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(BIN / "rotation"), "pool", "add"],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = _until(ours, b"Key id: ")
    os.write(ours, f"{key.id}\n".encode())
    shown += _until(ours, b"(not shown): ")
    os.write(ours, f"{key.material}\n".encode())
    shown += _until(ours, None)
    assert process.wait(300) == 0, shown
    assert key.id.encode() in shown
    canary = Canary()
    canary.plant(key.material, "the key")
    assert canary.find(shown) is None
    assert key_pool.states() == {key.id: "free"}


def _until(terminal: int, text: bytes | None) -> bytes:
    """What the terminal shows until ``text`` appears, or until its end."""
    shown = b""
    while text is None or text not in shown:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            more = b""
        if not more:
            assert text is None, shown
            break
        shown += more
    return shown


def test_a_key_whose_expiry_is_known_is_leased_by_it(
    key_pool: PoolFixture, run_command: CommandRunner
) -> None:
    """From the option or from the JSON, whose other members are not kept."""
    given, read, unknown = (key_pool.rotation.vendor.keys.create() for _ in range(3))
    day = (key_pool.rotation.now() + timedelta(days=200)).date()
    run_command("add", "--expires", day.isoformat(), typed=two_lines(given))
    run_command("add", typed=as_json(read, expiresAt=iso_utc(read.expires_at), secret="x"))
    said = run_command("add", typed=two_lines(unknown)).output
    assert "expiry is not known" in said
    held = {entry["apiKeyId"]: entry for entry in key_pool.value()["keys"]}
    assert held[given.id]["expiresAt"] == f"{day}T00:00:00.000Z"
    assert held[read.id]["expiresAt"] == iso_utc(read.expires_at)
    assert "expiresAt" not in held[unknown.id]
    assert "secret" not in held[read.id]


def test_a_key_that_does_not_sign_is_not_added(
    key_pool: PoolFixture, run_command: CommandRunner
) -> None:
    """Mistyped or revoked: the message says so and what to do, and --unproven adds it."""
    key = key_pool.rotation.vendor.keys.create()
    key_pool.rotation.vendor.keys.revoke(key.id)
    said = run_command("add", typed=two_lines(key), code=1).output
    assert "The key was not added. Check the id and the key" in said
    assert key_pool.states() == {}
    assert "(not proven)" in run_command("add", "--unproven", typed=two_lines(key)).output
    assert key_pool.states() == {key.id: "free"}


def test_adding_a_key_again_changes_nothing(
    key_pool: PoolFixture, run_command: CommandRunner
) -> None:
    """Whoever is not sure whether it worked may run it again."""
    key = key_pool.rotation.vendor.keys.create()
    run_command("add", typed=two_lines(key))
    before = key_pool.labels()
    assert (
        "was in the pool trusted-signatures-pool already"
        in run_command("add", typed=two_lines(key)).output
    )
    assert key_pool.labels() == before


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "no API key"),
        ("one line\nand another\n", "no API key"),
        ("[]", "no API key"),
        ("{}", '"apiKeyId" is missing'),
        ('{"apiKeyId": "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "apiKey": "zz"}', "not hexadecimal"),
        ("4f1c2d3e\nabab\n", '"apiKeyId" is not a UUID'),
    ],
)
def test_what_is_no_key_is_refused(
    key_pool: PoolFixture, run_command: CommandRunner, typed: str, says: str
) -> None:
    """Before anything is asked of the vendor, with the forms that are read."""
    said = run_command("add", typed=typed, code=1).output
    assert says in said
    assert "Give two lines" in said
    assert key_pool.rotation.vendor.requests == ()


def test_a_key_is_never_taken_from_an_argument(
    key_pool: PoolFixture, run_command: CommandRunner
) -> None:
    """The refusal does not repeat it, neither as a stray word nor as a key id."""
    key = key_pool.rotation.vendor.keys.create()
    canary = Canary()
    canary.plant(key.material, "the key")
    for arguments in (("add", key.id, key.material), ("remove", key.material), ("list", key.id)):
        refused = run_command(*arguments, code=2)
        assert canary.find(refused.output.encode()) is None
    assert "never taken from an argument" in run_command("add", key.material, code=2).output


@pytest.mark.parametrize("when", ["soon", "2020-01-01", "2999-01-01", "2026-13-01"])
def test_an_expiry_that_cannot_be_is_a_wrong_command_line(
    run_command: CommandRunner, when: str
) -> None:
    """Exit code 2, before a key is read; a key lives a year at most."""
    assert "--expires" in run_command("add", "--expires", when, code=2).output


def test_an_expired_key_is_refused(key_pool: PoolFixture, run_command: CommandRunner) -> None:
    """It would only be in the way."""
    key = key_pool.rotation.vendor.keys.create()
    said = run_command("add", typed=as_json(key, expiresAt="2026-01-01T00:00:00Z"), code=1).output
    assert "has expired" in said
    assert key_pool.states() == {}


def test_the_list_tells_all_but_the_keys(key_pool: PoolFixture, run_command: CommandRunner) -> None:
    """One line for each key: id, state, age, expiry, lease; and what is left."""
    key_pool.fill([YEAR, timedelta(days=40), None])
    leased = key_pool.lease()
    said = run_command("list").output
    lines = {line.split()[0]: line for line in said.splitlines()}
    assert re.search(r"leased +unknown +\S+ \(in 36\d d\) +\S+ to trusted-sig", lines[leased.id])
    assert len(re.findall(r"^\S{36}  free  ", said, re.MULTILINE)) == 2
    assert "2 keys are free." in said
    new = key_pool.rotation.vendor.keys.create()
    added = answer_of("pool add", run_command("add", "--json", typed=two_lines(new)).stdout)
    assert (added["keyId"], added["added"], added["free"]) == (new.id, True, 3)
    removed = answer_of("pool remove", run_command("remove", new.id, "--apply", "--json").stdout)
    assert (removed["keyId"], removed["state"], removed["applied"]) == (new.id, "free", True)
    told = answer_of("pool list", run_command("list", "--json").output)
    assert (told["pool"], told["free"]) == (NAME, 2)
    by_id = {key["keyId"]: key for key in told["keys"]}
    assert by_id[leased.id]["lease"]["secretArn"] == key_pool.rotation.arn
    canary = Canary()
    for key in key_pool.rotation.vendor.keys.all():
        canary.plant(key.material, key.id)
    assert canary.find((said + json.dumps(told)).encode()) is None


def test_an_empty_pool_is_listed_too(run_command: CommandRunner) -> None:
    """With what to do about it."""
    assert (
        "0 keys are free. Make more in the vendor's portal: rotation pool add."
        in run_command("list").output
    )


def test_removing_shows_its_plan_and_acts_on_apply(
    key_pool: PoolFixture, run_command: CommandRunner
) -> None:
    """Without --apply nothing changes; both say that the key is not revoked by it."""
    first, second = key_pool.fill([YEAR, YEAR])
    for arguments, left in (((), {first.id, second.id}), (("--apply",), {second.id})):
        said = run_command("remove", first.id.upper(), *arguments).output
        assert f"Take key {first.id} (free) out of the pool {NAME}." in said
        assert "revoke it in the vendor's portal" in said
        assert ("Nothing was changed" in said) == (not arguments)
        assert key_pool.states().keys() == left


def test_a_leased_key_is_not_removed(key_pool: PoolFixture, run_command: CommandRunner) -> None:
    """The refusal names the secret that holds it."""
    [made] = key_pool.fill([YEAR])
    key_pool.lease()
    for arguments in ((), ("--apply",)):
        said = run_command("remove", made.id, *arguments, code=1).output
        assert f"leased to {key_pool.rotation.arn}" in said
    assert key_pool.states() == {made.id: "leased"}


def test_a_pool_under_another_name(key_pool: PoolFixture, run_command: CommandRunner) -> None:
    """--pool-secret takes the name that the deployment gave it."""
    key_pool.rotation.client.create_secret(Name="another-pool")
    key = key_pool.rotation.vendor.keys.create()
    run_command("add", "--pool-secret", "another-pool", typed=two_lines(key))
    assert key.id in run_command("list", "--pool-secret", "another-pool").output
    assert key_pool.states() == {}


@pytest.mark.parametrize("command", ["add", "list"])
def test_what_aws_refuses_is_said_in_words(
    key_pool: PoolFixture, run_command: CommandRunner, command: str
) -> None:
    """Exit code 1 and the right that is missing; no key was asked for."""
    key_pool.rotation.cloud.faults.before("GetSecretValue", AwsError("AccessDeniedException"))
    said = run_command(command, code=1).output
    assert "Allow secretsmanager:GetSecretValue" in said
    assert "Traceback" not in said


def test_a_missing_region_is_said_in_words(
    environment: dict[str, str], run_command: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a region AWS cannot be asked at all."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        environment.pop(name)
        monkeypatch.delenv(name, raising=False)
    assert "Set AWS_DEFAULT_REGION" in run_command("list", code=1).output


def test_a_vendor_that_cannot_be_reached_adds_nothing(
    key_pool: PoolFixture, environment: dict[str, str], run_command: CommandRunner
) -> None:
    """A key that was not proven is not added, and the message names the call."""
    environment["VENDOR_URL"] = "http://127.0.0.1:9"
    key = key_pool.rotation.vendor.keys.create()
    assert "sign" in run_command("add", typed=two_lines(key), code=1).output
    assert key_pool.states() == {}


@pytest.mark.parametrize("command", ["add", "list", "remove"])
def test_every_command_teaches_itself(run_command: CommandRunner, command: str) -> None:
    """Each has a help page, and the group names it."""
    assert "Usage: rotation pool" in run_command(command, "--help").output
    assert re.search(rf"^  {command} +[A-Z]", run_command("--help").output, re.MULTILINE)
