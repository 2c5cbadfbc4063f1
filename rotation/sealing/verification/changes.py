"""What came after a signature, as kinds of changes, and which of them a signature allows.

ISO 32000-2, 12.8.2.2, says what the levels of DocMDP allow. What this page does not name is `OTHER`
and allowed by nothing: a viewer may show anything differently because of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum

from rotation.sealing.request import Certification


class ChangeKind(Enum):
    """A kind of change. The value tells people what was added.

    Attributes:
        PROOF: validation data (DSS) or a document timestamp.
        DATES: what tools write beside it: the date of the change, their name, the number of an
            extension. Nothing of it is shown with the document.
        SIGNATURE: a signature, in a field that exists or in a new one that shows nothing.
        VISIBLE_SIGNATURE: a signature in a new field that shows something.
        FORM: the value of a form field.
        EMPTY_FIELD: a signature field that nobody has signed.
        FORM_SETTINGS: an entry of the form itself, such as NeedAppearances.
        METADATA: entries of the document information, or XMP.
        COMMENT: comments.
        STRAY: bytes that belong to no update: comments of the file format, objects without a table.
        OTHER: everything else.
        UNKNOWN: it could not be compared.
    """

    PROOF = "validation data or timestamps"
    DATES = "dates"
    SIGNATURE = "signatures"
    VISIBLE_SIGNATURE = "visible signatures"
    FORM = "entries in the form"
    EMPTY_FIELD = "empty signature fields"
    FORM_SETTINGS = "settings of the form"
    METADATA = "metadata"
    COMMENT = "comments"
    STRAY = "bytes that belong to no update"
    OTHER = "other changes"
    UNKNOWN = "changes that could not be compared"


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        kind: its kind.
        text: what changed, as a noun that can follow "added or changed:".
        field: the full name of the form field, for a change of its value.
    """

    kind: ChangeKind
    text: str
    field: str | None = None


_PROOF = frozenset({ChangeKind.PROOF, ChangeKind.DATES})
_SIGNING = _PROOF | {ChangeKind.SIGNATURE, ChangeKind.FORM}
_LATER_SIGNER = frozenset(
    {ChangeKind.EMPTY_FIELD, ChangeKind.FORM_SETTINGS, ChangeKind.METADATA, ChangeKind.STRAY}
)

#: What may follow a signature if somebody has signed it again, by the level of the earlier one.
#: None stands for an ordinary signature, which says nothing about later changes.
ALLOWED: dict[Certification | None, frozenset[ChangeKind]] = {
    Certification.NO_CHANGES: _PROOF,
    Certification.FORM_FILLING: _SIGNING | _LATER_SIGNER,
    Certification.ANNOTATIONS: _SIGNING | _LATER_SIGNER | {ChangeKind.COMMENT},
    None: _SIGNING | _LATER_SIGNER | {ChangeKind.VISIBLE_SIGNATURE},
}
#: What may follow the last seal although nobody has signed it.
_UNSIGNED: dict[Certification | None, frozenset[ChangeKind]] = {
    Certification.NO_CHANGES: _PROOF,
    Certification.FORM_FILLING: _PROOF | {ChangeKind.FORM},
    Certification.ANNOTATIONS: _PROOF | {ChangeKind.FORM, ChangeKind.COMMENT},
    None: _PROOF,
}


@dataclass(frozen=True)
class Permission:
    """What a signature says about later changes.

    Attributes:
        level: the level of DocMDP; None if it sets none.
        locks: the names of the fields that it locks (FieldMDP); a name stands for those below it.
        locks_others: whether it locks all fields but the named ones.
    """

    level: Certification | None = None
    locks: frozenset[str] = frozenset()
    locks_others: bool = False

    def locked(self, field: str) -> bool:
        """Whether the value of the field with that full name may not change."""
        named = any(f"{field}.".startswith(f"{name}.") for name in self.locks)
        return named != self.locks_others


def forbidden(changes: Iterable[Change], permission: Permission) -> Change | None:
    """The first change that a signature with that permission does not allow, or None."""
    return _first_not_in(changes, ALLOWED[permission.level], permission)


def unsigned(changes: Iterable[Change], permissions: Collection[Permission]) -> Change | None:
    """The first change after the last seal that nobody has signed and nobody has allowed.

    Args:
        changes: what came after the last seal.
        permissions: what the signatures say; the strictest level holds.
    """
    order = [Certification.NO_CHANGES, Certification.FORM_FILLING, Certification.ANNOTATIONS]
    levels = [one.level for one in permissions if one.level is not None]
    strictest = min(levels, key=order.index) if levels else None
    return _first_not_in(changes, _UNSIGNED[strictest], *permissions)


def _first_not_in(
    changes: Iterable[Change], kinds: frozenset[ChangeKind], *permissions: Permission
) -> Change | None:
    for change in changes:
        if change.kind not in kinds:
            return change
        if change.field is not None and any(one.locked(change.field) for one in permissions):
            return change
    return None


def settled(changes: Iterable[Change]) -> list[Change]:
    """The changes of one update, in which dates alone are no part of anything, but metadata."""
    found = list(changes)
    if any(change.kind is not ChangeKind.DATES for change in found):
        return found
    return [Change(ChangeKind.METADATA, change.text) for change in found]
