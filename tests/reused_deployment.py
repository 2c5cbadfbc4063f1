"""A deployment for one test after the other: only its functions and its vendor stay."""

from __future__ import annotations

from rotation.sandbox.deployment import Deployment


class ReusedDeployment(Deployment):
    """Saves each test the processes of the functions, their imports, and the vendor's keys."""

    def begin_anew(self) -> None:
        """Forget every secret, object, call and fault; no key of an earlier test works."""
        self.cloud.wait_for_events()
        self.cloud.reset()
        self.vendor.faults.clear()
        self.vendor.outage = None
        self.vendor.keys.quota = 20
        for key in self.vendor.keys.all():
            self.vendor.keys.revoke(key.id)
        self._create_contents()
