"""Where the three judges do not agree about a tail, who is right, and why.

`docs/verification.md` has the same list. A disagreement that is not in it, or one in it that does
not show, fails the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rotation.sealing.request import Certification
from tests.sealing.verification.judges import Opinion
from tests.sealing.verification.tails import CERTIFICATIONS, Base

#: Tails after which the tables are as they were: readers that follow the tables see no update.
WITHOUT_UPDATE: Final = frozenset(
    {
        "nothing",
        "comment of the file format",
        "bytes at the end",
        "line end at the end",
        "object after the end",
    }
)
#: Documents whose updates pyHanko cannot compare: it raises an error instead of a verdict.
_NOT_COMPARED: Final = frozenset({"bookmarks", "page listed twice"})
#: Tails that pyHanko cannot read: it raises an error instead of a verdict.
_NOT_READ: Final = frozenset(
    {"letters in the gap", "page of another generation", "page's number malformed"}
)
#: A tail that pyHanko refuses before it compares anything.
_REFUSED_AT_ONCE: Final = "Prev beside the table"
#: Tails that pyHanko accepts and `verify` does not, with the levels of certification.
_ACCEPTED: Final[dict[str, frozenset[Certification | None]]] = {
    "bytes at the end": frozenset(CERTIFICATIONS),
    "comment of the file format": frozenset(CERTIFICATIONS),
    "dates alone": frozenset(CERTIFICATIONS),
    "empty field": frozenset(CERTIFICATIONS),
    "field with an action": frozenset(CERTIFICATIONS),
    "line end at the end": frozenset(CERTIFICATIONS),
    "NeedAppearances": frozenset(CERTIFICATIONS),
    "new Info": frozenset(CERTIFICATIONS),
    "new XMP": frozenset(CERTIFICATIONS),
    "object after the end": frozenset(CERTIFICATIONS),
    "objects that no table names": frozenset(CERTIFICATIONS),
    "page twice in an object stream": frozenset(CERTIFICATIONS),
    "startxref beside the table": frozenset(CERTIFICATIONS),
    "unreferenced stream": frozenset(CERTIFICATIONS),
    "validation data that is none": frozenset(CERTIFICATIONS),
    "validation data without a certificate": frozenset(CERTIFICATIONS),
    "empty field, then timestamped": frozenset(CERTIFICATIONS),
    "comment of the file format, then timestamped": frozenset(CERTIFICATIONS),
    "form filled in": frozenset({None}),
    "unsigned field over the page": frozenset({None}),
}


@dataclass(frozen=True)
class Disagreement:
    """A disagreement.

    Attributes:
        title: its title on the page.
        shows: in which ways it shows, of those that `observed` names.
        applies: whether it must show for a tail of that kind over that document.
    """

    title: str
    shows: frozenset[str]
    applies: Callable[[str, Base], bool]


def _raises(kind: str, base: Base) -> bool:
    return base.document in _NOT_COMPARED and kind not in {*WITHOUT_UPDATE, _REFUSED_AT_ONCE}


def _is_accepted(kind: str, base: Base) -> bool:
    return not _raises(kind, base) and base.certification in _ACCEPTED.get(kind, ())


#: Kinds that `verify` accepts, at the levels at which they are made.
_GOOD: Final = frozenset(
    {
        "validation data",
        "document timestamp",
        "validation data and document timestamp",
        "second seal",
    }
)

DISAGREEMENTS: Final = (
    Disagreement(
        "pdfsig verifies no document timestamp",
        frozenset({"pdfsig genuine"}),
        lambda kind, _: (
            kind.endswith(("document timestamp", "timestamped")) and not kind.startswith("forged")
        ),
    ),
    Disagreement(
        "pyHanko cannot compare documents with many bookmarks, or with a page listed twice",
        frozenset({"pyHanko genuine"}),
        _raises,
    ),
    Disagreement(
        "pyHanko cannot compare documents with many bookmarks, or with a page listed twice",
        frozenset({"pyHanko refuses"}),
        lambda kind, base: (
            _raises(kind, base)
            and (
                kind in _GOOD
                or (kind == "comment" and base.certification is Certification.ANNOTATIONS)
            )
        ),
    ),
    Disagreement(
        "pyHanko cannot read some of what is malformed",
        frozenset({"pyHanko genuine"}),
        lambda kind, _: kind in _NOT_READ,
    ),
    Disagreement(
        "pyHanko accepts what nobody has signed",
        frozenset({"pyHanko accepts"}),
        _is_accepted,
    ),
    Disagreement(
        "pyHanko knows no comments",
        frozenset({"pyHanko refuses"}),
        lambda kind, base: (
            kind == "comment"
            and base.certification is Certification.ANNOTATIONS
            and not _raises(kind, base)
        ),
    ),
)


def expected(kind: str, base: Base) -> set[str]:
    """The ways in which the judges disagree about a tail, by the list."""
    return {
        way
        for disagreement in DISAGREEMENTS
        if disagreement.applies(kind, base)
        for way in disagreement.shows
    }


def observed(ours: Opinion, pdfsig: Opinion, pyhanko: Opinion) -> set[str]:
    """The ways in which the judges do disagree."""
    ways = {
        "pdfsig genuine": ours.genuine != pdfsig.genuine,
        "pdfsig whole": ours.whole != pdfsig.whole,
        "pyHanko genuine": ours.genuine != pyhanko.genuine,
        "pyHanko accepts": bool(pyhanko.accepts and not ours.accepts),
        "pyHanko refuses": bool(ours.accepts and not pyhanko.accepts),
    }
    return {way for way, shows in ways.items() if shows}
