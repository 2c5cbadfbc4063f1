"""How `rotation force` asks the reconcile function, without a deployment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from rotation.cli.force.command import _ForceRun
from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.output import plain_console
from rotation.cli.shared.waiting import WaitLog
from rotation.errors import RotationError
from rotation.journal.model import Declaration

ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:trusted-signatures-api-AbCdEf"


class _NoAnswer(AwsAccount):
    """An account whose function does not answer."""

    def __init__(self) -> None:
        """Nothing is connected."""

    def arn(self, name: str) -> str:
        """Every name is the same secret's."""
        return ARN

    def ask(self, action: str, *_: Any, **__: Any) -> dict[str, Any]:
        """No answer comes."""
        raise click.ClickException(f"Could not ask the reconcile function to {action}.")


def _run() -> _ForceRun:
    declaration = Declaration("d" * 8, datetime(2026, 3, 1, tzinfo=UTC), "key-compromise", "ada")
    return _ForceRun(
        _NoAnswer(),
        declaration,
        timedelta(seconds=1),
        WaitLog(plain_console(stderr=True)),
        revoke_first=False,
        again=False,
    )


def test_a_function_that_cannot_be_asked_is_one_of_our_errors() -> None:
    """Whoever waits for an incident goes on in spite of a reconciliation that was not answered."""
    with pytest.raises(RotationError, match="Could not ask the reconcile function to reconcile"):
        _NoAnswer().ask_about("reconcile", ARN)


def test_a_person_reads_what_could_not_be_asked() -> None:
    """The message is the account's own, without a code that says nothing."""
    problem = "Could not ask the reconcile function to declare."
    assert _run().run("trusted-signatures-api").problem == problem
