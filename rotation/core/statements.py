"""The sentences whose digests test seals are made over. Each describes itself: no document can.

They stand together so that test seals can be told from the seals of documents by their digests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: Before leaked keys of a pool are judged by a key that is current elsewhere.
OF_A_CONTROL: Final = "a test seal of a current key, before others are judged by it"


def of_a_step(arn: str, token: str) -> str:
    """Of a step of a rotation."""
    return f"rotation test seal for {arn} {token}"


def of_a_reconciliation(arn: str) -> str:
    """Of a reconciliation, which asks whether the current key signs."""
    return f"reconciliation test seal for {arn}"


def of_a_death(arn: str) -> str:
    """Of a probe, which asks whether a key still signs."""
    return f"proof of death of a key of {arn}"


def of_a_rollback(arn: str, version: str) -> str:
    """Of a rollback, before a previous key becomes current."""
    return f"rotation test seal for {arn} {version} (rollback)"


def of_a_typed_key(secret: str, key_id: str) -> str:
    """Of a command, which was given a key, or checks one, for a secret's name or ARN."""
    return f"rotation test seal for {secret} {key_id}"


def all_statements(
    arn: str, name: str, versions: Iterable[str], key_ids: Iterable[str]
) -> frozenset[str]:
    """Every sentence that may have been signed with a key of the secret.

    Args:
        arn: the secret's.
        name: its name.
        versions: the ids of its versions, which are the tokens of its rotations.
        key_ids: the ids of its keys.
    """
    found = {OF_A_CONTROL, of_a_reconciliation(arn), of_a_death(arn)}
    for version in versions:
        found |= {of_a_step(arn, version), of_a_rollback(arn, version)}
    found |= {of_a_typed_key(secret, key) for key in key_ids for secret in (arn, name)}
    return frozenset(found)
