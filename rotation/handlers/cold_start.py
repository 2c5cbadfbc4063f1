"""The cold start of a function: its modules load while somebody waits for the first answer.

What is loaded lives as long as the process, so to search it for garbage is wasted: about a tenth of
the time that loading takes. The import of this module stops the garbage collector, and `loaded`
starts it again. So a handler's module imports this one before any other, and calls `loaded` before
it serves.
"""

from __future__ import annotations

import gc

_collects = gc.isenabled()
gc.disable()


def loaded() -> None:
    """Start the garbage collector again, as it was, and leave what is loaded out of its searches.

    Sources: Python's documentation of `gc.freeze`.
    """
    gc.freeze()
    if _collects:
        gc.enable()
