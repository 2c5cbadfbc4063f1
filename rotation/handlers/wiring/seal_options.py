"""The options of documents that are sealed unattended, made from the settings.

They are checked when the function starts: a wrong one would fail every document, one by one.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Final

from rotation.errors import ConfigurationError, InvalidRequestError
from rotation.sealing.request import Certification, Level, SealOptions, error_message, option_names
from rotation.sealing.validate_options import validate_options
from rotation.sealing.visible_seal import VisibleSeal
from rotation.settings.unattended import SealOptionSettings


def _variable(path: str) -> str:
    """``SEAL_VISIBLE_BOX`` for ``options.visible.box``."""
    words = re.sub("([A-Z])", r"_\1", path.removeprefix("options.")).replace(".", "_")
    return f"SEAL_{words.upper()}"


#: The environment variable behind each option of a request.
VARIABLES: Final = option_names(_variable)


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
    try:
        return validate_options(
            SealOptions(
                field_name=settings.field_name,
                reason=settings.reason,
                location=settings.location,
                contact=settings.contact,
                timestamp=settings.timestamp,
                level=Level(settings.level) if settings.level else None,
                repair=settings.repair,
                lock=settings.lock,
                certify=Certification(settings.certify) if settings.certify else None,
                visible=VisibleSeal.of(
                    settings.visible_page,
                    settings.visible_box,
                    settings.visible_text,
                    settings.visible_image,
                    every_page=settings.visible_every_page,
                ),
            )
        )
    except InvalidRequestError as error:
        raise ConfigurationError(error_message(error, VARIABLES)) from None
