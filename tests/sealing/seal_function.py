"""The sealing function in a process of its own, as it would run in Lambda."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.paths import ROOT
from tests.sealing.conftest import SealerFixture

# Answers each line of stdin on stdout; what the function itself prints goes to stderr with its log.
RUNTIME = """
import json, sys
from types import SimpleNamespace
answers, sys.stdout = sys.stdout, sys.stderr
from rotation.handlers.seal import handler
context = SimpleNamespace(
    function_name="seal", memory_limit_in_mb=512, aws_request_id="r-1",
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:seal",
    get_remaining_time_in_millis=lambda: 60_000,
)
for line in sys.stdin:
    print(json.dumps(handler(json.loads(line), context)), file=answers, flush=True)
"""


def environment_of(sealer_fixture: SealerFixture, s3_url: str, folder: Path) -> dict[str, str]:
    """What the function is told of its surroundings; the trust anchors lie in ``folder``."""
    anchors = folder / "anchors.pem"
    anchors.write_bytes(sealer_fixture.pki.root_pem)
    return {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": s3_url,
        "VENDOR_URL": sealer_fixture.emulator.url,
        "SIGNER_TRUST_ANCHORS": str(anchors),
        "SIGNER_ORGANIZATION": "Trusted Signatures Sandbox",
        "SOURCE_LOCATIONS": sealer_fixture.incoming,
        "DESTINATION_LOCATIONS": f"{sealer_fixture.outgoing}/sealed/",
    }


class SealFunction:
    """Answers events until it is told to end, or killed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", RUNTIME],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment},
        )

    def invoke(self, *events: object) -> tuple[list[dict[str, Any]], str]:
        """The answers to ``events``, and everything that the process has printed besides."""
        lines = "".join(json.dumps(event) + "\n" for event in events)
        answers, printed = self._process.communicate(lines, timeout=300)
        assert self._process.returncode == 0, printed
        return [json.loads(line) for line in answers.splitlines()], printed

    def begin(self, event: object) -> None:
        """Hand ``event`` over, and wait for nothing."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL, now; to be called from any thread."""
        self._process.kill()

    def died(self) -> bool:
        """Whether it was killed, rather than ended; waits until either."""
        self._process.communicate(timeout=300)
        return self._process.returncode == -signal.SIGKILL
