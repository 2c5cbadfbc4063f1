"""The order in which a run looks at the secrets: each has its turn, if time never suffices for all.

A run that does not reach every secret writes down which it did not reach, and the next run begins
with those. The document lies beside the journals, under the ARN of the rotation function.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rotation.errors import JournalError
from rotation.journal.store import JournalStore
from rotation.privacy.observability import logger
from rotation.secrets_manager.discovery import ListedSecret

SCHEMA: Final = "trusted-signatures-rotation/run-order/1"


@dataclass
class RunOrder:
    """The secrets that the last run did not reach.

    Attributes:
        store: where the document is.
        function_arn: the rotation function.
    """

    store: JournalStore
    function_arn: str
    _missed: tuple[str, ...] = ()
    _revision: str | None = None

    def arrange(self, secrets: Sequence[ListedSecret]) -> list[str]:
        """The ARNs: first those with an incident, then those that the last run did not reach.

        A document that cannot be read costs the order, and nothing else.
        """
        try:
            found = self.store.read(self.function_arn)
            if found is not None:
                body, self._revision = found
                self._missed = tuple(json.loads(body)["notReached"])
        except (JournalError, ValueError, TypeError, KeyError) as error:
            logger.warning("order of the secrets unknown", reason=type(error).__name__)
        places = {arn: place for place, arn in enumerate(self._missed)}

        def turn(one: ListedSecret) -> tuple[bool, int]:
            return not one.has_incident, places.get(one.arn, len(places))

        return [one.arn for one in sorted(secrets, key=turn)]

    def keep(self, not_reached: Sequence[str]) -> None:
        """Write down which secrets this run did not reach, in its order, if that is news.

        Another run may have written meanwhile; then its word stands.
        """
        if tuple(not_reached) == self._missed:
            return
        document = {"schema": SCHEMA, "notReached": list(not_reached)}
        try:
            self.store.write(self.function_arn, json.dumps(document).encode(), self._revision)
        except JournalError as error:
            logger.warning("order of the secrets not kept", reason=error.code)
