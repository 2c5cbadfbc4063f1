"""``rotation force --pool``: declares a leaked pool's keys compromised and waits for new keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click
from rich.console import Console

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.waiting import WaitLog
from rotation.errors import RotationError
from rotation.journal.model import Declaration

_POLL_INTERVAL = timedelta(seconds=2)


@dataclass(frozen=True)
class LeakedPool:
    """A pool whose free keys were declared compromised.

    Attributes:
        pool: the pool's name.
        condemned: the ids of the keys that a person has to revoke.
        leased_to: the ARNs of the secrets that hold other keys of the pool.
        asked: whether a person was notified.
        unreadable: the entries that cannot be read, each with the cause.
    """

    pool: str
    condemned: Sequence[str]
    leased_to: list[str]
    asked: bool
    unreadable: Sequence[str]
    _declare: Callable[[str], object]
    _keys_left: Callable[[str], int]
    _log: WaitLog

    def await_fresh_keys(self, names: Sequence[str], limit: timedelta) -> None:
        """Open the incidents, then wait until a person has added a key for each of ``names``.

        The wait ends after ``limit``. Then the rotations fail until there is a key, and the
        incidents stay open.
        """
        for name in names:
            with suppress(RotationError, click.ClickException):
                self._declare(name)
        ends = time.monotonic() + limit.total_seconds()
        announced = False
        while names and self._keys_left(names[0]) < len(names):
            if not announced:
                need = f"{len(names)} fresh key{'s' if len(names) > 1 else ''}"
                self._log.log(
                    self.pool,
                    f"waiting for {need}: make them in the vendor's portal and add them in another "
                    "terminal, with: rotation pool add",
                )
                announced = True
            if time.monotonic() > ends:
                self._log.log(self.pool, "not enough fresh keys yet; going on without")
                return
            time.sleep(_POLL_INTERVAL.total_seconds())

    def as_json(self) -> dict[str, Any]:
        """The member ``pool`` of what ``--json`` prints."""
        return {
            "pool": self.pool,
            "condemned": list(self.condemned),
            "leasedTo": list(self.leased_to),
            "personAsked": self.asked,
            "unreadable": list(self.unreadable),
        }

    def print_remaining_work(self, console: Console) -> None:
        """Print which keys a person has to revoke."""
        for one in self.unreadable:
            console.print(
                f"{self.pool}: {one}. Its key leaked too, and nobody was asked to revoke it.",
                style="bold yellow",
                markup=False,
            )
        if not self.condemned:
            return
        console.print()
        console.print(
            f"[bold yellow]{self.pool}: {len(self.condemned)} leaked keys work until a person "
            "revokes them in the vendor's portal.[/]"
        )
        for key_id in self.condemned:
            console.print(f"  left: {key_id}", markup=False)
        where = "The notification topic has the request; without one, the functions' log. "
        notified = where if self.asked else "Nobody could be notified. "
        console.print(f"  {notified}The hourly reconciliation proves each of them dead.")


def declare_pool_leaked(
    account: AwsAccount,
    names: Sequence[str],
    declaration: Declaration,
    log: WaitLog,
    *,
    again: bool,
) -> LeakedPool:
    """Have the pool's free keys declared compromised; ``names`` are the secrets to force."""
    done = account.ask(
        "condemn-pool", reason=declaration.reason, actor=declaration.actor, again=again
    )
    leaked = LeakedPool(
        done["pool"],
        done["condemned"],
        done["leasedTo"],
        done["asked"],
        done["unreadable"],
        _declare=lambda name: account.ask(
            "declare",
            [name],
            reason=declaration.reason,
            actor=declaration.actor,
            again=again,
        ),
        _keys_left=lambda name: account.ask("report", [name])["issuer"]["keysLeft"] or 0,
        _log=log,
    )
    log.log(leaked.pool, f"{len(leaked.condemned)} free keys are declared compromised")
    for arn in leaked.leased_to:
        if names and not any(arn == name or f":secret:{name}-" in arn for name in names):
            log.log(leaked.pool, f"{arn} holds a key of this pool and is not named: force it too")
    return leaked
