"""The judge: looks on at every call that reaches a service, and knows the invariants.

It reads the services' own state, not what our code was answered, except where the question is what
our code could know: a label that moved after a process last looked is no fault of that process.

The invariants are those of ``docs/fault-harness.md``: (1) AWSCURRENT only moves to a key that was
proven in that act; (2) outside of incidents no key dies while current, in flight or in its grace;
(3) in the end every key is named by a live version, and every suspect key is dead; (4) no key
material is in a log line. And what applications see: the current key always signs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rotation.sandbox.vendor import KeyStore, PortalKey, Role
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING, INCIDENT_TAG, KEEP_PREFIX
from tests.harness.faults.boundary import Boundary, Call

Labels = Mapping[str, frozenset[str]]
_STRAY_AGE = timedelta(minutes=30)


@dataclass(frozen=True)
class State:
    """What both services hold at one moment."""

    versions: Mapping[str, Any]
    tags: Any
    keys: Mapping[str, PortalKey]
    journal: Mapping[str, Any]
    pool: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> Labels:
        """The labels of each version."""
        return {one: frozenset(has["version_stages"]) for one, has in self.versions.items()}

    def bearer(self, label: str) -> str | None:
        """The version that bears ``label``."""
        return next((one for one, has in self.labels.items() if label in has), None)

    def key_of(self, version: str | None) -> str | None:
        """The id of the key that a version holds."""
        text = self.versions.get(version or "", {}).get("secret_string")
        return None if text is None else str(json.loads(text)["apiKeyId"])

    @property
    def named(self) -> set[str]:
        """The keys that labelled versions name; a label that only keeps a version names none."""
        found = {
            self.key_of(version)
            for version, has in self.labels.items()
            if any(not label.startswith(KEEP_PREFIX) for label in has)
        }
        return {key for key in found if key is not None}

    def issued(self, key: PortalKey) -> tuple[str, datetime]:
        """The token that a key was issued or leased for, and when; none: an empty text."""
        lease = self.pool.get(key.id, {}).get("lease")
        if lease is not None:
            return lease["token"], datetime.fromisoformat(lease["at"])
        return (key.label or "||").split("|")[-1], key.created_at

    def holders(self, key: str) -> list[str]:
        """The versions that hold a key."""
        return [version for version in self.versions if self.key_of(version) == key]

    @property
    def suspects(self) -> set[str]:
        """The keys that the journal names as suspect."""
        return {key for one in self.journal.get("incidents", ()) for key in one["suspects"]}

    def suspects_of(self, declaration: str) -> set[str]:
        """The suspect keys of the incident that a declaration opened or joined."""
        return {
            key
            for one in self.journal.get("incidents", ())
            if any(said["id"] == declaration for said in one["declarations"])
            for key in one["suspects"]
        }

    @property
    def recorded_dead(self) -> set[str]:
        """The keys that the journal has as dead."""
        keys = self.journal.get("keys", {})
        return {key for key, life in keys.items() if life["death"] is not None}

    @property
    def suspects_of_closed(self) -> set[str]:
        """The suspect keys of the incidents that the journal has as closed."""
        incidents = self.journal.get("incidents", ())
        return {key for one in incidents if one["closing"] is not None for key in one["suspects"]}

    @property
    def incident_open(self) -> bool:
        """Whether the journal has an open incident."""
        return any(one["closing"] is None for one in self.journal.get("incidents", ()))


@dataclass
class Judge:
    """Sees every call and remembers what it must.

    Args:
        boundary: whose calls these are.
        secret: the live secret of the emulated Secrets Manager.
        keys: the emulated vendor's keys.
        clock: the world's clock.
        journal: reads the journal that is stored, as JSON members; empty where there is none.
        grace: how long a displaced key must go on working.
        foreign: keys that are not ours.
        pool: reads the entries of the key pool, by key id; empty where there is none.
        peers: the judges of the other secrets that share the vendor's account.
    """

    boundary: Boundary
    arn: str
    secret: Any
    keys: KeyStore
    clock: Any
    journal: Callable[[], Mapping[str, Any]]
    grace: timedelta
    foreign: frozenset[str] = frozenset()
    pool: Callable[[], Mapping[str, Any]] = dict
    peers: list[Judge] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    suspects: set[str] = field(default_factory=set)
    displaced_at: dict[str, datetime] = field(default_factory=dict)
    _before: State | None = None
    _moved_by_hand: dict[str, int] = field(default_factory=dict)
    _excused: set[str] = field(default_factory=set)
    _past_aws: State | None = None
    _past_vendor: State | None = None
    _looks: dict[int, Labels] = field(default_factory=dict)
    _suspects_read: dict[int, set[str]] = field(default_factory=dict)
    _controlled: set[int] = field(default_factory=set)
    _issuers: dict[str, int] = field(default_factory=dict)

    def state(self) -> State:
        """A copy of what is."""
        return State(
            copy.deepcopy(self.secret.versions),
            copy.deepcopy(self.secret.tags),
            dict(self.keys._keys),
            self.journal(),
            self.pool(),
        )

    def before(self, call: Call) -> None:
        """A call is about to reach a service."""
        if call.name in _WRITES:
            self._before = self.state()

    def after(self, call: Call) -> None:
        """A call has reached a service."""
        if call.name == "GET object":
            self._suspects_read[call.process] = self.state().suspects
        if call.name not in _WRITES or self._before is None:
            return
        was, now = self._before, self.state()
        if (was.versions, was.tags) != (now.versions, now.tags):
            self._past_aws = was
        if was.keys != now.keys:
            self._past_vendor = was
        self.suspects |= now.suspects
        self._promotion(call, was, now)
        self._recorded_deaths(call, was, now)
        self._revocations(call, was, now)
        current = now.key_of(now.bearer(AWSCURRENT))
        dead = current is not None and self.keys.accepted(current) is None
        if dead and current not in self._excused:
            self.find("outage", f"the current key {current} is not accepted after {call}")

    def _revocations(self, call: Call, was: State, now: State) -> None:
        """What was revoked, and what a person was asked to revoke: it may die at any moment."""
        for key in now.keys.keys() - was.keys.keys():
            self._issuers[key] = call.process
        revoked = [
            one
            for key, one in now.keys.items()
            if one.revoked_at is not None and key in was.keys and was.keys[key].revoked_at is None
        ]
        asked = call.subject.split() if call.name == "Publish" else ()
        for one in (*revoked, *(now.keys[key] for key in asked)):
            self._revocation(call, one, was)
            if call.actor == "reconcile":
                self._announced(call, one, was)

    def _announced(self, call: Call, key: PortalKey, was: State) -> None:
        """A run revokes what the journal says it is about to, beside a current key that signs."""
        named = [one.journal.get("keys", {}).get(key.id) for one in self._states(was)]
        if not any(life is not None and life["askedAt"] is not None for life in named):
            self.find("8 unannounced", f"no journal says that {key.id} is to be revoked: {call}")
        if key.id in self.suspects.union(*(peer.suspects for peer in self.peers)):
            return
        if not any(call.process in one._controlled for one in (self, *self.peers)):
            self.find("8 uncontrolled", f"{key.id} was revoked before a current key signed: {call}")

    def _states(self, own: State) -> list[State]:
        return [own, *(peer.state() for peer in self.peers)]

    def answered(self, call: Call, labels: Mapping[str, Sequence[str]] | None) -> None:
        """Our code got an answer."""
        if call.name == "sign" and call.outcome == "ok":
            # Current when this process last looked: what moved since is the window that is allowed.
            looked = self._looks.get(call.process, {})
            current = next((one for one, has in looked.items() if AWSCURRENT in has), None)
            if call.subject == self.state().key_of(current):
                self._controlled.add(call.process)
        if labels is not None and call.secret == self.arn:
            self._looks[call.process] = {one: frozenset(has) for one, has in labels.items()}

    def moved_by_hand(self, was: State) -> None:
        """A person has moved AWSCURRENT."""
        old, new = was.bearer(AWSCURRENT), self.state().bearer(AWSCURRENT)
        if old is not None and new is not None:
            self.displaced_at[old] = self.clock()
            self._moved_by_hand[new] = len(self.boundary.calls)

    @contextmanager
    def past(self) -> Iterator[None]:
        """The world as it was before the last write to each service."""
        now = self.state()
        live_versions, live_tags, live_keys = (
            self.secret.versions,
            self.secret.tags,
            self.keys._keys,
        )
        aws, vendor = self._past_aws or now, self._past_vendor or now
        self.secret.versions, self.secret.tags = copy.deepcopy(aws.versions), aws.tags
        self.keys._keys = dict(vendor.keys)
        try:
            yield
        finally:
            self.secret.versions, self.secret.tags = live_versions, live_tags
            self.keys._keys = live_keys

    def find(self, invariant: str, what: str) -> None:
        """A violation."""
        self.violations.append(f"{invariant}: {what}")

    def _promotion(self, call: Call, was: State, now: State) -> None:
        old, new = was.bearer(AWSCURRENT), now.bearer(AWSCURRENT)
        if new is None or new == old:
            return
        if old is not None:
            self.displaced_at[old] = self.clock()
        key = now.key_of(new)
        proven = any(
            one.process == call.process
            and (one.name, one.subject, one.outcome) == ("sign", key, "ok")
            for one in self.boundary.calls
        )
        if not proven:
            self.find("1 unproven", f"version {new} became current in {call}; nobody proved {key}")
        seen = self._looks.get(call.process, {})
        looked = seen.get(new, frozenset())
        if old is not None and AWSPENDING not in looked:
            self.find("1 retired", f"version {new} was {sorted(looked)} and became current: {call}")
        if call.process not in self._suspects_read:
            self.find("1 unread", f"version {new} became current; nobody read the journal: {call}")
        elif key in self._suspects_read[call.process]:
            self.find("1 suspect", f"the suspect key {key} became current: {call}")
        if old is not None and AWSCURRENT not in seen.get(old, frozenset()):
            self.find("1 swapped", f"version {old} was displaced, which was not looked at: {call}")

    def _recorded_deaths(self, call: Call, was: State, now: State) -> None:
        for key in sorted(now.suspects_of_closed - was.suspects_of_closed - now.recorded_dead):
            self.find("5 closed", f"its incident is closed, and {key} is not proven dead: {call}")
        for key in sorted(now.recorded_dead - was.recorded_dead):
            if self.keys.accepted(key) is not None:
                self.find("5 recorded dead", f"the journal has {key} as dead, and it signs: {call}")

    def _revocation(self, call: Call, key: PortalKey, was: State) -> None:
        holders = was.holders(key.id)
        token, issued_at = was.issued(key)
        if key.id in self.foreign:
            self.find("2 foreign", f"{call} revoked a key that is not ours")
        labels = [was.labels.get(version, frozenset()) for version in holders]
        if any(AWSCURRENT in has for has in labels):
            if self._could_not_know(call, holders):
                self._excused.add(key.id)
                return
            self.find("2 current", f"{call} revoked the current key")
        if key.id in self.suspects:
            return
        if any(AWSPENDING in has for has in labels):
            self.find("2 in flight", f"{call} revoked a key that is stored as AWSPENDING")
        staged = AWSPENDING in was.labels.get(token, frozenset())
        own = self._issuers.get(key.id) == call.process
        young = self.clock() - issued_at <= _STRAY_AGE
        if staged and was.key_of(token) is None and not own and young:
            self.find("2 in flight", f"{call} revoked a key that may be about to be stored")
        for version in holders:
            since = self.displaced_at.get(version)
            if since is not None and self.clock() < since + self.grace:
                self.find("2 grace", f"{call} revoked the key of {version}, displaced at {since}")

    def _could_not_know(self, call: Call, versions: list[str]) -> bool:
        """Whether a person made the version current after this process had its last look.

        A look counts if it came after the last label that the process wrote: from there to the
        revocation there is no way to be sure, and docs/fault-harness.md says so.
        """
        mine = [
            (place, one.name)
            for place, one in enumerate(self.boundary.calls)
            if one.process == call.process
        ]
        looks = [place for place, name in mine if name == "DescribeSecret"]
        wrote = [place for place, name in mine if name == "UpdateSecretVersionStage"]
        # A run looks once more before it revokes: one look is none.
        looked = len(looks) > 1 and looks[-1] > max(wrote, default=-1)
        moved = [self._moved_by_hand[one] for one in versions if one in self._moved_by_hand]
        return looked and bool(moved) and max(moved) > looks[-1] + 1

    def alive(self) -> set[str]:
        """The keys that the vendor accepts, foreign and administrative ones left out."""
        return {
            key.id
            for key in self.keys.all()
            if key.role is Role.SIGNING
            and key.id not in self.foreign
            and self.keys.accepted(key.id) is not None
        }

    def _held_elsewhere(self, now: State) -> set[str]:
        """The keys that labelled versions of other secrets name, and the free ones of the pool."""
        free = {key for key, entry in now.pool.items() if entry["state"] == "free"}
        return free.union(*(peer.state().named for peer in self.peers))

    def lost_by_hand(self) -> bool:
        """Whether a person made a key current while it was being revoked."""
        now = self.state()
        return now.key_of(now.bearer(AWSCURRENT)) in self._excused

    def quiet(self) -> bool:
        """Whether one key is alive, and it is the current one, and no incident is open."""
        now = self.state()
        tags = {tag["Key"] for tag in now.tags or ()}
        return (
            self.alive() - self._held_elsewhere(now) == {now.key_of(now.bearer(AWSCURRENT))}
            and not now.incident_open
            and now.bearer(AWSPENDING) in {None, now.bearer(AWSCURRENT)}
            and INCIDENT_TAG not in tags
        )

    def at_rest(self) -> None:
        """What must hold when retries, grace and reconciliation have passed."""
        now = self.state()
        if now.incident_open:
            self.find("3 incident", "an incident is still open")
        for key in sorted(self.alive() - now.named - self._held_elsewhere(now)):
            self.find("3 orphan", f"key {key} is alive and no labelled version names it")
        for key in sorted(self.suspects & self.alive()):
            self.find("3 suspect", f"key {key} was declared compromised and is alive")
        pending = now.bearer(AWSPENDING)
        # Harmless where AWSCURRENT is (API_RotateSecret), if taking it off is what failed.
        harmless = pending == now.bearer(AWSCURRENT) and any(
            call.name == "UpdateSecretVersionStage"
            and call.subject.startswith(AWSPENDING)
            and call.outcome != "ok"
            for call in self.boundary.calls
        )
        if pending is not None and not harmless:
            self.find(
                "3 pending", f"AWSPENDING is left on {pending}: {sorted(now.labels[pending])}"
            )
        for key in sorted(self.foreign):
            if self.keys.accepted(key) is None:
                self.find("2 foreign", f"key {key} of another installation is dead")


_WRITES = frozenset(
    {
        *("PutSecretValue", "UpdateSecretVersionStage", "TagResource", "UntagResource"),
        *("RotateSecret", "create key", "revoke key", "CancelRotateSecret", "PUT object"),
        "Publish",
    }
)
