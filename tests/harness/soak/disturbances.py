"""What goes wrong meanwhile: outages, throttling, and ``kill -9``; never two kinds at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from time import sleep
from typing import Final

from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.deployment import RECONCILE, ROTATE, SEAL
from rotation.sandbox.vendor import Outage, VendorFault
from tests.harness.soak.client_processes import ClientProcesses
from tests.harness.soak.settings import OUTAGE, SoakSettings
from tests.harness.soak.soak_deployment import SoakDeployment

_THROTTLED: Final = AwsError("ThrottlingException", "Rate exceeded")
#: More calls than are made in that time: the rest is cleared.
_MANY: Final = 500


class Disturbances:
    """Brings one disturbance after the other.

    Attributes:
        brought: how often each kind came.
    """

    def __init__(
        self, deployment: SoakDeployment, clients: ClientProcesses, settings: SoakSettings
    ) -> None:
        self._deployment = deployment
        self._clients = clients
        self._settings = settings
        self._ways = cycle([Outage.UNAVAILABLE, Outage.REFUSED])
        self._victims = cycle([ROTATE, RECONCILE])
        self._places = 0
        self.brought: Counter[str] = Counter()

    def all_of_them(self) -> Iterator[Callable[[], None]]:
        """Every disturbance of the soak, in turn, the kinds mixed."""
        settings = self._settings
        often = [self.outage, self.vendor_throttles, self.secrets_manager_throttles]
        kills = [self.kill_client, self.kill_function, self.kill_sealing_function]
        for place in range(max(settings.troubles, settings.restarts)):
            if place < settings.troubles:
                yield from often
            if place < settings.restarts:
                yield from kills

    def outage(self) -> None:
        """The vendor is down, for longer than four attempts last."""
        self._deployment.vendor.outage = next(self._ways)
        sleep(OUTAGE.total_seconds())
        self._deployment.vendor.outage = None
        self.brought["outages"] += 1

    def vendor_throttles(self) -> None:
        """429 to the next requests, whoever makes them."""
        self._deployment.vendor.faults.next("sign", VendorFault.THROTTLED, times=10)
        self._deployment.vendor.faults.next("create", VendorFault.THROTTLED)
        self._deployment.vendor.faults.next("list", VendorFault.THROTTLED)
        self.brought["vendor throttlings"] += 1

    def secrets_manager_throttles(self) -> None:
        """Every read and every move of a label is refused for a moment."""
        for operation in ("GetSecretValue", "DescribeSecret", "UpdateSecretVersionStage"):
            self._deployment.cloud.faults.before(operation, _THROTTLED, _MANY)
        sleep(self._settings.throttled.total_seconds())
        self._deployment.cloud.faults.clear()
        self.brought["Secrets Manager throttlings"] += 1

    def kill_client(self) -> None:
        """An application process dies in the middle of its seals, and is started again."""
        self._clients.restart(self._places)
        self._places += 1
        self.brought["clients killed"] += 1

    def kill_function(self) -> None:
        """A process of the rotation or the reconcile function dies, busy ones first."""
        if self._deployment.kill_function(next(self._victims), idle=False):
            self.brought["functions killed"] += 1

    def kill_sealing_function(self) -> None:
        """A process of the sealing function dies between two documents."""
        if self._deployment.kill_function(SEAL, idle=True):
            self.brought["functions killed"] += 1
