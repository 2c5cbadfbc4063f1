"""Sealing a file: against the bare hash of its bytes, and against pyHanko's own flow.

Ours is `Sealer.seal`, over files instead of S3. The signature is canned, since nobody's vendor is
measured; our check of it is part of our sealing, whatever the rival does. What is compared with the
bare hash is what the sealer itself does: of a large document it writes the update alone, and S3
copies the rest. What is compared with pyHanko writes the whole of it, as pyHanko does; the kernel
copies it when S3 would.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from tests.harness.bench.canned import Canned
from tests.harness.bench.documents import write_all
from tests.harness.bench.results import Figure
from tests.harness.bench.turns import Subject, take_turns

FIGURES: Final = (
    Figure("seal_100mb_over_hash", "100 MB, against the bare SHA-256 of its bytes", 1.12),
    Figure("seal_1gb_over_hash", "1 GB, against the same", 1.06),
    Figure("seal_50kb_over_pyhanko", "50 KB, against pyHanko's own flow", 0.33),
    Figure("seal_100mb_over_pyhanko", "100 MB, against the same", 0.45),
    Figure("seal_300k_objects_over_pyhanko", "300,000 objects, against the same", 1.05),
    Figure("seal_300k_objects_rss_mb", "MiB of the whole process at its peak", 400),
    Figure("pyhanko_300k_objects_rss_mb", "MiB of pyHanko's"),
    Figure("seal_5mb_over_pyhanko", "5 MB, against pyHanko's own flow"),
    Figure("seal_50kb_whole_ms", "milliseconds for 50 KB"),
    Figure("pyhanko_50kb_ms", "milliseconds of pyHanko"),
    Figure("seal_100mb_whole_ms", "milliseconds for 100 MB, all of it written"),
    Figure("seal_100mb_ms", "milliseconds for 100 MB, the update written"),
    Figure("pyhanko_100mb_ms", "milliseconds of pyHanko"),
    Figure("seal_100mb_rss_mb", "MiB of the whole process at its peak"),
    Figure("pyhanko_100mb_rss_mb", "MiB of pyHanko's"),
    Figure("seal_1gb_ms", "milliseconds for 1 GB, the update written"),
)
#: For each document: turns, and how often it is sealed in one.
TURNS: Final = {
    "50kb": (21, 20),
    "5mb": (15, 5),
    "100mb": (15, 1),
    "300k_objects": (5, 1),
    "1gb": (7, 1),
}


def measured() -> dict[str, float]:
    """Every figure of sealing a file."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        Canned.write(place)
        documents = write_all(place)
        found: dict[str, float] = {}
        for name in ("100mb", "1gb"):
            found |= _against_the_hash(documents[name], place, name)
        for name in ("50kb", "5mb", "100mb", "300k_objects"):
            found |= _against_pyhanko(documents[name], place, name)
    return {figure.name: found[figure.name] for figure in FIGURES}


def _against_the_hash(source: str, place: Path, name: str) -> dict[str, float]:
    ours = _ours(source, place, whole=False)
    bare = Subject("tests.harness.bench.subjects.bare:hashing", {"source": source})
    _take_turns(ours, bare, name=name)
    return {f"seal_{name}_over_hash": ours.over(bare), f"seal_{name}_ms": _ms(ours)}


def _against_pyhanko(source: str, place: Path, name: str) -> dict[str, float]:
    ours = _ours(source, place, whole=True)
    theirs = Subject(
        "tests.harness.bench.subjects.pyhanko_flow:sealing",
        {"source": source, "destination": str(place / "theirs.pdf"), "canned": str(place)},
    )
    _take_turns(ours, theirs, name=name)
    return {
        f"seal_{name}_over_pyhanko": ours.over(theirs),
        f"seal_{name}_rss_mb": round(ours.peak_mib),
        f"pyhanko_{name}_rss_mb": round(theirs.peak_mib),
        f"seal_{name}_whole_ms": _ms(ours),
        f"pyhanko_{name}_ms": _ms(theirs),
    }


def _ours(source: str, place: Path, *, whole: bool) -> Subject:
    return Subject(
        "tests.harness.bench.subjects.ours:sealing",
        {
            "source": source,
            "destination": str(place / "ours.pdf"),
            "canned": str(place),
            "whole": whole,
        },
    )


def _take_turns(*subjects: Subject, name: str) -> None:
    rounds, times = TURNS[name]
    take_turns(*subjects, rounds=rounds, times=times)


def _ms(subject: Subject) -> float:
    return round(subject.median() * 1000, 1)
