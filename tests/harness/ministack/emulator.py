"""MiniStack, an emulator of AWS that nobody here wrote, with its enforcement of IAM on.

It is in an environment of its own (``.ci/locks/ministack.txt``), since it pins a botocore. It needs
no Docker, listens on loopback alone, and keeps nothing.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.cloud import isolated_session
from tests.paths import ROOT

PYTHON: Final = ROOT / ".venv" / "tools" / "ministack" / "bin" / "python"
#: Whoever signs with this key is the root user of the account.
_ROOT_KEY: Final = "test"
_PATIENCE: Final = timedelta(minutes=2)


class Ministack:
    """One emulator, from the beginning of the block to its end."""

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory()
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = Path(self._folder.name) / "ministack.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [PYTHON, "-m", "ministack"],
                cwd=self._folder.name,
                env={
                    "PATH": os.defpath,
                    "HOME": self._folder.name,
                    "AUTH": "true",
                    "BIND_HOST": "127.0.0.1",
                    "GATEWAY_PORT": str(port),
                    "IOT_MTLS_ENABLED": "0",
                    "MINISTACK_ACCOUNT_ID": ACCOUNT,
                    "MINISTACK_REGION": REGION,
                    "PERSIST_STATE": "0",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _PATIENCE.total_seconds()
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self.log.read_text(errors="replace")) from None
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def client(self, service: str, session: Mapping[str, str] | None = None) -> Any:
        """A boto3 client of the root user, or of a session's variables."""
        who = session or self.environment()
        return isolated_session().client(  # type: ignore[call-overload]
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=who["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=who["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=who.get("AWS_SESSION_TOKEN"),
        )

    def environment(self) -> dict[str, str]:
        """What makes boto3 in another process talk to the emulator, as the root user."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": _ROOT_KEY,
            "AWS_SECRET_ACCESS_KEY": _ROOT_KEY,
        }

    def session_of(self, role_arn: str) -> dict[str, str]:
        """The same, as a session of a role, which Lambda would have.

        The role is made to trust the account for it: on AWS no person can have such a session.
        """
        iam, role = self.client("iam"), role_arn.rpartition("/")[2]
        trust = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "sts:AssumeRole",
        }
        iam.update_assume_role_policy(
            RoleName=role,
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        answer = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="function")
        given = answer["Credentials"]
        return {
            **self.environment(),
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }
