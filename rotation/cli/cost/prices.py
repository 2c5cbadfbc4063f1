"""What AWS charges for what the template deploys, in US dollars, with where each figure is from.

AWS's own pages are the authority; their tables are filled by scripts. Where they could not be read,
a figure is as somebody else quotes it, and `Price.read` says who and of when. Free tiers and tiers
of volume are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: The Region whose prices these are, and when they were collected.
REGION: Final = "us-east-1"
COLLECTED: Final = "2026-11-27"

_FACTUAL_MINDS: Final = "factualminds.com, 2026-06"
_CLOUDBURN: Final = "cloudburn.io, 2026-03"
_UNDATED: Final = "hivebook.wiki, undated"
_UNREAD: Final = "not read anywhere since; long unchanged"


@dataclass(frozen=True)
class Price:
    """One price.

    Attributes:
        usd: for one unit.
        unit: what one unit is.
        page: AWS's price page, below https://aws.amazon.com/.
        read: where and of when the figure was read.
    """

    usd: float
    unit: str
    page: str
    read: str


PRICES: Final[Mapping[str, Price]] = {
    "secret": Price(0.40, "secret and month", "secrets-manager/pricing", _UNDATED),
    "secret-call": Price(0.05 / 10_000, "API call", "secrets-manager/pricing", _UNDATED),
    "lambda-request": Price(
        0.20 / 1_000_000, "invocation", "lambda/pricing", "cloudchipr.com, 2024"
    ),
    "lambda-arm64": Price(0.0000133334, "GB-second", "lambda/pricing", "cloudchipr.com, 2024"),
    "lambda-x86_64": Price(0.0000166667, "GB-second", "lambda/pricing", "cloudchipr.com, 2024"),
    "s3-put": Price(0.005 / 1_000, "PUT", "s3/pricing", _UNREAD),
    "s3-get": Price(0.0004 / 1_000, "GET", "s3/pricing", _UNREAD),
    "s3-job": Price(0.25, "job", "s3/pricing", "Yelp engineering blog, 2025-09"),
    "s3-task": Price(1.00 / 1_000_000, "object of a job", "s3/pricing", _UNREAD),
    "alarm": Price(0.10, "alarm and month", "cloudwatch/pricing", "cloudburn.io, 2026-02"),
    "metric": Price(0.30, "metric and month", "cloudwatch/pricing", "signoz.io, 2026-02"),
    "dashboard": Price(3.00, "dashboard and month", "cloudwatch/pricing", _FACTUAL_MINDS),
    "log-gb": Price(0.50, "GB of log", "cloudwatch/pricing", _FACTUAL_MINDS),
    "kms-key": Price(1.00, "key and month", "kms/pricing", "AWS's page, undated"),
    "kms-call": Price(0.03 / 10_000, "request", "kms/pricing", _FACTUAL_MINDS),
    "sqs-request": Price(0.40 / 1_000_000, "request", "sqs/pricing", _CLOUDBURN),
    # Some say that S3's events are free, as those of other services are; the higher is taken.
    "s3-event": Price(1.00 / 1_000_000, "event", "eventbridge/pricing", _UNREAD),
    "endpoint-hour": Price(
        0.01, "endpoint, zone and hour", "privatelink/pricing", "awsnegotiations.com, 2026-05"
    ),
}
