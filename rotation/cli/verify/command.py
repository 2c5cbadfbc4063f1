"""``rotation verify``: the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rotation.cli.shared.output import plain_console
from rotation.errors import ConfigurationError

if TYPE_CHECKING:
    from rotation.cli.verify.verification import FileVerification


def _certificates(_: click.Context, __: click.Parameter, paths: tuple[Path, ...]) -> bytes | None:
    """The certificates in all these files; None if no file is given."""
    from cryptography.x509 import load_pem_x509_certificates

    for path in paths:
        try:
            load_pem_x509_certificates(path.read_bytes())
        except OSError as error:
            raise click.BadParameter(f"{path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise click.BadParameter(f"{path} holds no certificate in PEM.") from error
    return b"\n".join(path.read_bytes() for path in paths) if paths else None


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--trust",
    "anchors",
    metavar="PEM",
    multiple=True,
    type=click.Path(path_type=Path),
    callback=_certificates,
    help="A file with certificates that signers must chain to. Repeat for more.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(*, files: tuple[str, ...], anchors: bytes | None, as_json: bool) -> None:
    """Say who sealed each FILE, when, and what is wrong with it; - is standard input.

    \b
      rotation verify --trust vendor-root.pem inspection.pdf
      rotation verify --json sealed/*.pdf
      curl -s https://example.org/a.pdf | rotation verify -

    For each signature the command prints the signer, the time that the signer claims, the time
    that an authority's timestamp proves, whether the signature covers the whole file, and what was
    added after it. A file that is wrong does not stop the others from being verified. The command
    sends nothing and needs no AWS account.

    With --trust, or with certificates in SIGNER_TRUST_ANCHORS, signers and time-stamping
    authorities must chain to one of them. Check yourself that the name is the one that you expect.
    Without either, the signer's name is not checked: anybody can make a certificate with that
    name.

    Revocation is not checked: a revoked certificate is accepted. For a legal judgement ask a
    qualified validation service.

    Exits 0 if every file bears a signature, nothing is wrong with any and, with --trust, every
    signer is trusted; 1 if not; 2 if the command line is wrong.
    """  # noqa: D301 - click keeps the lines after \b as they are
    from rotation.cli.verify.verification import STANDARD_INPUT, print_verification, verify_file

    if files.count(STANDARD_INPUT) > 1:
        raise click.UsageError("Standard input can be read once.")
    anchors = anchors or _configured()
    verifications: list[FileVerification] = []
    console = plain_console()
    try:
        for name in files:
            verifications.append(verify_file(name, anchors))
            if not as_json:
                print_verification(console, verifications[-1])
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    good = all(verification.status == "ok" for verification in verifications)
    if as_json:
        reports = [verification.as_json() for verification in verifications]
        click.echo(json.dumps({"ok": good, "anchored": anchors is not None, "files": reports}))
    if not good:
        raise click.exceptions.Exit(1)


def _configured() -> bytes | None:
    """The certificates in SIGNER_TRUST_ANCHORS, if it is set."""
    from rotation.settings.environment import Environment
    from rotation.vendor.signer import SignerPolicy

    try:
        pem = Environment(None).pem("SIGNER_TRUST_ANCHORS")
        SignerPolicy.from_pem(pem, None)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    return pem
