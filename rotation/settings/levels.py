"""The settings of the levels B-LT and B-LTA: which services may be asked, and what if they fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from rotation.egress import Egress
from rotation.settings.egress import egress
from rotation.settings.environment import Environment


@dataclass(frozen=True)
class LevelSettings:
    """Which validation services may be asked, and what happens when they fail.

    Attributes:
        hosts: the hosts, with a port or without, that OCSP, CRLs and issuers may be fetched from.
        tsa_url: the authority for document timestamps, or None.
        egress: the way to all of them.
        time: how long all exchanges for one document may take together.
        fail: whether a document that does not get its level is an error; else it is stored with
            the level that it has.
    """

    hosts: frozenset[str]
    tsa_url: str | None
    egress: Egress
    time: timedelta
    fail: bool

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read ``VALIDATION_*``, ``EGRESS_*``, ``TSA_URL`` and ``LEVEL_ON_FAILURE``."""
        env = Environment(environ)
        return cls(
            hosts=env.hosts("VALIDATION_HOSTS"),
            tsa_url=env.service_url("TSA_URL"),
            egress=egress(environ),
            time=env.seconds("VALIDATION_SECONDS", 20, least=0.1, most=120),
            fail=env.choice("LEVEL_ON_FAILURE", ("lower", "fail")) == "fail",
        )
