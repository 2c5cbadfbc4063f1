"""How long and how hard, and why the times are what they are.

Everything that takes hours in a deployment takes seconds here, in the same proportions: soft TTL <
hard TTL < grace, as ``docs/client.md`` asks, and the time in which the vendor accepts a new key
late, or refuses a revoked one late, is below the limit that the functions are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

#: Longer than four attempts last for certain: in each the vendor is asked four times with pauses of
#: 0.7 seconds together at least, and the pauses between the four have full jitter.
OUTAGE: Final = timedelta(seconds=5)


@dataclass(frozen=True)
class SoakSettings:
    """One soak.

    Attributes:
        seals: how many documents have to be sealed.
        rotations: how many rotations have to go through meanwhile, over all secrets.
        every: one rotation in so many is a forced one.
        secrets: how many secrets.
        lambda_clients: application processes that ask the sealing function.
        own_clients: application processes that seal by themselves.
        threads: threads of each.
        pause: how long a thread waits after each seal.
        troubles: how often each kind of disturbances comes.
        throttled: for how long Secrets Manager throttles each time.
        restarts: how often a process of each kind is killed.
        soft: soft TTL of the clients.
        hard: hard TTL of the clients.
        grace: how long a displaced key histories, as the functions are told.
        reconciled: how often reconciliation runs besides; hourly in a deployment.
        late: how long the vendor takes to accept a new key and to refuse a revoked one.
        half_known: how long after that only half of its nodes accept a new key.
        stray_one_in: one request to sign in so many is answered by a stray 401, whatever its key;
            None: none is.
        propagation_limit: how long the functions are told that it may take.
        settles: seal on after the last rotation until every key that it displaced has retired, and
            every process has sealed since: by then each has met what came of it.
        failures: more failed seals than this end it early.
        cache: the cache of the clients in `tests.harness.soak.mutants.CACHES`.
        revokes_early: tell the functions that there is no grace.
        at_most: when the soak is given up.
    """

    seals: int = 20_000
    rotations: int = 100
    every: int = 5
    secrets: int = 2
    lambda_clients: int = 2
    own_clients: int = 2
    threads: int = 4
    pause: timedelta = timedelta(0)
    troubles: int = 20
    throttled: timedelta = timedelta(seconds=1)
    restarts: int = 12
    soft: timedelta = timedelta(seconds=5)
    hard: timedelta = timedelta(seconds=12)
    grace: timedelta = timedelta(seconds=20)
    reconciled: timedelta = timedelta(seconds=7)
    late: timedelta = timedelta(seconds=0.4)
    half_known: timedelta = timedelta(seconds=1)
    stray_one_in: int | None = 20
    propagation_limit: timedelta = timedelta(seconds=2)
    settles: bool = True
    failures: int = 100
    cache: str = ""
    revokes_early: bool = False
    at_most: timedelta = timedelta(minutes=45)

    @property
    def forced(self) -> int:
        """How many of the rotations are forced."""
        return self.rotations // self.every


SHORT: Final = SoakSettings(
    seals=250,
    rotations=5,
    every=2,
    secrets=1,
    lambda_clients=1,
    own_clients=1,
    threads=3,
    troubles=1,
    throttled=timedelta(seconds=0.4),
    restarts=1,
    soft=timedelta(seconds=3),
    hard=timedelta(seconds=5),
    grace=timedelta(seconds=9),
    reconciled=timedelta(seconds=2.5),
    late=timedelta(seconds=0.2),
    half_known=timedelta(seconds=0.3),
    propagation_limit=timedelta(seconds=0.6),
    settles=False,
    at_most=timedelta(minutes=4),
)
