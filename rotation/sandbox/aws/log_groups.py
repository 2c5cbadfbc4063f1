"""Shows the functions' log files as log groups of CloudWatch Logs, as Lambda makes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rotation.sandbox.aws.cloud import Cloud

_STREAM = "sandbox"


class LogGroups:
    """One log group for each function, ``/aws/lambda/NAME``; `copy` brings it up to date.

    What a file held before belongs to another sandbox, and is not shown.

    Args:
        folder: where each function has a file NAME.log.
        functions: their names.
    """

    def __init__(self, folder: Path, functions: Iterable[str]) -> None:
        self._folder = folder
        self._seen = {name: _size(folder / f"{name}.log") for name in functions}

    def create(self, cloud: Cloud) -> None:
        """Create the groups, without any lines."""
        client: Any = cloud.client
        self._logs = client("logs")
        for name in self._seen:
            self._logs.create_log_group(logGroupName=group_of(name))
            self._logs.create_log_stream(logGroupName=group_of(name), logStreamName=_STREAM)

    def copy(self) -> None:
        """Put the lines that are new into the groups. Half a line waits for its end."""
        now = int(datetime.now(UTC).timestamp() * 1000)
        for name, seen in self._seen.items():
            path = self._folder / f"{name}.log"
            if _size(path) <= seen:
                continue
            with path.open("rb") as log:
                log.seek(seen)
                whole, _, _ = log.read().rpartition(b"\n")
            lines = [line for line in whole.decode(errors="replace").splitlines() if line]
            if lines:
                self._logs.put_log_events(
                    logGroupName=group_of(name),
                    logStreamName=_STREAM,
                    logEvents=[{"timestamp": now, "message": line} for line in lines],
                )
            if whole:
                self._seen[name] = seen + len(whole) + 1


def group_of(function: str) -> str:
    """The log group of a function (Lambda developer guide, "Sending Lambda function logs")."""
    return f"/aws/lambda/{function}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
