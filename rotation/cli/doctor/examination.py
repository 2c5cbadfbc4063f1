"""The whole examination: the checks in their order, each as soon as it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rotation.cli.doctor.facts import Description, Fetched, Identity, Refusal, Search
from rotation.cli.doctor.judge_secret import (
    judge_expiry,
    judge_no_identity,
    judge_reading,
    judge_value,
)
from rotation.cli.doctor.judge_use import judge_description, judge_function, judge_vendor
from rotation.cli.doctor.model import Check, Result, unchecked
from rotation.cli.doctor.obstacles import Obstacle
from rotation.cli.doctor.probe_aws import AwsProbe
from rotation.cli.doctor.probe_vendor import contact_vendor
from rotation.cli.doctor.table import problem
from rotation.credential import ApiKey
from rotation.errors import ConfigurationError
from rotation.handlers.wiring.vendor import signer_policy, utc_now
from rotation.settings import VendorSettings


@dataclass(frozen=True)
class Examination:
    """One secret, looked at from where this process runs.

    Attributes:
        secret: its name or ARN.
        function: the sealing function to look at, or None.
        regions: where to look for a secret that is not found.
        seal: whether a test seal is asked for.
        timeout: how long a connection may take.
        clock: our clock, aware UTC.
    """

    secret: str
    function: str | None = None
    regions: Sequence[str] = ()
    seal: bool = True
    timeout: timedelta = timedelta(seconds=5)
    clock: Callable[[], datetime] = utc_now

    def results(self) -> Iterator[Result]:
        """Every check with what came of it. Nothing is changed anywhere."""
        probe = AwsProbe(self.timeout)
        identity = probe.identity()
        fetched: Fetched | None = None
        description: Description | None = None
        if isinstance(identity, Identity):
            outcome = probe.fetch(self.secret)
            if not isinstance(outcome, Obstacle):
                description = probe.describe(self.secret)
            lost = isinstance(outcome, Refusal) and outcome.code == "ResourceNotFoundException"
            search = probe.search(self.secret, self.regions) if lost else Search()
            yield from judge_reading(self.secret, identity, outcome, description, search)
            fetched = outcome if isinstance(outcome, Fetched) else None
        else:
            yield from judge_no_identity(identity)
        value, key = judge_value(self.secret, fetched)
        yield value
        expiry = judge_expiry(self.secret, key, self.clock())
        yield expiry
        yield from judge_description(self.secret, description, self.clock())
        yield from self._vendor(key, expiry)
        if self.function is not None:
            if not isinstance(identity, Identity):
                yield judge_function(self.function, "", None)
            else:
                asked = probe.ask_function(self.function)
                yield judge_function(self.function, identity.region, asked)

    def _vendor(self, key: ApiKey | None, expiry: Result) -> Iterator[Result]:
        expired = expiry.finding is not None and expiry.finding.code == "key_expired"
        if not self.seal:
            why_no_seal = "--no-seal"
        elif key is None:
            why_no_seal = "needs a usable key"
        else:
            why_no_seal = "the key has expired"
        sealing = key if self.seal and not expired else None
        try:
            settings = VendorSettings.from_environment()
            policy = signer_policy(settings)
        except ConfigurationError as error:
            yield problem("vendor_settings", problem=str(error))
            for check in (Check.CLOCK, Check.KEY, Check.SIGNER):
                yield unchecked(check, "needs the vendor's settings")
            return
        contact = contact_vendor(settings, self.secret, sealing, self.timeout, self.clock)
        yield from judge_vendor(
            self.secret,
            sealing.id if sealing else None,
            contact,
            policy,
            why_no_seal=why_no_seal,
            function=self.function,
        )
