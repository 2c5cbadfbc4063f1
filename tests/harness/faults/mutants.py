"""Defects planted in the product on purpose: a harness that does not notice them proves nothing.

Each takes a function's place for as long as its context lasts, in this process alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from rotation.core import issuing, proving, steps
from rotation.core.invocation import classify
from rotation.core.listing import list_own_keys
from rotation.core.ports import Proof
from rotation.incident import closing
from rotation.journal.model import Journal
from rotation.reconciliation import execution as retirement
from rotation.reconciliation import plan as planning
from rotation.reconciliation import proof_of_death as death_watch
from rotation.secrets_manager.labels import (
    AWSCURRENT,
    AWSPENDING,
    AWSPREVIOUS,
)
from rotation.secrets_manager.versions import SecretVersions
from tests.harness.faults.boundary import FaultKind


@dataclass(frozen=True)
class Mutant:
    """One defect.

    Attributes:
        name: what is wrong.
        places: where it takes a function's place: owner, name, and what goes there.
        activity: where the harness looks for it first.
        invariant: how a violation that it causes begins.
        kinds: the faults it takes; none: a clean run shows it.
        call: the name of the calls that have to fail so.
    """

    name: str
    places: tuple[tuple[Any, str, Any], ...]
    activity: str
    invariant: str
    kinds: tuple[FaultKind, ...] = ()
    call: str = ""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The product with the defect."""
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in self.places]
        for owner, name, defect in self.places:
            setattr(owner, name, defect)
        try:
            yield
        finally:
            for owner, name, sound in before:
                setattr(owner, name, sound)


def _unproven(rotation: Any, *_: Any, **__: Any) -> Proof:
    return Proof(rotation.clock(), None, "CN=Nobody", True)


def _classified(accepted: Callable[[Any, str], bool]) -> Callable[[Any], Any]:
    """A classification that lets a token pass which is not staged."""

    def classified(rotation: Any) -> Any:
        snapshot = rotation.secret.snapshot()
        if snapshot.has(rotation.token, AWSCURRENT) or not accepted(snapshot, rotation.token):
            return classify(rotation)
        return snapshot

    return classified


def _no_grace(situation: Any) -> Any:
    for one in sound_over_grace(situation):
        yield replace(one, due=situation.now)


def _first_sight_is_enough(*_: Any) -> bool:
    return True


def _revokes_before_the_put(rotation: Any, document: Any) -> None:
    issuing.revoke_strays_of_token(rotation, document.key.id)
    issuing.store(rotation, document)


def _trusting() -> tuple[Callable[..., None], Callable[..., Any]]:
    """A createSecret that believes that what it put is what is stored."""
    last: list[Any] = []

    def store(rotation: Any, document: Any) -> None:
        issuing.store(rotation, document)
        last.append(document)

    def read_back(rotation: Any) -> Any:
        return last.pop() if last else issuing.read_back(rotation)

    return store, read_back


def _revokes_strays_of_all(rotation: Any, kept: str) -> None:
    listing = list_own_keys(rotation.issuer, rotation.policy.installations, rotation.secret.arn)
    for stray in listing.keys:
        if stray.active and stray.id != kept:
            issuing.discard(rotation, stray.id, "stray")


def _retires_at_once(rotation: Any) -> None:
    sound_leftover(rotation)
    previous = rotation.secret.snapshot().version_with(AWSPREVIOUS)
    rotation.issuer.revoke(rotation.secret.read(previous).key.id)


def _promotes_whatever_is_current(self: Any, token: str, current: str | None) -> None:
    sound_promote(self, token, self.snapshot().version_with(AWSCURRENT))


def _puts_without_stages(self: Any, token: str, document: Any) -> None:
    self._call(
        "PutSecretValue",
        lambda: self._client.put_secret_value(
            SecretId=self.arn,
            ClientRequestToken=token,
            SecretString=document.serialize().reveal(),
        ),
    )


def _abandons_never(rotation: Any, error: Exception) -> None:
    raise error


def _one_rejection(self: Any, death: Any) -> Any:
    rejected = any(probe.outcome is death_watch.ProbeOutcome.REJECTED for probe in death.probes)
    return death_watch.DeathVerdict.DEAD if rejected else sound_verdict(self, death)


def _knows_no_suspect(*_: Any) -> bool:
    return False


def _closes_early(journal: Any, incident: Any) -> bool:
    return True


def _no_strays(*_: Any) -> tuple[()]:
    return ()


sound_leftover = steps._remove_leftover
sound_promote = SecretVersions.promote
sound_over_grace = planning._over_grace
sound_verdict = death_watch.DeathProver._verdict
_store, _read_back = _trusting()

MUTANTS = (
    Mutant(
        "promotes before proving",
        ((steps, "prove_pending", _unproven),),
        *("rotation", "1 unproven"),
    ),
    Mutant(
        "accepts AWSPREVIOUS as staged",
        (
            (steps, "classify", _classified(lambda seen, token: seen.has(token, AWSPREVIOUS))),
            (steps, "refuse_leftover", lambda *_, **__: None),
            (steps, "refuse_undoing", lambda *_: None),
        ),
        *("replay", "1 retired"),
    ),
    Mutant(
        "accepts a token that is not staged",
        (
            (steps, "classify", _classified(lambda seen, token: not seen.has(token, AWSPENDING))),
            (steps, "refuse_leftover", lambda *_, **__: None),
            (steps, "refuse_undoing", lambda *_: None),
        ),
        *("replay", "1 retired"),
    ),
    Mutant(
        "revokes inside of the grace",
        ((planning, "_over_grace", _no_grace),),
        *("rotation", "2 grace"),
    ),
    Mutant(
        "revokes in the run that first sees a key displaced",
        (
            (planning, "_over_grace", _no_grace),
            (planning, "_may_go_ahead", _first_sight_is_enough),
        ),
        *("rotation", "2 grace"),
    ),
    Mutant(
        "revokes before the put",
        ((steps, "store", _revokes_before_the_put),),
        *("rotation", "2 in flight", (FaultKind.RACED,), "DescribeSecret"),
    ),
    Mutant(
        "skips the read-back",
        ((steps, "store", _store), (steps, "read_back", _read_back)),
        *("rotation", "2 in flight", (FaultKind.RACED,), "PutSecretValue"),
    ),
    Mutant(
        "revokes the strays of other tokens",
        ((steps, "revoke_strays_of_token", _revokes_strays_of_all),),
        *("rotation", "2 current"),
    ),
    Mutant(
        "revokes the displaced key when it promotes",
        ((steps, "_remove_leftover", _retires_at_once),),
        *("rotation", "2 grace"),
    ),
    Mutant(
        "promotes without compare-and-swap",
        ((SecretVersions, "promote", _promotes_whatever_is_current),),
        *("rotation", "1 retired", (FaultKind.OVERTAKEN,), "DescribeSecret"),
    ),
    Mutant(
        "promotes a suspect key",
        (
            (steps, "refuse_suspect", lambda *_: None),
            (issuing, "refuse_suspect", lambda *_: None),
        ),
        *("force-pending", "1 suspect", (FaultKind.KILLED_BEFORE,), "UpdateSecretVersionStage"),
    ),
    Mutant(
        "takes no key for suspect",
        ((Journal, "suspect", _knows_no_suspect),),
        *("force", "3 suspect"),
    ),
    Mutant(
        "puts without staging labels, which moves AWSCURRENT",
        ((SecretVersions, "put_pending", _puts_without_stages),),
        *("rotation", "1 unproven"),
    ),
    Mutant(
        "returns early after the promotion",
        ((steps, "_remove_leftover", lambda _: None),),
        *("rotation", "3 pending"),
    ),
    Mutant(
        "never abandons",
        ((steps, "abandon", _abandons_never), (proving, "abandon", _abandons_never)),
        *("dead-pending", "3 pending"),
    ),
    Mutant(
        "always abandons",
        (
            (proving, "_past_propagation", lambda *_: True),
            (proving, "HOPELESS_REJECTIONS", 1),
        ),
        *("rotation", "3 stuck"),
    ),
    Mutant(
        "takes one 401 for a proof of death",
        ((death_watch.DeathProver, "_verdict", _one_rejection),),
        *("reconcile", "5 recorded dead", (FaultKind.REJECTED,), "sign"),
    ),
    Mutant(
        "revokes without a second look",
        ((retirement, "look_again", lambda _, examination, __: examination),),
        *("reconcile", "2 current", (FaultKind.ROLLED_BACK,), "sign"),
    ),
    Mutant(
        "leaves strays alone",
        ((planning, "_strays", _no_strays),),
        *("reconcile", "3 orphan"),
    ),
    Mutant(
        "closes an incident before its keys are dead",
        ((closing, "_over", _closes_early),),
        *("force", "5 closed", (FaultKind.BEFORE, FaultKind.KILLED_BEFORE), "revoke key"),
    ),
)
