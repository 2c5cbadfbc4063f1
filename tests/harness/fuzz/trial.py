"""One document through all of sealing: prepared, signed, embedded, and judged."""

from __future__ import annotations

import random
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Final

from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.errors import SealingError
from rotation.sealing.pdf import Limits, prepare
from rotation.sealing.request import Certification, SealOptions
from rotation.sealing.verify import verify
from rotation.sealing.visible_seal import VisibleSeal
from tests.sealing.pdf_tools import pdfsig
from tests.sealing.pdfs import cms_over

LIMITS: Final = Limits(time=timedelta(seconds=5))
#: Beyond the time for reading: the digest, the update, and a busy machine.
SLACK: Final = 5.0
SEALED: Final = "sealed"
_FIELD: Final = "FuzzedSeal"
# What pdfsig says of a document that it can read.
_READ: Final = ("Digital Signature Info", "does not contain any signatures")


@dataclass(frozen=True)
class Outcome:
    """What came of one document.

    Attributes:
        result: sealed, or the code of the refusal, or what was raised instead of one.
        problem: what is wrong with that; None: nothing.
    """

    result: str
    problem: str | None = None


def options(chance: random.Random) -> SealOptions:
    """Any of the ways to seal that touch the document differently."""
    visible = None
    if chance.random() < 0.4:
        visible = VisibleSeal(chance.choice((1, -1, 2)), (0.0, 0.0, 60.0, 20.0), "Sealed")
    certify = chance.choice((None, None, *Certification))
    return SealOptions(field_name=_FIELD, certify=certify, visible=visible)


def sealed(content: bytes, signer: SimpleSigner) -> bytes:
    """``content`` with an ordinary seal."""
    prepared = prepare(BytesIO(content), SealOptions(), datetime.now(UTC))
    return prepared.embed(cms_over(prepared.digest, signer))


def attempt(
    content: bytes,
    how: SealOptions,
    signer: SimpleSigner,
    root_pem: bytes,
    folder: Path | None = None,
) -> Outcome:
    """Seal ``content``; pyHanko's validator judges it, and pdfsig where there is a folder."""
    started = time.monotonic()
    try:
        prepared = prepare(BytesIO(content), how, datetime.now(UTC), limits=LIMITS)
    except SealingError as error:
        return Outcome(error.code, _lasted(started))
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return Outcome(type(error).__name__, f"prepare raised {error!r}")
    problem = _lasted(started)
    result = prepared.embed(cms_over(prepared.digest, signer))
    if not result.startswith(content):
        problem = "the source is not the beginning of the result"
    problem = problem or _pyhanko(result, root_pem)
    if folder:
        problem = problem or _poppler(content, result, folder)
    return Outcome(SEALED, problem)


def _lasted(started: float) -> str | None:
    elapsed = time.monotonic() - started
    return f"it took {elapsed:.1f} s" if elapsed > LIMITS.time.total_seconds() + SLACK else None


def _pyhanko(result: bytes, root_pem: bytes) -> str | None:
    """What its validator has against the seal; None: nothing."""
    try:
        reports = [report for report in verify(result, root_pem) if report.field == _FIELD]
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"verify raised {error!r}"
    if any(one.intact and one.trusted and one.covers_whole_file for one in reports):
        return None
    return f"sealed, and not valid: {reports}"


def _poppler(content: bytes, result: bytes, folder: Path) -> str | None:
    """What pdfsig has against the seal; None: nothing, or it could not read the source either."""
    try:
        before, said = pdfsig(content, folder), pdfsig(result, folder)
    except subprocess.TimeoutExpired:
        return None
    if not any(words in before for words in _READ):
        return None
    # Only the newest signature covers the whole.
    parts = said.split("Signature #")
    if any("Signature is Valid." in part and "Total document signed" in part for part in parts):
        return None
    return f"sealed, and not valid for pdfsig: {said[-300:]!r}"
