"""``rotation doctor``: what is wrong where an application runs, and how to mend it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.text import Text

from rotation.cli.shared.key_options import secret_argument
from rotation.cli.shared.output import plain_console

if TYPE_CHECKING:
    from rotation.cli.doctor.model import Result

_STYLES: Final = {"ok": "green", "problem": "red", "not checked": "yellow"}


@click.command()
@secret_argument
@click.option(
    "--sealing-function",
    metavar="NAME",
    help="Look at this sealing function too: a name, an ARN or an alias. No document is sent.",
)
@click.option("--no-seal", is_flag=True, help="Ask the vendor for no test seal.")
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
    """Find what is wrong with SECRET, run from where the application runs.

    With the application's role and in its network: each check is one line, ok, problem or not
    checked; a problem comes with a stable code, its cause, and what to do. Nothing is changed, and
    no key is printed. No right is needed but the application's; what only DescribeSecret or
    ListSecrets would tell is not checked without them.

    The key is tried with a test seal, which the vendor counts as one signature; --no-seal leaves it
    out. VENDOR_URL, VENDOR_SIGN_PATH, SIGNER_TRUST_ANCHORS and SIGNER_ORGANIZATION are heeded as
    the functions heed them.

    Exits 0 if nothing is wrong, 1 if something is, 2 if the command line is.
    """
    from rotation.cli.doctor.examination import Examination
    from rotation.cli.shared.typed_key import failing_in_words

    examination = Examination(
        secret,
        function=sealing_function,
        regions=regions,
        seal=not no_seal,
        timeout=timedelta(seconds=timeout),
    )
    results: list[Result] = []
    console = plain_console()
    with failing_in_words():
        for result in examination.results():
            results.append(result)
            if not as_json:
                _tell(console, result)
    counted = Counter(result.verdict.value for result in results)
    if as_json:
        checks = [result.as_json() for result in results]
        click.echo(json.dumps({"secret": secret, "ok": not counted["problem"], "checks": checks}))
    else:
        console.print()
        console.print(_summary(counted), markup=False)
    if counted["problem"]:
        raise click.exceptions.Exit(1)


def _tell(console: Console, result: Result) -> None:
    verdict, finding = result.verdict.value, result.finding
    line = Text.assemble(
        (f"{verdict:<12}", _STYLES[verdict]),
        f" {result.check.value:<17}",
        finding.code if finding else result.says,
    )
    console.print(line)
    if finding is not None:
        console.print(f"{'':<13}cause: {finding.cause}", markup=False)
        console.print(f"{'':<13}fix:   {finding.fix}", markup=False)


def _summary(counted: Counter[str]) -> str:
    problems, unchecked = counted["problem"], counted["not checked"]
    found = "Nothing is wrong" if not problems else f"{_many(problems, 'problem')} found"
    return found + (f"; {_many(unchecked, 'check')} could not be made." if unchecked else ".")


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
