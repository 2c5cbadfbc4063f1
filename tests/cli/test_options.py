"""What the command line takes for the expiry of a key."""

from __future__ import annotations

from datetime import datetime

import click
import pytest
from click.testing import CliRunner
from freezegun import freeze_time

from rotation.cli.commands import rotation
from rotation.cli.shared.options import expires_option, refuse_keys
from rotation.credential import iso_utc
from tests.paths import ROOT
from tests.privacy.canary import Canary


@click.command()
@expires_option
def show(expires: datetime) -> None:
    """Print what was understood."""
    click.echo(iso_utc(expires))


@pytest.mark.parametrize(
    ("now", "given", "understood"),
    [
        ("2026-12-31T23:59:59Z", "2027-01-01", "2027-01-01T00:00:00.000Z"),
        ("2027-02-28T12:00:00Z", "2028-02-29", "2028-02-29T00:00:00.000Z"),
        ("2027-02-28T00:00:00Z", "2028-02-29", "2028-02-29T00:00:00.000Z"),
        ("2027-12-31T23:00:00Z", "2027-12-31T22:30-01:00", "2027-12-31T23:30:00.000Z"),
    ],
)
def test_an_expiry_within_the_next_year_is_taken(now: str, given: str, understood: str) -> None:
    """A date begins at midnight UTC; a year with a leap day has 366 days."""
    with freeze_time(now):
        result = CliRunner().invoke(show, ["--expires", given])
    assert (result.exit_code, result.output) == (0, f"{understood}\n")


@pytest.mark.parametrize(
    ("now", "given"),
    [
        ("2027-01-01T00:00:00Z", "2027-01-01"),
        ("2027-02-27T23:59:59Z", "2028-02-29"),
        ("2026-03-01T12:00:00Z", "2027-03-02T12:00:01"),
    ],
)
def test_an_expiry_that_is_over_or_more_than_a_year_away_is_refused(now: str, given: str) -> None:
    """The limit is exact to the second, as the longest life of a key is."""
    with freeze_time(now):
        result = CliRunner().invoke(show, ["--expires", given])
    assert result.exit_code == 2
    assert "is not within the next year; no key lives longer." in result.output


KEY = "5d41402abc4b2a76b9719d911017c592ae25f1c0d3b94e6a8f7c1e2d3b4a5968"
COMMANDS = sorted(rotation.list_commands(click.Context(rotation)))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "given",
    [
        (KEY,),
        (KEY.upper(),),
        ("--json", KEY),
        (f"--reason={KEY}",),
        (f"--nonsense={KEY}",),
        (f'{{"apiKey": "{KEY}"}}',),
        (f" {KEY}\n",),
        ("--help", KEY),
    ],
)
def test_every_command_refuses_a_key_before_anything_repeats_it(
    command: str, given: tuple[str, ...]
) -> None:
    """Exit code 2, what to do, and no piece of the key in what is printed."""
    result = CliRunner().invoke(rotation, [command, *given])
    assert result.exit_code == 2
    assert "never taken from an argument" in result.output
    canary = Canary()
    canary.plant(KEY, "the key")
    assert canary.find(result.output.encode()) is None


def test_a_key_in_the_place_of_a_command_is_refused_too() -> None:
    """Click would name the command that it does not know."""
    result = CliRunner().invoke(rotation, [KEY])
    assert result.exit_code == 2
    assert KEY[:12] not in result.output


@pytest.mark.parametrize(
    "name",
    [
        f"s3://documents/{KEY}.pdf",
        f"./{KEY}",
        f"{KEY}.pdf",
        "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5",
        "arn:aws:secretsmanager:eu-central-1:012345678912:secret:trusted-signatures-api-AbCdEf",
    ],
)
def test_names_that_hold_digits_are_no_keys(name: str) -> None:
    """A file may be named after its digest, and a key by its id."""
    refuse_keys([name])


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_is_there_for_the_shells_of_the_page(shell: str) -> None:
    """docs/command-line.md names what the shell has to read."""
    line = f"_ROTATION_COMPLETE={shell}_source rotation"
    assert line in (ROOT / "docs" / "command-line.md").read_text()
    result = CliRunner().invoke(
        rotation, env={"_ROTATION_COMPLETE": f"{shell}_source"}, prog_name="rotation"
    )
    assert "_rotation_completion" in result.output


def test_completion_in_the_shell_repeats_no_key() -> None:
    """Whoever presses the tabulator after a key sees no piece of it."""
    words = {"COMP_WORDS": f"rotation status {KEY} ", "COMP_CWORD": "3"}
    result = CliRunner().invoke(
        rotation, env=words | {"_ROTATION_COMPLETE": "bash_complete"}, prog_name="rotation"
    )
    assert KEY[:12] not in result.output
