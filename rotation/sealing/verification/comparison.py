"""Compares two revisions of a document: what came with the later one, as kinds of changes.

Every object that was written in between must be accounted for by a rule: the catalog's entries, the
form and its fields, the pages' annotations, the security store, the document information. What no
rule accounts for is `OTHER`. Rules look at objects alone and at what a field was signed with; what
is allowed is decided by `rotation.sealing.verification.changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cached_property
from typing import Final

from rotation.privacy.printable import outside_text
from rotation.sealing.verification.census import ELEMENT, TRAILER, Census, Place
from rotation.sealing.verification.changes import Change, ChangeKind
from rotation.sealing.verification.dss import read_security_store
from rotation.sealing.verification.facts import (
    Fact,
    Name,
    Ref,
    StreamFact,
    references,
    text_of,
)
from rotation.sealing.verification.form import FormFields
from rotation.sealing.verification.history import Revision
from rotation.sealing.verification.xmp import differs_in_dates_alone


class SignedBy(Enum):
    """What a field was signed with between two revisions."""

    SEAL = "a signature"
    DOCUMENT_TIMESTAMP = "a document timestamp"


#: Entries of a trailer, and of a cross-reference stream, that every update writes anew.
_OF_EVERY_TRAILER: Final = frozenset(
    {
        *("/Size", "/Prev", "/XRefStm", "/Type", "/W", "/Index", "/Filter", "/DecodeParms"),
        *("/Length", "/ID", "/Info", "/DL"),
    }
)
#: The entries of an integrity code, which every update computes anew.
_INTEGRITY_CODE: Final = frozenset({"/MAC", "/ByteRange", "/MACLocation", "/SigObjRef"})
#: Entries of the document information and of XMP that tools renew with every update.
_DATES: Final = frozenset({"/ModDate", "/Producer"})
#: What filling in a field, or signing it, may change of it and of its widgets (12.7.4, 12.5.5).
_VALUE: Final = frozenset({"/V", "/AP", "/AS", "/RV", "/I", "/M", "/Ff", "/F", "/DA", "/Q"})
#: What a new signature field may have if it stands there unsigned, or for a timestamp.
_PLAIN_FIELD: Final = frozenset(
    {
        *("/Type", "/Subtype", "/FT", "/T", "/TU", "/F", "/Ff", "/Rect", "/P", "/V", "/AP", "/MK"),
        *("/DA", "/Parent", "/Border", "/BS", "/DR"),
    }
)
_ACTIONS: Final = frozenset({"/A", "/AA", "/Action", "/JS", "/OpenAction", "/Next"})
#: The entries by which a document refers to a page, a field and a comment. Behind another one, what
#: changes of them could mean something else: a dictionary of fonts has whatever keys it likes.
_OF_PAGES: Final = frozenset({"/P", "/Pg", "/Page", "/Parent"})
_OF_FIELDS: Final = frozenset(
    {"/Fields", "/Kids", "/Annots", "/Parent", "/CO", "/Obj", "/T", "/Popup", "/Annotation"}
)
#: What a signature's FieldMDP or DocMDP is about (12.8.1, table 256).
_OF_SIGNATURES: Final = ("/Reference", ELEMENT, "/Data")
_OF_COMMENTS: Final = frozenset({"/Popup", "/Parent", "/IRT"})
_EXTENSION: Final = frozenset(
    {"/Type", "/BaseVersion", "/ExtensionLevel", "/URL", "/ExtensionRevision"}
)


def compare(
    old: Revision, new: Revision, signed: Mapping[int, SignedBy], census: Census
) -> list[Change]:
    """Every change between two revisions; empty if the later one says nothing new.

    Args:
        old: the earlier one.
        new: the later one.
        signed: what each field was signed with in between, by the number of the field's object;
            only what covers the whole of ``new`` and is genuine.
        census: the references of the document.

    Raises:
        PdfReadError, and whatever pyHanko raises: an object is damaged.
    """
    return _Comparison(old, new, signed, census).changes()


class _Comparison:
    def __init__(
        self, old: Revision, new: Revision, signed: Mapping[int, SignedBy], census: Census
    ) -> None:
        self._census = census
        self._old = old
        self._new = new
        self._signed = signed
        self._left = new.history.written(old, new)
        self._rows: dict[int, list[Ref]] = {number: [] for number in self._left}
        for ref in new.history.rows(old, new):
            self._rows[ref.number].append(ref)
        self._found: list[Change] = []
        self._widgets: set[int] = set()

    def changes(self) -> list[Change]:
        self._generations()
        self._dangling()
        self._drop_structure()
        self._trailer()
        self._grown_fields()
        for number in sorted(self._left):
            if number in self._left:
                self._object(number)
        return list(dict.fromkeys(self._found))

    def _add(self, kind: ChangeKind, text: str, field: str | None = None) -> None:
        self._found.append(Change(kind, text, field))

    # --- accounting ---------------------------------------------------------------------------

    def _generations(self) -> None:
        """A number has one object (7.3.10); readers differ in which of several they show."""
        for number in sorted(self._left):
            written = self._rows[number]
            other = self._old.has(number) and any(
                self._new.history.location(ref, self._old.sections) is None for ref in written
            )
            if other or len(written) > 1:
                self._left.discard(number)
                self._add(ChangeKind.OTHER, f"the object {number}, in several generations")

    def _dangling(self) -> None:
        """What the earlier revision already referred to had a place before it was there."""
        for number in sorted(self._left):
            if self._old.has(number) or all(
                self._new.get(ref) is None for ref in self._rows[number]
            ):
                continue
            if self._places(number) - {Place(TRAILER, ("/Info",))}:
                self._left.discard(number)
                self._add(
                    ChangeKind.OTHER,
                    f"the object {number}, which was referred to before it was there",
                )

    def _places(self, number: int) -> set[Place]:
        """Where the earlier revision refers to a number."""
        return self._census.places(number, self._old)

    def _stands_only(self, number: int, *places: Place) -> bool:
        """Whether a rule about these places may account for the object."""
        return not self._old.has(number) or self._places(number) <= set(places)

    @property
    def _root(self) -> Ref:
        found = self._old.trailer.get("/Root")
        return found if isinstance(found, Ref) else TRAILER

    def _drop_structure(self) -> None:
        """Account for the tables and object streams of the update itself, which show nothing."""
        history = self._new.history
        for section in history.document.tables.sections[self._old.sections : self._new.sections]:
            numbers = set(section.xref_data.obj_streams_used)
            if section.meta_info.stream_ref is not None:
                numbers.add(section.meta_info.stream_ref.idnum)
            self._left -= {number for number in numbers if not self._old.has(number)}

    def _is_new(self, ref: Ref) -> bool:
        return not self._old.has(ref.number)

    def _claim(self, fact: Fact) -> None:
        """Account for every new object that ``fact`` refers to, at whatever depth."""
        todo = list(references(fact))
        while todo:
            ref = todo.pop()
            if ref.number in self._left and self._is_new(ref):
                self._left.discard(ref.number)
                todo += references(self._new.get(ref))

    def _both(self, key: str, old: Fact, new: Fact, *places: Place) -> tuple[Fact, Fact]:
        """The values of an entry in both revisions; the object is accounted for.

        An object that has, or had, another place than these is not accounted for.
        """
        before, after = (one.get(key) if isinstance(one, dict) else None for one in (old, new))
        kept = after == before or not isinstance(after, Ref) or self._is_new(after)
        if isinstance(after, Ref) and kept and self._stands_only(after.number, *places):
            self._left.discard(after.number)
        return self._old.entry(old, key), self._new.entry(new, key)

    # --- the trailer and the catalog ----------------------------------------------------------

    def _trailer(self) -> None:
        old, new = self._old.trailer, self._new.trailer
        for key in sorted((old.keys() | new.keys()) - _OF_EVERY_TRAILER):
            if key == "/AuthCode" and _is_renewed_code(old.get(key), new.get(key)):
                continue
            if old.get(key) != new.get(key):
                self._add(ChangeKind.OTHER, f"the trailer's entry {_short(key)}")
        first = [(_list(trailer.get("/ID")) or [None])[0] for trailer in (old, new)]
        if first[0] is not None and first[0] != first[1]:
            self._add(ChangeKind.OTHER, "the document's identifier")
        self._information(*self._both("/Info", old, new, Place(TRAILER, ("/Info",))))
        root = new.get("/Root")
        if (
            isinstance(root, Ref)
            and root == old.get("/Root")
            and all(
                place == Place(TRAILER, ("/Root",)) or place.path[-3:] == _OF_SIGNATURES
                for place in self._places(root.number)
            )
        ):
            self._left.discard(root.number)
            self._catalog(self._old.get(root), self._new.get(root))

    def _information(self, old: Fact, new: Fact) -> None:
        before, after = (found if isinstance(found, dict) else {} for found in (old, new))
        changed = _differing(before, after)
        if not all(_is_plain(self._new.resolve(after.get(key))) for key in changed):
            self._add(ChangeKind.OTHER, "the document information (Info)")
        elif changed - _DATES:
            self._add(ChangeKind.METADATA, "the document information (Info)")
        elif changed:
            self._add(ChangeKind.DATES, "the date of the change")
        self._claim(after)

    def _catalog(self, old: Fact, new: Fact) -> None:
        if not isinstance(old, dict) or not isinstance(new, dict):
            self._add(ChangeKind.OTHER, "the catalog")
            return
        self._form(old, new)
        self._security_store(old, new)
        self._metadata(old, new)
        done = {"/AcroForm", "/DSS", "/Metadata"}
        for key in sorted(_differing(old, new) - done):
            if key == "/Extensions" and self._only_extensions(*self._both(key, old, new)):
                self._add(ChangeKind.DATES, "an extension's number")
            elif key == "/Version" and isinstance(new.get(key), Name):
                self._add(ChangeKind.DATES, "the version of the format")
            else:
                self._add(ChangeKind.OTHER, f"the catalog's entry {_short(key)}")

    def _only_extensions(self, old: Fact, new: Fact) -> bool:
        """Whether developer extensions were only added (ISO 32000-2, 7.12)."""
        before = old if isinstance(old, dict) else {}
        if not isinstance(new, dict) or not before.keys() <= new.keys():
            return False
        self._claim(new)
        added = [self._new.resolve(new[key]) for key in _differing(before, new) - {"/Type"}]
        return all(
            isinstance(one, dict) and one.keys() <= _EXTENSION
            for value in added
            for one in (map(self._new.resolve, value) if isinstance(value, list) else [value])
        )

    def _metadata(self, old: Fact, new: Fact) -> None:
        referred = [one.get("/Metadata") for one in (old, new)]
        numbers = {ref.number for ref in referred if isinstance(ref, Ref)}
        if referred[0] == referred[1] and not numbers & self._left:
            return
        before, after = self._both("/Metadata", old, new, Place(self._root, ("/Metadata",)))
        if before == after:
            return
        if not isinstance(after, StreamFact) or after.entries.get("/Subtype") != "/XML":
            self._add(ChangeKind.OTHER, "the metadata (XMP)")
        elif differs_in_dates_alone(_data(before), after.data):
            self._add(ChangeKind.DATES, "the date of the change")
        else:
            self._add(ChangeKind.METADATA, "the metadata (XMP)")

    def _security_store(self, old: Fact, new: Fact) -> None:
        if "/DSS" not in new and "/DSS" not in old:
            return
        before = read_security_store(old.get("/DSS"), self._old) if "/DSS" in old else None
        written = old.get("/DSS") != new.get("/DSS")
        if before and not written and not before.objects & self._left:
            return
        after = read_security_store(new.get("/DSS"), self._new)
        held = before.objects if before is not None else set()
        foreign = {
            number
            for number in after.objects & self._left
            if self._old.has(number) and number not in held
        }
        # Whatever refers to a part of it may show that part, if it does not belong to it itself.
        if any(
            place.referrer.number not in held
            and (place.referrer != self._root or place.path[0] != "/DSS")
            for number in held
            for place in self._places(number)
        ):
            self._add(ChangeKind.OTHER, "validation data (DSS) that has another place too")
        self._left -= after.objects - foreign
        for problem in after.problems:
            self._add(ChangeKind.OTHER, problem.removesuffix("."))
        if before is not None and after.lacks(before):
            self._add(ChangeKind.OTHER, "validation data (DSS) that lacks what it held before")
        self._add(ChangeKind.PROOF, "validation data (DSS)")

    # --- the form -----------------------------------------------------------------------------

    def _form(self, old_catalog: dict[str, Fact], new_catalog: dict[str, Fact]) -> None:
        held = [one.get("/AcroForm") for one in (old_catalog, new_catalog)]
        old, new = self._old.resolve(held[0]), self._new.resolve(held[1])
        known, numbers = (
            {
                one.number
                for one in (at, form.get("/Fields") if isinstance(form, dict) else None)
                if isinstance(one, Ref)
            }
            for at, form in zip(held, (old, new), strict=True)
        )
        if held[0] == held[1] and not numbers & self._left:
            return
        if not isinstance(new, dict) or not isinstance(old, (dict, type(None))):
            self._add(ChangeKind.OTHER, "the form")
            return
        places = [Place(self._root, ("/AcroForm",)), Place(self._root, ("/AcroForm", "/Fields"))]
        if isinstance(held[0], Ref):
            places.append(Place(held[0], ("/Fields",)))
        self._left -= {
            number
            for number in numbers
            if not self._old.has(number) or (number in known and self._stands_only(number, *places))
        }
        old = old or {}
        self._fields(_list(self._old.entry(old, "/Fields")), _list(self._new.entry(new, "/Fields")))
        for key in sorted(_differing(old, new) - {"/Fields"}):
            self._form_entry(key, old, new)

    def _form_entry(self, key: str, old: dict[str, Fact], new: dict[str, Fact]) -> None:
        before, after = old.get(key, 0), new.get(key)
        numbers = isinstance(before, int) and isinstance(after, int)
        # SignaturesExist and AppendOnly (12.7.3), set and never taken back.
        if key == "/SigFlags" and numbers and before | after == after and after | 3 == before | 3:
            self._add(ChangeKind.DATES, "the form's flags for signatures")
        elif key in {"/NeedAppearances", "/DA", "/DR", "/Q"}:
            self._both(key, old, new)
            self._claim({key: new.get(key)})
            self._add(ChangeKind.FORM_SETTINGS, f"the form's entry {_short(key)}")
        else:
            self._add(ChangeKind.OTHER, f"the form's entry {_short(key)}")

    def _fields(self, old: list[Fact], new: list[Fact]) -> None:
        if new[: len(old)] != old:
            self._add(ChangeKind.OTHER, "the order of the form's fields, or one that is gone")
        for entry in _divided(new, old)[1]:
            if isinstance(entry, Ref) and self._is_new(entry):
                self._new_field(entry)
            else:
                self._add(ChangeKind.OTHER, "a form field that stood elsewhere before")

    def _grown_fields(self) -> None:
        """Account for fields that got new kids, as hierarchical names make it (12.7.4.2)."""
        for number in sorted(self._left & self._form_fields.fields.keys()):
            [ref] = self._rows[number]
            old, new = self._old.get(ref), self._new.get(ref)
            if not isinstance(old, dict) or not isinstance(new, dict):
                continue
            before, after = _list(old.get("/Kids")), _list(new.get("/Kids"))
            added = after[len(before) :]
            if _differing(old, new) != {"/Kids"} or after[: len(before)] != before or not added:
                continue
            if all(isinstance(kid, Ref) and self._is_new_name(kid) for kid in added):
                self._left.discard(number)
                for kid in added:
                    self._new_field(kid, f"{min(self._form_fields.fields[number].names)}.")

    def _is_new_name(self, kid: Ref) -> bool:
        return self._is_new(kid) and self._new.entry(self._new.get(kid), "/T") is not None

    def _new_field(self, ref: Ref, above: str = "") -> None:
        if ref.number not in self._left:
            return
        self._left.discard(ref.number)
        field = self._new.get(ref)
        if not isinstance(field, dict) or self._new.entry(field, "/FT") != "/Sig":
            self._add(ChangeKind.OTHER, "a new form field")
            return
        widgets = self._widgets_of(ref, field)
        signed = self._signed.get(ref.number)
        name = _short(above + text_of(self._new.entry(field, "/T")))
        if any(self._has_action(widget) for widget in widgets):
            self._add(ChangeKind.OTHER, f"the field {name} with an action")
        elif signed is SignedBy.SEAL:
            shown = any(self._is_shown(widget) for widget in widgets)
            kind = ChangeKind.VISIBLE_SIGNATURE if shown else ChangeKind.SIGNATURE
            self._add(kind, f"the signature {name}")
        elif any(self._is_shown(widget) for widget in widgets):
            self._add(ChangeKind.OTHER, f"the unsigned field {name}, which covers what is below it")
        elif not all(widget.keys() <= _PLAIN_FIELD for widget in widgets if widget is field):
            self._add(ChangeKind.OTHER, f"the field {name} with more than a field needs")
        elif signed is SignedBy.DOCUMENT_TIMESTAMP:
            self._add(ChangeKind.PROOF, f"the document timestamp {name}")
        elif "/V" in field:
            self._add(ChangeKind.OTHER, f"the field {name}, whose signature is not genuine")
        else:
            self._add(ChangeKind.EMPTY_FIELD, f"the empty signature field {name}")
        self._claim(field)

    def _widgets_of(self, ref: Ref, field: dict[str, Fact]) -> list[dict[str, Fact]]:
        """The field, and its kids, whose objects are accounted for."""
        found = [field]
        self._widgets.add(ref.number)
        for kid in _list(self._new.entry(field, "/Kids")):
            widget = self._new.resolve(kid)
            if isinstance(kid, Ref) and self._is_new(kid) and isinstance(widget, dict):
                self._left.discard(kid.number)
                self._widgets.add(kid.number)
                self._claim(widget)
                found.append(widget)
        return found

    def _has_action(self, widget: dict[str, Fact]) -> bool:
        return bool(_ACTIONS & widget.keys())

    def _is_shown(self, widget: dict[str, Fact]) -> bool:
        """Whether a widget has an appearance and an area (12.5.5)."""
        corners = _list(self._new.entry(widget, "/Rect"))
        numbers = [self._new.resolve(corner) for corner in corners]
        flat = len(numbers) == 4 and (numbers[0] == numbers[2] or numbers[1] == numbers[3])
        return bool(numbers) and not flat and self._new.entry(widget, "/AP") is not None

    # --- objects that were there before -------------------------------------------------------

    def _object(self, number: int) -> None:
        self._left.discard(number)
        for ref in self._rows[number]:
            self._version(ref, self._old.get(ref), self._new.get(ref))

    def _version(self, ref: Ref, old: Fact, new: Fact) -> None:
        number = ref.number
        if old == new:
            # A number that an update frees, and that nothing ever had, is none.
            if new is not None:
                self._add(ChangeKind.DATES, f"the object {number}, as it was")
        elif not self._old.has(number):
            self._add(
                ChangeKind.OTHER, f"the object {number}, which belongs to nothing that may be added"
            )
        elif old is None or new is None:
            self._add(ChangeKind.OTHER, f"the object {number}, which is gone or was exchanged")
        elif isinstance(old, dict) and isinstance(new, dict):
            self._dictionary(number, old, new)
        elif isinstance(old, list) and isinstance(new, list) and self._is_annotations(number):
            self._annotations(old, new, f"the array {number}")
        elif number in self._form_fields.appearances and self._is_appearance(number):
            self._appearance(number, old, new)
        else:
            self._add(ChangeKind.OTHER, f"the object {number}")

    def _dictionary(self, number: int, old: dict[str, Fact], new: dict[str, Fact]) -> None:
        changed = _differing(old, new)
        places = self._places(number)
        if (
            old.get("/Type") == "/Page"
            and changed <= {"/Annots", "/Tabs"}
            and all(place.path[-1:] == (ELEMENT,) or place.key in _OF_PAGES for place in places)
        ):
            if "/Tabs" in changed:
                self._add(ChangeKind.DATES, "the order of a page's fields")
            before, after = self._both("/Annots", old, new)
            self._annotations(_list(before), _list(after), "a page's annotations")
        elif (
            number in self._form_fields.fields
            and changed <= _VALUE
            and all(place.key in _OF_FIELDS for place in places)
        ):
            self._field(number, changed, old, new)
        elif (
            _is_comment(old)
            and _is_comment(new)
            and not self._has_action(new)
            and self._is_on_a_page(places)
        ):
            self._claim(new)
            self._add(ChangeKind.COMMENT, "a comment")
        elif number in self._form_fields.appearances and self._is_appearance(number):
            self._appearance(number, old, new)
        else:
            self._add(ChangeKind.OTHER, f"the object {number} ({_short(min(changed, default=''))})")

    def _is_annotations(self, number: int) -> bool:
        """Whether pages refer to the array as their annotations, and nothing else does."""
        places = self._places(number)
        return bool(places) and all(
            place.path == ("/Annots",) and self._is_page(place.referrer) for place in places
        )

    def _is_on_a_page(self, places: set[Place]) -> bool:
        """Whether pages have it among their annotations, and only comments refer to it else."""
        listed = {
            place
            for place in places
            if place.path == ("/Annots", ELEMENT) and self._is_page(place.referrer)
        }
        return bool(listed) and all(
            place.path[-1:] == ("/Obj",)
            or (
                len(place.path) == 1
                and place.key in _OF_COMMENTS
                and _is_comment(self._old.get(place.referrer))
            )
            for place in places - listed
        )

    def _is_page(self, ref: Ref) -> bool:
        return bool(self._old.entry(self._old.get(ref), "/Type") == "/Page")

    def _is_appearance(self, number: int) -> bool:
        """Whether the object shows fields, and nothing else."""
        known = self._form_fields.appearances
        return all(
            self._places(one) <= known[one].places for one in {number, *known[number].holders}
        )

    def _appearance(self, number: int, old: Fact, new: Fact) -> None:
        fields = self._form_fields.fields
        shown = [fields[one] for one in self._form_fields.appearances[number].fields]
        signing = {name for one in self._signed.keys() & fields for name in fields[one].names}
        sealed = any(
            one.kind == "/Sig" and (one.signed or not one.names <= signing) for one in shown
        )
        if sealed or type(old) is not type(new):
            self._add(ChangeKind.OTHER, "the appearance of a signature")
            return
        self._claim(new)
        for name in sorted({name for one in shown for name in one.names}):
            self._add(ChangeKind.FORM, f"the appearance of the field {_short(name)}", name)

    def _field(
        self, number: int, changed: set[str], old: dict[str, Fact], new: dict[str, Fact]
    ) -> None:
        names, kind = (found := self._form_fields.fields[number]).names, found.kind
        name = min(names)
        self._claim({key: new.get(key) for key in changed})
        if kind != "/Sig":
            for one in sorted(names):
                self._add(ChangeKind.FORM, f"the field {_short(one)}", one)
        elif "/V" not in changed:
            parent = new.get("/Parent")
            if not isinstance(parent, Ref) or parent.number not in self._signed:
                self._add(ChangeKind.OTHER, f"the signature field {_short(name)}")
        elif old.get("/V") is not None:
            self._add(ChangeKind.OTHER, f"the signature {_short(name)}, which was exchanged")
        elif (signed := self._signed.get(number)) is SignedBy.SEAL:
            self._add(ChangeKind.SIGNATURE, f"the signature {_short(name)}", name)
        elif signed is SignedBy.DOCUMENT_TIMESTAMP and not self._is_shown(new):
            self._add(ChangeKind.PROOF, f"the document timestamp {_short(name)}")
        else:
            self._add(ChangeKind.OTHER, f"the field {_short(name)}, whose signature is not genuine")

    def _annotations(self, old: list[Fact], new: list[Fact], where: str) -> None:
        (kept, gone), (same, added) = _divided(old, new), _divided(new, old)
        if kept != same:
            self._add(ChangeKind.OTHER, f"{where}: their order")
            return
        for entry in gone:
            if not _is_comment(self._old.resolve(entry)):
                self._add(ChangeKind.OTHER, f"{where}: one is gone")
                return
            self._add(ChangeKind.COMMENT, "a comment that is gone")
        for entry in added:
            if isinstance(entry, Ref) and entry.number in self._widgets:
                continue
            found = self._new.resolve(entry)
            fresh = not isinstance(entry, Ref) or self._is_new(entry)
            if not fresh or not _is_comment(found) or self._has_action(found):
                self._add(ChangeKind.OTHER, where)
                return
            self._claim([entry])
            self._add(ChangeKind.COMMENT, "a comment")

    @cached_property
    def _form_fields(self) -> FormFields:
        """The fields of the earlier revision, and what shows them."""
        return FormFields(self._old)


def _divided(some: list[Fact], others: list[Fact]) -> tuple[list[Fact], list[Fact]]:
    """The elements of ``some`` that ``others`` has too, and those that it does not have."""
    known = {one for one in others if isinstance(one, Ref)}
    both: list[Fact] = []
    alone: list[Fact] = []
    for one in some:
        has = one in known if isinstance(one, Ref) else one in others
        (both if has else alone).append(one)
    return both, alone


def _differing(old: dict[str, Fact], new: dict[str, Fact]) -> set[str]:
    """The entries that are not the same; null is the same as nothing (7.3.7)."""
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def _data(found: Fact) -> bytes:
    return found.data if isinstance(found, StreamFact) else b""


def _is_renewed_code(old: Fact, new: Fact) -> bool:
    """Whether an integrity code of the document replaces another (ISO/TS 32004)."""
    return isinstance(old, dict) and isinstance(new, dict) and new.keys() <= _INTEGRITY_CODE


def _is_plain(found: Fact) -> bool:
    return isinstance(found, (bytes, str, int, float, type(None)))


_COMMENTS: Final = frozenset(
    {
        *(
            "/Text",
            "/FreeText",
            "/Line",
            "/Square",
            "/Circle",
            "/Polygon",
            "/PolyLine",
            "/Highlight",
        ),
        *("/Underline", "/Squiggly", "/StrikeOut", "/Caret", "/Stamp", "/Ink", "/Popup"),
        *("/FileAttachment", "/Redact"),
    }
)


def _is_comment(found: Fact) -> bool:
    """Whether it is a markup annotation, or the window of one (12.5.6.2)."""
    return isinstance(found, dict) and found.get("/Subtype") in _COMMENTS and "/FT" not in found


def _list(found: Fact) -> list[Fact]:
    return found if isinstance(found, list) else []


def _short(text: str) -> str:
    return outside_text(text, 60)
