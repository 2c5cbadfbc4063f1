"""What the buttons of the page do. Each action answers with a sentence for the person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from botocore.exceptions import ClientError

from rotation.sandbox.aws.traffic import Dropped
from rotation.sandbox.aws.versions import AWSCURRENT
from rotation.sandbox.demo import DOCUMENT
from rotation.sandbox.deployment import RECONCILE, ROTATE, SECRET, Deployment
from rotation.sandbox.page.thief import Thief
from rotation.sandbox.vendor import KeyQuotaReachedError, Outage, VendorFault, VendorPortal
from rotation.sandbox.vendor.faults import Operation

#: How far one press of the button moves the clock: past the grace period of a displaced key.
CLOCK_STEP: Final = timedelta(hours=3)

#: As in a sandbox that was started with ``--empty``.
_NO_KEY: Final = "the secret has no current key yet. Rotate first, which issues one."

_OPERATIONS: Final[tuple[Operation, ...]] = ("sign", "create", "list", "delete", "signatures")


class ActionRefusedError(Exception):
    """The action was not carried out; the message says why, for the person."""


class Actions:
    """Acts on one sandbox. Safe to use from several threads.

    Args:
        deployment: the sandbox.
        portal: the emulated vendor's portal.

    Attributes:
        thief: who signs with leaked keys.
        throttled: whether the vendor answers every request with 429.
        kill_awaited: whether the rotation function is killed when it next stores a key.
    """

    def __init__(self, deployment: Deployment, portal: VendorPortal) -> None:
        self._deployment = deployment
        self._portal = portal
        self._secrets = deployment.cloud.client("secretsmanager")
        self._functions = deployment.cloud.client("lambda")
        self.thief = Thief(deployment.vendor.url, deployment.vendor.now)
        self.throttled = False
        self.kill_awaited = False

    @property
    def vendor_down(self) -> bool:
        """Whether the vendor answers every request with 503."""
        return self._deployment.vendor.outage is not None

    def perform(self, name: str, form: Mapping[str, str]) -> str:
        """Carry out an action.

        Args:
            name: one of `NAMES`.
            form: the members of the form that asked for it.

        Raises:
            ActionRefusedError: it was not carried out.
        """
        try:
            return _ACTIONS[name](self, form)
        except ClientError as error:
            message = error.response.get("Error", {}).get("Message", "")
            raise ActionRefusedError(f"AWS refused: {message}") from None
        except KeyQuotaReachedError as error:
            raise ActionRefusedError(str(error)) from None

    def rotate(self, _: Mapping[str, str]) -> str:
        """Ask Secrets Manager for a rotation."""
        token = self._secrets.rotate_secret(SecretId=SECRET)["VersionId"]
        return f"A rotation has begun. It makes version {token[:8]}."

    def leak(self, _: Mapping[str, str]) -> str:
        """Give the current key to a thief, who signs with it."""
        try:
            key_id = self._deployment.key_id(AWSCURRENT)
        except (ClientError, ValueError, KeyError):
            raise ActionRefusedError(f"No key can leak: {_NO_KEY}") from None
        return self._thief_signs(key_id)

    def steal_again(self, form: Mapping[str, str]) -> str:
        """Let the thief sign once more with a key that leaked before."""
        key_id = form.get("key", "")
        if all(key_id != stolen.key.id for stolen in self.thief.stolen):
            raise ActionRefusedError("That key has not leaked.")
        return self._thief_signs(key_id)

    def _thief_signs(self, key_id: str) -> str:
        key = self._deployment.vendor.keys.get(key_id)
        if key is None:
            raise ActionRefusedError(f"The vendor has no key {key_id[:8]}.")
        return f"A thief signs with key {key_id[:8]}: {self.thief.sign(key).answer}."

    def set_outage(self, form: Mapping[str, str]) -> str:
        """Take the vendor down, or up again."""
        down = form.get("on") == "yes"
        self._deployment.vendor.outage = Outage.UNAVAILABLE if down else None
        if down:
            return "The vendor is down: it answers every request with 503."
        return "The vendor is up again."

    def set_throttling(self, form: Mapping[str, str]) -> str:
        """Let the vendor answer every request with 429, or as ever again."""
        faults = self._deployment.vendor.faults
        self.throttled = form.get("on") == "yes"
        for operation in _OPERATIONS:
            faults.clear(operation)
            if self.throttled:
                faults.next(operation, VendorFault.THROTTLED, times=None)
        if self.throttled:
            return "The vendor throttles: it answers every request with 429."
        return "The vendor throttles no more."

    def move_clock(self, _: Mapping[str, str]) -> str:
        """Move the clock on, and ask for the reconciliation that the schedule asks for hourly."""
        self._deployment.ahead += CLOCK_STEP
        self._functions.invoke(FunctionName=RECONCILE, InvocationType="Event", Payload=b"{}")
        return (
            f"It is {self._deployment.now():%H:%M} UTC in the sandbox. The hourly reconciliation "
            "has begun. The vendor refuses what programs on this machine sign by its own clock."
        )

    def kill_function(self, _: Mapping[str, str]) -> str:
        """Kill the rotation function in its step, or in its next rotation if it is idle."""
        if self._deployment.kill(ROTATE):
            return "The rotation function was killed in the middle of a step."
        if not self.kill_awaited:
            self.kill_awaited = True
            self._deployment.cloud.faults.before("PutSecretValue", Dropped(first=self._kill))
        return (
            "The rotation function is idle. It will be killed in its next rotation, when the new "
            "key is made and not yet stored."
        )

    def _kill(self) -> None:
        self.kill_awaited = False
        self._deployment.kill(ROTATE)

    def make_key(self, _: Mapping[str, str]) -> str:
        """Make a key in the portal, which is shown to the person elsewhere."""
        return f"Key {self._portal.make()[:8]} is made. The portal says how to take it."

    def revoke_key(self, form: Mapping[str, str]) -> str:
        """Revoke a key in the portal."""
        key_id = form.get("key", "")
        status, answer = self._portal.revoke(key_id)
        if status != 200:
            raise ActionRefusedError(answer["message"])
        return f"Key {key_id[:8]} is revoked."

    def seal(self, _: Mapping[str, str]) -> str:
        """Seal the document of the source bucket with the current key, as an application does."""
        name = f"inspection-{self._deployment.now():%H%M%S}.pdf"
        try:
            answer = self._deployment.seal(DOCUMENT, name)
        except (ClientError, ValueError, KeyError):
            raise ActionRefusedError(f"Not sealed: {_NO_KEY}") from None
        if answer.get("status") == "error":
            raise ActionRefusedError(f"Not sealed: {answer['error']['message']}")
        if "errorMessage" in answer:
            raise ActionRefusedError(f"Not sealed: {answer['errorMessage']}")
        return f"{DOCUMENT} is sealed as {name}."


_ACTIONS: Final[dict[str, Callable[[Actions, Mapping[str, str]], str]]] = {
    "rotate": Actions.rotate,
    "leak": Actions.leak,
    "sign-with-leaked-key": Actions.steal_again,
    "vendor-down": Actions.set_outage,
    "throttle": Actions.set_throttling,
    "clock": Actions.move_clock,
    "kill": Actions.kill_function,
    "make-key": Actions.make_key,
    "revoke-key": Actions.revoke_key,
    "seal": Actions.seal,
}
#: The names of all actions.
NAMES: Final = frozenset(_ACTIONS)
