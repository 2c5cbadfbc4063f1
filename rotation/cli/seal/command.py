"""``rotation seal``: a file, a folder or a prefix of S3, sealed from a terminal."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

import click

from rotation.cli.seal.options import read_options, seal_options

if TYPE_CHECKING:
    from rotation.cli.seal.work import Places


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
    help="From S3 to S3: have this sealing function do it. Without it, this process does.",
)
@seal_options
@click.option("--overwrite", is_flag=True, help="Replace what is at DST and is no seal of SRC.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 32),
    default=4,
    show_default=True,
    help="How many documents are sealed at a time.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be sealed.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each document.")
def seal(
    *,
    source: str,
    destination: str,
    secret: str,
    function: str | None,
    overwrite: bool,
    jobs: int,
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

    Both are on this machine, or both in S3. A folder's or prefix's structure is kept. Files never
    leave this machine: only the digest does, as always. The key comes from the secret, with your
    AWS credentials and region as the aws command line finds them. VENDOR_URL, VENDOR_SIGN_PATH,
    SIGNER_TRUST_ANCHORS and SIGNER_ORGANIZATION are heeded as the functions heed them.

    A seal is not seen on any page unless --text or --image says what is to be seen, and --page
    and --box where. Points (1/72 inch) count from the lower left corner of the page as a viewer
    shows it: A4 is 595 wide and 842 high, US Letter 612 and 792. A document may keep a field for
    its seal: name it by --field, and leave --page and --box out. Any validator lists a seal that
    is not seen, and what is seen proves nothing.

    Run again, it goes on: what is sealed is skipped. A file counts as sealed if it begins with its
    source and bears a good signature after it; an object, if its metadata name the source's entity
    tag. Anything else at DST is left alone, unless --overwrite. Each sealed document appears whole
    or not at all.

    A document that cannot be sealed does not hold up the others. At the end each is named with its
    code; docs/errors.md explains them. When five in a row fail for a reason that is not theirs, as
    in an outage of the vendor, the run ends. Ctrl-C finishes what is under way.

    Exits 0 if everything is sealed, 1 if something is not, 2 if the command line is wrong, 130 if
    it was interrupted.
    """  # noqa: D301 - click keeps the lines after \b as they are
    from rotation.cli.seal.folders import Folders
    from rotation.cli.seal.prefixes import SCHEME, Address, Prefixes, s3_client
    from rotation.cli.seal.show import (
        Manner,
        ending_when_interrupted,
        looking,
        show_plan,
        show_run,
    )
    from rotation.cli.seal.wiring import in_this_process, sealing, through_function
    from rotation.cli.shared.errors import readable_errors
    from rotation.settings import VendorSettings

    options = read_options({**asked, "function": function})
    remote = source.startswith(SCHEME)
    if remote != destination.startswith(SCHEME):
        raise click.UsageError(
            "SRC and DST are both on this machine, or both in S3. To go from one to the other, "
            "copy with aws s3 cp."
        )
    if function is not None and not remote:
        raise click.UsageError("--function is for S3: files of this machine are sealed here.")
    manner = Manner(jobs, overwrite, as_json)
    stop = Event()
    with readable_errors(), ending_when_interrupted():
        places: Places
        if remote:
            addresses = Address.parse(source), Address.parse(destination)
            places = Prefixes(s3_client(jobs), *addresses)
        else:
            anchors = VendorSettings.from_environment().trust_anchors
            places = Folders(source, destination, anchors)
        with looking():
            documents = places.documents()
        if dry_run or not documents:
            show_plan(places, documents, manner)
            return
        invoker = (
            through_function(function)
            if function is not None
            else in_this_process(places, overwrite=overwrite)
        )
        seal_one = sealing(invoker, secret, options, stop)
        show_run(places, documents, seal_one, manner, stop)
