"""``rotation verify-bundle``: whether a report follows from the sources that came with it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rotation.cli.report.bundle import verify
from rotation.cli.shared.errors import readable_errors
from rotation.cli.shared.options import json_option
from rotation.cli.shared.output import plain_console
from rotation.credential import iso_utc
from rotation.errors import ReportError
from rotation.privacy.printable import outside_text


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def verify_bundle(file: Path, as_json: bool) -> None:
    """Verify FILE, a bundle that `rotation report --bundle` has written.

    It needs no AWS account and sends nothing. It recomputes every digest, checks that each state of
    the journal follows from the one before by the journal's rules and that records agree with it,
    and makes the report anew from these sources. Exits 1 if anything is wrong.

    Nobody signs a bundle, so this does not prove who wrote it.
    """
    with readable_errors():
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ReportError(f"{file} cannot be read: {error.strerror}.") from error
        found = verify(content)
    sources = found.sources
    if as_json:
        click.echo(
            json.dumps(
                {
                    "file": str(file),
                    "digest": found.digest,
                    "ok": found.ok,
                    "secret": None if sources is None else outside_text(sources.arn),
                    "madeAt": None if sources is None else iso_utc(sources.made_at),
                    "madeWith": None if sources is None else outside_text(sources.made_with),
                    "states": None if sources is None else len(sources.states),
                    "records": None if sources is None else len(sources.records),
                    "checks": [one.members() for one in found.checks],
                }
            )
        )
    else:
        console = plain_console()
        if sources is not None:
            console.print(
                f"{outside_text(sources.arn)}: {len(sources.states)} states, "
                f"{len(sources.records)} records, read {iso_utc(sources.made_at)}",
                markup=False,
            )
        for one in found.checks:
            console.print(f"{'wrong' if one.problems else 'ok':>5}  {one.what}", markup=False)
            for problem in one.problems:
                console.print(f"       {problem}", style="red", markup=False)
        console.print(f"SHA-256 of the bundle: {found.digest}", markup=False)
        console.print("Nobody has signed it: this does not prove who wrote it.", markup=False)
    if not found.ok:
        raise click.exceptions.Exit(1)
