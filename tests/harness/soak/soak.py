"""The soak: everything at once until enough was sealed and rotated, and then the bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Final

from rotation.sandbox.deployment import DESTINATION_BUCKET
from rotation.sealing.verify import verify
from tests.harness.soak.crew import CALLER, Crew
from tests.harness.soak.size import Size
from tests.harness.soak.town import Town
from tests.harness.soak.trouble import Trouble
from tests.harness.soak.turning import Turned, Turner

#: How many calls to Secrets Manager may be made for each that is due: throttled ones are repeated.
ROOM: Final = 1.1


@dataclass(frozen=True)
class Result:
    """What a soak found.

    Attributes:
        seals: documents sealed.
        failed: seals that raised.
        rotations: rotations that went through.
        forced: forced ones among them, each to the proof that the old keys are dead.
        dead_key_seals: requests signed with a key that the same process had seen rejected before.
        gets: GetSecretValue calls of the application processes.
        gets_allowed: 1.1 x (fetches that their ages call for + keys that each saw rejected).
        early_rejections: rejections of keys that nobody had declared compromised: no cache may
            hold a key for longer than its grace.
        unretired: displaced keys that the vendor still accepts at the end.
        unverified: sealed documents at the end that do not verify.
        missed: why the bars were missed, in words; empty if they were met.
        beside: what else is worth knowing.
    """

    seals: int
    failed: int
    rotations: int
    forced: int
    dead_key_seals: int
    gets: int
    gets_allowed: int
    early_rejections: int
    unretired: int
    unverified: int
    missed: tuple[str, ...]
    beside: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """For ``.bench/soak.json``."""
        members = {name: value for name, value in vars(self).items() if name != "beside"}
        return members | {"missed": list(self.missed)} | self.beside

    def summary(self) -> str:
        """One line."""
        return (
            f"{self.seals} seals, {self.failed} failed, {self.rotations} rotations "
            f"({self.forced} forced), {self.dead_key_seals} with a dead key, "
            f"{self.gets} of {self.gets_allowed} gets"
        )


class Soak:
    """One soak, in ``folder``; `run` it once."""

    def __init__(self, folder: Path, size: Size) -> None:
        self._size = size
        self._town = Town(folder, size)
        self._over = Event()
        self._errors: list[str] = []

    def run(self, progress: Callable[[str], None] = lambda _: None) -> Result:
        """Seal and rotate until the size is reached; ``progress`` hears of it now and then."""
        size = self._size
        begun = monotonic()
        until = begun + size.at_most.total_seconds()
        with self._town as town:
            town.settle()
            turners = [Turner(town, name, until) for name in town.secrets]
            crew = Crew(town, size)
            trouble = Trouble(town, crew, size)
            try:
                acting = [
                    self._thread(partial(self._turn, turner, place, crew, until))
                    for place, turner in enumerate(turners)
                ]
                acting.append(self._thread(partial(self._trouble, trouble, crew, until)))
                hourly = self._thread(self._hourly)
                while any(thread.is_alive() for thread in acting):
                    for thread in acting:
                        thread.join(0.2)
                    progress(_told(crew, turners))
                crew.wait_for(size.seals, until)
                if size.settles:
                    crew.wait_until(lambda: not town.unretired(), until)
                    crew.go_on(until)
                crew.stop()
            finally:
                self._over.set()
                crew.kill()
            hourly.join()
            return self._result(town, crew, [one.turned for one in turners], trouble, begun)

    def _turn(self, turner: Turner, place: int, crew: Crew, until: float) -> None:
        """This secret's share of the rotations, spread over the seals."""
        size = self._size
        for number in range(place, size.rotations, size.secrets):
            if not crew.wait_for(number * size.seals // size.rotations, until):
                return
            # The forced ones fall on every secret in turn.
            turn = number + number // (size.every * size.secrets)
            if turn % size.every == size.every - 1:
                turner.forced()
            else:
                turner.ordinary(by_schedule=turn % 2 == 0)

    def _trouble(self, trouble: Trouble, crew: Crew, until: float) -> None:
        acts = list(trouble.all_of_them())
        for place, act in enumerate(acts):
            if not crew.wait_for((place + 1) * self._size.seals // (len(acts) + 1), until):
                return
            act()

    def _hourly(self) -> None:
        """Reconciliation on its schedule."""
        while not self._over.wait(self._size.reconciled.total_seconds()):
            self._town.reconcile()

    def _thread(self, act: Callable[[], None]) -> Thread:
        def run() -> None:
            try:
                act()
            except Exception as error:  # noqa: BLE001 - it is a bar that was missed
                self._errors.append(f"{type(error).__name__}: {error}")

        thread = Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _result(
        self, town: Town, crew: Crew, turned: list[Turned], trouble: Trouble, begun: float
    ) -> Result:
        size, tally = self._size, crew.tally
        soft = size.soft.total_seconds()
        due = sum(life.refreshes_due(soft) for life in crew.lives)
        rejections = sum(life.rejected for life in crew.lives)
        calls = [call for call in town.cloud.calls if call.caller.startswith(CALLER)]
        suspects = set().union(*(one.suspects for one in turned))
        early = sum(tally.rejected[key] for key in tally.rejected.keys() - suspects)
        result = Result(
            seals=tally.sealed,
            failed=len(tally.failures),
            rotations=sum(one.done for one in turned),
            forced=sum(one.forced for one in turned),
            dead_key_seals=tally.dead,
            gets=sum(call.operation == "GetSecretValue" for call in calls),
            gets_allowed=int(ROOM * (due + rejections)),
            early_rejections=early,
            unretired=len(town.unretired()),
            unverified=_unverified(town),
            missed=(),
            beside={
                "seconds": round(monotonic() - begun),
                "processes": len(crew.lives),
                "refreshes_due": due,
                "rejections": rejections,
                "rejected_requests": sum(tally.rejected.values()),
                "rotations_repeated": sum(one.repeated for one in turned),
                "troubles": dict(trouble.brought),
                "failures": tally.failures[:20],
            },
        )
        return Result(**{**vars(result), "missed": tuple(self._missed(result, crew))})

    def _missed(self, result: Result, crew: Crew) -> Iterable[str]:
        size = self._size
        for what, found, wanted in (
            ("seals", result.seals, size.seals),
            ("rotations", result.rotations, size.rotations),
            ("forced rotations", result.forced, size.forced),
        ):
            if found < wanted:
                yield f"{found} {what} of {wanted}"
        for what, found in (
            ("failed seals", result.failed),
            ("seals with a dead key", result.dead_key_seals),
            ("rejections of keys in their grace", result.early_rejections),
            ("displaced keys that still sign", result.unretired if size.settles else 0),
            ("sealed documents that do not verify", result.unverified),
            ("application processes that ended by themselves", crew.unasked_ends),
        ):
            if found:
                yield f"{found} {what}"
        if result.gets > result.gets_allowed:
            yield f"{result.gets} gets of {result.gets_allowed}"
        yield from self._errors


def _told(crew: Crew, turners: list[Turner]) -> str:
    done = sum(turner.turned.done for turner in turners)
    return f"{crew.tally.sealed} seals, {len(crew.tally.failures)} failed, {done} rotations"


def _unverified(town: Town) -> int:
    """How many of the threads' last documents bear no valid seal."""
    s3 = town.cloud.client("s3")
    root = town.trust_root.read_bytes()
    bad = 0
    for stored in s3.list_objects_v2(Bucket=DESTINATION_BUCKET)["Contents"]:
        content = s3.get_object(Bucket=DESTINATION_BUCKET, Key=stored["Key"])["Body"].read()
        reports = verify(content, root)
        bad += [(one.problem, one.trusted) for one in reports] != [(None, True)]
    return bad
