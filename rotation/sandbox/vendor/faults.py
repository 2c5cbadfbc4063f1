"""What the emulated vendor does wrong, on demand.

A test queues faults for an operation, each for the next ``times`` requests or, with ``None``,
until cleared. Every request takes at most one, in the order they were queued, whether or not it
would have succeeded; a refusal that is due anyway is not spoilt further. `VendorFaults.scatter`
draws at random which requests fail. Safe to use from several threads.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from random import Random
from threading import Condition
from typing import Final, Literal

Operation = Literal["sign", "create", "list", "delete", "signatures"]


class VendorFault(Enum):
    """One way to fail. "Took effect" means that the key exists, is dead, or the seal is billed."""

    UNAUTHORIZED = "a bare 401, whoever asks; no effect"
    FORBIDDEN = "403; no effect"
    THROTTLED = "429 with Retry-After; no effect"
    SERVER_ERROR = "500; no effect"
    UNAVAILABLE = "503; no effect"
    REDIRECT = "302 to another path of this server; no effect"
    DISCONNECT = "the connection is closed without an answer; no effect"

    LOSE_REPLY = "took effect, and the connection is closed without an answer"
    HANG = "took effect, and the answer is withheld until `VendorFaults.release`"
    SLOW = "took effect; the body comes in ten pieces, `VendorFaults.pace` apart"
    CUT_BODY = "took effect; the connection is closed halfway through the body"
    HTML = "took effect; 200 with a page of HTML"
    TRUNCATED_JSON = "took effect; a complete HTTP answer with half of the JSON"
    EMPTY_JSON = "took effect; the JSON object has no members"

    NOT_BASE64 = "signed; the signature is not base64"
    NOT_CMS = "signed; base64 of bytes that are no CMS"
    OTHER_DIGEST = "signed; a good CMS over another digest"
    CORRUPTED_SIGNATURE = "signed; one bit of the signature value is wrong"
    STRANGER = "signed by another organisation under an unrelated root"
    IMPOSTOR = "signed by a certificate with the right names under an unrelated root"
    NEIGHBOUR = "signed by another organisation under the right root"
    LARGE = "signed well, in a CMS of over 48 KiB"


STATUSES: Final = {
    VendorFault.UNAUTHORIZED: 401,
    VendorFault.FORBIDDEN: 403,
    VendorFault.THROTTLED: 429,
    VendorFault.SERVER_ERROR: 500,
    VendorFault.UNAVAILABLE: 503,
}
SIGNATURE_FAULTS: Final = frozenset(
    {
        VendorFault.NOT_BASE64,
        VendorFault.NOT_CMS,
        VendorFault.OTHER_DIGEST,
        VendorFault.CORRUPTED_SIGNATURE,
        VendorFault.STRANGER,
        VendorFault.IMPOSTOR,
        VendorFault.NEIGHBOUR,
        VendorFault.LARGE,
    }
)
_NEEDS_A_BODY: Final = frozenset(
    {VendorFault.CUT_BODY, VendorFault.TRUNCATED_JSON, VendorFault.EMPTY_JSON}
)


@dataclass
class _Planned:
    fault: VendorFault
    left: int | None


class VendorFaults:
    """The faults in waiting.

    Attributes:
        pace: how long `VendorFault.SLOW` pauses between two pieces.
    """

    def __init__(self) -> None:
        self.pace = timedelta(milliseconds=50)
        self._planned: dict[str, deque[_Planned]] = {}
        self._scattered: dict[str, tuple[VendorFault, int]] = {}
        self._draw = Random(1)  # noqa: S311 - no secret
        self._holding = 0
        self._releases = 0
        self._condition = Condition()

    def next(self, operation: Operation, fault: VendorFault, *, times: int | None = 1) -> None:
        """Queue ``fault`` for the next ``times`` requests of ``operation``; None: until cleared.

        Raises:
            ValueError: that operation cannot fail that way.
        """
        _refuse_impossible(operation, fault)
        if times is not None and times < 1:
            raise ValueError("A fault happens once or more often.")
        with self._condition:
            self._planned.setdefault(operation, deque()).append(_Planned(fault, times))

    def scatter(self, operation: Operation, fault: VendorFault, *, one_in: int) -> None:
        """Let one request in ``one_in`` of ``operation`` fail, drawn at random, until cleared.

        Raises:
            ValueError: that operation cannot fail that way.
        """
        _refuse_impossible(operation, fault)
        with self._condition:
            self._scattered[operation] = fault, one_in

    def clear(self, operation: Operation | None = None) -> None:
        """Forget what is queued for ``operation``, or for all; answers being withheld stay so."""
        with self._condition:
            if operation is None:
                self._planned.clear()
                self._scattered.clear()
            else:
                self._planned.pop(operation, None)
                self._scattered.pop(operation, None)

    def release(self) -> None:
        """Let every answer go that is being withheld or slowed at this moment."""
        with self._condition:
            self._releases += 1
            self._condition.notify_all()

    def wait_until_holding(self, timeout: timedelta = timedelta(minutes=5)) -> bool:
        """Wait until an answer is being withheld; False if none is after ``timeout``."""
        with self._condition:
            return self._condition.wait_for(lambda: self._holding > 0, timeout.total_seconds())

    def take(self, operation: str) -> VendorFault | None:
        """The fault of the request that has just arrived. For the server."""
        with self._condition:
            queue = self._planned.get(operation)
            if not queue:
                fault, one_in = self._scattered.get(operation, (None, 1))
                return fault if self._draw.randrange(one_in) == 0 else None
            planned = queue[0]
            if planned.left is not None:
                planned.left -= 1
                if planned.left == 0:
                    queue.popleft()
            return planned.fault

    def hold(self) -> None:
        """Wait for `release`. For the server."""
        with self._condition:
            releases = self._releases
            self._holding += 1
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._releases > releases)
            self._holding -= 1

    def pause(self) -> None:
        """Wait for `pace`, or until `release`. For the server."""
        with self._condition:
            releases = self._releases
            self._condition.wait_for(lambda: self._releases > releases, self.pace.total_seconds())


def _refuse_impossible(operation: Operation, fault: VendorFault) -> None:
    if fault in SIGNATURE_FAULTS and operation != "sign":
        raise ValueError(f"{fault.name} is a fault of a signature, and {operation} makes none.")
    if fault in _NEEDS_A_BODY and operation == "delete":
        raise ValueError(f"{fault.name} spoils a body, and the answer to delete has none.")
