"""Asks the judges about the template, with each set of parameters: the end of `make check`.

Fails on a finding that the template does not explain, on an explanation that explains nothing, and
on a judge that finds nothing in a template which is wrong on purpose.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.artifacts.parameter_sets import SETS
from tests.artifacts.template import Template
from tests.harness.judges.findings import Finding, explained, idle, unexplained
from tests.harness.judges.panel import checkov, guard, policies
from tests.harness.judges.rendered import rendered

_JUDGES = {"checkov", "guard", "parliament", "cloudsplaining"}
_WRONG: dict[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "queue"}},
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
                "Policies": [
                    {
                        "PolicyName": "everything",
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
                        },
                    }
                ],
            },
        },
    },
}


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> int:
    """Print what is wrong, and give the exit status."""
    with TemporaryDirectory() as place:
        wrong = Path(place).resolve() / "wrong.json"
        templates = {
            Path(place).resolve() / f"{name}.json": rendered(parameters)
            for name, parameters in SETS.items()
        } | {wrong: _WRONG}
        for path, template in templates.items():
            path.write_text(json.dumps(template, indent=1))
        with ThreadPoolExecutor() as pool:
            answers = pool.map(lambda ask: list(ask(templates)), (checkov, guard, policies))
            said = [one for answer in answers for one in answer]

    silent = _JUDGES - {finding.rule.judge for path, finding in said if path == wrong}
    reasons = explained(Template.read().document)
    found: dict[Finding, list[str]] = {}
    for path, finding in said:
        if path != wrong:
            found.setdefault(finding, []).append(path.stem)
    open_findings = unexplained(found, reasons)
    for finding in sorted(open_findings, key=lambda one: one.rule):
        rule = finding.rule
        _tell(f"{rule.resource}: {rule.judge} {rule.id}: {finding.message} {found[finding]}")
    for rule in idle(found, reasons):
        _tell(f"{rule.resource}: {rule.judge} {rule.id} is explained and never found.")
    for name in sorted(silent):
        _tell(f"{name} finds nothing in a template that is wrong on purpose.")
    _tell(
        f"{len(_JUDGES)} judges, {len(SETS)} sets of parameters: {len(open_findings)} findings "
        f"without an explanation, {len(reasons)} explained."
    )
    return bool(open_findings or idle(found, reasons) or silent)


if __name__ == "__main__":
    sys.exit(main())
