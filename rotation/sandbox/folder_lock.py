"""A folder belongs to one sandbox at a time.

A second one in the same folder would write its own trust root and logs over those of the first,
whose seals would then look like an attack.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

#: The file that the sandbox of a folder holds a lock on; it says who that is.
_FILE: Final = "in-use"


class FolderInUseError(RuntimeError):
    """Another sandbox uses the folder; the message names its process."""


@contextmanager
def folder_held(folder: Path) -> Iterator[None]:
    """Make a folder and hold it until the end of the block, however the process ends.

    Raises:
        FolderInUseError: another process, or another block of this one, holds it.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _FILE).open("a+") as holder:
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder.seek(0)
            raise FolderInUseError(
                f"The folder {folder} is used by another sandbox: {holder.read().strip()}. End "
                "that one, or name another folder with --folder."
            ) from None
        holder.truncate(0)
        holder.write(f"process {os.getpid()}, since {datetime.now(UTC):%H:%M:%S} UTC\n")
        holder.flush()
        yield
        holder.truncate(0)
