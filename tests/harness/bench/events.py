"""Documents for each second that Lambda bills, when ten messages come at once or one at a time.

The function's own code seals 50 KB documents from S3 to S3, for a vendor that takes 150 ms to sign.
A function with 1,769 MB has one processor (Lambda developer guide, configuration-memory), so the
process that is measured may use one; S3 and the vendor have the other. S3 answers from this
machine, sooner than over a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from rotation.sealing.pdf import Limits
from tests.harness.bench.documents import KB, write_many_objects, write_scans
from tests.harness.bench.results import Figure
from tests.harness.bench.transfer import INCOMING, open_office
from tests.harness.bench.turns import Subject, take_turns

_LATENCY: Final = timedelta(milliseconds=150)
_DOCUMENTS: Final = tuple(f"document-{number}" for number in range(10))
_MEMORY: Final = 1769

FIGURES: Final = (
    Figure(
        "events_docs_per_billed_second_over_one_at_a_time",
        "50 KB documents in batches of ten, against invocations of one each",
        at_least=6,
    ),
    Figure("events_docs_per_billed_second", "documents in each billed second, batches of ten"),
    Figure("events_ten_costly_mb", "MiB of the whole process with the ten costliest", _MEMORY),
)


def measured() -> dict[str, float]:
    """Every figure of sealing what arrives."""
    with open_office(()) as office:
        for name in _DOCUMENTS:
            path = office.folder / "s3" / name
            write_scans(path, 50 * KB)
            office.s3.store.adopt(INCOMING, name, path)
        office.vendor.latency = _LATENCY

        def subject(names: Sequence[str], each: int) -> Subject:
            settings = {"names": names, "each": each, "memory": _MEMORY}
            settings["credential"] = office.event("")["credential"]
            maker = "tests.harness.bench.subjects.ours:arrivals"
            return Subject(maker, settings, office.environment())

        together, one_by_one = subject(_DOCUMENTS, len(_DOCUMENTS)), subject(_DOCUMENTS, 1)
        take_turns(together, one_by_one, rounds=9, after=office.clear)
        most, shared = Limits().objects, Limits().shared().objects
        costly = [f"costly-{name}" for name in _DOCUMENTS]
        for number, name in enumerate(costly):
            path = office.folder / "s3" / name
            write_many_objects(path, (shared if number else most) - 1)
            office.s3.store.adopt(INCOMING, name, path)
        ten = subject(costly, len(costly))
        take_turns(ten, rounds=1, after=office.clear)
    return {
        FIGURES[2].name: round(ten.peak_mib),
        FIGURES[0].name: round(one_by_one.median() / together.median(), 2),
        FIGURES[1].name: round(len(_DOCUMENTS) / together.median(), 1),
    }
