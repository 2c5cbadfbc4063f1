"""Builds what raises documents to B-LT and B-LTA; it is imported when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rotation.deadline import Deadline
from rotation.errors import LevelError
from rotation.handlers.wiring.vendor import utc_now
from rotation.sealing.pdf import Limits, PreparedPdf
from rotation.sealing.raised import RaisedLevel, RaiseSeal
from rotation.sealing.request import Level
from rotation.settings.levels import LevelSettings

if TYPE_CHECKING:
    from rotation.sealing.levels.raiser import LevelRaiser


def level_raiser(settings: LevelSettings, anchors: bytes | None) -> LevelRaiser:
    """What raises documents by these services.

    Raises:
        ConfigurationError: the trust anchors are unusable.
    """
    from rotation.sealing.levels.raiser import LevelRaiser
    from rotation.sealing.levels.services import ServiceSettings

    services = ServiceSettings(settings.hosts, settings.tsa_url, settings.egress, settings.time)
    return LevelRaiser(services, anchors, utc_now)


def seal_raiser(
    settings: LevelSettings,
    anchors: bytes | None,
    limits: Limits,
    deadline: Deadline | None = None,
) -> RaiseSeal:
    """What raises documents that are being sealed, until ``deadline``."""

    def raise_seal(prepared: PreparedPdf, cms: bytes, wanted: Level) -> tuple[RaisedLevel, bytes]:
        from rotation.sealing.levels.growing_document import GrowingDocument

        seal = prepared.update(cms)
        document = GrowingDocument(prepared.document, lambda: prepared.source_hash, limits, seal)
        raised = level_raiser(settings, anchors).raise_level(document, wanted, deadline)
        if raised.problem is not None and settings.fail:
            problem = LevelError(
                f"The document was sealed as {raised.reached} and not as {wanted}, so it was not "
                f"stored (LEVEL_ON_FAILURE is fail): {raised.problem}"
            )
            problem.retryable = raised.retryable
            raise problem
        return raised, document.tail[len(seal) :]

    return raise_seal
