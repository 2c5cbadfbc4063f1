"""Reads the records of incidents: what other runs have done about the same incident."""

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

#: Within this time after its end, the same declaration is taken for the same incident.
SAME_INCIDENT_WITHIN: Final = timedelta(minutes=10)


def closed_just_now(account: AwsAccount, name: str, declaration: Declaration) -> Containment | None:
    """The incident on record, if the same person closed one for the same reason just now.

    A person whose command was cut off before its end runs it again.
    """
    snapshot = account.secret(name).snapshot()
    if INCIDENT_TAG in snapshot.tags:
        return None
    declared_now = Declaration.read(declaration.tag())
    for where, record in _records(account, snapshot.arn):
        declared = record["declared"]
        same = (declared["reason"], declared["actor"]) == (declared_now.reason, declared_now.actor)
        age = declaration.at - datetime.fromisoformat(record["completedAt"])
        if same and age < SAME_INCIDENT_WITHIN and record["current"] is not None:
            at = datetime.fromisoformat(declared["at"])
            containment = Containment(snapshot.arn, replace(declared_now, at=at))
            containment.current, containment.contained = record["current"]["versionId"], True
            containment.suspects = tuple(one["versionId"] for one in record["compromisedVersions"])
            _copy_record(containment, where, record)
            return containment
    return None


def add_recorded_deaths(
    account: AwsAccount, containment: Containment, log_act: Callable[[str], None]
) -> None:
    """Add the deaths that another run has proven, such as the run after each promotion."""
    if not containment.contained:
        return
    for where, record in _records(account, containment.arn):
        if record["declared"]["at"] == iso_utc(containment.declaration.at):
            seen = set(containment.proven_dead)
            _copy_record(containment, where, record)
            for key_id in containment.proven_dead:
                if key_id not in seen:
                    log_act(f"key {key_id} is proven dead")


def _records(account: AwsAccount, arn: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The newest records; none if they cannot be read, since containment must go on."""
    try:
        answer = account.ask("evidence", [arn])
    except click.ClickException:
        return
    for one in answer["records"]:
        yield one["where"], one["record"]


def _copy_record(containment: Containment, where: str, record: dict[str, Any]) -> None:
    containment.evidence = where
    containment.proven_dead = [key["keyId"] for key in record["keys"]]
