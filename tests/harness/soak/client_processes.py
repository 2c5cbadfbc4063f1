"""The application processes: started, listened to, killed, and started again."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from threading import Condition, Thread
from time import monotonic
from typing import Final

from rotation.sandbox.deployment import DESTINATION_BUCKET, SEAL, SOURCE_BUCKET
from tests.harness.soak.settings import SoakSettings
from tests.harness.soak.soak_deployment import DOCUMENT, SoakDeployment
from tests.harness.soak.worker import ClientTask

#: How the access key ids of the applications begin; the functions sign with another one.
CALLER: Final = "AKIASOAK"


@dataclass
class ProcessHistory:
    """One process, from its first seal to its end; seconds of the machine's monotonic clock.

    Attributes:
        begun: when it began, if it has.
        ended: when it was last heard of.
        rejected: how often the vendor rejected its key. Each time it may ask Secrets Manager.
        outcomes: seals that it ended, well or not.
    """

    begun: float | None = None
    ended: float = 0.0
    rejected: int = 0
    outcomes: int = 0

    def refreshes_due(self, soft: float) -> int:
        """How many fetches its age calls for: the first, and one each time the soft TTL is over.

        The cache chooses each moment between 80 % and all of the soft TTL, 90 % on average.
        """
        if self.begun is None:
            return 0
        return 1 + int((self.ended - self.begun) / (0.9 * soft))


@dataclass
class ClientCounts:
    """What the processes told, all of them together.

    Attributes:
        sealed: documents that were sealed.
        dead: requests with a key that the process knew to be dead.
        strays: rejections of keys that the vendor accepts.
        failures: what each failed seal raised.
        rejected: how often the vendor rejected a key that it does not accept, by the key's id.
    """

    sealed: int = 0
    dead: int = 0
    strays: int = 0
    failures: list[str] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


class _Client:
    """One process and the thread that listens to it."""

    def __init__(
        self, clients: ClientProcesses, task: ClientTask, caller: str, deployment: SoakDeployment
    ) -> None:
        self.task = task
        self.history = ProcessHistory()
        self._clients = clients
        self._asked_to_end = False
        log = (deployment.logs / f"client-{task.name}.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.harness.soak.worker", task.argument()],
                env=deployment.client_environment(caller),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    def kill(self) -> None:
        """End it as a crash does."""
        self._asked_to_end = True
        self._process.kill()
        self._end(10)

    def stop(self) -> None:
        """Let it finish the documents it is at."""
        self._asked_to_end = True
        assert self._process.stdin is not None
        self._process.stdin.close()

    def join(self, seconds: float) -> bool:
        """Wait for its end; whether it ended by itself and well."""
        try:
            well = self._process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            well = False
        self._process.kill()
        self._end(10)
        return well

    def gone(self) -> bool:
        """Whether it has ended, though nobody asked it to."""
        return not self._asked_to_end and self._process.poll() is not None

    def _end(self, seconds: float) -> None:
        self._process.wait(seconds)
        self._listener.join(seconds)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            at, word, fact = line.decode().rstrip("\n").split(" ", 2)
            self._clients.hear(self, float(at), word, fact)


class ClientProcesses:
    """Every application process of the soak.

    Attributes:
        histories: of all processes that ever ran.
        counts: what they told.
        changed: notified with each thing told.
    """

    def __init__(self, deployment: SoakDeployment, settings: SoakSettings) -> None:
        self._deployment = deployment
        self._most_failures = settings.failures
        self._callers = count()
        self.histories: list[ProcessHistory] = []
        self.counts = ClientCounts()
        self.changed = Condition()
        self.unasked_ends = 0
        kinds = [False] * settings.lambda_clients + [True] * settings.own_clients
        self._clients = [
            self._start(
                ClientTask(
                    name=f"{'own' if own else 'lambda'}-{place}",
                    secret=deployment.secrets[place % len(deployment.secrets)],
                    source=(SOURCE_BUCKET, DOCUMENT),
                    destination=DESTINATION_BUCKET,
                    function=None if own else SEAL,
                    threads=settings.threads,
                    pause=settings.pause.total_seconds(),
                    soft=settings.soft.total_seconds(),
                    hard=settings.hard.total_seconds(),
                    cache=settings.cache,
                )
            )
            for place, own in enumerate(kinds)
        ]

    def hear(self, client: _Client, at: float, word: str, fact: str) -> None:
        """Take notice of one line of one process."""
        with self.changed:
            counts, history = self.counts, client.history
            history.ended = at
            if word == "begun":
                history.begun = at
            elif word == "sealed":
                counts.sealed += 1
                history.outcomes += 1
            elif word == "failed":
                history.outcomes += 1
                counts.failures.append(f"{client.task.name}: {fact}")
            elif word == "dead":
                counts.dead += 1
            else:
                history.rejected += 1
                if self._deployment.vendor.keys.accepted(fact) is None:
                    counts.rejected[fact] += 1
                else:
                    counts.strays += 1
            self.changed.notify_all()

    def wait_for(self, seals: int, until: float) -> bool:
        """Wait until so many documents were sealed; as `wait_until`."""
        return self.wait_until(lambda: self.counts.sealed >= seals, until)

    def wait_until(self, holds: Callable[[], bool], until: float) -> bool:
        """Wait until it holds; whether it did, at ``until`` at the latest.

        Asked anew with each thing told. Ends early when too many seals have failed or had a dead
        key, or a process has ended by itself.
        """
        with self.changed:
            while not holds():
                left = until - monotonic()
                if left <= 0 or self._hopeless():
                    return False
                self.changed.wait(min(left, 1.0))
        return True

    def go_on(self, until: float) -> None:
        """Wait until every process has begun and ended a seal, counted from now."""
        before = {id(client): client.history.outcomes for client in self._clients}

        def went_on() -> bool:
            # Each thread may end one that it had begun before.
            return all(
                client.history.outcomes > before[id(client)] + client.task.threads
                for client in self._clients
            )

        self.wait_until(went_on, until)

    def _hopeless(self) -> bool:
        failed = len(self.counts.failures) + self.counts.dead > self._most_failures
        return failed or any(client.gone() for client in self._clients)

    def restart(self, place: int) -> None:
        """Kill a process in the middle of its work, and start it anew."""
        client = self._clients[place % len(self._clients)]
        client.kill()
        self._clients[self._clients.index(client)] = self._start(client.task)

    def stop(self) -> None:
        """Have every process finish what it is at, and end."""
        for client in self._clients:
            client.stop()
        for client in self._clients:
            self.unasked_ends += not client.join(300)

    def kill(self) -> None:
        """End every process now."""
        for client in self._clients:
            client.kill()

    def _start(self, task: ClientTask) -> _Client:
        client = _Client(self, task, f"{CALLER}{next(self._callers):012d}", self._deployment)
        self.histories.append(client.history)
        return client
