"""The findings of IAM Access Analyzer about a resource: who may use it, as AWS itself proves.

The actions ListFindings and GetFinding allow the operations with V2 in their names too
(API_ListFindingsV2, API_GetFindingV2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from rotation.aws.answers import reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS
from rotation.aws.unread import account_unread

#: The analyzers whose findings tell who may use a resource; others tell what nobody uses
#: (API_AnalyzerSummary, type).
_OF_ACCESS: Final = frozenset(
    {"ACCOUNT", "ORGANIZATION", "ACCOUNT_INTERNAL_ACCESS", "ORGANIZATION_INTERNAL_ACCESS"}
)


class AccessAnalyzer:
    """A `rotation.exposure.ports.AccessFindings`.

    Args:
        client: a boto3 Access Analyzer client.
        pace: waits for the turn of the next call.
    """

    def __init__(self, client: Any, pace: Callable[[], None]) -> None:
        self._client = client
        self._pace = pace

    def analyzers(self) -> list[str]:
        """As `rotation.exposure.ports.AccessFindings.analyzers`."""
        return [
            one["arn"]
            for page in self._pages("ListAnalyzers", self._client.list_analyzers, "analyzers")
            for one in page
            if one["type"] in _OF_ACCESS and one["status"] == "ACTIVE"
        ]

    def findings(self, analyzer: str, resource: str) -> Iterator[Mapping[str, Any]]:
        """As `rotation.exposure.ports.AccessFindings.findings`."""
        wanted = {"resource": {"eq": [resource]}, "status": {"eq": ["ACTIVE"]}}
        listed = partial(self._client.list_findings_v2, analyzerArn=analyzer, filter=wanted)
        for page in self._pages("ListFindings", listed, "findings"):
            for one in page:
                read = partial(self._client.get_finding_v2, analyzerArn=analyzer, id=one["id"])
                for details in self._pages("GetFinding", read, "findingDetails"):
                    yield {**one, "findingDetails": details}

    def _pages(
        self, operation: str, call: Callable[..., Mapping[str, Any]], member: str
    ) -> Iterator[list[dict[str, Any]]]:
        more: dict[str, str] = {}
        while True:
            self._pace()
            try:
                with reading_answer():
                    answer = call(**more)
                    page = [*answer[member]]
            except AWS_CALL_ERRORS as error:
                raise account_unread(f"access-analyzer:{operation}", error) from error
            yield page
            if not answer.get("nextToken"):
                return
            more = {"nextToken": answer["nextToken"]}
