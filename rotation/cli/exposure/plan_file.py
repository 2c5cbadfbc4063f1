"""The plan of a departure, in a file: what is to be done about each secret, and what was done.

The plan is made while the leaver still has their rights, for what somebody may read cannot be told
any more when the rights are gone. Its id makes every act repeatable: the tokens of the rotations
and the ids of the declarations are made of it.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

import click

from rotation.credential import json_object

SCHEMA: Final = "trusted-signatures-rotation/departure/1"


@dataclass
class PlanFile:
    """A plan, and the file that holds it.

    Attributes:
        path: the file.
        plan: what it holds; ``docs/command-line.schema.json`` describes it.
    """

    path: Path
    plan: dict[str, Any]

    def __post_init__(self) -> None:
        self._lock = Lock()

    @classmethod
    def read(cls, path: Path, principals: Sequence[str]) -> PlanFile | None:
        """The plan in a file; None if there is no such file.

        Raises:
            click.ClickException: the file is no plan, or one for somebody else.
        """
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise click.ClickException(f"{path} could not be read: {error.strerror}.") from None
        plan = json_object(text)
        if plan is None or plan.get("schema") != SCHEMA:
            raise click.ClickException(f"{path} is no plan of this command. Name another file.")
        if sorted(plan["principals"]) != sorted(principals):
            raise click.ClickException(
                f"{path} is the plan for {', '.join(plan['principals'])}. Name these, or another "
                "file."
            )
        return cls(path, plan)

    def token(self, arn: str) -> str:
        """The token of the rotation of a secret, or the id of its declaration: always the same."""
        return str(uuid.uuid5(uuid.UUID(self.plan["id"]), arn))

    def note(self, secret: dict[str, Any], result: dict[str, Any]) -> None:
        """Write down what was done about one secret of the plan. May be called from any thread."""
        with self._lock:
            secret["result"] = result
            self.write()

    def write(self) -> None:
        """Write the file anew; whoever reads it meanwhile sees the old or the new one.

        Raises:
            click.ClickException: it cannot be written.
        """
        try:
            handle, name = tempfile.mkstemp(dir=self.path.absolute().parent, prefix=".plan-")
            with os.fdopen(handle, "w") as file:
                json.dump(self.plan, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except OSError as error:
            raise click.ClickException(
                f"{self.path} could not be written: {error.strerror}."
            ) from None
