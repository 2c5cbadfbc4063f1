"""What the judgement needs of an account.

Its principals, a simulator of policies, the history of calls, and what Access Analyzer found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol


class IamAccount(Protocol):
    """IAM, as the API answers. Every method may raise AccountReadError."""

    def details(self) -> Iterator[Mapping[str, Any]]:
        """Each page of GetAccountAuthorizationDetails with the users and the roles."""

    def simulate(
        self,
        principal: str,
        actions: Sequence[str],
        resources: Sequence[str],
        context: Mapping[str, str],
    ) -> list[Mapping[str, Any]]:
        """EvaluationResults of SimulatePrincipalPolicy, all pages.

        Args:
            principal: the ARN of a user or a role.
            actions: the actions.
            resources: the ARNs of the resources.
            context: condition keys and their values.
        """


class CallHistory(Protocol):
    """CloudTrail's event history of one Region. Every method may raise AccountReadError."""

    def events(self, name: str, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        """The CloudTrail records of the operation ``name``, newest first.

        Args:
            name: the event's name, such as ``GetSecretValue``.
            since: the earliest time, aware UTC.
            until: the latest time, aware UTC.
        """


class AccessFindings(Protocol):
    """IAM Access Analyzer. Every method may raise AccountReadError."""

    def analyzers(self) -> list[str]:
        """The ARNs of the analyzers that are on and tell who may use resources."""

    def findings(self, analyzer: str, resource: str) -> Iterable[Mapping[str, Any]]:
        """The active findings of an analyzer about a resource, as GetFindingV2 answers.

        One with many details is told in several parts.

        Args:
            analyzer: the ARN of the analyzer.
            resource: the ARN of the resource.
        """
