"""An S3 that nobody here wrote, and a secret whose keys are declared compromised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.incident.conftest import incident
from tests.journal.seaweedfs import SeaweedFs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


__all__ = ["incident", "seaweedfs"]


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Client]:
    """A client of a running SeaweedFS."""
    with SeaweedFs(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running.client()
