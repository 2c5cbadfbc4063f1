"""One application process: threads that seal until its stdin ends, or a signal.

``python -m tests.harness.soak.worker '{…}'`` with AWS's variables for its own access key id, and
those of the sealing function where it seals in its own process. Tells each seal and each rejection
on its first stdout; what libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from threading import Event, Thread
from typing import Self

from rotation import LambdaInvoker, ObjectLocation, SealingClient, SecretsManager
from rotation.client.contract import Seal
from rotation.client.sealing_client import Invoker
from rotation.errors import RotationError
from tests.harness.soak.mutants import CACHES
from tests.harness.soak.rejected_keys import (
    ObservedInvoker,
    ObservedSource,
    RejectedKeys,
    Report,
    observed,
    reporter,
)


@dataclass(frozen=True)
class ClientTask:
    """What one application process is to do.

    Attributes:
        name: the folder of its sealed documents.
        secret: where its key is.
        source: the document's bucket and key.
        destination: the bucket for sealed documents.
        function: the sealing function; None: it seals by itself.
        threads: how many seal at once.
        pause: how many seconds each of them waits after a seal.
        soft: soft TTL in seconds.
        hard: hard TTL in seconds.
        cache: the name of the cache in `CACHES`; empty for the product's.
    """

    name: str
    secret: str
    source: tuple[str, str]
    destination: str
    function: str | None
    threads: int
    pause: float
    soft: float
    hard: float
    cache: str = ""

    def argument(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, argument: str) -> Self:
        """Back from the command line."""
        return cls(**json.loads(argument))


def own_sealer() -> Invoker:
    """A sealer in this process, of the parts that the sealing function has."""
    from rotation.client.in_process import InProcessInvoker
    from rotation.deadline import Deadline
    from rotation.handlers.wiring.sealing import SealerWiring
    from rotation.settings.sealing import SealingSettings

    settings = SealingSettings.from_environment()
    return InProcessInvoker(SealerWiring(settings).sealer(Deadline.after(timedelta(days=1))))


def seal_until(stop: Event, pause: float, seal: Callable[[], Seal], report: Report) -> None:
    """Seal the document again and again, and tell what came of it each time."""
    while not stop.is_set():
        try:
            sealed = seal()
        except RotationError as error:
            report("failed", f"{error.code}: {error}".replace("\n", " ")[:400])
        else:
            report("sealed", sealed.key_id)
        stop.wait(pause)


def main(argument: str) -> None:
    """Work until stdin ends."""
    task = ClientTask.read(argument)
    report = reporter(os.dup(1))
    os.dup2(2, 1)
    rejected_keys = RejectedKeys(report)
    cache = observed(CACHES[task.cache], rejected_keys)(
        ObservedSource(SecretsManager(), rejected_keys),
        soft_ttl=timedelta(seconds=task.soft),
        hard_ttl=timedelta(seconds=task.hard),
    )
    invoker = LambdaInvoker(task.function) if task.function else own_sealer()
    client = SealingClient(ObservedInvoker(invoker, rejected_keys), cache, task.secret)
    stop = Event()
    source = ObjectLocation(*task.source)
    threads = []
    for place in range(task.threads):
        destination = ObjectLocation(task.destination, f"{task.name}/{place}.pdf")
        seal = partial(client.seal, source, destination)
        threads.append(Thread(target=seal_until, args=(stop, task.pause, seal, report)))
    report("begun", "")
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1])
