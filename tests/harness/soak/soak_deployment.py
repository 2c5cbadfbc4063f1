"""The deployment that the soak runs in: secrets, functions whose processes can be killed, a page.

Nothing between the clients and the services is replaced: the functions' environment alone differs
from the deployment's, by a grace of seconds.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from moto.secretsmanager.models import secretsmanager_backends

from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import (
    DESTINATION_BUCKET,
    SEAL,
    SECRET,
    SOURCE_BUCKET,
    TIMEOUTS,
    Deployment,
)
from rotation.sandbox.vendor import VendorFault
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from tests.harness.soak.settings import SoakSettings
from tests.paths import ROOT
from tests.sealing.pdfs import pdf

DOCUMENT: Final = "a.pdf"

#: AWS repeats a failed rotation after times that it does not publish; these outlast an outage.
_RETRIES: Final = RetryPolicy(tuple(timedelta(seconds=s) for s in (0.5, 1, 2, 4)))


class SoakDeployment(Deployment):
    """A `Deployment` with any number of secrets, and with hands on its functions' processes."""

    def __init__(self, folder: Path, settings: SoakSettings) -> None:
        self._settings = settings
        self._runners: dict[str, ProcessFunction] = {}
        super().__init__(
            folder,
            retries=_RETRIES,
            make_runner=self._runner,
            propagation_limit=settings.propagation_limit,
        )
        self.secrets: tuple[str, ...] = ()

    def settle(self) -> None:
        """Put a page to seal into its bucket, and a first key into each secret, and rotate it."""
        s3 = self.cloud.client("s3")
        s3.put_object(Bucket=SOURCE_BUCKET, Key=DOCUMENT, Body=pdf())
        # Sealed over and over: with versions the soak would fill the memory.
        s3.put_bucket_versioning(
            Bucket=DESTINATION_BUCKET, VersioningConfiguration={"Status": "Suspended"}
        )
        client = self.cloud.client("secretsmanager")
        self.store_first_key()
        self.turn_on_rotation()
        function = client.describe_secret(SecretId=SECRET)["RotationLambdaARN"]
        names = [SECRET]
        for number in range(1, self._settings.secrets):
            name = f"{SECRET}-{number}"
            key = self.vendor.keys.create()
            value = {"apiKey": key.material, "apiKeyId": key.id}
            client.create_secret(Name=name, SecretString=json.dumps(value))
            token = client.rotate_secret(
                SecretId=name,
                RotationLambdaARN=function,
                RotationRules={"AutomaticallyAfterDays": 30},
                RotateImmediately=False,
            )["VersionId"]
            assert self.cloud.wait_for_rotation(name, token, timedelta(minutes=1)).succeeded
            names.append(name)
        self.secrets = tuple(names)
        self.vendor.keys.propagation_delay = self._settings.late
        self.vendor.keys.half_known = self._settings.half_known
        if self._settings.stray_one_in is not None:
            self.vendor.faults.scatter(
                "sign", VendorFault.UNAUTHORIZED, one_in=self._settings.stray_one_in
            )

    def unretired(self) -> set[str]:
        """The ids of keys that were current or pending, are neither, and are still accepted."""
        backend = secretsmanager_backends[ACCOUNT][REGION]
        staged, named = set(), set()
        with backend.rotations.lock:
            for name in self.secrets:
                for version in backend.secrets[name].versions.values():
                    if version.get("secret_string") is None:
                        continue
                    key = json.loads(version["secret_string"])["apiKeyId"]
                    named.add(key)
                    if {AWSCURRENT, AWSPENDING} & set(version["version_stages"]):
                        staged.add(key)
        return {key for key in named - staged if self.vendor.keys.accepted(key)}

    def client_environment(self, caller: str) -> dict[str, str]:
        """What an application process needs, with an access key id of its own."""
        return {
            **self._function_environment(SEAL),
            **self.cloud.environment(caller),
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
        }

    def kill_function(self, name: str, *, idle: bool) -> bool:
        """``kill -9`` a process of the function; whether there was one.

        Args:
            name: the function.
            idle: one that runs no invocation; otherwise any, in the middle of its work too.
        """
        runner = self._runners[name]
        # Under its lock an idle process stays idle until it is gone.
        with runner._changed:
            if idle:
                runner._changed.wait_for(lambda: runner._idle, timeout=300)
            chosen = [*runner._idle] if idle else [*runner._busy, *runner._idle]
            if not chosen:
                return False
            process: Any = (random.choice(chosen) if idle else chosen[0])._process
            process.send_signal(signal.SIGKILL)
            if idle:
                process.wait()
        return True

    def _runner(self, name: str, handler: str, environment: Mapping[str, str]) -> ProcessFunction:
        grace = timedelta(0) if self._settings.revokes_early else self._settings.grace
        runner = ProcessFunction(
            handler,
            environment={**environment, "GRACE_HOURS": str(grace / timedelta(hours=1))},
            log_path=self.logs / f"{name}.log",
            timeout=TIMEOUTS[name],
            concurrency=4 if name == SEAL else 2,
            name=name,
        )
        self._runners[name] = runner
        return runner
