"""The members of a JSON object: there, known, and text that a person can see.

No message repeats a value, and a name only if it cannot be a key: the request that is read with
this carries the API key.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, TypeGuard

from rotation.errors import InvalidRequestError

# A member's name that may be repeated in a message: too short and too plain to be a key.
_plain_name = re.compile(r"[A-Za-z][A-Za-z_]{0,30}")


def object_at(value: object, name: str) -> Mapping[str, Any]:
    """``value``, which must be a JSON object; ``name`` is what a message calls it.

    Raises:
        InvalidRequestError: it is missing, or something else.
    """
    if value is None:
        raise InvalidRequestError(f"{name} is missing.")
    if not isinstance(value, Mapping) or not all(isinstance(member, str) for member in value):
        raise InvalidRequestError(f"{name} must be a JSON object.")
    return value


def refuse_unknown(members: Mapping[str, Any], known: set[str], parent: str) -> None:
    """Refuse a member that is not among the ``known`` ones of ``parent``, which ends in a dot.

    Raises:
        InvalidRequestError: there is one.
    """
    for name in members:
        if name not in known:
            plain = _plain_name.fullmatch(name)
            shown = parent + name if plain else f"A member of {parent[:-1] or 'the request'}"
            raise InvalidRequestError(
                f"{shown} is not a member that this function knows. Known are: "
                + ", ".join(f"{parent}{other}" for other in sorted(known))
                + "."
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
