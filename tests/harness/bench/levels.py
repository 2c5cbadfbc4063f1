"""What the levels of PAdES cost: 50 KB from S3 to S3, with services on this machine.

Over a network each request to a service takes longer; ``docs/levels.md`` says how many there are.
"""

from __future__ import annotations

from typing import Final

from tests.harness.bench.results import Figure
from tests.harness.bench.transfer import open_office
from tests.harness.bench.turns import take_turns

_LEVELS: Final = {"bb": "B-B", "bt": "B-T", "blt": "B-LT", "blta": "B-LTA"}

FIGURES: Final = (
    Figure("seal_blt_over_bb_50kb", "50 KB at level B-LT, against B-B"),
    Figure("seal_blta_over_bb_50kb", "50 KB at level B-LTA, against B-B"),
    *(
        Figure(f"seal_{name}_50kb_ms", f"milliseconds at {level}")
        for name, level in _LEVELS.items()
    ),
)


def measured() -> dict[str, float]:
    """Every figure of the levels."""
    with open_office(("50kb",)) as office:
        subjects = {
            name: office.ours("50kb", level=level, timestamp=level != "B-B")
            for name, level in _LEVELS.items()
        }
        take_turns(*subjects.values(), rounds=9, times=5, after=office.clear)
    return {
        "seal_blt_over_bb_50kb": subjects["blt"].over(subjects["bb"]),
        "seal_blt_over_bt_50kb": subjects["blt"].over(subjects["bt"]),
        "seal_blta_over_bb_50kb": subjects["blta"].over(subjects["bb"]),
        **{f"seal_{name}_50kb_ms": round(1000 * one.median(), 1) for name, one in subjects.items()},
    }
