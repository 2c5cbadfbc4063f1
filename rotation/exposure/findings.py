"""What IAM Access Analyzer found of a secret: who may use it, as AWS proves from its policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AnalyzerFinding:
    """That somebody may use a resource.

    Attributes:
        id: the finding's id.
        analyzer: the ARN of the analyzer.
        resource: the ARN of the resource.
        principals: who may use it, as the finding names them; ``*`` is everybody.
        actions: what they may do.
        conditions: the condition keys that their right depends on.
    """

    id: str
    analyzer: str
    resource: str
    principals: tuple[str, ...]
    actions: tuple[str, ...]
    conditions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "id": self.id,
            "analyzer": self.analyzer,
            "resource": self.resource,
            "principals": list(self.principals),
            "actions": list(self.actions),
            "conditions": list(self.conditions),
        }


def findings_of(analyzer: str, told: Mapping[str, Any]) -> Iterator[AnalyzerFinding]:
    """The findings that an answer of GetFindingV2 tells of; none that are not about access.

    Args:
        analyzer: the ARN of the analyzer.
        told: the answer.
    """
    for one in told["findingDetails"]:
        details = one.get("externalAccessDetails") or one.get("internalAccessDetails")
        if details is None:
            continue
        principals = (details.get("principal") or {}).values()
        yield AnalyzerFinding(
            id=told["id"],
            analyzer=analyzer,
            resource=told["resource"],
            principals=("*",) if details.get("isPublic") else tuple(sorted(principals)),
            actions=tuple(sorted(details.get("action") or ())),
            conditions=tuple(sorted(details.get("condition") or ())),
        )
