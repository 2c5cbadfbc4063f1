"""Defects planted in the product on purpose: a harness that does not notice them proves nothing.

Each takes a function's place for as long as its context lasts, in this process alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from rotation.aws.journal_bucket import S3JournalStore, object_name
from rotation.core import issuing, proving, steps
from rotation.core.invocation import classify
from rotation.core.listing import list_own_keys
from rotation.core.ports import KeyListing, Proof
from rotation.errors import JournalConflictError, RotationError, VersionStateError
from rotation.incident import closing
from rotation.journal.document import serialize
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Journal
from rotation.key_pool import issuer as pool_issuer
from rotation.key_pool.document import PoolDocument
from rotation.key_pool.issuer import KeyPoolIssuer
from rotation.key_pool.pool_secret import PoolSecret
from rotation.reconciliation import examination as examining
from rotation.reconciliation import execution as retirement
from rotation.reconciliation import plan as planning
from rotation.reconciliation import proof_of_death as death_watch
from rotation.reconciliation.execution import Execution
from rotation.reconciliation.reconciler import Reconciler
from rotation.secrets_manager.labels import (
    AWSCURRENT,
    AWSPENDING,
    AWSPREVIOUS,
)
from rotation.secrets_manager.versions import SecretVersions
from rotation.vendor import admin_api
from rotation.vendor.http import VendorRequest
from tests.harness.faults import service
from tests.harness.faults.boundary import FaultKind

Places = tuple[tuple[Any, str, Any], ...]


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
    places: Places
    activity: str
    invariant: str
    kinds: tuple[FaultKind, ...] = ()
    call: str = ""


@contextmanager
def planted(places: Places) -> Iterator[None]:
    """The product with a defect."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, defect in places:
        setattr(owner, name, defect)
    try:
        yield
    finally:
        for owner, name, sound in before:
            setattr(owner, name, sound)


def _nothing(*_: Any, **__: Any) -> None:
    """A check that never refuses."""


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


class _NoJournals:
    """Says of every secret that it has no journal yet."""

    def read(self, secret_arn: str) -> Journal:
        return Journal(secret_arn)


def _without_the_journal(step: str) -> Any:
    """The steps, of which one does not read the journal."""

    def act(rotation: Any) -> None:
        sound_steps[step](replace(rotation, journal=_NoJournals()))

    return MappingProxyType({**sound_steps, step: act})


def _overwrites(self: Any, secret_arn: str, body: bytes, _: str | None) -> str:
    name = object_name(secret_arn)
    answer = self._client.put_object(Bucket=self._bucket, Key=name, Body=body)
    return str(answer["ETag"])


def _swallows_conflicts(self: Any, journal: Any, change: Any) -> Any:
    changed = change(journal)
    if changed == journal:
        return journal
    try:
        revision = self.store.write(journal.secret_arn, serialize(changed), journal.revision)
    except JournalConflictError:
        return changed
    return replace(changed, revision=revision)


def _notes_no_revocation(self: Any, journal: Any) -> Any:
    sound_note_revocations(self, journal)
    return journal


def _believes_the_current_key(self: Any) -> Any:
    current = self._situation.current
    return self._examination.keys.get(current.id) if current else None


def _discards_after_the_put(rotation: Any, document: Any) -> None:
    try:
        issuing.store(rotation, document)
    except RotationError:
        issuing.discard(rotation, document.key.id, "the step failed")
        raise


def _says_the_key(rotation: Any) -> Any:
    document = proving.pending_document(rotation)
    raise VersionStateError(f"Not with {document.key.material.reveal()}.")


def _raises_what_it_likes(rotation: Any) -> Any:
    raise LookupError("not in our tree")


def _lists_every_installation(issuer: Any, installations: Any, arn: str) -> Any:
    return list_own_keys(issuer, (*installations, "elsewhere"), arn)


def _keys_of_anybody(situation: Any, _: Any) -> Any:
    return (key for key in situation.listing.keys if key.active)


def _suspects_in_use_too(situation: Any) -> Any:
    for key_id in sorted(situation.suspects):
        versions = planning._version_ids(situation, key_id)
        due = situation.now
        yield planning.Retirement(key_id, versions, planning.Reason.COMPROMISED, due)


def _whole_installation(self: Any, installation: str, _: str) -> Any:
    query = {"label": f"{installation}|"}
    request = VendorRequest("list keys", "GET", self._path, repeatable=True, query=query)
    response = self._http.call(request, self._admin_key())
    found: Any = admin_api._page(response)
    return KeyListing(tuple(found[0]), response.date)


def _recorded_anew(secret_arn: str, incident: Any) -> str:
    return f"{closing.record_folder(secret_arn)}{incident.id}-{uuid.uuid4()}.json"


def _forgets_what_it_asks_about(self: Any, key_id: str) -> Any:
    outcome = sound_pool_revoke(self, key_id)
    self.forget(key_id)
    return outcome


def _also_what_was_leased(self: Any) -> tuple[Any, ...]:
    return self.keys  # type: ignore[no-any-return]


def _whatever_is_current(self: Any, version: Any, token: str) -> Any:
    return sound_pool_promote(self, self._read().version, token)


def _nobody_is_asked(*_: Any) -> None:
    """A key that lives on is nobody's business."""


def _nothing_is_forgotten(*_: Any) -> None:
    """A dead key stays in the pool."""


sound_steps = steps.STEPS
sound_note_revocations = Execution._note_revocations
sound_pool_revoke = KeyPoolIssuer.revoke
sound_pool_promote = PoolSecret._promote
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
            (steps, "refuse_leftover", _nothing),
            (steps, "refuse_undoing", _nothing),
        ),
        *("replay", "1 retired"),
    ),
    Mutant(
        "accepts a token that is not staged",
        (
            (steps, "classify", _classified(lambda seen, token: not seen.has(token, AWSPENDING))),
            (steps, "refuse_leftover", _nothing),
            (steps, "refuse_undoing", _nothing),
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
        *("rotation", "1 retired", (FaultKind.OVERTAKEN,), "UpdateSecretVersionStage"),
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
        *("force-left", "3 suspect", (FaultKind.KILLED_BEFORE,), "RotateSecret"),
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
        *("reconcile", "2 current", (FaultKind.ROLLED_BACK,), "PUT object"),
    ),
    Mutant(
        "leaves strays alone",
        ((planning, "_strays", _no_strays),),
        *("reconcile", "3 orphan"),
    ),
    Mutant(
        "closes an incident before its keys are dead",
        ((Journal, "resolved", _closes_early),),
        *("force", "5 closed", (FaultKind.BEFORE, FaultKind.KILLED_BEFORE), "revoke key"),
    ),
    Mutant(
        "skips the journal in finishSecret",
        ((service, "STEPS", _without_the_journal("finishSecret")),),
        *("rotation", "1 unread"),
    ),
    Mutant(
        "overwrites the journal",
        ((S3JournalStore, "write", _overwrites),),
        *("reconcile", "6 evidence", (FaultKind.FORCED,), "PUT object"),
    ),
    Mutant(
        "swallows a conflict over the journal",
        ((JournalKeeper, "change", _swallows_conflicts),),
        *("force", "6 evidence", (FaultKind.FORCED_AGAIN,), "PUT object"),
    ),
    Mutant(
        "revokes before the journal says so",
        ((Execution, "_note_revocations", _notes_no_revocation),),
        *("reconcile", "8 unannounced"),
    ),
    Mutant(
        "revokes beside a current key that was not asked",
        ((Execution, "_prove_current_key", _believes_the_current_key),),
        *("reconcile", "8 uncontrolled"),
    ),
    Mutant(
        "discards a key that it has stored",
        ((steps, "store", _discards_after_the_put),),
        *("rotation", "2 in flight", (FaultKind.BEFORE,), "DescribeSecret"),
    ),
    Mutant(
        "says the key in an error",
        ((steps, "pending_document", _says_the_key),),
        *("rotation", "4 leak"),
    ),
    Mutant(
        "raises an error that is not of the tree",
        ((steps, "read_back", _raises_what_it_likes),),
        *("rotation", "5 error"),
    ),
    Mutant(
        "takes keys of another installation for strays",
        (
            (examining, "list_own_keys", _lists_every_installation),
            (planning, "_active_keys_with_our_label", _keys_of_anybody),
        ),
        *("reconcile", "2 foreign"),
    ),
    Mutant(
        "revokes a suspect key while it is current",
        ((planning, "_compromised", _suspects_in_use_too),),
        *("force-left", "2 current", (FaultKind.KILLED_BEFORE,), "RotateSecret"),
    ),
    Mutant(
        "leaves suspect keys alone",
        ((planning, "_compromised", _no_strays),),
        *("force-left", "3 suspect", (FaultKind.KILLED_BEFORE,), "RotateSecret"),
    ),
    Mutant(
        "leaves an open incident to the command",
        ((Reconciler, "_advance_incident", lambda *_: None),),
        *("force-left", "3 incident", (FaultKind.KILLED_BEFORE,), "RotateSecret"),
    ),
    Mutant(
        "keeps a record for each who closes an incident",
        ((retirement, "record_name", _recorded_anew),),
        *("force", "6 twice", (FaultKind.AFTER,), "PUT object"),
    ),
    Mutant(
        "keeps no record",
        ((Execution, "_keep_records", _nothing),),
        *("force-left", "6 evidence", (FaultKind.KILLED_BEFORE,), "RotateSecret"),
    ),
    Mutant(
        "drops a pool key that a person was asked to revoke",
        ((KeyPoolIssuer, "revoke", _forgets_what_it_asks_about),),
        *("pool-reconcile", "7 lost"),
    ),
    Mutant(
        "leases a pool key once more",
        ((PoolDocument, "leasable", property(_also_what_was_leased)),),
        *("pool-rotation", "7 leased twice"),
    ),
    Mutant(
        "changes the pool without compare-and-swap",
        ((PoolSecret, "_promote", _whatever_is_current),),
        *("two-rotations", "7 leased twice", (FaultKind.RACED,), "PutSecretValue"),
    ),
    Mutant(
        "asks nobody about a key that the pool does not know",
        ((Execution, "_report_undead", _nobody_is_asked),),
        *("pool-reconcile", "3 orphan"),
    ),
    Mutant(
        "keeps dead keys in the pool",
        ((KeyPoolIssuer, "forget", _nothing_is_forgotten),),
        *("pool-reconcile", "3 pool"),
    ),
    Mutant(
        "has a person revoke a pool key that a step gives up",
        ((pool_issuer.LeaseOnlyIssuer, "revoke", lambda self, key_id: self._pool.revoke(key_id)),),
        *("pool-rotation", "2 in flight", (FaultKind.AFTER, FaultKind.BEFORE), "DescribeSecret"),
    ),
    Mutant(
        "revokes the keys of the other secret",
        (
            (admin_api.AdminApi, "list_keys", _whole_installation),
            (planning, "_active_keys_with_our_label", _keys_of_anybody),
        ),
        *("two-reconcile", "2 grace"),
    ),
)
