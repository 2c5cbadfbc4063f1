"""``rotation evidence``: the records of a secret's incidents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import readable_errors
from rotation.cli.shared.files import file_option, write_whole
from rotation.cli.shared.options import json_option, reconcile_function_option
from rotation.cli.shared.output import plain_console
from rotation.privacy.printable import outside_text


@click.command()
@click.argument("secret")
@file_option("--html", "Write one record as a page, to read or to print.")
@click.option("--incident", metavar="ID", help="Which record --html writes; the newest by default.")
@json_option
@reconcile_function_option
def evidence(
    secret: str, html: Path | None, incident: str | None, as_json: bool, reconcile_function: str
) -> None:
    """Show the records of the incidents of SECRET: who declared what, and how each key died.

    The command shows the ten newest records, newest first. The reconcile function keeps them under
    Object Lock and is asked for them, so the command needs no right on the bucket. A record holds
    no key material.
    """
    if incident is not None and html is None:
        raise click.UsageError("--incident says which record --html writes; give --html too.")
    answer = AwsAccount(reconcile_function).ask("evidence", [secret])
    if html is not None:
        with readable_errors():
            write_whole(html, _page(answer, incident).encode())
    if as_json:
        click.echo(json.dumps(answer))
        return
    console = plain_console()
    if not answer["records"]:
        console.print(f"No incident of {answer['secret']} is on record.", markup=False)
    for one in answer["records"]:
        _print_record(console, one["where"], one["record"])
    # A reconcile function of an older version keeps no readers.
    for one in answer.get("readers", ()):
        _print_readers(console, one["where"], one["record"])


def _page(answer: dict[str, Any], wanted: str | None) -> str:
    """The page of one record."""
    # Jinja2 is loaded by no command that writes no page.
    from rotation.cli.report.incident import record_page
    from rotation.incident.closing import SCHEMA

    for one in answer["records"]:
        record = one["record"]
        if record.get("schema") == SCHEMA and wanted in {None, record["incident"]["id"]}:
            return record_page(record, one["where"], list(_seal_lines(record.get("seals"))))
    named = "" if wanted is None else f" of the incident {outside_text(wanted)}"
    raise click.ClickException(
        f"There is no record{named} on {answer['secret']} that this version can show as a page, "
        "among the ten newest. Nothing was written; without --html the command shows them all."
    )


def _print_record(console: Console, where: str, record: dict[str, Any]) -> None:
    declared = record["declared"]
    console.print(
        f"declared {declared['at'] or 'by a label alone'}: {declared['reason'] or 'no reason'}, "
        f"by {declared['actor'] or 'unknown'}",
        markup=False,
    )
    for key in record["keys"]:
        proof = (key.get("death") or key)["proof"]
        probes = proof.get("probes", [])
        rejected = [probe for probe in probes if probe["outcome"] == "rejected"]
        how = proof["by"]
        if "attestedBy" in proof:
            how = f"as {proof['attestedBy']} attests ({proof['reason']}); nothing proves it"
        if rejected:
            how = f"{len(rejected)} rejections from {rejected[0]['at']} to {rejected[-1]['at']}"
        console.print(f"  key {key['keyId']}: dead, {how}", markup=False)
    for line in _seal_lines(record.get("seals")):
        console.print(f"  {line}", markup=False)
    for gap in record.get("gaps", ()):
        console.print(f"  not told: {gap['message']}", markup=False)
    current = record["current"]
    if current is not None:
        console.print(f"  replaced by key {current['keyId']}", markup=False)
    console.print(f"  closed {record['completedAt']}", markup=False)
    console.print(f"  {where}", markup=False)
    console.print()


def _print_readers(console: Console, where: str, record: dict[str, Any]) -> None:
    console.print(
        f"readers of the keys of incident {record['incident']}, as {record['foundBy']} found them",
        markup=False,
    )
    for one in record["readers"]:
        through = f", assumed by {', '.join(one['through'])}" if one["through"] else ""
        known = " (known)" if one["known"] else ""
        console.print(
            f"  {one['principal']}{known}{through}: {one['reads']} readings, last {one['lastAt']}",
            markup=False,
        )
    console.print(f"  not known: {', '.join(one['code'] for one in record['gaps'])}", markup=False)
    console.print(f"  {where}", markup=False)
    console.print()


def _seal_lines(seals: dict[str, Any] | None) -> Iterator[str]:
    """How many seals of the suspect keys are ours; records without a ledger say nothing of it."""
    if seals is None:
        return
    if seals.get("problem"):
        yield f"seals not counted: the ledger could not be read ({seals['problem']})"
    for key in seals["keys"]:
        ours = f"{key['inLedger']}" if seals["complete"] else f"at least {key['inLedger']}"
        others = key["notInLedger"]
        told = "cannot be told" if others is None else f"{others}"
        yield f"seals by key {key['keyId']}: {ours} in the ledger, not in the ledger: {told}"
