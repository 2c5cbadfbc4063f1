"""One document: sealed as the function seals it, and judged by programs that share no code with it.

The signature is made in this process by a certificate of a local CA; everything else is the
function's own.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Final, NoReturn

from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.errors import RotationError, SealingError
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from rotation.sealing.verify import verify
from tests.harness.corpus.classes import CLEAN, class_of
from tests.sealing.pdfs import cms_over

SEALED: Final = "sealed"
REFUSED: Final = "refused"
INVALID: Final = "invalid"
CRASHED: Final = "crashed"

_PATIENCE: Final = 60
_OUR_FIELD: Final = "TrustedSignaturesSeal"


@dataclass(frozen=True)
class Judges:
    """What a trial needs: who signs, and who judges.

    Attributes:
        root_pem: the root of the signer's certificate.
        anchors: an NSS database that trusts it.
        folder: where this process may put files.
    """

    signer: SimpleSigner
    root_pem: bytes
    anchors: Path
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What came of one document.

    Attributes:
        result: sealed, refused, invalid (sealed, and a judge objects) or crashed.
        code: the code of the refusal.
        reason: why it was refused, or what is wrong.
        judge: who accepted the seal.
        seconds: how long the sealing took, without judges.
    """

    name: str
    result: str
    code: str | None = None
    reason: str | None = None
    judge: str | None = None
    repaired: bool = False
    seconds: float = 0.0


class _TooSlow(BaseException):
    """The document took longer than a minute: nothing may catch this on the way."""


def attempt(name: str, path: Path, document_class: str, judges: Judges, *, repair: bool) -> Outcome:
    """Seal one document and have the result judged; whatever goes wrong is part of the outcome."""
    source = path.read_bytes()
    started = time.monotonic()
    try:
        with _patience():
            options = SealOptions(repair=repair)
            prepared = prepare(BytesIO(source), options, datetime.now(UTC))
            sealed = prepared.embed(cms_over(prepared.digest, judges.signer))
            repaired = prepared.repaired
    except SealingError as error:
        elapsed = time.monotonic() - started
        return Outcome(name, REFUSED, error.code, _explained(error), seconds=elapsed)
    except (RotationError, Exception, _TooSlow) as error:  # noqa: BLE001 - that is what is looked for
        return Outcome(name, CRASHED, type(error).__name__, str(error))
    elapsed = time.monotonic() - started
    problem, judge = _judged(source, sealed, document_class, judges, repaired=repaired)
    result = INVALID if problem else SEALED
    return Outcome(name, result, None, problem, judge, repaired=repaired, seconds=elapsed)


def _explained(error: SealingError) -> str:
    cause = error.__cause__
    return f"{error} [{type(cause).__name__}: {cause}]" if cause else str(error)


def _judged(
    source: bytes, sealed: bytes, document_class: str, judges: Judges, *, repaired: bool
) -> tuple[str | None, str]:
    """What is wrong with the sealed document, and who says so."""
    if not repaired and not sealed.startswith(source):
        return "The source is not the beginning of the result.", "prefix"
    path = judges.folder / "sealed.pdf"
    path.write_bytes(sealed)
    said = pdfsig(path, judges.anchors)
    if said is None:
        return _pyhanko(sealed, judges), "pyhanko"
    if problem := _unaccepted(said):
        return problem, "pdfsig"
    if document_class == CLEAN and class_of(path) != CLEAN:
        return "qpdf found nothing wrong with the source, and something with the result.", "qpdf"
    if b"/ByteRange" in source and not repaired:
        (judges.folder / "source.pdf").write_bytes(source)
        before = pdfsig(judges.folder / "source.pdf", judges.anchors) or ""
        if said.count("Signature is Valid.") <= before.count("Signature is Valid."):
            return "An earlier signature is no longer valid.", "pdfsig"
    return None, "pdfsig"


def objection(sealed: bytes, judges: Judges) -> str | None:
    """What pdfsig, or else pyHanko, has against the seal of a document; None: nothing."""
    path = judges.folder / "judged.pdf"
    path.write_bytes(sealed)
    said = pdfsig(path, judges.anchors)
    return _pyhanko(sealed, judges) if said is None else _unaccepted(said)


def pdfsig(path: Path, anchors: Path) -> str | None:
    """What pdfsig says of a document; None if it says nothing within a minute."""
    try:
        done = subprocess.run(
            ["pdfsig", "-nssdir", str(anchors), str(path)],
            check=False,
            capture_output=True,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return None
    return (done.stdout + done.stderr).decode(errors="replace")


def _unaccepted(said: str) -> str | None:
    parts = re.split(r"^Signature #\d+:$", said, flags=re.MULTILINE)[1:]
    ours = [part for part in parts if f"Signature Field Name: {_OUR_FIELD}" in part]
    if not ours:
        return f"pdfsig does not find the seal: {said[-300:]!r}"
    wanted = ("Signature is Valid.", "Certificate is Trusted.", "Total document signed")
    missing = [words for words in wanted if not any(words in part for part in ours)]
    return f"pdfsig does not say: {', '.join(missing)}" if missing else None


def _pyhanko(sealed: bytes, judges: Judges) -> str | None:
    for report in verify(sealed, judges.root_pem):
        if report.field.startswith(_OUR_FIELD) and report.covers_whole_file:
            return None if report.intact and report.trusted else str(report.problem)
    return "pyHanko's validator does not find a seal over the whole file."


@contextmanager
def _patience() -> Iterator[None]:
    def over(*_: object) -> NoReturn:
        raise _TooSlow(f"not done within {_PATIENCE} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
