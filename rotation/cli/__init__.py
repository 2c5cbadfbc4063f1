"""The operator's command line: ``rotation``."""

from __future__ import annotations

import logging
import sys


def main() -> None:
    """Run ``rotation``; if a library is missing, say what to install."""
    try:
        from rotation.cli.commands import rotation
    except ModuleNotFoundError as error:
        sys.exit(
            f"rotation: the module {error.name} is missing. Install what the command line needs, "
            "with the extra that has it; in a checkout: pip install '.[cli]'"
        )
    # What libraries log would stand between the lines that commands print.
    logging.getLogger().addHandler(logging.NullHandler())
    rotation(prog_name="rotation")
