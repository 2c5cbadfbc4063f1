"""Asks parliament and cloudsplaining about policies; runs in their environment, for the judges.

Reads ``{name: policy}`` from standard input and writes a list of ``[judge, rule, name, message]``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from cloudsplaining.scan.policy_document import PolicyDocument
from parliament import analyze_policy_string

# What cloudsplaining calls its risks ("Risk definitions" in its documentation).
_risks = (
    "allows_privilege_escalation",
    "allows_data_exfiltration_actions",
    "permissions_management_without_constraints",
    "write_actions_without_constraints",
    "tagging_actions_without_constraints",
    "credentials_exposure",
    "service_wildcard",
    "contains_statement_using_not_action",
)


def _findings(name: str, policy: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for finding in analyze_policy_string(json.dumps(policy)).findings:
        detail = json.dumps(finding.detail, default=str)
        yield "parliament", finding.issue, name, f"{finding.title} {detail}".strip()
    document = PolicyDocument(policy)
    for risk in _risks:
        found = getattr(document, risk)
        if found:
            yield "cloudsplaining", risk, name, json.dumps(found, default=str)


if __name__ == "__main__":
    policies = json.load(sys.stdin)
    found = [one for name, policy in policies.items() for one in _findings(name, policy)]
    sys.stdout.write(json.dumps(found))
