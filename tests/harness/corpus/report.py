"""The figures of a run over the corpus: counted, held against the bars, told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.harness.corpus.classes import CLASSES, CLEAN, WARNED
from tests.harness.corpus.trial import CRASHED, INVALID, REFUSED, SEALED, Outcome

# What may keep a document that qpdf reads without complaint from being sealed.
_FAIR_REFUSALS: Final = frozenset({"no_pages", "certified_no_changes"})
_IN_PLACE: Final = 0.80
_WITH_REPAIR: Final = 0.95


def counted(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """``files``, ``sealed``, ``verified``, ``refused`` by code, ``invalid`` and ``crashed``."""
    results = Counter(outcome.result for outcome in outcomes)
    return {
        "files": len(outcomes),
        "sealed": results[SEALED] + results[INVALID],
        "verified": results[SEALED],
        "repaired": sum(outcome.repaired for outcome in outcomes),
        "refused": dict(Counter(o.code for o in outcomes if o.result == REFUSED).most_common()),
        "crashed": results[CRASHED],
    }


def report(outcomes: Sequence[Outcome], classes: Mapping[str, str]) -> dict[str, Any]:
    """The same over all and by class, with the documents that a person may want to look at."""
    by_class: dict[str, list[Outcome]] = {name: [] for name in CLASSES}
    for outcome in outcomes:
        by_class[classes[outcome.name]].append(outcome)
    return counted(outcomes) | {
        "classes": {name: counted(found) for name, found in by_class.items() if found},
        "judged_by_pyhanko": [o.name for o in outcomes if o.judge == "pyhanko"],
        "slowest_seconds": round(max((o.seconds for o in outcomes), default=0.0), 3),
    }


def missed(
    outcomes: Sequence[Outcome], classes: Mapping[str, str], *, repair: bool, whole: bool
) -> list[str]:
    """Each bar that was not reached, in words; shares count for a whole corpus alone."""
    problems = [
        f"{outcome.name}: {outcome.result}: {outcome.reason}"
        for outcome in outcomes
        if outcome.result in {CRASHED, INVALID}
    ]
    problems += [
        f"{outcome.name}: clean, and refused as {outcome.code}: {outcome.reason}"
        for outcome in outcomes
        if classes[outcome.name] == CLEAN
        and outcome.result == REFUSED
        and outcome.code not in _FAIR_REFUSALS
    ]
    warned = [outcome for outcome in outcomes if classes[outcome.name] == WARNED]
    least = _WITH_REPAIR if repair else _IN_PLACE
    sealed = sum(outcome.result == SEALED for outcome in warned)
    if whole and warned and sealed < least * len(warned):
        problems.append(
            f"{sealed} of {len(warned)} documents with warnings were sealed; {least:.0%} must be"
        )
    return problems
