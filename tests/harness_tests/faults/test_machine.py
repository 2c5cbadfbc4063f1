"""Anything in any order: rotations, crashes, races, incidents, outages and clocks; the same judge.

The machine acts on a quick world; each fault strikes at a call of the next activity that
Hypothesis chooses, and after every rule the judge must have found nothing.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from datetime import timedelta

from botocore.exceptions import ClientError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rotation.core.steps import STEPS
from rotation.secrets_manager.labels import AWSPENDING
from tests.harness.faults.activities import interlopers, rotate_again, settle
from tests.harness.faults.boundary import COMMON, Fault, FaultKind
from tests.harness.faults.scenarios import captured
from tests.harness.faults.service import Service
from tests.harness.faults.world import GRACE
from tests.harness.faults.world_factories import quick_world

FAULTS = st.lists(
    st.builds(
        Fault, st.integers(0, 70), st.sampled_from([*COMMON, FaultKind.STALE, FaultKind.REJECTED])
    ),
    max_size=2,
)
TOKEN = st.integers(0, 9)


class Life(RuleBasedStateMachine):
    """The life of one secret."""

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.open.enter_context(captured())
        self.world = quick_world()
        self.service = Service(self.world)
        self.world.boundary.others = interlopers(self.world, self.service)

    @initialize()
    def begin(self) -> None:
        """A key made by hand is current, and one rotation has gone through."""
        self.world.store_by_hand()
        self.service.rotate()

    @rule(faults=FAULTS)
    def rotate(self, faults: list[Fault]) -> None:
        """A rotation begins, and whatever is under way gets one attempt."""
        self.ask_for_rotation()
        self.faulty(faults, self.service.attempt)

    @rule(faults=FAULTS)
    def retry(self, faults: list[Fault]) -> None:
        """Secrets Manager repeats what has failed until it gives up."""
        self.faulty(faults, self.service.finish)

    @rule(faults=FAULTS)
    def reconcile(self, faults: list[Fault]) -> None:
        """The hourly run."""
        self.faulty(faults, self.service.reconcile)

    @rule(faults=FAULTS)
    def force(self, faults: list[Fault]) -> None:
        """A responder runs the command, which may be cut off."""
        self.faulty(faults, self.service.force)

    @rule()
    def declare(self) -> None:
        """A responder's machine dies just after the intent was written down."""
        self.service.declare()

    @rule(which=TOKEN)
    def replay(self, which: int) -> None:
        """A late or hostile event: all four steps of some version, whatever it is by now."""
        versions = list(self.world.judge.secret.versions)
        for step in STEPS:
            self.service.step(step, versions[which % len(versions)])

    @rule(
        call=st.integers(0, 8),
        kind=st.sampled_from([FaultKind.RACED, FaultKind.FORCED, FaultKind.OVERTAKEN]),
    )
    def interrupt(self, call: int, kind: FaultKind) -> None:
        """Somebody else acts in the middle of createSecret."""
        self.ask_for_rotation()
        self.faulty([Fault(call, kind)], self.service.attempt)

    @rule()
    def cancel(self) -> None:
        """Rotation is cancelled, half-way or not, and AWSPENDING stays behind."""
        self.world.person.cancel_rotate_secret(SecretId=self.world.arn)

    @rule(faults=FAULTS)
    def deleted_and_restored(self, faults: list[Fault]) -> None:
        """The secret is scheduled for deletion while things go on, and restored."""
        self.world.person.delete_secret(SecretId=self.world.arn)
        self.faulty(faults, self.service.attempt)
        self.service.reconcile()
        self.world.person.restore_secret(SecretId=self.world.arn)

    @rule(faults=FAULTS)
    def outage(self, faults: list[Fault]) -> None:
        """The vendor is down while things go on."""
        self.world.vendor_down(True)
        self.faulty(faults, self.service.attempt)
        self.service.reconcile()
        self.world.vendor_down(False)

    @rule()
    def roll_back(self) -> None:
        """A person moves AWSCURRENT to an older key that signs."""
        self.world.boundary.others[FaultKind.ROLLED_BACK]()

    @rule(minutes=st.sampled_from([1, 10, 45, 61, 125, 24 * 60, 3 * 24 * 60]))
    def time_passes(self, minutes: int) -> None:
        """A moment, an hour, more than the grace, days."""
        self.world.clock.later(timedelta(minutes=minutes))

    @precondition(lambda self: len(self.world.judge.alive()) < 15)
    @rule()
    def stray(self) -> None:
        """The vendor made a key whose answer was lost."""
        pending = self.world.judge.state().bearer(AWSPENDING)
        token = pending or "7f5c1f0e-0000-4000-8000-000000000003"
        self.world.keys.create(label=f"fixture|{self.world.arn}|{token}")

    @invariant()
    def nothing_is_violated(self) -> None:
        """Whatever happened so far."""
        assert self.world.judge.violations == [], self.told()

    def teardown(self) -> None:
        """Left alone for long enough it comes to rest, and can be rotated."""
        try:
            if not self.world.judge.violations:
                self.come_to_rest()
                assert self.world.judge.violations == [], self.told()
        finally:
            self.open.close()

    def come_to_rest(self) -> None:
        self.world.boundary.disarm()
        self.turn_on()
        self.service.finish()
        self.service.reconcile()
        # A stuck rotation is abandoned after a day.
        for _ in range(4):
            self.world.clock.later(timedelta(hours=25))
            self.revoke_what_was_refused()
            settle(self.service)
        self.world.clock.later(GRACE)
        self.world.judge.at_rest()
        rotate_again(self.service)

    def revoke_what_was_refused(self) -> None:
        """More than three keys are due at once: a person looks, and revokes some in the portal."""
        report = self.service.reconcile() or {"secrets": []}
        for secret in report["secrets"]:
            due = [one["keyId"] for one in secret["retirements"] if one["state"] == "refused"]
            for key in due[3:]:
                self.world.keys.revoke(key)

    def turn_on(self) -> None:
        """What an operator does after a cancelled rotation: unstage it, and configure it again."""
        if self.world.judge.secret.rotation_enabled:
            return
        pending = self.world.judge.state().bearer(AWSPENDING)
        if pending is not None:
            self.world.person.update_secret_version_stage(
                SecretId=self.world.arn, VersionStage=AWSPENDING, RemoveFromVersionId=pending
            )
        self.world.begin_rotation()

    def ask_for_rotation(self) -> None:
        """The schedule; AWS refuses while another rotation has left AWSPENDING behind."""
        with suppress(ClientError):
            self.world.begin_rotation()

    def faulty(self, faults: list[Fault], act: object) -> None:
        """Run ``act`` with faults at the calls that it makes."""
        assert callable(act)
        self.world.boundary.arm(faults)
        act()
        self.world.boundary.disarm()

    def told(self) -> str:
        calls = map(str, self.world.boundary.calls)
        return "\n".join([*self.world.judge.violations, *calls, *self.world.errors[-20:]])


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=int(os.environ.get("FAULTS_EXAMPLES", "12")),
    stateful_step_count=12,
    derandomize="FAULTS_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
