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
from tests.harness.soak.client_processes import CALLER, ClientProcesses
from tests.harness.soak.disturbances import Disturbances
from tests.harness.soak.rotator import RotationCounts, Rotator
from tests.harness.soak.settings import SoakSettings
from tests.harness.soak.soak_deployment import SoakDeployment

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
        dead_key_seals: requests signed with a key that the same process knew to be dead.
        gets: GetSecretValue calls of the application processes.
        gets_allowed: 1.1 x (fetches that their ages call for + rejections that each saw).
        early_rejections: rejections of revoked keys that nobody had declared compromised: no cache
            may hold a key for longer than its grace.
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
            f"{self.beside['stray_rejections']} stray rejections, "
            f"{self.gets} of {self.gets_allowed} gets"
        )


class Soak:
    """One soak, in ``folder``; `run` it once."""

    def __init__(self, folder: Path, settings: SoakSettings) -> None:
        self._settings = settings
        self._deployment = SoakDeployment(folder, settings)
        self._over = Event()
        self._errors: list[str] = []

    def run(self, progress: Callable[[str], None] = lambda _: None) -> Result:
        """Seal and rotate as the settings say; ``progress`` hears of it now and then."""
        settings = self._settings
        begun = monotonic()
        until = begun + settings.at_most.total_seconds()
        with self._deployment as deployment:
            deployment.settle()
            rotators = [Rotator(deployment, name, until) for name in deployment.secrets]
            clients = ClientProcesses(deployment, settings)
            disturbances = Disturbances(deployment, clients, settings)
            try:
                acting = [
                    self._thread(partial(self._turn, rotator, place, clients, until))
                    for place, rotator in enumerate(rotators)
                ]
                acting.append(self._thread(partial(self._disturb, disturbances, clients, until)))
                hourly = self._thread(self._hourly)
                while any(thread.is_alive() for thread in acting):
                    for thread in acting:
                        thread.join(0.2)
                    progress(_told(clients, rotators))
                clients.wait_for(settings.seals, until)
                if settings.settles:
                    clients.wait_until(lambda: not deployment.unretired(), until)
                    clients.go_on(until)
                clients.stop()
            finally:
                self._over.set()
                clients.kill()
            hourly.join()
            return self._result(
                deployment, clients, [one.counts for one in rotators], disturbances, begun
            )

    def _turn(self, rotator: Rotator, place: int, clients: ClientProcesses, until: float) -> None:
        """This secret's share of the rotations, spread over the seals."""
        settings = self._settings
        for number in range(place, settings.rotations, settings.secrets):
            if not clients.wait_for(number * settings.seals // settings.rotations, until):
                return
            # The forced ones fall on every secret in turn.
            turn = number + number // (settings.every * settings.secrets)
            if turn % settings.every == settings.every - 1:
                rotator.forced()
            else:
                rotator.ordinary(by_schedule=turn % 2 == 0)

    def _disturb(self, disturbances: Disturbances, clients: ClientProcesses, until: float) -> None:
        acts = list(disturbances.all_of_them())
        for place, act in enumerate(acts):
            if not clients.wait_for((place + 1) * self._settings.seals // (len(acts) + 1), until):
                return
            act()

    def _hourly(self) -> None:
        """Reconciliation on its schedule."""
        while not self._over.wait(self._settings.reconciled.total_seconds()):
            self._deployment.reconcile()

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
        self,
        deployment: SoakDeployment,
        clients: ClientProcesses,
        rotations: list[RotationCounts],
        disturbances: Disturbances,
        begun: float,
    ) -> Result:
        settings, counts = self._settings, clients.counts
        soft = settings.soft.total_seconds()
        due = sum(history.refreshes_due(soft) for history in clients.histories)
        rejections = sum(history.rejected for history in clients.histories)
        calls = [call for call in deployment.cloud.calls if call.caller.startswith(CALLER)]
        suspects = set().union(*(one.suspects for one in rotations))
        early = sum(counts.rejected[key] for key in counts.rejected.keys() - suspects)
        result = Result(
            seals=counts.sealed,
            failed=len(counts.failures),
            rotations=sum(one.done for one in rotations),
            forced=sum(one.forced for one in rotations),
            dead_key_seals=counts.dead,
            gets=sum(call.operation == "GetSecretValue" for call in calls),
            gets_allowed=int(ROOM * (due + rejections)),
            early_rejections=early,
            unretired=len(deployment.unretired()),
            unverified=_unverified(deployment),
            missed=(),
            beside={
                "seconds": round(monotonic() - begun),
                "processes": len(clients.histories),
                "refreshes_due": due,
                "rejections": rejections,
                "rejected_requests": sum(counts.rejected.values()),
                "stray_rejections": counts.strays,
                "rotations_repeated": sum(one.repeated for one in rotations),
                "troubles": dict(disturbances.brought),
                "failures": counts.failures[:20],
            },
        )
        return Result(**{**vars(result), "missed": tuple(self._missed(result, clients))})

    def _missed(self, result: Result, clients: ClientProcesses) -> Iterable[str]:
        settings = self._settings
        for what, found, wanted in (
            ("seals", result.seals, settings.seals),
            ("rotations", result.rotations, settings.rotations),
            ("forced rotations", result.forced, settings.forced),
        ):
            if found < wanted:
                yield f"{found} {what} of {wanted}"
        for what, found in (
            ("failed seals", result.failed),
            ("seals with a dead key", result.dead_key_seals),
            ("rejections of keys in their grace", result.early_rejections),
            ("displaced keys that still sign", result.unretired if settings.settles else 0),
            ("sealed documents that do not verify", result.unverified),
            ("application processes that ended by themselves", clients.unasked_ends),
        ):
            if found:
                yield f"{found} {what}"
        if result.gets > result.gets_allowed:
            yield f"{result.gets} gets of {result.gets_allowed}"
        yield from self._errors


def _told(clients: ClientProcesses, rotators: list[Rotator]) -> str:
    done = sum(rotator.counts.done for rotator in rotators)
    return f"{clients.counts.sealed} seals, {len(clients.counts.failures)} failed, {done} rotations"


def _unverified(deployment: SoakDeployment) -> int:
    """How many of the threads' last documents bear no valid seal."""
    s3 = deployment.cloud.client("s3")
    root = deployment.trust_root.read_bytes()
    bad = 0
    for stored in s3.list_objects_v2(Bucket=DESTINATION_BUCKET)["Contents"]:
        content = s3.get_object(Bucket=DESTINATION_BUCKET, Key=stored["Key"])["Body"].read()
        reports = verify(content, root)
        bad += [(one.problem, one.trusted) for one in reports] != [(None, True)]
    return bad
