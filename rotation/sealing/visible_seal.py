"""A visible seal: where it stands on a page, and what it shows."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rotation.errors import InvalidRequestError
from rotation.sealing.json_members import is_printable, object_at, refuse_unknown

Box = tuple[float, float, float, float]

LONGEST_TEXT: Final = 512
MOST_LINES: Final = 8
#: Bytes of an image file. It rides in every request, and a logo needs less.
LARGEST_IMAGE: Final = 256 * 1024

#: What is wrong with a visible seal without a place.
NO_PLACE: Final = (
    "needs a place: either page and box, or the name of a signature field that has its place in "
    "the document, but not half of one."
)
_FARTHEST: Final = 1_000_000
#: What a text may name, and gets when the document is sealed.
_FIELDS: Final = re.compile(r"\{(signer|time|reason)\}")
_LONGEST_FIELD: Final = 256
_SIGNATURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


@dataclass(frozen=True)
class VisibleSeal:
    """Where a seal stands and what it shows: text, an image, or an image with text beside it.

    Attributes:
        page: 1 is the first page, -1 the last; None: where the named field stands.
        box: left, bottom, right and top in points (1/72 inch), counted from the lower left corner
            of the page as a viewer shows it; None with ``page``.
        text: lines, parted by newlines, set as large as the box allows; see `with_fields`.
        image: the bytes of a PNG or JPEG file.
        every_page: whether the same is shown in the same box of every other page too, by stamps.
    """

    page: int | None = None
    box: Box | None = None
    text: str | None = None
    image: bytes | None = field(default=None, repr=False)
    every_page: bool = False

    @classmethod
    def of(
        cls,
        page: int | None,
        box: Sequence[float] | None,
        text: str | None,
        image: bytes | None,
        *,
        every_page: bool = False,
    ) -> VisibleSeal | None:
        """The seal with these attributes, unchecked; None if all of them are missing."""
        if page is None and box is None and text is None and image is None and not every_page:
            return None
        corners = None if box is None else (box[0], box[1], box[2], box[3])
        return cls(page, corners, text, image, every_page)

    @classmethod
    def parse(cls, value: object) -> VisibleSeal:
        """What ``options.visible`` asks for; ``docs/seal-options.md`` describes it.

        Raises:
            InvalidRequestError: a member is missing, unknown, or not what it must be.
        """
        members = object_at(value, "options.visible")
        refuse_unknown(members, {"page", "box", "text", "image", "everyPage"}, "options.visible")
        if ("page" in members) != ("box" in members):
            raise InvalidRequestError(field="options.visible", problem=NO_PLACE)
        if not {"text", "image"} & members.keys():
            raise InvalidRequestError(
                field="options.visible", problem="needs something to show: text, an image, or both."
            )
        every_page = members.get("everyPage", False)
        if not isinstance(every_page, bool):
            raise InvalidRequestError(
                field="options.visible.everyPage", problem="must be true or false."
            )
        if every_page and "page" not in members:
            raise InvalidRequestError(
                field="options.visible.everyPage",
                problem="needs page and box: the page with the signature field, and the place on "
                "every page.",
            )
        return cls(
            page=_page(members["page"]) if "page" in members else None,
            box=_box(members["box"]) if "box" in members else None,
            text=_text(members["text"]) if "text" in members else None,
            image=_image(members["image"]) if "image" in members else None,
            every_page=every_page,
        )

    @property
    def names(self) -> frozenset[str]:
        """The fields that the text names: ``signer``, ``time`` and ``reason``."""
        return frozenset(_FIELDS.findall(self.text or ""))

    def with_fields(self, **values: str | None) -> VisibleSeal:
        """The seal with each ``{signer}``, ``{time}`` and ``{reason}`` in its text replaced.

        Other braces stay what they are, those in a value too.
        """
        if self.text is None or not self.names:
            return self
        return replace(
            self,
            text=_FIELDS.sub(lambda found: (values[found[1]] or "")[:_LONGEST_FIELD], self.text),
        )

    def members(self) -> dict[str, Any]:
        """The JSON object that `parse` reads."""
        found = {
            "page": self.page,
            "box": None if self.box is None else list(self.box),
            "text": self.text,
            "image": None if self.image is None else base64.b64encode(self.image).decode(),
            "everyPage": self.every_page or None,
        }
        return {name: value for name, value in found.items() if value is not None}


def _page(value: object) -> int:
    if type(value) is not int or not 0 < abs(value) <= _FARTHEST:
        raise InvalidRequestError(
            field="options.visible.page",
            problem="must be the number of a page: 1 is the first, -1 the last.",
        )
    return value


def _box(value: object) -> Box:
    # Compared before anything is computed: NaN is not in the range, nor is 10**400.
    if (
        isinstance(value, list)
        and len(value) == 4
        and all(type(number) in {int, float} and 0 <= number <= _FARTHEST for number in value)
    ):
        left, bottom, right, top = (float(number) for number in value)
        if left < right and bottom < top:
            return left, bottom, right, top
    raise InvalidRequestError(
        field="options.visible.box",
        problem="must be four numbers: left, bottom, right and top, in points from the page's "
        "lower left corner, left less than right and bottom less than top.",
    )


def _text(value: object) -> str:
    if isinstance(value, str) and value.strip() and len(value) <= LONGEST_TEXT:
        lines = value.split("\n")
        if len(lines) <= MOST_LINES and all(
            not line or is_printable(line, LONGEST_TEXT) for line in lines
        ):
            return value
    raise InvalidRequestError(
        field="options.visible.text",
        problem=f"must be plain text of 1 to {LONGEST_TEXT} characters on at most {MOST_LINES} "
        "lines.",
    )


def _image(value: object) -> bytes:
    try:
        content = base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except ValueError:
        content = None
    if content is None:
        raise InvalidRequestError(field="options.visible.image", problem="must be base64.")
    if not content.startswith(_SIGNATURES) or len(content) > LARGEST_IMAGE:
        raise InvalidRequestError(
            field="options.visible.image",
            problem=f"must be a PNG or JPEG file of at most {LARGEST_IMAGE} bytes.",
        )
    return content
