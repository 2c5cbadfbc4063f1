"""Builds the ledger of seals, for the functions that write it and for the one that reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

from rotation.aws.client_config import LEDGER
from rotation.settings.environment import Location

if TYPE_CHECKING:
    from rotation.aws.seal_ledger import S3SealLedger


def seal_ledger(place: Location | None) -> S3SealLedger | None:
    """The ledger at ``place``; None where none is kept, which then costs no import either."""
    if place is None:
        return None
    from rotation.aws.seal_ledger import S3SealLedger

    return S3SealLedger(boto3.client("s3", config=LEDGER), place.bucket, place.prefix)
