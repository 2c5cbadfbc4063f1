"""The settings of the functions that seal unattended: for events and for bulk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from rotation.errors import ConfigurationError
from rotation.settings.environment import Environment, Location
from rotation.settings.sealing import SealingSettings

#: The largest image in bytes; a request has the same limit.
_LARGEST_IMAGE: Final = 256 * 1024
_NOT_CERTIFIED: Final = "none"
_LARGEST_PAGE: Final = 1_000_000


@dataclass(frozen=True)
class SealOptionSettings:
    """The options of every document; None or False where a request would leave an option out.

    Does NOT check the options against the rules of a request: `rotation.handlers.wiring` does.

    Attributes:
        visible_page: the page with the visible seal; 1 is the first, -1 the last.
        visible_box: its place on the page: left, bottom, right and top in points.
        visible_text: its text; newlines separate the lines.
        visible_image: the bytes of its image file.
        visible_every_page: whether every page shows it.
        lock: the form fields that it locks; an asterisk means every field.
    """

    field_name: str | None
    reason: str | None
    location: str | None
    contact: str | None
    timestamp: bool
    level: str | None
    repair: bool
    certify: str | None
    visible_page: int | None
    visible_box: tuple[float, ...] | None
    visible_text: str | None
    visible_image: bytes | None
    visible_every_page: bool
    lock: tuple[str, ...]

    @classmethod
    def read(cls, env: Environment) -> Self:
        """Read the ``SEAL_*`` variables."""
        certify = env.choice(
            "SEAL_CERTIFY", (_NOT_CERTIFIED, "NO_CHANGES", "FORM_FILLING", "ANNOTATIONS")
        )
        text = env.text("SEAL_VISIBLE_TEXT")
        return cls(
            field_name=env.text("SEAL_FIELD_NAME") or None,
            reason=env.text("SEAL_REASON") or None,
            location=env.text("SEAL_LOCATION") or None,
            contact=env.text("SEAL_CONTACT") or None,
            timestamp=env.flag("SEAL_TIMESTAMP"),
            level=env.choice("SEAL_LEVEL", ("", "B-B", "B-T", "B-LT", "B-LTA")) or None,
            repair=env.flag("SEAL_REPAIR"),
            certify=None if certify == _NOT_CERTIFIED else certify,
            visible_page=env.optional_integer("SEAL_VISIBLE_PAGE", -_LARGEST_PAGE, _LARGEST_PAGE),
            visible_box=env.numbers("SEAL_VISIBLE_BOX", 4, "left,bottom,right,top"),
            # Lambda's console accepts a single line, so a backslash and an n begin a new one.
            visible_text=text.replace("\\n", "\n") or None,
            visible_image=env.content("SEAL_VISIBLE_IMAGE", _LARGEST_IMAGE),
            visible_every_page=env.flag("SEAL_VISIBLE_EVERY_PAGE"),
            lock=tuple(name for name in env.text("SEAL_LOCK").split(",") if name),
        )


@dataclass(frozen=True)
class UnattendedSettings:
    """The settings of the functions for events and for bulk.

    Attributes:
        sealing: those of the sealing function, which hold here too. The sources are in one bucket,
            there is one destination, and neither contains the other.
        credential_secret: the name or ARN of the secret with the API key.
        options: how documents are sealed.
    """

    sealing: SealingSettings
    credential_secret: str
    options: SealOptionSettings

    @property
    def destination(self) -> Location:
        """Where sealed documents are stored."""
        return self.sealing.destinations[0]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read every variable of these functions."""
        env = Environment(environ)
        sealing = SealingSettings.from_environment(environ)
        _refuse_ambiguity(sealing)
        _refuse_recursion(sealing)
        return cls(
            sealing=sealing,
            credential_secret=env.required("CREDENTIAL_SECRET"),
            options=SealOptionSettings.read(env),
        )


def _refuse_ambiguity(sealing: SealingSettings) -> None:
    """The source's key alone determines where the sealed document is stored."""
    if len(sealing.destinations) > 1:
        raise ConfigurationError(
            "DESTINATION_LOCATIONS must name one place here: nobody asks for another."
        )
    if len({source.bucket for source in sealing.sources}) > 1:
        raise ConfigurationError(
            "SOURCE_LOCATIONS must lie in one bucket here: two documents of the same key would get "
            "the same destination. Deploy the function once for each bucket."
        )


def _refuse_recursion(sealing: SealingSettings) -> None:
    """A sealed document that arrives in a source would be sealed again."""
    [destination] = sealing.destinations
    for source in sealing.sources:
        nested = source.prefix.startswith(destination.prefix) or destination.prefix.startswith(
            source.prefix
        )
        if source.bucket == destination.bucket and nested:
            raise ConfigurationError(
                f"DESTINATION_LOCATIONS ({destination.bucket}/{destination.prefix}) and "
                f"SOURCE_LOCATIONS ({source.bucket}/{source.prefix}) overlap: what is sealed would "
                "be sealed again, for ever. Choose another bucket, or prefixes of which neither "
                "begins with the other."
            )
