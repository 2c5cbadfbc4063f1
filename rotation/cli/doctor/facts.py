"""What was found out, before anybody judges it. No fact shows key material."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rotation.cli.doctor.obstacles import Obstacle
from rotation.credential import Confidential
from rotation.errors import RotationError
from rotation.secrets_manager.snapshot import Snapshot


@dataclass(frozen=True)
class Refusal:
    """AWS answered a call with an error: its code, and its message."""

    code: str
    message: str


@dataclass(frozen=True)
class NoCredentials:
    """There is nothing to sign a call with: the code of the problem, and what was said of it."""

    code: str
    problem: str = ""


@dataclass(frozen=True)
class Fetched:
    """A secret's current value.

    Attributes:
        value: what it holds; None: bytes, and no text.
    """

    arn: str
    version: str
    value: Confidential | None


@dataclass(frozen=True)
class Identity:
    """Whom AWS is asked as, and where.

    Attributes:
        method: where the credentials are from, as botocore calls it.
        host: the host name of Secrets Manager's endpoint.
        seconds: how long a connection may take.
    """

    method: str
    region: str
    host: str
    seconds: float


#: What a call to AWS brought, where it did not bring what was asked for.
NotGot = Refusal | Obstacle | NoCredentials


@dataclass(frozen=True)
class Search:
    """Where else a secret could be that was not found.

    Attributes:
        similar: the names like it; None: looking is not allowed.
        regions: the Regions that were asked and have it.
    """

    similar: tuple[str, ...] | None = None
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signature:
    """The vendor signed: the DER, the digest that was sent, and the vendor's clock."""

    der: bytes = field(repr=False)
    digest: bytes
    vendor_time: datetime | None


@dataclass(frozen=True)
class Reached:
    """The vendor answered a request that asks for nothing: HTTP status and the vendor's clock."""

    status: int
    vendor_time: datetime | None


@dataclass(frozen=True)
class VendorContact:
    """What came of asking the vendor.

    Attributes:
        host: whom.
        outcome: an error is one of `rotation.errors`.
        sent_at: our clock at the request that was answered, aware UTC.
    """

    host: str
    seconds: float
    outcome: Signature | Reached | Obstacle | RotationError
    sent_at: datetime


@dataclass(frozen=True)
class FunctionAnswer:
    """What the sealing function answered to an empty request.

    Attributes:
        crashed: Lambda's word that it failed.
    """

    members: Mapping[str, Any]
    crashed: bool


Description = Snapshot | NotGot

#: The vendor's window is a minute; its Date header has whole seconds, and an answer takes a moment.
CLOCK_TOLERANCE: Final = 58
