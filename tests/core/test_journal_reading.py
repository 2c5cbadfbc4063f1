"""A journal that is lost is not taken for one that never was."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rotation.core.journal_reading import read_journal
from rotation.errors import JournalError
from rotation.journal.model import Journal
from rotation.secrets_manager.labels import INCIDENT_TAG
from rotation.secrets_manager.snapshot import Snapshot

ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:trusted-signatures-api-AbCdEf"
TAG = {INCIDENT_TAG: "2026-11-21T20:00:00.000Z key-compromise ada"}
SUSPECTS = {"rotation:incident-suspects-1": "v1"}


class Stored:
    """A reader for which the journal is stored, or is not."""

    def __init__(self, revision: str | None) -> None:
        self._revision = revision

    def read(self, secret_arn: str) -> Journal:
        return Journal(secret_arn, revision=self._revision)


def secret(labels: tuple[str, ...] = (), tags: Mapping[str, str] | None = None) -> Snapshot:
    return Snapshot(ARN, None, True, None, {"v1": frozenset(labels)}, None, tags=tags or {})


@pytest.mark.parametrize(
    ("found", "sign"),
    [
        (secret(("rotation-keep-v1",)), "the label rotation-keep-v1"),
        (secret(("AWSCURRENT",), TAG), "the tag rotation:incident"),
    ],
)
def test_nothing_is_concluded_from_a_journal_that_is_lost(found: Snapshot, sign: str) -> None:
    """Only who keeps a journal sets these; with the journal they mean nothing."""
    with pytest.raises(JournalError, match=sign) as failed:
        read_journal(Stored(None), found)
    assert not failed.value.retryable
    assert read_journal(Stored("1"), found).secret_arn == ARN


@pytest.mark.parametrize(
    "found",
    [
        secret(),
        secret(("AWSCURRENT", "ours"), {"team": "archive"}),
        secret(("rotation-compromised-v1",), TAG),
        secret(("rotation-dead-v1",)),
        secret(("AWSCURRENT",), TAG | SUSPECTS),
    ],
)
def test_a_secret_of_version_0_2_has_no_journal_yet(found: Snapshot) -> None:
    """Nor has one that nobody has declared anything of."""
    assert read_journal(Stored(None), found).begun_at is None
