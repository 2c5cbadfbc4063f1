"""The fields of a revision's form and the streams that show them, as the form reaches them.

What is not reached from the form by Fields and Kids (ISO 32000-2, 12.7.3, 12.7.4.2) is no field,
whatever its keys are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rotation.sealing.verification.census import Place
from rotation.sealing.verification.facts import Fact, Ref, StreamFact, text_of
from rotation.sealing.verification.history import Revision


@dataclass
class FormField:
    """A field, or a widget of one.

    Attributes:
        names: its full names; more than one if the form reaches it more than once.
        kind: its type (FT), which it may inherit.
        signed: whether it is a signature field that holds a signature.
    """

    names: set[str] = field(default_factory=set)
    kind: Fact = None
    signed: bool = False


@dataclass
class Appearance:
    """A stream that shows fields, or a dictionary of such streams (12.5.5).

    Attributes:
        fields: the numbers of the fields.
        places: where the fields refer to it.
        holders: the numbers of the objects between the fields and it.
    """

    fields: set[int] = field(default_factory=set)
    places: set[Place] = field(default_factory=set)
    holders: set[int] = field(default_factory=set)


class FormFields:
    """The fields of a revision.

    Attributes:
        fields: the fields and widgets that are indirect objects, by number.
        appearances: what shows them, by number.
    """

    def __init__(self, revision: Revision) -> None:
        self.fields: dict[int, FormField] = {}
        self.appearances: dict[int, Appearance] = {}
        self._revision = revision
        form = revision.entry(revision.entry(revision.trailer, "/Root"), "/AcroForm")
        self._walk(_list(revision.entry(form, "/Fields")))

    def _walk(self, fields: list[Fact]) -> None:
        todo: list[tuple[Fact, str, Fact, bool]] = [(entry, "", None, False) for entry in fields]
        seen: set[tuple[Ref, str]] = set()
        while todo:
            entry, above, kind, signed = todo.pop()
            found = self._revision.resolve(entry)
            # A widget that the form also lists itself is met twice, and not endlessly.
            if not isinstance(found, dict) or (isinstance(entry, Ref) and (entry, above) in seen):
                continue
            kind = self._revision.entry(found, "/FT") or kind
            signed = signed or (kind == "/Sig" and self._revision.entry(found, "/V") is not None)
            part = self._revision.entry(found, "/T")
            name = above if part is None else ".".join(filter(None, (above, text_of(part))))
            if isinstance(entry, Ref):
                seen.add((entry, above))
                known = self.fields.setdefault(entry.number, FormField())
                if len(known.names) > _MOST_NAMES:
                    continue
                known.names.add(name)
                known.kind, known.signed = kind, known.signed or signed
                self._add_appearances(entry, found)
            todo += [
                (kid, name, kind, signed) for kid in _list(self._revision.entry(found, "/Kids"))
            ]

    def _add_appearances(self, ref: Ref, found: dict[str, Fact]) -> None:
        shown, at, holders = self._followed(ref, Place(ref, ()), found, "/AP", set())
        for key in ("/N", "/R", "/D"):
            if not isinstance(shown, dict) or key not in shown:
                continue
            states, place, above = self._followed(ref, at, shown, key, holders)
            for state in states if isinstance(states, dict) else ():
                self._followed(ref, place, states, state, above)

    def _followed(
        self, ref: Ref, at: Place, holder: dict[str, Fact], key: str, holders: set[int]
    ) -> tuple[Fact, Place, set[int]]:
        """The value of an entry, and the place that it is itself."""
        value = holder.get(key)
        place = Place(at.referrer, (*at.path, key))
        if not isinstance(value, Ref):
            return value, place, holders
        known = self.appearances.setdefault(value.number, Appearance())
        known.fields.add(ref.number)
        known.places.add(place)
        known.holders |= holders
        found = self._revision.get(value)
        if not isinstance(found, (dict, StreamFact)):
            found = None
        return found, Place(value, ()), holders | {value.number}


#: How often a field is followed that the form reaches again and again.
_MOST_NAMES = 4


def _list(found: Fact) -> list[Fact]:
    return found if isinstance(found, list) else []
