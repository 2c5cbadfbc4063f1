"""The settings of the functions that seal what nobody asks for one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from rotation.errors import ConfigurationError
from rotation.settings.environment import Environment, Location
from rotation.settings.seal_options import SealOptionSettings
from rotation.settings.sealing import SealingSettings


@dataclass(frozen=True)
class EventSealingSettings:
    """The settings of the functions for events and for bulk.

    Attributes:
        sealing: those of the sealing function, which hold here too; sources in one bucket, one
            destination, and neither within the other.
        credential_secret: the name or ARN of the secret with the API key.
        options: how documents are sealed.
    """

    sealing: SealingSettings
    credential_secret: str
    options: SealOptionSettings

    @property
    def destination(self) -> Location:
        """Where sealed documents go."""
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
    """Where a sealed document goes follows from its source's key: there can be no choice."""
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
