"""Ctrl-C while a command waits for an answer that does not come."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import boto3
import pytest
from click.testing import CliRunner

from rotation.cli.commands import rotation

pytestmark = pytest.mark.slow

KEY_ID = "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"


class Silence:
    """A server that takes a request, never answers, and has Ctrl-C pressed meanwhile."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                connection.recv(65_536)
                os.kill(os.getpid(), signal.SIGINT)
                # Until the command has closed its end.
                while connection.recv(65_536):
                    pass

    def close(self) -> None:
        self._listener.close()
        self._thread.join(300)


@pytest.fixture
def silence() -> Iterator[Silence]:
    """Whoever started the tests may have them ignore Ctrl-C; these do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    server = Silence()
    yield server
    server.close()
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "command",
    [
        "status api",
        "evidence api",
        "rotate api",
        "force api --reason leaked",
        "rollback api --apply",
        "drill api",
        "drill --clean-up",
        "release api --apply",
        f"attest api {KEY_ID} --reason revoked --apply",
        "hold api --release",
        "unstick api --apply",
        "pool list",
        "pool add",
        f"pool remove {KEY_ID} --apply",
        "migrate api --apply",
        "doctor api",
        "seal s3://from/a s3://to/",
    ],
)
def test_a_command_that_waits_for_aws_ends_at_once(
    command: str, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 130 and a word on standard error; AWS has not answered yet."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    environment = {
        "AWS_ENDPOINT_URL": silence.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    done = CliRunner().invoke(rotation, command.split(), env=environment)
    assert done.exit_code == 130, done.output
    assert "Interrupted." in done.stderr
    assert "Traceback" not in done.output
