"""The judge: looks at the truth of both services, and never at what the code believes.

It speaks of keys: which the vendor accepts, where each is held, and who was told what. It looks on
at every write, is told of what people are told, and looks once more when everything is at rest.
``docs/explorer.md`` lists the invariants by these names.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rotation.sandbox.vendor import Role
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING, HOLD_TAG
from tests.harness.faults.boundary import Call
from tests.harness.faults.world import GRACE

if TYPE_CHECKING:
    from tests.harness.explore.world import World

_SECRET_WRITES: Final = frozenset(
    {
        *("PutSecretValue", "UpdateSecretVersionStage", "RotateSecret", "CancelRotateSecret"),
        *("DeleteSecret", "RestoreSecret", "UpdateSecret"),
    }
)


@dataclass
class Declaration:
    """A forced rotation, as the judge knows it.

    Attributes:
        began: when its command began.
        at: the time of the declaration that holds, once a person was told of it.
        answered: when that person was told; a key that came until then may have been declared too.
        contained: whether somebody was told that it is over.
    """

    began: datetime
    at: datetime | None = None
    answered: datetime | None = None
    contained: bool = False


@dataclass
class SecretHistory:
    """What the judge remembers of one secret.

    Attributes:
        current: the version that was current at the last write, and the key in it.
        held: since when each key is or was in the secret.
        displaced: since when each key is current no more.
        by_hand: the step at which a person made a key current.
        declarations: the forced rotations of this secret.
        broken: why nobody can seal, if a person has seen to that.
        broken_at: since when.
        away: whether a person has deleted the secret and not restored it yet.
        ever_current: every version that is or was current.
        members: what a person has written beside the key, and expects to find again.
    """

    current: str | None = None
    key: str | None = None
    held: dict[str, datetime] = field(default_factory=dict)
    displaced: dict[str, datetime] = field(default_factory=dict)
    by_hand: dict[str, int] = field(default_factory=dict)
    declarations: list[Declaration] = field(default_factory=list)
    broken: str | None = None
    broken_at: datetime | None = None
    away: bool = False
    ever_current: set[str] = field(default_factory=set)
    members: dict[str, Any] = field(default_factory=dict)

    def breaks(self, why: str, at: datetime) -> None:
        """A person has made it impossible to seal."""
        if self.broken is None:
            self.broken_at = at
        self.broken = why

    def suspects(self, *, perhaps: bool) -> set[str]:
        """The keys that were declared compromised.

        Args:
            perhaps: also those that may have been declared, as far as anybody was told.
        """
        found: set[str] = set()
        for one in self.declarations:
            until = one.answered if perhaps else one.at
            if until is None:
                if not perhaps:
                    continue
                found |= self.held.keys()
            else:
                found |= {key for key, since in self.held.items() if since <= until}
        return found


class Judge:
    """Sees every call and remembers what it must.

    Attributes:
        violations: each invariant that did not hold, and how.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.violations: list[str] = []
        self.secrets: dict[str, SecretHistory] = {}
        self.revoked_in_portal: set[str] = set()
        self.foreign: set[str] = set()
        self._looks: dict[int, int] = {}
        self._going_back: set[int] = set()
        self._was_revoked = False

    def clear(self) -> None:
        """A world in which nothing has happened."""
        self.load(({}, set(), set()))

    def save(self) -> Any:
        """What `load` brings back."""
        return copy.deepcopy((self.secrets, self.revoked_in_portal, self.foreign))

    def load(self, state: Any) -> None:
        """Bring back what `save` has taken."""
        self.secrets, self.revoked_in_portal, self.foreign = copy.deepcopy(state)
        self.violations = []
        self._looks.clear()
        self._going_back.clear()

    def find(self, invariant: str, what: str) -> None:
        """A violation."""
        told = f"{invariant}: {what}"
        if told not in self.violations:
            self.violations.append(told)

    # --- What is true -----------------------------------------------------------------------

    def history(self, arn: str) -> SecretHistory:
        """What is remembered of a secret."""
        return self.secrets.setdefault(arn, SecretHistory())

    def accepted(self, key: str | None) -> bool:
        """Whether the vendor accepts a key now."""
        return key is not None and self._world.keys.accepted(key) is not None

    def doomed(self, key: str) -> bool:
        """Whether a key was revoked, so that it stops working in a moment if it has not yet."""
        found = self._world.keys.get(key)
        return found is None or found.revoked_at is not None

    def alive(self) -> set[str]:
        """The signing keys that the vendor accepts, without those of other installations."""
        return {
            key.id
            for key in self._world.keys.all()
            if key.role is Role.SIGNING and key.id not in self.foreign and self.accepted(key.id)
        }

    def ours(self, arn: str) -> set[str]:
        """The keys of a secret: those that it holds or held, and those made in its name."""
        named = {
            key.id for key in self._world.keys.all() if f"|{arn}|" in (key.label or "")
        } - self.foreign
        return named | self.history(arn).held.keys()

    # --- Looking on -------------------------------------------------------------------------

    def before(self, call: Call) -> None:
        """A call is about to reach a service."""
        if call.name == "revoke key":
            self._was_revoked = self.doomed(call.subject)

    def after(self, call: Call) -> None:
        """A call has reached a service."""
        scheduler = self._world.scheduler
        steps = len(scheduler.steps) if scheduler is not None else 0
        if call.name == "DescribeSecret":
            # Which secret is not asked: a look at any of them is a look at all, to be lenient.
            self._looks[call.process] = steps
        elif call.name in _SECRET_WRITES:
            self._secrets_changed(call, steps)
        elif call.name == "revoke key" and not self._was_revoked and self.doomed(call.subject):
            self._revoked(call)

    def answered(self, call: Call, labels: Mapping[str, Sequence[str]] | None) -> None:
        """Our code got an answer."""

    @contextmanager
    def past(self) -> Iterator[None]:
        """The world as it was; no schedule of the explorer has stale answers."""
        yield

    def _secrets_changed(self, call: Call, steps: int) -> None:
        world, now = self._world, self._world.clock()
        for arn in world.arns:
            history = self.history(arn)
            versions = world.secret(arn).versions
            current: str | None = None
            for version, held in versions.items():
                key = key_in(held)
                if key is not None:
                    history.held.setdefault(key, now)
                if AWSCURRENT in held["version_stages"]:
                    current = version
            key = key_in(versions[current]) if current is not None else None
            if current == history.current:
                continue
            self._promoted(call, history, key, steps)
            replayed = current in history.ever_current and call.process not in self._going_back
            if replayed and not world.by_hand():
                self.find("no_replayed_promotion", f"{call} made {current} current once more")
            if history.key is not None and history.key != key:
                history.displaced[history.key] = now
            if key is not None:
                history.displaced.pop(key, None)
            history.current, history.key = current, key
            if current is not None:
                history.ever_current.add(current)

    def _promoted(self, call: Call, history: SecretHistory, key: str | None, steps: int) -> None:
        """Another version is current now."""
        now = self._world.clock()
        if self._world.by_hand():
            if key is None:
                history.breaks("a person stored what is no key", now)
            elif self.doomed(key):
                history.breaks(f"a person stored {key}, which was revoked", now)
            else:
                history.broken = None
                history.by_hand[key] = steps
            return
        if key is None:
            self.find("no_promoted_junk", f"{call} made current what is no key")
            return
        history.broken = None
        if key in self.revoked_in_portal:
            # It may have signed a moment before; nobody but that person can know.
            history.breaks(f"a person revoked {key}", now)
        elif self.doomed(key):
            self.find("no_promoted_dead", f"{call} made {key} current, which was revoked")
        if key in self._certain_suspects(history):
            self.find("no_promoted_suspect", f"{call} made {key} current, which is suspect")

    def _certain_suspects(self, history: SecretHistory) -> set[str]:
        """The keys of the incidents that somebody was told are over."""
        return {
            key
            for one in history.declarations
            if one.contained and one.at is not None
            for key, since in history.held.items()
            if since <= one.at
        }

    def _revoked(self, call: Call) -> None:
        """Our code has revoked a key."""
        key, now = call.subject, self._world.clock()
        if key in self.foreign:
            self.find("no_untimely_death", f"{call} revoked a key of another installation")
        for arn, history in self.secrets.items():
            if key == history.key:
                self._current_revoked(call, history, key)
            elif key in history.suspects(perhaps=True):
                continue
            elif self._in_flight(arn, key):
                self.find("no_untimely_death", f"{call} revoked a key that is AWSPENDING")
            elif key in history.displaced and now < history.displaced[key] + GRACE:
                since = f"displaced at {history.displaced[key]:%H:%M:%S}"
                self.find("no_untimely_death", f"{call} revoked a key in its grace, {since}")

    def _current_revoked(self, call: Call, history: SecretHistory, key: str) -> None:
        """A person may have made a key current after the last look at the secret.

        Secrets Manager and the vendor know no common transaction, so no code can exclude that.
        """
        looked = self._looks.get(call.process, -1)
        if history.by_hand.get(key, -1) > looked:
            why = f"a person made {key} current while it was being revoked"
            history.breaks(why, self._world.clock())
            return
        self.find("no_untimely_death", f"{call} revoked the current key")

    def _in_flight(self, arn: str, key: str) -> bool:
        held = self._world.secret(arn).labelled(AWSPENDING)
        return held is not None and key_in(held) == key and not held.get("abandoned")

    def invoked(self, process: int, action: object) -> None:
        """The reconcile function was invoked by this process."""
        if action == "rollback":
            self._going_back.add(process)

    # --- What people are told ---------------------------------------------------------------

    def force_begins(self, arn: str) -> Declaration:
        """A person begins to declare the keys of a secret compromised."""
        one = Declaration(self._world.clock())
        self.history(arn).declarations.append(one)
        return one

    def force_declared(self, one: Declaration, at: datetime) -> None:
        """The function has answered that every key of this time is declared.

        That holds whatever becomes of the command that asked.
        """
        one.at, one.answered = at, self._world.clock()

    def force_ended(self, arn: str, one: Declaration, *, contained: bool) -> None:
        """The command has ended, and has said whether every suspect key is proven dead."""
        one.contained = contained
        if not contained:
            return
        history = self.history(arn)
        for key in sorted(self._certain_suspects(history) & self.alive()):
            self.find("contained_means_dead", f"a person was told that it is over, and {key} signs")
        if history.key in self._certain_suspects(history):
            self.find("contained_means_dead", f"{history.key} is current, and was declared")

    def answered_by_function(self, answer: Mapping[str, Any]) -> None:
        """The reconcile function has answered: what it says is proven dead is dead."""
        for secret in answer.get("secrets", ()):
            if not isinstance(secret, Mapping):
                continue
            for key in (secret.get("done") or {}).get("provenDead", ()):
                if self.accepted(key) and not self.doomed(key):
                    self.find("proven_means_dead", f"{key} was reported dead, and signs")

    def seal_failed(self, arn: str, why: str) -> None:
        """A document could not be sealed."""
        history = self.history(arn)
        if history.broken is None and not history.away:
            self.find("no_seal_fails", why)

    def revoked_by_person(self, key: str) -> None:
        """A person has revoked a key in the portal."""
        self.revoked_in_portal.add(key)
        for history in self.secrets.values():
            if history.key == key:
                history.breaks(f"a person revoked {key}", self._world.clock())

    def members_written(self, arn: str, members: Mapping[str, Any]) -> None:
        """A person has stored a value with these members, and with no others."""
        self.history(arn).members = dict(members)

    # --- At rest ----------------------------------------------------------------------------

    def at_rest(self) -> None:
        """What must hold when retries, the grace and the reconciliations have passed."""
        for arn in self._world.arns:
            self._at_rest(arn)
        for key in sorted(self.foreign):
            if not self.accepted(key):
                self.find("no_untimely_death", f"{key} of another installation is dead")

    def _reported(self, arn: str) -> set[str]:
        """The keys that the last report tells of, by their id or by an unreadable version."""
        text = " ".join(json.dumps(one, default=str) for one in self._world.reports[-2:])
        unreadable = {
            key
            for version, held in self._world.secret(arn).versions.items()
            if (arn, version) in self._world.backend.unreadable and version in text
            if (key := key_in(held)) is not None
        }
        return unreadable | {key for key in self.ours(arn) if key in text}

    def _at_rest(self, arn: str) -> None:
        history, secret = self.history(arn), self._world.secret(arn)
        if secret.deleted_date is not None:
            return
        if history.broken is None and not self.accepted(history.key):
            self.find("current_signs", f"the current key {history.key} is refused")
        pending = secret.labelled(AWSPENDING)
        left = None if pending is None else str(pending["version_id"])
        # On the current version it does no harm (API_RotateSecret).
        if left != history.current and left in history.ever_current:
            self.find("no_leftover_pending", f"AWSPENDING is left on {left}, which was current")
        self._incidents_over(history, secret)
        self._old_keys_dead(arn, history, secret)
        if history.broken is None and history.current is not None:
            self._members_kept(secret.versions[history.current], history)

    def _incidents_over(self, history: SecretHistory, secret: Any) -> None:
        """A forced rotation gives a good key, whatever was current when it was declared."""
        if history.broken is None or self._world.pool or not secret.rotation_enabled:
            return
        for one in history.declarations:
            before = history.broken_at is not None and history.broken_at <= one.began
            if one.at is not None and before:
                self.find("forced_secret_signs", f"{history.broken}, and was forced since")

    def _old_keys_dead(self, arn: str, history: SecretHistory, secret: Any) -> None:
        """Which keys may live: those that a version holds, that fly, or that are reported."""
        labelled = [one for one in secret.versions.values() if one["version_stages"]]
        held = {key_in(one) for one in labelled}
        flying = {key_in(one) for one in labelled if AWSPENDING in one["version_stages"]}
        alive, reported = self.alive() & self.ours(arn), self._reported(arn)
        suspects = history.suspects(perhaps=False)
        # Nothing is retired against a current key that does not sign, or while rotation is off.
        stuck = not secret.rotation_enabled or history.broken is not None
        for key in sorted(alive - held - reported):
            self.find("nothing_lives_unheld", f"{key} signs and no labelled version holds it")
        for key in sorted(alive & suspects):
            if key not in reported or not (stuck or self._world.pool):
                self.find("suspects_die", f"{key} was declared compromised, and signs")
        tags = {tag["Key"] for tag in secret.tags or ()}
        if HOLD_TAG not in tags and not stuck:
            for key in sorted(alive - {history.key} - flying - suspects - reported):
                self.find("displaced_keys_die", f"{key} signs long after its grace")

    def _members_kept(self, version: Mapping[str, Any], history: SecretHistory) -> None:
        members = members_of(version)
        for name, expected in history.members.items():
            if members.get(name) != expected:
                self.find("nobody_undone", f"{name} is {members.get(name)!r}, not {expected!r}")


_PARSED: dict[str, dict[str, Any]] = {}


def members_of(version: Mapping[str, Any]) -> dict[str, Any]:
    """The members of the value that a version holds; none if it is no JSON object."""
    text = version.get("secret_string")
    if text is None:
        return {}
    if text not in _PARSED:
        if len(_PARSED) > 10_000:
            _PARSED.clear()
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        _PARSED[text] = found if isinstance(found, dict) else {}
    return _PARSED[text]


def key_in(version: Mapping[str, Any]) -> str | None:
    """The id of the key that a version of a secret holds."""
    key = members_of(version).get("apiKeyId")
    return None if key is None else str(key)
