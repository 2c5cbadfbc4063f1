"""Three judges of a sealed document that was extended: `verify`, pdfsig and pyHanko."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from asn1crypto import pem, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import validate_pdf_signature, validate_pdf_timestamp
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from rotation.errors import RotationError
from rotation.sealing.verification.report import FileReport, FileVerdict
from rotation.sealing.verify import examine

_WHOLE = (SignatureCoverageLevel.ENTIRE_FILE, SignatureCoverageLevel.ENTIRE_REVISION)


@dataclass(frozen=True)
class Opinion:
    """What one judge says.

    Attributes:
        genuine: the names of the fields whose signatures it calls genuine.
        whole: the names of the fields whose signatures cover the whole file.
        accepts: whether it accepts all signatures and what came after them; None: it says nothing
            about what came after.
    """

    genuine: frozenset[str]
    whole: frozenset[str]
    accepts: bool | None


def by_verify(document: bytes, root_pem: bytes) -> Opinion:
    """Ours."""
    try:
        report = examine(BytesIO(document), root_pem)
    except RotationError:
        return Opinion(frozenset(), frozenset(), False)
    return Opinion(
        _genuine(report),
        _whole(report),
        report.verdict in {FileVerdict.OK, FileVerdict.MODIFIED},
    )


def _whole(report: FileReport) -> frozenset[str]:
    covered = {seal.field: seal.covered for seal in report.seals}
    covered |= {stamp.field: stamp.covered for stamp in report.document_timestamps}
    return frozenset(name for name, size in covered.items() if size == report.size)


def _genuine(report: FileReport) -> frozenset[str]:
    seals = {seal.field for seal in report.seals if seal.intact}
    stamps = {
        stamp.field
        for stamp in report.document_timestamps
        if stamp.timestamp is not None and stamp.timestamp.intact
    }
    return frozenset(seals | stamps)


def by_pdfsig(document: bytes, folder: Path) -> Opinion:
    """Poppler's, which does not judge what came after a signature."""
    path = folder / "judged.pdf"
    path.write_bytes(document)
    done = subprocess.run(
        ["pdfsig", "-nocert", str(path)], check=False, capture_output=True, timeout=300
    )
    genuine, whole = set(), set()
    for block in re.split(r"Signature #\d+:", done.stdout.decode("utf-8", "replace"))[1:]:
        found = re.search(r"Signature Field Name: (.*)", block)
        name = found[1] if found else ""
        if "Signature is Valid" in block:
            genuine.add(name)
        if "- Total document signed" in block:
            whole.add(name)
    return Opinion(frozenset(genuine), frozenset(whole), None)


def by_pyhanko(document: bytes, root_pem: bytes) -> Opinion:
    """PyHanko's own validator, with its own reader."""
    *_, root = pem.unarmor(root_pem)
    context: dict[str, Any] = {
        "trust_roots": [x509.Certificate.load(root)],
        "allow_fetching": False,
    }
    usage = KeyUsageConstraints(
        key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=False
    )
    try:
        reader = PdfFileReader(BytesIO(document), strict=False)
        if reader.encrypted:
            reader.decrypt("")
        signatures = list(reader.embedded_signatures)
    except Exception:  # noqa: BLE001 - pyHanko raises any type
        return Opinion(frozenset(), frozenset(), False)
    genuine, whole, accepts = set(), set(), bool(signatures)
    for signature in signatures:
        try:
            stamp = signature.sig_object_type == "/DocTimeStamp"
            status = (
                validate_pdf_timestamp(signature, ValidationContext(**context))
                if stamp
                else validate_pdf_signature(
                    signature, ValidationContext(**context), key_usage_settings=usage
                )
            )
        except Exception:  # noqa: BLE001 - pyHanko raises any type
            accepts = False
            continue
        if status.intact and status.valid:
            genuine.add(signature.fq_name)
        if status.coverage is SignatureCoverageLevel.ENTIRE_FILE:
            whole.add(signature.fq_name)
        accepts = bool(
            accepts
            and status.intact
            and status.valid
            and status.coverage in _WHOLE
            and status.docmdp_ok is not False
            and status.modification_level is not ModificationLevel.OTHER
        )
    return Opinion(frozenset(genuine), frozenset(whole), accepts)
