"""How documents are sealed that nobody asks for: the settings, held to a request's rules.

They are checked when the function starts, for a wrong one would fail every document, one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from rotation.errors import ConfigurationError, InvalidRequestError
from rotation.sealing.request import SealOptions, in_other_words
from rotation.sealing.validate_visible import rehearse
from rotation.sealing.visible_seal import VisibleSeal, is_image
from rotation.settings import SealOptionSettings

#: The variable behind what a request calls otherwise.
VARIABLES: Final[Mapping[str, str]] = {
    "options.fieldName": "SEAL_FIELD_NAME",
    "options.reason": "SEAL_REASON",
    "options.location": "SEAL_LOCATION",
    "options.contact": "SEAL_CONTACT",
    "options.timestamp": "SEAL_TIMESTAMP",
    "options.repair": "SEAL_REPAIR",
    "options.certify": "SEAL_CERTIFY",
    "options.visible.page": "SEAL_VISIBLE_PAGE",
    "options.visible.box": "SEAL_VISIBLE_BOX",
    "options.visible.text": "SEAL_VISIBLE_TEXT",
    "options.visible.image": "SEAL_VISIBLE_IMAGE",
}


def seal_options(settings: SealOptionSettings) -> SealOptions:
    """The options of each request.

    Raises:
        ConfigurationError: one is not what it must be, or lacks another.
    """
    if settings.repair and find_spec("pikepdf") is None:
        raise ConfigurationError(
            "SEAL_REPAIR needs pikepdf, which this artifact does not carry. Build it with "
            "make package REPAIR=1."
        )
    visible = _visible(settings)
    members = {
        "fieldName": settings.field_name,
        "reason": settings.reason,
        "location": settings.location,
        "contact": settings.contact,
        "timestamp": settings.timestamp,
        "repair": settings.repair,
        "certify": settings.certify,
        "visible": visible and visible.members(),
    }
    try:
        options = SealOptions.parse(
            {name: told for name, told in members.items() if told is not None}
        )
        if options.visible:
            rehearse(options.visible)
        return options
    except InvalidRequestError as error:
        problem = in_other_words(str(error), VARIABLES)
    raise ConfigurationError(problem)


def _visible(settings: SealOptionSettings) -> VisibleSeal | None:
    page, box = settings.visible_page, settings.visible_box
    text, image = settings.visible_text, settings.visible_image
    placed = page is not None, box is not None
    if text is None and image is None:
        if any(placed):
            raise ConfigurationError(
                "SEAL_VISIBLE_PAGE and SEAL_VISIBLE_BOX show nothing without SEAL_VISIBLE_TEXT or "
                "SEAL_VISIBLE_IMAGE."
            )
        return None
    if placed[0] != placed[1] or not (page is not None or settings.field_name):
        raise ConfigurationError(
            "SEAL_VISIBLE_TEXT and SEAL_VISIBLE_IMAGE need SEAL_VISIBLE_PAGE and SEAL_VISIBLE_BOX, "
            "both; or neither, and in SEAL_FIELD_NAME a signature field that has its place."
        )
    if image is not None and not is_image(image):
        raise ConfigurationError("SEAL_VISIBLE_IMAGE names a file that is neither PNG nor JPEG.")
    corners = None if box is None else (box[0], box[1], box[2], box[3])
    return VisibleSeal(page, corners, text, image)
