"""What the records of incidents tell a forced rotation: what others have done of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import click

from rotation.cli.shared.account import AwsAccount
from rotation.credential import iso_utc
from rotation.incident.containment import Containment
from rotation.incident.declaration import Declaration
from rotation.secrets_manager.labels import INCIDENT_TAG

#: So long after its end an incident that is declared in the same words is taken for the same one.
JUST_NOW: Final = timedelta(minutes=10)


def closed_just_now(account: AwsAccount, name: str, declaration: Declaration) -> Containment | None:
    """What is on record, if the same person closed an incident for the same reason just now.

    Whoever was cut off, and did not see the end, runs the command again.
    """
    snapshot = account.secret(name).snapshot()
    if INCIDENT_TAG in snapshot.tags:
        return None
    wanted = Declaration.read(declaration.tag())
    for where, record in _records(account, snapshot.arn):
        declared = record["declared"]
        same = (declared["reason"], declared["actor"]) == (wanted.reason, wanted.actor)
        age = declaration.at - datetime.fromisoformat(record["completedAt"])
        if same and age < JUST_NOW and record["current"] is not None:
            at = datetime.fromisoformat(declared["at"])
            held = Containment(snapshot.arn, replace(wanted, at=at))
            held.current, held.contained = record["current"]["versionId"], True
            held.suspects = tuple(one["versionId"] for one in record["compromisedVersions"])
            _tell_from(held, where, record)
            return held
    return None


def complete(account: AwsAccount, held: Containment, tell: Callable[[str], None]) -> None:
    """Add what another run has done, such as the one that follows each promotion by itself."""
    if not held.contained:
        return
    for where, record in _records(account, held.arn):
        if record["declared"]["at"] == iso_utc(held.declaration.at):
            seen = set(held.proven_dead)
            _tell_from(held, where, record)
            for key_id in held.proven_dead:
                if key_id not in seen:
                    tell(f"key {key_id} is proven dead")


def _records(account: AwsAccount, arn: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The newest records. None, if they cannot be had: that is no reason to hold anything up."""
    try:
        answer = account.ask("evidence", [arn])
    except click.ClickException:
        return
    for one in answer["records"]:
        yield one["where"], one["record"]


def _tell_from(held: Containment, where: str, record: dict[str, Any]) -> None:
    held.evidence = where
    held.proven_dead = [key["keyId"] for key in record["keys"]]
