"""The judge of a key pool: looks on at every write, beside the judges of the secrets.

The invariants are those of ``docs/fault-harness.md``, 7: a key is leased to one token at most, and
never free again; and it leaves the pool only when the vendor does not accept it any more.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from rotation.key_pool.issuer import HELD_ALREADY
from rotation.sandbox.vendor import KeyStore
from tests.harness.faults.boundary import Call
from tests.harness.faults.judge import Judge

_WRITES: Final = frozenset({"PutSecretValue", "UpdateSecretVersionStage"})


@dataclass
class PoolJudge:
    """Sees every change of the pool.

    Args:
        secret: the live pool secret of the emulated Secrets Manager.
        entries: reads the pool's entries, by key id.
        keys: the emulated vendor's keys.
        judges: the judges of the secrets that lease from it.
    """

    secret: Any
    entries: Callable[[], Mapping[str, Any]]
    keys: KeyStore
    judges: Sequence[Judge]
    _before: Mapping[str, Any] = field(default_factory=dict)
    _versions_before: Any = None
    _past: Any = None

    def before(self, call: Call) -> None:
        """A call is about to reach a service."""
        if call.name in _WRITES:
            self._before = self.entries()
            self._versions_before = copy.deepcopy(self.secret.versions)

    def after(self, call: Call) -> None:
        """A call has reached a service."""
        if call.name not in _WRITES:
            return
        if self.secret.versions != self._versions_before:
            self._past = self._versions_before
        now = self.entries()
        for key, entry in self._before.items():
            if key not in now:
                if self.keys.accepted(key) is not None:
                    self._find("7 lost", f"{call} took {key} out of the pool, and it signs")
                continue
            was, became = _label(entry), _label(now[key])
            if was is not None and became != was and HELD_ALREADY not in was:
                self._find(
                    "7 leased twice", f"{call} leased {key} to {became}, and before to {was}"
                )
            if entry["state"] != "free" and now[key]["state"] == "free":
                self._find("7 leased twice", f"{call} made {key} free again")
        named = [judge.state().named for judge in self.judges]
        for place, keys in enumerate(named):
            for key in sorted(keys.intersection(*named[place + 1 :])) if named[place + 1 :] else ():
                self._find("7 shared", f"two secrets hold {key} after {call}")

    def answered(self, call: Call, labels: Mapping[str, Sequence[str]] | None) -> None:
        """Our code got an answer."""

    @contextmanager
    def past(self) -> Iterator[None]:
        """The pool as it was before the last write to it."""
        live = self.secret.versions
        if self._past is not None:
            self.secret.versions = copy.deepcopy(self._past)
        try:
            yield
        finally:
            self.secret.versions = live

    def at_rest(self) -> None:
        """What must hold when retries, grace and reconciliation have passed, and people acted."""
        for key, entry in sorted(self.entries().items()):
            if self.keys.accepted(key) is None:
                self._find("3 pool", f"the dead key {key} is still in the pool: {entry['state']}")

    def _find(self, invariant: str, what: str) -> None:
        self.judges[0].find(invariant, what)


def _label(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    lease = entry.get("lease")
    if lease is None:
        return None
    return lease["installation"], lease["secretArn"], lease["token"]
