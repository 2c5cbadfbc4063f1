"""``rotation report``: the life of a secret's keys, for an auditor."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from rotation.cli.report.facts import report_facts
from rotation.cli.report.reading import read_from_aws
from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import readable_errors
from rotation.cli.shared.files import file_option, write_whole
from rotation.cli.shared.options import json_option
from rotation.cli.shared.output import plain_console

_CONDITIONS: Final = {
    "dead": "proven dead",
    "attested": "attested dead; nothing proves it",
    "suspect": "suspect, and not proven dead",
    "asked": "to be revoked, and not proven dead",
    "displaced": "displaced, in its grace",
    "current": "current",
    "in-use": "in use, as far as the journal knows",
    "unknown": "named, and its life is not known",
}


@click.command()
@click.argument("secret")
@click.option(
    "--evidence-bucket",
    envvar="EVIDENCE_BUCKET",
    required=True,
    help="The bucket with the journal: output EvidenceBucketName of the stack.",
)
@file_option("--html", "Write the report as one page, to read or to print.")
@file_option("--bundle", "Write the report and its sources as a zip, for rotation verify-bundle.")
@json_option
def report(
    secret: str, evidence_bucket: str, html: Path | None, bundle: Path | None, as_json: bool
) -> None:
    """Report on the keys of SECRET for an auditor: their lives, rotations, incidents, exceptions.

    The report is made of every state that the journal ever had, each of which the evidence bucket
    keeps. It says what it does not prove. The command changes nothing, reads no value of a secret
    and asks no function; docs/audit-report.md names the rights that it needs. What they do not let
    it see, the report says.
    """
    with readable_errors():
        sources = read_from_aws(AwsAccount(), secret, evidence_bucket, datetime.now(UTC))
        facts = report_facts(sources)
        written = {}
        # Both need Jinja2, which no other command loads.
        if html is not None:
            from rotation.cli.report.page import report_page

            written[html] = report_page(facts).encode()
        if bundle is not None:
            from rotation.cli.report.bundle import bundle_of

            written[bundle] = bundle_of(sources)
        for path, content in written.items():
            write_whole(path, content)
    if as_json:
        click.echo(json.dumps(facts))
        return
    console = plain_console()
    _print(console, facts)
    for path, content in written.items():
        console.print(f"{path}: SHA-256 {sha256(content).hexdigest()}", markup=False)


def _print(console: Console, facts: dict[str, Any]) -> None:
    states = facts["journal"]["states"]
    console.print(facts["secret"]["name"], style="bold", markup=False)
    console.print(
        f"  {len(states)} states of the journal, {states[0]['at']} to {states[-1]['at']}",
        markup=False,
    )
    for key in facts["keys"]:
        console.print(f"  key {key['keyId']}: {_CONDITIONS[key['condition']]}", markup=False)
    for one in facts["incidents"]:
        end = "open" if one["closedAt"] is None else f"closed {one['closedAt']}"
        console.print(f"  incident {one['id']}: {end}", markup=False)
    if not facts["exceptions"]:
        console.print("  no exceptions were found", markup=False)
    for one in facts["exceptions"]:
        console.print(f"  {one['code']}: {one['text']}", style="yellow", markup=False)
    console.print("What this does not prove:", markup=False)
    for text in facts["notProven"]:
        console.print(f"  {text}", markup=False)
