"""Seals one document after the other, several at a time, and goes on past those that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from threading import Event
from typing import Final

from rotation.cli.seal.work import Document, Outcome, Places, Result, State
from rotation.client.contract import Seal
from rotation.errors import (
    DocumentTooLargeError,
    InvalidRequestError,
    RotationError,
    SourceChangedError,
    SourceNotFoundError,
    UnsupportedPdfError,
)

# What is wrong with one document says nothing of the next. Anything else may be wrong with all.
_OF_ONE_DOCUMENT: Final = (
    DocumentTooLargeError,
    InvalidRequestError,
    SourceChangedError,
    SourceNotFoundError,
    UnsupportedPdfError,
)
#: So many other failures in a row end the run: each may cost a signature, or minutes.
IN_A_ROW: Final = 5


class Run:
    """One pass over documents.

    Args:
        places: where they lie and go.
        seal: has one sealed; raises RotationError.
        jobs: how many at a time.
        overwrite: whether a seal may replace something else.
        stop: when set, no further document is begun.

    Attributes:
        gave_up: whether it ended because too many failed for a reason that is not their own.
    """

    def __init__(
        self,
        places: Places,
        seal: Callable[[Document], Seal],
        *,
        jobs: int,
        overwrite: bool,
        stop: Event,
    ) -> None:
        self._places = places
        self._seal = seal
        self._jobs = jobs
        self._overwrite = overwrite
        self._stop = stop
        self.gave_up = False

    def outcomes(self, documents: list[Document]) -> Iterator[Outcome]:
        """What became of each, as they end; those that were not begun have none."""
        waiting = iter(documents)
        in_a_row = 0
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="seal") as pool:

            def begin(count: int) -> set[Future[Outcome]]:
                if self._stop.is_set() or self.gave_up:
                    return set()
                return {pool.submit(self._one, document) for document in islice(waiting, count)}

            under_way = begin(self._jobs)
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for outcome in (future.result() for future in done):
                    if outcome.result is Result.SEALED:
                        in_a_row = 0
                    elif outcome.error and not isinstance(outcome.error, _OF_ONE_DOCUMENT):
                        in_a_row += 1
                    self.gave_up |= in_a_row >= IN_A_ROW
                    yield outcome
                under_way |= begin(len(done))

    def _one(self, document: Document) -> Outcome:
        seen = look(self._places, document, overwrite=self._overwrite)
        if seen.result is not Result.PLANNED:
            return seen
        try:
            return Outcome(document, Result.SEALED, seal=self._seal(document))
        except RotationError as error:
            return Outcome(document, Result.FAILED, error=error)


def look(places: Places, document: Document, *, overwrite: bool) -> Outcome:
    """What would become of a document, by what is at its destination."""
    try:
        state = places.state(document)
    except RotationError as error:
        return Outcome(document, Result.FAILED, error=error)
    if state is State.ITS_SEAL:
        return Outcome(document, Result.SKIPPED)
    if state is State.SOMETHING_ELSE and not overwrite:
        return Outcome(document, Result.EXISTS)
    return Outcome(document, Result.PLANNED)
