"""``rotation extend``: the command."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rotation.cli.shared.output import plain_console
from rotation.privacy.printable import printable

_LABELS = {
    "raised": "raised",
    "skipped": "has it",
    "planned": "would raise",
    "lower": "lower",
    "error": "not raised",
}


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--level",
    type=click.Choice(["B-T", "B-LT", "B-LTA"]),
    default="B-LTA",
    show_default=True,
    help="The level that each file shall have.",
)
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the raised files here, and leave the given ones as they are.",
)
@click.option("--renew", is_flag=True, help="Also give B-LTA files a new document timestamp.")
@click.option("--dry-run", is_flag=True, help="Say which level each file has; ask nobody.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each file.")
def extend(
    *,
    files: tuple[str, ...],
    level: str,
    folder: Path | None,
    renew: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Raise the level of sealed FILEs, so that their seals outlive the certificates.

    \b
      rotation extend --level B-LT inspection.pdf
      rotation extend --level B-LTA --to archive sealed/*.pdf

    Appends what is missing: a document timestamp, certificates with OCSP responses and CRLs. Files
    are replaced as a whole, or written into a folder. No signature of the vendor is bought, and no
    AWS account is needed. A file that fails stops no other.

    The services come from VALIDATION_HOSTS and TSA_URL, and the trust anchors from
    SIGNER_TRUST_ANCHORS. With LEVEL_ON_FAILURE=fail, a file that cannot get the level is left as it
    was; else it gets what is possible.

    Exit code 0: every file has the level, 1: at least one has not, 2: the command line is wrong.
    """  # noqa: D301 - click keeps the lines after \b as they are
    from rotation.cli.extend.extension import Extension
    from rotation.errors import ConfigurationError
    from rotation.handlers.wiring.levels import level_raiser
    from rotation.sealing.request import Level
    from rotation.settings.levels import LevelSettings
    from rotation.settings.vendor import VendorSettings

    try:
        settings = LevelSettings.from_environment()
        raiser = level_raiser(settings, VendorSettings.from_environment().trust_anchors)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    extension = Extension(raiser, Level(level), folder, settings.fail, renew, dry_run)
    console = plain_console()
    succeeded = True
    for file in files:
        result = extension.result(Path(file))
        succeeded &= result.succeeded
        if as_json:
            click.echo(json.dumps(result.as_json()))
            continue
        levels = " → ".join(one for one in (result.before, result.after) if one)
        console.print(f"{_LABELS[result.status]:<12} {printable(file)}  {levels}", markup=False)
        if result.problem:
            console.print(f"{'':<13}{printable(result.problem)}", markup=False)
    if not succeeded:
        raise click.exceptions.Exit(1)
