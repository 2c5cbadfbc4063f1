"""Lets the grace of displaced keys end in a deployment whose clock no test can move."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rotation.aws.journal_bucket import S3JournalStore
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Journal

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def let_graces_end(s3: S3Client, bucket: str, secret_arn: str) -> None:
    """As if the grace of every displaced key of the secret had been over for an hour."""
    keeper = JournalKeeper(S3JournalStore(s3, bucket))

    def ended(journal: Journal) -> Journal:
        over = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        lives = {
            key: replace(life, retire_after=over) if life.retire_after else life
            for key, life in journal.keys.items()
        }
        return replace(journal, keys=lives)

    keeper.change(keeper.read(secret_arn), ended)
