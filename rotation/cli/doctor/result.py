"""The result of one check of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Check(Enum):
    """What the doctor checks, in this order. Values are stable."""

    CREDENTIALS = "credentials"
    SECRETS_MANAGER = "secrets-manager"
    SECRET = "secret"  # noqa: S105 - a check's name
    VALUE = "value"
    EXPIRY = "expiry"
    ROTATION = "rotation"
    VENDOR = "vendor"
    CLOCK = "clock"
    KEY = "key"
    SIGNER = "signer"
    PROFILE = "profile"
    SEALING_FUNCTION = "sealing-function"


class CheckStatus(Enum):
    """How a check ended. Values are stable."""

    OK = "ok"
    PROBLEM = "problem"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class CheckResult:
    """The result of one check. It never holds key material.

    Attributes:
        says: what was found; for a check that was not made, the reason; for a problem, its cause.
        code: the stable code of a problem, or None.
        fix: how to repair the problem, or None.
    """

    check: Check
    status: CheckStatus
    says: str
    code: str | None = None
    fix: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The members that ``rotation doctor --json`` prints."""
        members = {"check": self.check.value, "verdict": self.status.value, "says": self.says}
        return members if self.code is None else members | {"code": self.code, "fix": self.fix}


def ok(check: Check, says: str) -> CheckResult:
    """The check found nothing wrong."""
    return CheckResult(check, CheckStatus.OK, says)


def not_checked(check: Check, why: str) -> CheckResult:
    """The check could not be made."""
    return CheckResult(check, CheckStatus.NOT_CHECKED, why)
