"""The words of an examination: checks, their results, and what is told of a problem."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Check(Enum):
    """What is looked at, in this order. Values are stable."""

    CREDENTIALS = "credentials"
    SECRETS_MANAGER = "secrets-manager"
    SECRET = "secret"  # noqa: S105 - a check's name
    VALUE = "value"
    EXPIRY = "expiry"
    ROTATION = "rotation"
    INCIDENT = "incident"
    REPLICAS = "replicas"
    VENDOR = "vendor"
    CLOCK = "clock"
    KEY = "key"
    SIGNER = "signer"
    SEALING_FUNCTION = "sealing-function"


class Verdict(Enum):
    """What came of a check. Values are stable."""

    OK = "ok"
    PROBLEM = "problem"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Diagnosis:
    """What a code means: templates, whose fields are filled in from the facts.

    Attributes:
        check: the check that finds it.
        cause: why the application fails, or will.
        fix: what to do, and where.
    """

    check: Check
    cause: str
    fix: str


@dataclass(frozen=True)
class Finding:
    """One problem: its stable code, the cause and the fix in words. Never key material."""

    code: str
    cause: str
    fix: str


@dataclass(frozen=True)
class Result:
    """What came of one check.

    Attributes:
        says: what was found; of a check that was not made, why not; of a problem, its cause.
        finding: the problem, where there is one.
    """

    check: Check
    verdict: Verdict
    says: str
    finding: Finding | None = None

    def as_json(self) -> dict[str, Any]:
        """The members that ``rotation doctor --json`` prints."""
        told = {"check": self.check.value, "verdict": self.verdict.value, "says": self.says}
        if self.finding is None:
            return told
        return told | {"code": self.finding.code, "fix": self.finding.fix}


def fine(check: Check, says: str) -> Result:
    """Nothing is wrong."""
    return Result(check, Verdict.OK, says)


def unchecked(check: Check, why: str) -> Result:
    """Nothing can be said, and why."""
    return Result(check, Verdict.NOT_CHECKED, why)
