"""Has one tail judged by three judges, and says what is not as it must be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.sealing.verification.disagreements import expected, observed
from tests.sealing.verification.judges import by_pdfsig, by_pyhanko, by_verify
from tests.sealing.verification.tails import BASES, KINDS, Base, Tails, combinations


def problems(tails: Tails, kind: str, base: Base, folder: Path) -> list[str]:
    """What is wrong with the verdicts on a tail; empty if nothing is."""
    document = tails.made(kind, base)
    root_pem = tails.pki.root_pem
    ours = by_verify(document, root_pem)
    found = []
    if ours.accepts != (base.certification in KINDS[kind].allowed):
        found.append(f"{kind} over {base}: verify {'accepts' if ours.accepts else 'refuses'} it")
    if kind != "nothing" and "TrustedSignaturesSeal" not in ours.genuine:
        found.append(f"{kind} over {base}: verify does not call the seal genuine")
    ways = observed(ours, by_pdfsig(document, folder), by_pyhanko(document, root_pem))
    if ways != (listed := expected(kind, base)):
        found.append(f"{kind} over {base}: {sorted(ways)} shows, and {sorted(listed)} is listed")
    return found


def sample() -> Iterator[tuple[str, Base]]:
    """Two tails of each kind; together they have each document, encryption and certification."""
    each: dict[str, list[Base]] = {}
    for kind, base in combinations():
        each.setdefault(kind, []).append(base)
    assert each.keys() == KINDS.keys()
    for at, (kind, bases) in enumerate(each.items()):
        # Steps that have no factor in common with the numbers of possibilities meet all of them.
        for step in (7 * at, 7 * at + 31):
            yield kind, bases[step % len(bases)]
    assert BASES
