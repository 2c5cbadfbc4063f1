"""What the command line takes for the expiry of a key."""

from __future__ import annotations

from datetime import datetime

import click
import pytest
from click.testing import CliRunner
from freezegun import freeze_time

from rotation.cli.shared.options import expires_option
from rotation.credential import iso_utc


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
