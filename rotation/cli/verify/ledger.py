"""Whether the seals of a file are in the ledger: ours, or somebody else's with the same key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from rotation.errors import LedgerError
from rotation.sealing.verification.report import SealReport
from rotation.settings.environment import Location

_LONGEST: Final = 300


class LedgerAnswer(StrEnum):
    """What the ledger says of a seal. Stable."""

    OURS = "ours"
    ABSENT = "not-in-ledger"
    UNKNOWN = "cannot-be-told"


@dataclass(frozen=True)
class LedgerFinding:
    """What the ledger says of one seal.

    Attributes:
        answer: whether it is ours.
        text: a line for people.
        entry: the ledger's entry; None if there is none.
    """

    answer: LedgerAnswer
    text: str
    entry: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The member ``ledger`` of a signature."""
        return {"answer": self.answer, "entry": self.entry}


class LedgerLookup:
    """Looks seals up in the ledger at ``place``."""

    def __init__(self, place: Location) -> None:
        # Whoever verifies without a ledger does not wait for boto3.
        import boto3

        from rotation.aws.client_config import LEDGER
        from rotation.aws.seal_ledger import S3SealLedger

        client = boto3.client("s3", config=LEDGER)
        self._ledger = S3SealLedger(client, place.bucket, place.prefix)

    def find(self, seal: SealReport) -> LedgerFinding:
        """What the ledger says of ``seal``."""
        if seal.digest is None:
            return LedgerFinding(
                LedgerAnswer.UNKNOWN,
                "cannot be told: what was signed is not what this file holds, or not by SHA-256",
            )
        try:
            entry = self._ledger.find(seal.digest)
        except LedgerError as error:
            return LedgerFinding(LedgerAnswer.UNKNOWN, f"cannot be told: {error}")
        if entry is None:
            return LedgerFinding(
                LedgerAnswer.ABSENT,
                "not in the ledger: somebody else made this seal, or it is older than the ledger",
            )
        said = ", ".join(str(entry.get(member))[:_LONGEST] for member in ("time", "keyId"))
        return LedgerFinding(LedgerAnswer.OURS, f"ours: {said}", entry)


def ledger_totals(findings: Iterable[LedgerFinding]) -> dict[str, int]:
    """How many seals have each answer."""
    counted = Counter(finding.answer for finding in findings)
    return {answer.value: counted[answer] for answer in LedgerAnswer}
