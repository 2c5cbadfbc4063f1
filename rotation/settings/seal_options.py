"""How documents are sealed that nobody asks for one by one: a request's options, as settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from rotation.settings.environment import Environment

#: Bytes. The same as in a request, which it rides in.
_LARGEST_IMAGE: Final = 256 * 1024
_NONE: Final = "none"
_FARTHEST: Final = 1_000_000


@dataclass(frozen=True)
class SealOptionSettings:
    """What a request says in its ``options``; None or False where it would say nothing.

    Whether one fits the other is for whoever makes a request's options of them.

    Attributes:
        visible_page: the page on which the seal is seen; 1 is the first, -1 the last.
        visible_box: where on it: left, bottom, right and top in points.
        visible_text: what it shows; lines are parted by newlines.
        visible_image: the bytes of an image file that it shows.
    """

    field_name: str | None
    reason: str | None
    location: str | None
    contact: str | None
    timestamp: bool
    repair: bool
    certify: str | None
    visible_page: int | None
    visible_box: tuple[float, ...] | None
    visible_text: str | None
    visible_image: bytes | None

    @classmethod
    def read(cls, env: Environment) -> Self:
        """Read every variable that says how to seal."""
        certify = env.choice("SEAL_CERTIFY", (_NONE, "NO_CHANGES", "FORM_FILLING", "ANNOTATIONS"))
        text = env.text("SEAL_VISIBLE_TEXT")
        return cls(
            field_name=env.text("SEAL_FIELD_NAME") or None,
            reason=env.text("SEAL_REASON") or None,
            location=env.text("SEAL_LOCATION") or None,
            contact=env.text("SEAL_CONTACT") or None,
            timestamp=env.flag("SEAL_TIMESTAMP"),
            repair=env.flag("SEAL_REPAIR"),
            certify=None if certify == _NONE else certify,
            visible_page=env.optional_integer("SEAL_VISIBLE_PAGE", -_FARTHEST, _FARTHEST),
            visible_box=env.numbers("SEAL_VISIBLE_BOX", 4, "left,bottom,right,top"),
            # Lambda's console takes one line.
            visible_text=text.replace("\\n", "\n") or None,
            visible_image=env.content("SEAL_VISIBLE_IMAGE", _LARGEST_IMAGE),
        )
