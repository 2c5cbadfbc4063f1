"""Files that commands write: whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from rotation.errors import DestinationError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def file_option(name: str, help_text: str) -> Callable[[_Command], _Command]:
    """The name of a file that a command writes."""
    return click.option(
        name, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help=help_text
    )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; what was there is replaced when it is whole.

    Raises:
        DestinationError: it cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=".rotation-", dir=path.parent)
    except OSError as error:
        raise DestinationError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise DestinationError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            Path(name).unlink(missing_ok=True)
