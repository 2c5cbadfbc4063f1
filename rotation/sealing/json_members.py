"""Checks of a JSON object: a member is there, is known, and is text that a person can see.

The request that is checked carries the API key. So no message repeats a value, and a message
repeats an unknown member's name only if that name cannot be a key.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, TypeGuard

from rotation.errors import InvalidRequestError

# A member's name that may be repeated in a message: too short and too plain to be a key.
_plain_name = re.compile(r"[A-Za-z][A-Za-z_]{0,30}")


def object_at(value: object, field: str | None) -> Mapping[str, Any]:
    """Return ``value``, which must be a JSON object.

    Args:
        value: the member's value.
        field: the member's path; None for the request itself.

    Raises:
        InvalidRequestError: the value is missing, or is something else.
    """
    if value is None:
        raise _invalid(field, "is missing.")
    if not isinstance(value, Mapping) or not all(isinstance(member, str) for member in value):
        raise _invalid(field, "must be a JSON object.")
    return value


def refuse_unknown(members: Mapping[str, Any], known: set[str], parent: str | None) -> None:
    """Refuse a member of ``parent`` that is not among the ``known`` ones.

    Raises:
        InvalidRequestError: there is one.
    """
    for name in members:
        if name not in known:
            expected = f"Known members are {', '.join(sorted(known))}."
            if not _plain_name.fullmatch(name):
                raise _invalid(parent, f"has an unknown member. {expected}")
            field = name if parent is None else f"{parent}.{name}"
            raise InvalidRequestError(field=field, problem=f"is an unknown member. {expected}")


def _invalid(field: str | None, problem: str) -> InvalidRequestError:
    return InvalidRequestError(
        field=field, problem=f"The request {problem}" if field is None else problem
    )


def is_printable(value: object, most: int) -> TypeGuard[str]:
    """Whether ``value`` is one line of text of 1 to ``most`` characters."""
    # Controls, lone surrogates, bidi overrides and line separators: nothing a reader could see.
    return (
        isinstance(value, str)
        and 0 < len(value) <= most
        and not any(
            unicodedata.category(character)[0] == "C"
            or unicodedata.category(character) in {"Zl", "Zp"}
            for character in value
        )
    )
