"""What judges find, and which of it is explained beside the resource.

In ``template.yaml`` a resource says why a judge's rule does not hold for it, in the form that
checkov reads::

    Metadata:
      checkov:
        skip:
          - {id: CKV_AWS_116, comment: the reason}

and likewise under ``guard``, ``parliament`` and ``cloudsplaining``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Rule:
    """One judge's rule about one resource."""

    judge: str
    id: str
    resource: str


@dataclass(frozen=True)
class Finding:
    """A rule that a resource does not keep, in the judge's words."""

    rule: Rule
    message: str


def explained(template: Mapping[str, Any]) -> dict[Rule, str]:
    """The reasons that a template gives."""
    return {
        Rule(judge, one["id"], name): one["comment"]
        for name, resource in template["Resources"].items()
        for judge, said in resource.get("Metadata", {}).items()
        if isinstance(said, dict)
        for one in said.get("skip", ())
    }


def unexplained(findings: Iterable[Finding], reasons: Mapping[Rule, str]) -> list[Finding]:
    """The findings for which the template gives no reason."""
    return [finding for finding in findings if not reasons.get(finding.rule, "").strip()]


def idle(findings: Iterable[Finding], reasons: Mapping[Rule, str]) -> list[Rule]:
    """The reasons that explain nothing any more."""
    return sorted(reasons.keys() - {finding.rule for finding in findings})
