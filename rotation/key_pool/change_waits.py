"""How long a change of the pool waits for others, and when it gives up."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from rotation.deadline import Deadline

#: Secrets Manager calls come far sooner than this; without a deadline a change gives up after it.
_MOST_WAIT: Final = timedelta(minutes=2)
#: Seconds between two looks at a pool that somebody else is changing. A read costs no version.
_PAUSE: Final = (0.2, 1.0)
#: After so many seconds of waiting for one claim, its owner has died. Those who wait do not all
#: give up at the same moment.
_CLAIM_PATIENCE: Final = (10.0, 20.0)


class ChangeWaits:
    """The pauses of one change."""

    def __init__(self, sleep: Callable[[float], None], deadline: Deadline | None) -> None:
        self._sleep = sleep
        self._deadline = deadline
        self._patience = random.uniform(*_CLAIM_PATIENCE)  # noqa: S311 - jitter
        self._waited = timedelta(0)
        self._for: tuple[str | None, float] = (None, 0.0)
        self.given_up = False

    def over(self, version: str | None) -> bool:
        """Whether the claim on ``version`` was waited for long enough."""
        return self._for[0] == version and self._for[1] >= self._patience

    def pause(self, version: str | None) -> None:
        """Wait for the claim on ``version``, or (None) before another attempt, if there is time."""
        seconds = random.uniform(*_PAUSE)  # noqa: S311 - jitter
        pause = timedelta(seconds=seconds)
        self._waited += pause
        left = _MOST_WAIT - self._waited
        if self._deadline is not None:
            left = min(left, self._deadline.left() - pause)
        if left < timedelta(0):
            self.given_up = True
            return
        self._sleep(seconds)
        if version is not None:
            before = self._for[1] if self._for[0] == version else 0.0
            self._for = (version, before + seconds)
