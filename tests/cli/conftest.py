"""What makes commands cheap to run in this process."""

from __future__ import annotations

from functools import cache

import botocore.session
import pytest
from botocore.loaders import Loader, create_loader


@cache
def service_descriptions() -> Loader:
    """The descriptions of AWS's services, read once and not for each command."""
    return create_loader()


@pytest.fixture(autouse=True)
def shared_service_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of botocore share the descriptions: reading them is most of a command's time."""
    monkeypatch.setattr(botocore.session, "create_loader", lambda *_: service_descriptions())
