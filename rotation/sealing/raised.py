"""The result of raising a document to a level, and the port to what raises it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from rotation.sealing.pdf import PreparedPdf
from rotation.sealing.request import Level


@dataclass(frozen=True)
class RaisedLevel:
    """How far a document came.

    Attributes:
        wanted: the level that was asked for.
        reached: the level that it has.
        problem: why it has not the level that was asked for; None: it has.
        retryable: whether it may get it later without anybody changing anything.
    """

    wanted: Level
    reached: Level
    problem: str | None = None
    retryable: bool = False

    def members(self) -> dict[str, Any]:
        """The JSON object in answers."""
        return {"name": self.reached.value, "asked": self.wanted.value, "problem": self.problem}


class RaiseSeal(Protocol):
    """Raises a document that is being sealed; see `rotation.sealing.levels`."""

    def __call__(
        self, prepared: PreparedPdf, cms: bytes, wanted: Level
    ) -> tuple[RaisedLevel, bytes]:
        """How far it came, and the incremental updates that follow the seal.

        Raises:
            LevelError: it did not come far enough, and the settings do not accept less.
        """
