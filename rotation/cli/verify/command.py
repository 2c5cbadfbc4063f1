"""``rotation verify``: who sealed a file, when, and whether it is as it was sealed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rotation.cli.shared.output import plain_console
from rotation.errors import ConfigurationError

if TYPE_CHECKING:
    from rotation.cli.verify.verdict import Verdict


def _certificates(_: click.Context, __: click.Parameter, paths: tuple[Path, ...]) -> bytes | None:
    """The certificates of all these files, or None without any."""
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

    For each signature: the signer; the time that the signer claims and the time that an
    authority's timestamp proves, apart; whether the whole file is covered, and what was added
    after it. Each file is judged, whatever is wrong with another. Nothing is sent anywhere, and no
    AWS account is needed.

    With --trust, or the certificates in SIGNER_TRUST_ANCHORS, signers and time-stamping
    authorities must chain to one of them. Whether the name is the one that you expect is yours to
    judge. Without either, a signer's name is held against nothing: anybody can make a certificate
    that bears it.

    Revocation is not checked: a certificate that was withdrawn passes. For a legal judgement ask a
    qualified validation service.

    Exits 0 if every file bears a signature, nothing is wrong with any and, with --trust, every
    signer is trusted; 1 if not; 2 if the command line is wrong.
    """  # noqa: D301 - click keeps the lines after \b as they are
    from rotation.cli.verify.verdict import STANDARD_INPUT, judged, tell

    if files.count(STANDARD_INPUT) > 1:
        raise click.UsageError("Standard input can be read once.")
    anchors = anchors or _configured()
    verdicts: list[Verdict] = []
    console = plain_console()
    try:
        for name in files:
            verdicts.append(judged(name, anchors))
            if not as_json:
                tell(console, verdicts[-1])
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    good = all(verdict.word == "ok" for verdict in verdicts)
    if as_json:
        told = {"ok": good, "anchored": anchors is not None}
        click.echo(json.dumps({**told, "files": [verdict.as_json() for verdict in verdicts]}))
    if not good:
        raise click.exceptions.Exit(1)


def _configured() -> bytes | None:
    """The certificates that the functions are configured with, if this process is too."""
    from rotation.settings.environment import Environment
    from rotation.vendor.signer import SignerPolicy

    try:
        pem = Environment(None).pem("SIGNER_TRUST_ANCHORS")
        SignerPolicy.from_pem(pem, None)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    return pem
