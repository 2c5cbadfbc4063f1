"""The boundary between our code and the world: every outbound call is numbered here, and may fail.

One number is one request of our code's: a client's own retries of it are attempts of the same
number and share its fate. A process is one invocation of a function, or one run of a command; when
it is killed, nothing of it gets through the boundary any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class FaultKind(Enum):
    """How a call goes wrong, or what happens just before it."""

    BEFORE = "before"
    AFTER = "after"
    REPEATED = "repeated"
    THROTTLED = "throttled"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    STALE = "stale"
    KILLED_BEFORE = "killed_before"
    KILLED_AFTER = "killed_after"
    RACED = "raced"
    FORCED = "forced"
    FORCED_AGAIN = "forced_again"
    OVERTAKEN = "overtaken"
    ROLLED_BACK = "rolled_back"


#: What can happen to any call.
COMMON = (
    *(
        FaultKind.BEFORE,
        FaultKind.AFTER,
        FaultKind.REPEATED,
        FaultKind.THROTTLED,
        FaultKind.TIMED_OUT,
    ),
    *(FaultKind.KILLED_BEFORE, FaultKind.KILLED_AFTER),
)
_EFFECTIVE = frozenset({FaultKind.AFTER, FaultKind.REPEATED, FaultKind.KILLED_AFTER})
STALE_READS = frozenset({"DescribeSecret", "GetSecretValue", "ListSecretVersionIds", "list keys"})


class Killed(BaseException):
    """The process ended here; no code of ours may catch it."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong: the number of the call, and how."""

    call: int
    kind: FaultKind

    def __str__(self) -> str:
        return f"call {self.call} {self.kind.value}"


@dataclass
class Call:
    """One outbound call.

    Attributes:
        number: its place in the activity, from 0; -1 outside of the numbered part.
        name: the operation, such as ``PutSecretValue`` or ``sign``.
        subject: what it is about: a key's id, a version's id, a label.
        secret: the secret that it names, as it names it; empty for other services.
        process: the process that made it; each has a number of its own.
        kind: how it was made to fail, or None.
        outcome: what our code was answered.
        effective: whether the service saw it.
    """

    number: int
    name: str
    subject: str
    process: int
    actor: str
    kind: FaultKind | None
    secret: str = ""
    outcome: str = ""
    effective: bool = False

    def __str__(self) -> str:
        fault = f" [{self.kind.value}]" if self.kind else ""
        number = f"{self.number:3}" if self.number >= 0 else "  ·"
        asked = f"{self.actor}#{self.process} {self.name} {self.subject}"
        return f"{number} {asked}{fault} -> {self.outcome}"

    @property
    def kinds(self) -> tuple[FaultKind, ...]:
        """How this call can fail."""
        stale = (FaultKind.STALE,) if self.name in STALE_READS else ()
        rejected = (FaultKind.REJECTED,) if self.name == "sign" else ()
        return (*COMMON, *stale, *rejected)


class Wire(Protocol[T]):
    """How one kind of client learns of a failure: each raises it, or answers with it."""

    def lost(self, *, effect: bool) -> T: ...
    def throttled(self) -> T: ...
    def timed_out(self) -> T: ...
    def rejected(self) -> T: ...
    def outcome(self, answer: T) -> str: ...
    def labels(self, answer: T) -> Mapping[str, Sequence[str]] | None: ...


class CallObserver(Protocol):
    """Who looks on: told of each call just before it reaches a service, and after it did."""

    def before(self, call: Call) -> None: ...
    def after(self, call: Call) -> None: ...
    def answered(self, call: Call, labels: Mapping[str, Sequence[str]] | None) -> None: ...
    def past(self) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class CallObservers:
    """Several who look on, as one."""

    members: Sequence[CallObserver]

    def before(self, call: Call) -> None:
        for one in self.members:
            one.before(call)

    def after(self, call: Call) -> None:
        for one in self.members:
            one.after(call)

    def answered(self, call: Call, labels: Mapping[str, Sequence[str]] | None) -> None:
        for one in self.members:
            one.answered(call, labels)

    @contextmanager
    def past(self) -> Iterator[None]:
        with ExitStack() as stack:
            for one in self.members:
                stack.enter_context(one.past())
            yield


@dataclass
class _Process:
    number: int
    actor: str
    dead: bool = False


@dataclass
class Boundary:
    """Where every call passes.

    Attributes:
        calls: every call so far.
        faults: what is to go wrong, by number.
        observer: who looks on.
        others: what somebody else does just before a call, by the kind of fault.
        tick: called before each call; time passes there.
    """

    calls: list[Call] = field(default_factory=list)
    faults: dict[int, FaultKind] = field(default_factory=dict)
    observer: CallObserver | None = None
    others: dict[FaultKind, Callable[[], None]] = field(default_factory=dict)
    tick: Callable[[], None] = lambda: None
    _next: int = -1
    _processes: int = 0
    _process: _Process = field(default_factory=lambda: _Process(0, "setup"))

    def arm(self, faults: Sequence[Fault]) -> None:
        """Number the calls from here on, and have ``faults`` happen."""
        self.calls.clear()
        self.faults = {fault.call: fault.kind for fault in faults}
        self._next = 0

    def disarm(self) -> None:
        """The calls from here on have no number and do not fail."""
        self.faults.clear()
        self._next = -1

    @property
    def process(self) -> int:
        """The number of the process that runs."""
        return self._process.number

    @contextmanager
    def running(self, actor: str) -> Iterator[None]:
        """A process of its own; others wait meanwhile, and live or die without it."""
        outer = self._process
        self._processes += 1
        self._process = _Process(self._processes, actor)
        try:
            yield
        finally:
            self._process = outer

    def open(
        self,
        name: str,
        subject: str,
        members: Mapping[str, Any] | None = None,
    ) -> InterceptedCall:
        """Begin a call; ``members`` are those of a call to Secrets Manager."""
        process = self._process
        if process.dead:
            raise Killed
        self.tick()
        number, kind = self._next, None
        if number >= 0:
            self._next += 1
            kind = self.faults.pop(number, None)
        secret = str((members or {}).get("SecretId", ""))
        call = Call(number, name, subject, process.number, process.actor, kind, secret)
        if kind not in call.kinds and kind not in self.others:
            call.kind = kind = None
        self.calls.append(call)
        if kind in self.others:
            self.others[kind]()
        return InterceptedCall(self, call)

    def kill(self) -> None:
        """The process that runs is gone."""
        self._process.dead = True
        raise Killed


class InterceptedCall:
    """One call on its way."""

    def __init__(self, boundary: Boundary, call: Call) -> None:
        self._boundary = boundary
        self.call = call
        self._attempts = 0

    def attempt(self, act: Callable[[], T], wire: Wire[T]) -> T:
        """Make the call, or fail as planned. Every attempt but that of ``REPEATED`` fails alike."""
        self._attempts += 1
        call, kind = self.call, self.call.kind
        if kind is None:
            return self._answer(self._effect(act), wire)
        call.outcome = kind.value
        if kind is FaultKind.KILLED_BEFORE:
            self._boundary.kill()
        if kind is FaultKind.REPEATED and self._attempts > 1:
            kind = None
        if kind in _EFFECTIVE:
            self._effect(act)
        if kind is FaultKind.KILLED_AFTER:
            self._boundary.kill()
        answers: Mapping[FaultKind | None, Callable[[], T]] = {
            FaultKind.BEFORE: lambda: wire.lost(effect=False),
            FaultKind.AFTER: lambda: wire.lost(effect=True),
            FaultKind.REPEATED: lambda: wire.lost(effect=True),
            FaultKind.THROTTLED: wire.throttled,
            FaultKind.TIMED_OUT: wire.timed_out,
            FaultKind.REJECTED: wire.rejected,
            FaultKind.STALE: lambda: self._answer(self._stale(act), wire),
        }
        answer = answers.get(kind, lambda: self._answer(self._effect(act), wire))
        return answer()

    def _stale(self, act: Callable[[], T]) -> T:
        if self._boundary.observer is None:
            return act()
        with self._boundary.observer.past():
            return act()

    def _effect(self, act: Callable[[], T]) -> T:
        observer = self._boundary.observer
        if observer is not None:
            observer.before(self.call)
        self.call.effective = True
        try:
            return act()
        except Exception as error:
            self.call.outcome = type(error).__name__
            code = getattr(error, "response", {}).get("Error", {}).get("Code")
            self.call.outcome = code or self.call.outcome
            raise
        finally:
            if observer is not None:
                observer.after(self.call)

    def _answer(self, answer: T, wire: Wire[T]) -> T:
        self.call.outcome = wire.outcome(answer)
        if self._boundary.observer is not None:
            self._boundary.observer.answered(self.call, wire.labels(answer))
        return answer


def labels_told(answer: Mapping[str, Any]) -> Mapping[str, Sequence[str]] | None:
    """The labels that an answer tells of, by version."""
    labels: Mapping[str, Sequence[str]] | None = answer.get("VersionIdsToStages")
    return labels
