"""What a deployment does in a month, and what that costs. Pure: figures in, figures out.

The quantities are those of the template and of the code; the tests count them there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from rotation.cli.cost.prices import PRICES
from rotation.core.policy import ACCEPTANCES, REJECTIONS, SETTLED_ACCEPTANCES

Unattended = Literal["none", "bulk", "events"]
Architecture = Literal["arm64", "x86_64"]

HOURS: Final = 730
_DAYS: Final = HOURS / 24

#: Signatures that the vendor may bill, beside those of documents. The new key is proven, and proven
#: again before it is promoted.
OF_A_ROTATION: Final = ACCEPTANCES + SETTLED_ACCEPTANCES
#: One before the key is revoked, and one before and after each rejection.
OF_A_RETIREMENT: Final = 1 + 2 * REJECTIONS
#: The current key is asked about once.
OF_A_DAY: Final = 1

#: What the shortest deployment creates, by UnattendedSealing.
ALARMS: Final[Mapping[Unattended, int]] = {"none": 17, "bulk": 21, "events": 26}
#: The topic's. Each stack has one secret more than it rotates: the admin credential, or the pool.
STACK_KEYS: Final = 1
#: The metrics that an hourly run counts always, and those of a function that seals.
METRICS_OF_A_RUN: Final = 9
METRICS_OF_SEALS: Final = 2

#: Calls of Secrets Manager in an hour in which nothing is due: those of a run, and of each secret.
CALLS_OF_A_RUN: Final = 2
CALLS_OF_A_SECRET: Final = 3
# And about those of a rotation and the retirement after it, of all functions.
_CALLS_OF_A_ROTATION: Final = 40

MEMORY_GB: Final[Mapping[str, float]] = {"rotation": 512 / 1024, "sealing": 1769 / 1024}
# Billed seconds, as far as nobody knows better: a run waits for AWS and for the vendor; a rotation
# and a proof of death last about as long as the vendor's propagation limit each.
_SECONDS_OF_A_RUN: Final = 5
_SECONDS_OF_A_ROTATION: Final = 180
# START, END and REPORT included, and the metrics' lines.
_LOG_BYTES_OF_A_SEAL: Final = 2_000
_LOG_BYTES_OF_A_RUN: Final = 5_000
# Lambda reads a queue that is empty with five pollers, each waiting for twenty seconds (Lambda
# developer guide, services-sqs-scaling; SQS developer guide, sqs-short-and-long-polling).
_EMPTY_RECEIVES: Final = 5 * HOURS * 3600 / 20
# To send a document's message, to receive it, and to delete it.
_REQUESTS_OF_A_MESSAGE: Final = 3


@dataclass(frozen=True)
class Usage:
    """What an organisation does in a month.

    Attributes:
        seals: documents that are sealed.
        secrets: API keys that are rotated.
        rotation_days: days between rotations.
        seal_seconds: how long a function is billed for one document.
        unattended: which functions seal with a key of their own.
        customer_keys: customer managed keys for secrets and documents.
        endpoints: interface endpoints of the VPC.
        zones: availability zones in which each endpoint stands.
        signature_usd: what the vendor charges for a signature; None if nobody said.
    """

    seals: int
    secrets: int = 1
    rotation_days: int = 30
    seal_seconds: float = 0.5
    architecture: Architecture = "arm64"
    unattended: Unattended = "none"
    customer_keys: int = 0
    endpoints: int = 0
    zones: int = 2
    signature_usd: float | None = None

    @property
    def rotations(self) -> float:
        """How many rotations there are in a month, of all secrets."""
        return self.secrets * _DAYS / self.rotation_days


@dataclass(frozen=True)
class CostLine:
    """One line of the bill."""

    service: str
    what: str
    quantity: float
    price: str
    usd: float


@dataclass(frozen=True)
class Cost:
    """A month.

    Attributes:
        lines: what AWS charges, the vendor's line last if its price is known.
        signatures: how many signatures are bought, by what for.
    """

    lines: tuple[CostLine, ...]
    signatures: Mapping[str, float]

    @property
    def usd(self) -> float:
        """The sum of all lines."""
        return sum(line.usd for line in self.lines)


def monthly_cost(usage: Usage, prices: Mapping[str, float] | None = None) -> Cost:
    """What a month costs.

    Args:
        usage: what is done in it.
        prices: dollars for a unit, in place of those of `PRICES`, by name.
    """
    of_a_unit = {name: price.usd for name, price in PRICES.items()} | dict(prices or {})
    signatures = {
        "documents": float(usage.seals),
        "rotations": usage.rotations * OF_A_ROTATION,
        "retirements": usage.rotations * OF_A_RETIREMENT,
        "daily checks": usage.secrets * _DAYS * OF_A_DAY,
    }
    lines = [
        CostLine(service, what, quantity, price, quantity * of_a_unit[price])
        for service, what, quantity, price in _quantities(usage)
        if quantity
    ]
    if usage.signature_usd is not None:
        bought = sum(signatures.values())
        cost = bought * usage.signature_usd
        lines.append(CostLine("vendor", "signatures", bought, "signature", cost))
    return Cost(tuple(lines), signatures)


def _quantities(usage: Usage) -> Iterator[tuple[str, str, float, str]]:
    """Service, what, how many, and the name of the price."""
    unattended = usage.unattended
    yield (
        "Secrets Manager",
        "secrets, and the admin credential or pool",
        usage.secrets + 1,
        "secret",
    )
    calls: float = HOURS * (CALLS_OF_A_RUN + CALLS_OF_A_SECRET * usage.secrets)
    calls += usage.rotations * _CALLS_OF_A_ROTATION
    yield "Secrets Manager", "calls of the functions", calls, "secret-call"
    seconds = HOURS * _SECONDS_OF_A_RUN + usage.rotations * _SECONDS_OF_A_ROTATION
    compute = f"lambda-{usage.architecture}"
    yield "Lambda", "rotating and reconciling", seconds * MEMORY_GB["rotation"], compute
    sealing = usage.seals * usage.seal_seconds * MEMORY_GB["sealing"]
    yield "Lambda", "sealing", sealing, compute
    yield "Lambda", "invocations", usage.seals + HOURS + usage.rotations * 5, "lambda-request"
    yield "S3", "documents read", usage.seals, "s3-get"
    yield "S3", "documents written", usage.seals, "s3-put"
    yield "CloudWatch", "alarms", ALARMS[unattended], "alarm"
    metrics = METRICS_OF_A_RUN + (METRICS_OF_SEALS if usage.seals else 0)
    yield "CloudWatch", "metrics of our own", metrics, "metric"
    yield "CloudWatch", "dashboard", 1, "dashboard"
    written = usage.seals * _LOG_BYTES_OF_A_SEAL + HOURS * _LOG_BYTES_OF_A_RUN
    yield "CloudWatch", "logs", written / 1e9, "log-gb"
    yield "KMS", "keys, the topic's included", STACK_KEYS + usage.customer_keys, "kms-key"
    if usage.customer_keys:
        yield "KMS", "documents decrypted and encrypted", 2 * usage.seals, "kms-call"
    if unattended == "events":
        yield "EventBridge", "documents that arrive", usage.seals, "s3-event"
        requests = _EMPTY_RECEIVES + usage.seals * _REQUESTS_OF_A_MESSAGE
        yield "SQS", "requests, most of an empty queue", requests, "sqs-request"
    if unattended == "bulk":
        yield "S3", "one job of Batch Operations", 1, "s3-job"
        yield "S3", "its objects", usage.seals, "s3-task"
    hours = usage.endpoints * usage.zones * HOURS
    yield "PrivateLink", "interface endpoints", hours, "endpoint-hour"
