"""The condemned keys of a pool that leaked: probed until each is dead, and reported until then.

No secret holds them, so no plan speaks of them. What proves their death is the same as for any
other key, with the current key of some secret as the control.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from rotation.core.ports import CondemnedKey, CondemnedKeys, EvidenceStore, KeyProver
from rotation.credential import ApiKey
from rotation.errors import RotationError
from rotation.privacy.observability import logger
from rotation.reconciliation.key_warnings import KeyWarning, WarningCode
from rotation.reconciliation.proof_of_death import (
    DeathVerdict,
    ProbedKey,
    ProbeHistory,
    death_facts,
    find_control,
)

POOL_SCHEMA: Final = "trusted-signatures-rotation/pool-incident/1"


@dataclass
class CondemnedKeyReview:
    """One run's look at the condemned keys that an issuer keeps.

    Attributes:
        source: the condemned keys of the issuer, or None where it keeps no keys.
        evidence: keeps a record of each death.
        dead: the condemned keys that were proven dead in this run, and where the record is.
        warnings: what people should know of them.
    """

    source: CondemnedKeys | None
    evidence: EvidenceStore
    dead: dict[str, str] = field(default_factory=dict)
    warnings: list[KeyWarning] = field(default_factory=list)
    _condemned: Sequence[CondemnedKey] = ()
    _probed: tuple[ProbedKey, ...] = ()

    def read(self) -> None:
        """Read which keys are condemned. A failure is a warning."""
        if self.source is None:
            return
        try:
            self._condemned = self.source.condemned()
        except RotationError as error:
            message = f"The pool's leaked keys cannot be read: {error}"
            self.warnings.append(KeyWarning(WarningCode.ISSUER_UNREADABLE, message))

    def keys_to_probe(self, controls: Iterable[ApiKey], prover: KeyProver) -> tuple[ProbedKey, ...]:
        """The condemned keys that are to be probed in this run.

        Asks a person to revoke those that nobody was asked about yet, and tries the controls, with
        a test seal for each, until one is accepted. Does NOT probe a condemned key.

        Args:
            controls: current keys of secrets.
            prover: asks whether the vendor accepts one of them.
        """
        due = [one for one in self._condemned if one.due]
        if self.source is None or not self._condemned:
            return ()
        self._try(self.source.ask_for_revocation)
        if not due:
            return ()
        control = find_control(controls, prover)
        if control is None:
            message = "No secret's current key signs, so no leaked key can be proven dead."
            self.warnings.append(KeyWarning(WarningCode.DEATH_UNPROVEN, message))
            return ()
        name = self.source.name
        self._probed = tuple(ProbedKey(name, one.key, control, revoked=False) for one in due)
        return self._probed

    def conclude(self, deaths: Mapping[tuple[str, str], ProbeHistory]) -> None:
        """Keep the record of each death, then drop the key; note which keys are alive."""
        if self.source is None:
            return
        declared = {one.key.id: one.declared for one in self._condemned}
        alive: list[str] = []
        for probed in self._probed:
            key_id = probed.key.id
            death = deaths[probed.secret_arn, key_id]
            if death.verdict is DeathVerdict.DEAD:
                self._try(partial(self._record_death, key_id, declared[key_id], death))
            elif death.verdict is DeathVerdict.ALIVE:
                alive.append(key_id)
        self._try(partial(self.source.note_alive, alive))
        for one in self._condemned:
            key_id = one.key.id
            what = (
                f"{key_id} of the pool {self.source.name}, declared compromised ({one.declared})."
            )
            if key_id in alive:
                message = f"The vendor still accepts key {what} Revoke it in the vendor's portal."
                self.warnings.append(KeyWarning(WarningCode.KEY_ALIVE_AFTER_INCIDENT, message))
            elif key_id not in self.dead:
                message = f"Revoke key {what} It works until a person does, in the vendor's portal."
                self.warnings.append(KeyWarning(WarningCode.MANUAL_REVOCATION_NEEDED, message))

    def report(self) -> list[dict[str, Any]]:
        """The condemned keys, as JSON members."""
        return [
            {
                "keyId": one.key.id,
                "declared": one.declared,
                "state": "proven dead" if one.key.id in self.dead else "to be revoked by a person",
                "evidence": self.dead.get(one.key.id),
            }
            for one in self._condemned
        ]

    def _record_death(self, key_id: str, declared: str, death: ProbeHistory) -> None:
        if self.source is None:
            return
        name = pool_record_name(self.source.name, key_id)
        self.dead[key_id] = self.evidence.keep(
            name, pool_record(self.source.name, key_id, declared, death)
        )
        self.source.forget(key_id)
        logger.info(
            "leaked pool key proven dead", extra={"pool": self.source.name, "key_id": key_id}
        )

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except RotationError as error:
            self.warnings.append(
                KeyWarning(WarningCode.DEATH_UNPROVEN, f"The next run tries again: {error}")
            )


def pool_record_name(pool: str, key_id: str) -> str:
    """Where the record of a leaked pool key is kept: ``pools/<pool>/<key id>.json``."""
    return f"pools/{pool}/{key_id}.json"


def pool_record(pool: str, key_id: str, declared: str, death: ProbeHistory) -> bytes:
    """The record of a leaked pool key's death as JSON; ``declared`` is when, why and by whom."""
    document = {
        "schema": POOL_SCHEMA,
        "pool": pool,
        "declared": _declared(declared),
        "keys": [{"keyId": key_id, "proof": death_facts(death)}],
    }
    return json.dumps(document, indent=2).encode()


def _declared(tag: str | None) -> dict[str, str | None]:
    """When, why and by whom: the first word of the tag, the words between, and the last one."""
    words = (tag or "").split()
    return {
        "at": words[0] if words else None,
        "reason": " ".join(words[1:-1]) or None,
        "actor": words[-1] if len(words) > 1 else None,
    }
