"""``rotation verify``: the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rotation.cli.shared.output import plain_console
from rotation.errors import ConfigurationError
from rotation.privacy.printable import printable

if TYPE_CHECKING:
    from rotation.cli.verify.ledger import LedgerLookup
    from rotation.cli.verify.verification import FileVerification
    from rotation.settings.environment import Location


def _certificates(_: click.Context, __: click.Parameter, paths: tuple[Path, ...]) -> bytes | None:
    """The certificates in all these files; None if no file is given."""
    from cryptography.x509 import load_pem_x509_certificates

    for path in paths:
        try:
            load_pem_x509_certificates(path.read_bytes())
        except OSError as error:
            name = printable(str(path))
            raise click.BadParameter(f"{name} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            name = printable(str(path))
            raise click.BadParameter(f"{name} holds no certificate in PEM.") from error
    return b"\n".join(path.read_bytes() for path in paths) if paths else None


def _place(_: click.Context, __: click.Parameter, address: str | None) -> Location | None:
    from rotation.settings.environment import ledger_location

    if address is None:
        return None
    place = ledger_location(address)
    if place is None:
        raise click.BadParameter("it must be s3://bucket or s3://bucket/prefix.")
    return place


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
@click.option(
    "--ledger",
    metavar="S3-URI",
    callback=_place,
    help="Say of each seal whether it is in this ledger, s3://bucket/prefix.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(
    *, files: tuple[str, ...], anchors: bytes | None, ledger: Location | None, as_json: bool
) -> None:
    """Say who sealed each FILE, when, and what is wrong with it; - is standard input.

    \b
      rotation verify --trust vendor-root.pem inspection.pdf
      rotation verify --json sealed/*.pdf
      curl -s https://example.org/a.pdf | rotation verify -

    For each signature the command prints the signer, the time that the signer claims, the time
    that an authority's timestamp proves, whether the signature covers the whole file, and what was
    added after it. A file that is wrong does not stop the others from being verified. The command
    sends nothing and needs no AWS account, except with --ledger.

    With --ledger the command says of each seal whether your own functions made it: ours, not in the
    ledger, or that it cannot be told. It reads one object of S3 for each seal. After a key leaked,
    this tells your seals from the thief's; docs/ledger.md says what a ledger cannot know.

    With --trust, or with certificates in SIGNER_TRUST_ANCHORS, signers and time-stamping
    authorities must chain to one of them. Check yourself that the name is the one that you expect.
    Without either, nobody vouches for the signer: anybody can make a certificate with that name.

    Revocation is not checked: a revoked certificate is accepted. For a legal judgement ask a
    qualified validation service.

    Exits 0 if every file is sealed by a trusted signer and was not changed since; 3 if nothing is
    wrong but no certificate was given to check signers by; 4 if a form was filled in since, as a
    certification allows; 1 if something is wrong or, with --ledger, a seal is not yours or that
    cannot be told; 2 if the command line is wrong; 130 if it is
    interrupted.
    """  # noqa: D301 - click keeps the lines after \b as they are
    from rotation.cli.verify.ledger import LedgerAnswer, ledger_totals
    from rotation.cli.verify.verification import (
        STANDARD_INPUT,
        exit_code,
        print_totals,
        print_verification,
        totals,
        verify_file,
    )

    if files.count(STANDARD_INPUT) > 1:
        raise click.UsageError("Standard input can be read once.")
    anchors = anchors or _configured()
    lookup = _lookup(ledger)
    verifications: list[FileVerification] = []
    console = plain_console()
    try:
        for name in files:
            verifications.append(_looked_up(verify_file(name, anchors), lookup))
            if not as_json:
                print_verification(console, verifications[-1])
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    code = exit_code(verifications)
    of_seals = [finding for one in verifications for finding in one.ledger]
    if any(finding.answer is not LedgerAnswer.OURS for finding in of_seals):
        code = 1
    if as_json:
        answer = {
            "ok": code == 0,
            "anchored": anchors is not None,
            "totals": totals(verifications),
            **({"ledger": ledger_totals(of_seals)} if lookup else {}),
            "files": [verification.as_json() for verification in verifications],
        }
        click.echo(json.dumps(answer))
    else:
        print_totals(console, verifications)
    if code:
        raise click.exceptions.Exit(code)


def _looked_up(found: FileVerification, lookup: LedgerLookup | None) -> FileVerification:
    if lookup is None or found.report is None:
        return found
    return replace(found, ledger=tuple(lookup.find(seal) for seal in found.report.seals))


def _lookup(ledger: Location | None) -> LedgerLookup | None:
    if ledger is None:
        return None
    from rotation.cli.verify.ledger import LedgerLookup

    return LedgerLookup(ledger)


def _configured() -> bytes | None:
    """The certificates in SIGNER_TRUST_ANCHORS, if it is set."""
    from rotation.settings.environment import Environment
    from rotation.vendor.signer import SignerPolicy

    try:
        pem = Environment(None).pem("SIGNER_TRUST_ANCHORS")
        SignerPolicy.from_pem(pem, None)
    except ConfigurationError as error:
        raise click.ClickException(printable(str(error))) from None
    return pem
