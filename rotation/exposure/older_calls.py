"""Calls that are older than CloudTrail's event history: who kept them, and how they are told.

A trail writes the calls of an account into log files in a bucket, and an event data store of
CloudTrail Lake keeps them too, each for as long as somebody decided. Which calls it keeps is
decided by its event selectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from rotation.errors import AccountReadError
from rotation.exposure.ports import CallHistory

_SECRETS_MANAGER: Final = "secretsmanager.amazonaws.com"


class OlderCalls(CallHistory, Protocol):
    """A source of older calls."""

    @property
    def name(self) -> str:
        """Which it is, for people."""

    def missing(self) -> list[str]:
        """What of the calls it was asked for it did not have, as sentences for people."""


@dataclass
class LongHistory:
    """CloudTrail's event history, and before it another source. A `CallHistory`.

    Where the older source fails, the newer calls are told all the same.

    Attributes:
        recent: the event history.
        older: where the calls before ``boundary`` are; None: nowhere.
        boundary: since when ``recent`` has the calls, aware UTC.
        problems: what failed, as sentences for people.
    """

    recent: CallHistory
    older: OlderCalls | None
    boundary: datetime
    problems: list[str] = field(default_factory=list)

    def events(self, name: str, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        """As `CallHistory.events`. A call stands in one of the two, by its time."""
        if until >= self.boundary:
            yield from self.recent.events(name, max(since, self.boundary), until)
        if self.older is None or since >= self.boundary:
            return
        try:
            yield from self.older.events(name, since, min(until, self.boundary))
        except AccountReadError as error:
            self.problems.append(f"Not all of them could be read. {error}")

    def missing(self) -> list[str]:
        """What of the older calls is not known, as sentences for people."""
        return [*(self.older.missing() if self.older else ()), *dict.fromkeys(self.problems)]


def keeps_reads(selectors: Mapping[str, Any]) -> bool:
    """Whether whoever has these event selectors keeps every GetSecretValue.

    It is a management event that reads (CloudTrail UserGuide logging-management-events-with-
    cloudtrail). A selector that narrows events in a way that is not known here does not count.

    Args:
        selectors: what GetEventSelectors answers of a trail, or GetEventDataStore of a store.
    """
    basic: Sequence[Mapping[str, Any]] = selectors.get("EventSelectors") or ()
    advanced: Sequence[Mapping[str, Any]] = selectors.get("AdvancedEventSelectors") or ()
    return any(map(_basic_keeps_reads, basic)) or any(map(_advanced_keeps_reads, advanced))


def _basic_keeps_reads(selector: Mapping[str, Any]) -> bool:
    left_out = selector.get("ExcludeManagementEventSources") or ()
    return (
        bool(selector.get("IncludeManagementEvents"))
        and selector.get("ReadWriteType") in ("All", "ReadOnly")
        and _SECRETS_MANAGER not in left_out
    )


def _advanced_keeps_reads(selector: Mapping[str, Any]) -> bool:
    management = False
    for one in selector.get("FieldSelectors", ()):
        name = one.get("Field")
        conditions = {key: value for key, value in one.items() if key != "Field" and value}
        if name == "eventCategory" and conditions == {"Equals": ["Management"]}:
            management = True
        elif name == "readOnly" and conditions == {"Equals": ["true"]}:
            continue
        elif name == "eventSource" and [*conditions] == ["NotEquals"]:
            if _SECRETS_MANAGER in conditions["NotEquals"]:
                return False
        else:
            return False
    return management
