"""An account in memory, as the sandbox judges it, and a history of calls; requests are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rotation.sandbox.aws.policy_simulator import (
    Answer,
    Policy,
    Question,
    described,
    simulate,
)

ACCOUNT: Final = "012345678912"
NOW: Final = datetime(2027, 3, 1, 12, tzinfo=UTC)
PAGE: Final = 100


def arn(kind: str, name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:{kind}/{name}"


def secret_arn(name: str) -> str:
    return f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:{name}-AbCdEf"


def allow(*actions: str, resource: str = "*", **more: Any) -> Policy:
    return {"Statement": {"Effect": "Allow", "Action": [*actions], "Resource": resource, **more}}


def trust(*names: str) -> Policy:
    return {
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": [*names]},
            "Action": "sts:AssumeRole",
        }
    }


READS: Final = allow("secretsmanager:GetSecretValue")
ROOT: Final = f"arn:aws:iam::{ACCOUNT}:root"


@dataclass
class MemoryAccount:
    """A `rotation.exposure.ports.IamAccount`."""

    users: dict[str, list[Policy]] = field(default_factory=dict)
    roles: dict[str, tuple[Policy, list[Policy]]] = field(default_factory=dict)
    boundaries: dict[str, Policy] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)

    def details(self) -> Iterator[Mapping[str, Any]]:
        users = [{"Arn": arn("user", one), "UserId": f"AIDA{one}"} for one in self.users]
        roles = [
            {"Arn": arn("role", one), "RoleId": f"AROA{one}", "AssumeRolePolicyDocument": trusted}
            for one, (trusted, _) in self.roles.items()
        ]
        for start in range(0, max(len(users), len(roles), 1), PAGE):
            self.requests["details"] += 1
            part = slice(start, start + PAGE)
            yield {"UserDetailList": users[part], "RoleDetailList": roles[part]}

    def simulate(
        self,
        principal: str,
        actions: Sequence[str],
        resources: Sequence[str],
        context: Mapping[str, str],
    ) -> list[Mapping[str, Any]]:
        self.requests["simulate"] += 1
        name = principal.rpartition("/")[2]
        own = self.users[name] if ":user/" in principal else self.roles[name][1]
        known = {key.lower(): [value] for key, value in context.items()}
        answers: list[tuple[str, str, Answer]] = [
            (
                action,
                resource,
                simulate(
                    Question(principal, action, resource, known),
                    own,
                    self.boundaries.get(name),
                    None,
                ),
            )
            for action in actions
            for resource in resources
        ]
        return [*described(answers)]


@dataclass
class MemoryHistory:
    """A `rotation.exposure.ports.CallHistory`: records by the name of their operation."""

    records: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)

    def events(self, name: str, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        assert since < until
        self.requests[name] += 1
        yield from self.records.get(name, [])


class MemoryAnalyzer:
    """IAM Access Analyzer, on, with findings that are given as GetFindingV2 answers them."""

    def __init__(self, *findings: Mapping[str, Any]) -> None:
        self._findings = findings

    def analyzers(self) -> list[str]:
        return ["arn:analyzer"]

    def findings(self, analyzer: str, resource: str) -> list[Mapping[str, Any]]:
        return [one for one in self._findings if one["resource"] == resource]
