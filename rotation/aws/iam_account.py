"""IAM as the exposure of a secret needs it: every user and role, and the simulator of policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from rotation.aws.answers import reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS
from rotation.aws.unread import account_unread

#: API_GetAccountAuthorizationDetails and API_SimulatePrincipalPolicy, MaxItems: 1000 at most. IAM
#: may answer less.
_PAGE: Final = 1000


class IamPrincipals:
    """A `rotation.exposure.ports.IamAccount`.

    Args:
        client: a boto3 IAM client.
        pace: waits for the turn of the next call.
    """

    def __init__(self, client: Any, pace: Callable[[], None]) -> None:
        self._client = client
        self._pace = pace

    def details(self) -> Iterator[Mapping[str, Any]]:
        """As `rotation.exposure.ports.IamAccount.details`."""
        marker: dict[str, str] = {}
        while True:
            page = self._ask(
                "GetAccountAuthorizationDetails",
                partial(
                    self._client.get_account_authorization_details,
                    Filter=["User", "Role"],
                    MaxItems=_PAGE,
                    **marker,
                ),
                "UserDetailList",
                "RoleDetailList",
            )
            yield page
            if not page["IsTruncated"]:
                return
            marker = {"Marker": page["Marker"]}

    def simulate(
        self,
        principal: str,
        actions: Sequence[str],
        resources: Sequence[str],
        context: Mapping[str, str],
    ) -> list[Mapping[str, Any]]:
        """As `rotation.exposure.ports.IamAccount.simulate`."""
        entries = [
            {
                "ContextKeyName": key,
                "ContextKeyValues": [value],
                "ContextKeyType": "boolean" if value in ("true", "false") else "string",
            }
            for key, value in context.items()
        ]
        results: list[Mapping[str, Any]] = []
        marker: dict[str, str] = {}
        while True:
            page = self._ask(
                "SimulatePrincipalPolicy",
                partial(
                    self._client.simulate_principal_policy,
                    PolicySourceArn=principal,
                    ActionNames=[*actions],
                    ResourceArns=[*resources],
                    ContextEntries=entries,
                    MaxItems=_PAGE,
                    **marker,
                ),
                "EvaluationResults",
            )
            results += page["EvaluationResults"]
            if not page["IsTruncated"]:
                return results
            marker = {"Marker": page["Marker"]}

    def _ask(
        self, operation: str, call: Callable[[], Mapping[str, Any]], *members: str
    ) -> Mapping[str, Any]:
        self._pace()
        try:
            with reading_answer():
                page = call()
                for member in (*members, "IsTruncated"):
                    page[member]
        except AWS_CALL_ERRORS as error:
            raise account_unread(f"iam:{operation}", error) from error
        return page
