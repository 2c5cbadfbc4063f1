"""The two S3s that the contract is held against."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from tests.harness.s3_server import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    """Ours."""
    with S3Server(tmp_path) as running:
        yield running
    assert running.crashes == []


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """moto's, which the sandbox uses."""
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(params=["ours", "moto"])
def s3(request: pytest.FixtureRequest, server: S3Server, moto_url: str) -> Iterator[S3Client]:
    """An unmodified client for each of them in turn."""
    client = boto3.client(
        "s3",
        endpoint_url=server.url if request.param == "ours" else moto_url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


@pytest.fixture
def bucket(s3: S3Client) -> str:
    """A bucket of the test's own."""
    name = uuid.uuid4().hex
    s3.create_bucket(Bucket=name)
    return name
