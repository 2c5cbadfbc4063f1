"""The operator's command line: ``rotation``."""

from __future__ import annotations

import logging
import sys


def main() -> None:
    """Run ``rotation``; says what to install where the command line's libraries are missing."""
    try:
        from rotation.cli.commands import rotation
    except ModuleNotFoundError as error:
        sys.exit(
            f"rotation: the module {error.name} is missing. Install what the command line needs, "
            "with the extra that has it; in a checkout: pip install '.[cli]'"
        )
    # Commands speak for themselves; what libraries log would stand between their lines.
    logging.getLogger().addHandler(logging.NullHandler())
    rotation(prog_name="rotation")
