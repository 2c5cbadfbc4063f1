"""``rotation doctor``: the command and its output."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.text import Text

from rotation.cli.shared.options import secret_argument
from rotation.cli.shared.output import plain_console

if TYPE_CHECKING:
    from rotation.cli.doctor.result import CheckResult

_STYLES: Final = {"ok": "green", "problem": "red", "not checked": "yellow"}


@click.command()
@secret_argument
@click.option(
    "--sealing-function",
    metavar="NAME",
    help="Check this sealing function too: a name, an ARN or an alias. No document is sent.",
)
@click.option("--no-seal", is_flag=True, help="Do not ask the vendor for a test seal.")
@click.option(
    "--also-region",
    "regions",
    multiple=True,
    metavar="REGION",
    help="Look for the secret in this Region too if it is not found. Repeat for more.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 60),
    default=5,
    show_default=True,
    help="Seconds to wait for a connection.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(
    *,
    secret: str,
    sealing_function: str | None,
    no_seal: bool,
    regions: tuple[str, ...],
    timeout: float,
    as_json: bool,
) -> None:
    """Find out why an application cannot use SECRET. Run it where the application runs.

    Run it with the application's role and in its network. Each check prints one line: ok, problem
    or not checked. A problem comes with a stable code, its cause, and what to do. The command
    changes nothing and prints no key. It needs only the application's rights; a check that needs
    DescribeSecret or ListSecrets is not made without them. The state of the keys and of rotation
    is what `rotation status` prints.

    The key is tried with a test seal, which the vendor counts as one signature; --no-seal skips
    it. The command reads VENDOR_URL, VENDOR_SIGN_PATH, SIGNER_TRUST_ANCHORS and
    SIGNER_ORGANIZATION as the functions do.

    Exits 0 if nothing is wrong, 1 if there is a problem, 2 if the command line is wrong.
    """
    from rotation.cli.doctor.checks import DoctorChecks
    from rotation.cli.shared.errors import readable_errors

    checks = DoctorChecks(
        secret,
        function=sealing_function,
        regions=regions,
        seal=not no_seal,
        timeout=timedelta(seconds=timeout),
    )
    results: list[CheckResult] = []
    console = plain_console()
    with readable_errors():
        for result in checks.results():
            results.append(result)
            if not as_json:
                print_result(console, result)
    counted = Counter(result.status.value for result in results)
    if as_json:
        printed = [result.as_json() for result in results]
        report = {"secret": secret, "ok": not counted["problem"], "checks": printed}
        click.echo(json.dumps(report))
    else:
        console.print()
        console.print(_summary(counted), markup=False)
    if counted["problem"]:
        raise click.exceptions.Exit(1)


def print_result(console: Console, result: CheckResult) -> None:
    """Print the result of one check, for people."""
    status, indent = result.status.value, " " * 13
    console.print(
        Text.assemble(
            (f"{status:<12}", _STYLES[status]),
            f" {result.check.value:<17}",
            result.code or result.says,
        )
    )
    if result.code is not None:
        console.print(f"{indent}cause: {result.says}", markup=False)
        console.print(f"{indent}fix:   {result.fix}", markup=False)


def _summary(counted: Counter[str]) -> str:
    problems, unchecked = counted["problem"], counted["not checked"]
    found = "Nothing is wrong" if not problems else f"{_count(problems, 'problem')} found"
    return found + (f"; {_count(unchecked, 'check')} could not be made." if unchecked else ".")


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
