"""Announces the phases of keys and incidents to those who depend on a key.

An event is in the journal before it is sent, and leaves it when the bus has taken it. So a crash
anywhere loses none: the next run finds it, and sends it, perhaps once more, with the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rotation.core.ports import EventBus
from rotation.errors import EventBusError, RotationError
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Journal, PhaseEvent
from rotation.privacy.observability import logger
from rotation.reconciliation.phases import event_members, note_phases, without_events
from rotation.reconciliation.situation import Situation


@dataclass(frozen=True)
class PhaseAnnouncer:
    """Announces what is new.

    Attributes:
        bus: takes the events; None: nothing is announced.
        journals: keep which events are known and which are waiting.
        installation: the id of this installation, which each event names.
        clock: our clock, aware UTC.
    """

    bus: EventBus | None
    journals: JournalKeeper
    installation: str
    clock: Callable[[], datetime]

    def announce(
        self, journal: Journal, before: Journal, situation: Situation | None
    ) -> tuple[Journal, RotationError | None]:
        """Send an event for each phase that is new, and those that are still waiting.

        Events that were too many to wait in the journal together are sent in turns. A bus that
        fails holds nothing up: its error is returned. Where nothing is announced any more, the
        journal forgets what was, so that nobody is told late of it.

        Args:
            journal: the journal of the secret.
            before: the journal as it was before this run.
            situation: what the run has seen; None: it looked at nothing but the journal.

        Returns:
            The journal as it is stored now, and why an event is still waiting, or None.
        """
        now, bus = self.clock(), self.bus
        if bus is None and journal.phases is None:
            return journal, None
        try:
            if bus is None:
                journal = self.journals.change(journal, lambda found: replace(found, phases=None))
                return journal, None
            failure: EventBusError | None = None
            while failure is None:
                journal = self.journals.change(
                    journal, lambda found: note_phases(found, before, situation, now)
                )
                waiting = journal.phases.waiting if journal.phases else ()
                if not waiting:
                    break
                journal, failure = self._send(bus, journal, waiting)
        except RotationError as error:
            return journal, error
        return journal, failure

    def _send(
        self, bus: EventBus, journal: Journal, waiting: Sequence[PhaseEvent]
    ) -> tuple[Journal, EventBusError | None]:
        """Send the events; the journal without those that the bus took, and its error."""
        failure, accepted = None, frozenset(one.id for one in waiting)
        try:
            bus.put(
                journal.secret_arn,
                [event_members(one, journal.secret_arn, self.installation) for one in waiting],
            )
        except EventBusError as error:
            failure, accepted = error, error.accepted
        for one in waiting:
            if one.id in accepted:
                logger.info(
                    "phase announced",
                    extra={"secret": journal.secret_arn, "phase": one.phase, "event": one.id},
                )
        return self.journals.change(journal, lambda found: without_events(found, accepted)), failure
