"""Every code with its cause and its fix; a problem is told by filling in a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rotation.cli.doctor.model import Diagnosis, Finding, Result, Verdict
from rotation.cli.doctor.secret_table import SECRET_TABLE
from rotation.cli.doctor.use_table import USE_TABLE

#: In the order of the checks. Codes are stable.
DIAGNOSES: Final[Mapping[str, Diagnosis]] = {**SECRET_TABLE, **USE_TABLE}


def problem(code: str, *, more: str = "", **facts: object) -> Result:
    """The problem of that code.

    Args:
        code: a key of `DIAGNOSES`.
        more: a sentence for the end of the cause.
        facts: the fields of its templates.
    """
    diagnosis = DIAGNOSES[code]
    cause = diagnosis.cause.format_map(facts)
    cause = " ".join(f"{cause} {more}".split())
    finding = Finding(code, cause, diagnosis.fix.format_map(facts))
    return Result(diagnosis.check, Verdict.PROBLEM, cause, finding)
