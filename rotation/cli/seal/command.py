"""``rotation seal``: a file, a folder or a prefix of S3, sealed from a terminal."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

import click

from rotation.cli.seal.options import read_options, seal_options

if TYPE_CHECKING:
    from rotation.cli.seal.run import SealLocations


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--secret",
    metavar="NAME",
    default="trusted-signatures-api",
    show_default=True,
    help="The name or ARN of the secret that holds the API key.",
)
@click.option(
    "--function",
    metavar="NAME",
    help="From S3 to S3: let this sealing function seal. Without it, this process seals.",
)
@seal_options
@click.option(
    "--overwrite", is_flag=True, help="Replace what is at DST, even if it is not a seal of SRC."
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 32),
    default=4,
    show_default=True,
    help="How many documents to seal at a time.",
)
@click.option(
    "--follow-links",
    is_flag=True,
    help="Also read and write files to which links lead out of SRC and DST.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only print what would be sealed, and what cannot be and why. Without --function each "
    "document is opened for that.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each document.")
def seal(
    *,
    source: str,
    destination: str,
    secret: str,
    function: str | None,
    overwrite: bool,
    jobs: int,
    follow_links: bool,
    dry_run: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Seal SRC as DST: a file, a folder with all its *.pdf, or a prefix of S3.

    \b
      rotation seal inspection.pdf sealed/
      rotation seal incoming sealed --reason "Final inspection" --timestamp
      rotation seal --dry-run s3://documents/2026 s3://sealed-documents/2026
      rotation seal s3://documents/2026 s3://sealed-documents/2026 \\
        --function trusted-signatures-seal
      rotation seal contract.pdf sealed/ --page -1 --box 36,36,236,84 \\
        --text "Sealed by Example Ltd\\nZürich" --image logo.png

    SRC and DST are both on this machine, or both in S3. The structure of a folder or prefix is
    kept. Files on this machine never leave it: only their digests do. The key comes from the
    secret; the command finds your AWS credentials and Region as the aws command line does. It
    reads VENDOR_URL, VENDOR_SIGN_PATH, SIGNER_TRUST_ANCHORS and SIGNER_ORGANIZATION as the
    functions do.

    A seal is invisible unless --text or --image says what to show, and --page and --box where.
    Points (1/72 inch) count from the lower left corner of the page as a viewer shows it: A4 is 595
    wide and 842 high, US Letter 612 and 792. If the document has a field for its seal, name it by
    --field, and omit --page and --box. A validator lists invisible seals too, and what a page
    shows proves nothing.

    If you run the command again, it skips what is sealed. A file counts as sealed if it begins
    with its source and has a good signature after that; an object counts as sealed if its metadata
    name the source's entity tag. Anything else at DST is left alone, unless you give --overwrite.
    Each sealed document appears whole or not at all.

    A document that cannot be sealed does not stop the others. At the end the command names each
    with its code; docs/errors.md explains the codes. If five in a row fail for a common reason,
    such as an outage of the vendor, the run ends. After Ctrl-C the command finishes the documents
    that it has begun.

    Exits 0 if everything is sealed, 1 if something is not, 2 if the command line is wrong, 130 if
    it was interrupted.
    """  # noqa: D301 - click keeps the lines after \b as they are
    from rotation.cli.seal.client import document_check, document_sealer, local_invoker
    from rotation.cli.seal.folders import LocalFolders
    from rotation.cli.seal.output import (
        SealRunOptions,
        exit_when_interrupted,
        print_plan,
        run_and_report,
        search_shown,
    )
    from rotation.cli.seal.prefixes import SCHEME, Address, S3Prefixes, s3_client
    from rotation.cli.shared.errors import readable_errors
    from rotation.client.lambda_invoker import LambdaInvoker
    from rotation.settings.vendor import VendorSettings

    options = read_options({**asked, "function": function})
    remote = source.startswith(SCHEME)
    if remote != destination.startswith(SCHEME):
        raise click.UsageError(
            "SRC and DST are both on this machine, or both in S3. To go from one to the other, "
            "copy with aws s3 cp."
        )
    if function is not None and not remote:
        raise click.UsageError("--function is for S3: files of this machine are sealed here.")
    run_options = SealRunOptions(jobs, overwrite, as_json)
    stop = Event()
    with readable_errors(), exit_when_interrupted():
        locations: SealLocations
        if remote:
            addresses = Address.parse(source), Address.parse(destination)
            locations = S3Prefixes(s3_client(jobs), *addresses)
        else:
            anchors = VendorSettings.from_environment().trust_anchors
            locations = LocalFolders(source, destination, anchors, follow_links=follow_links)
        with search_shown():
            documents = locations.documents()
        if dry_run or not documents:
            # The function may read objects that whoever runs this may not.
            check = document_check(locations, options) if function is None else None
            print_plan(locations, documents, run_options, check)
            return
        invoker = (
            LambdaInvoker(function)
            if function is not None
            else local_invoker(locations, overwrite=overwrite)
        )
        seal_one = document_sealer(invoker, secret, options, stop)
        run_and_report(locations, documents, seal_one, run_options, stop)
