"""The judges: each reads templates that are rendered, and says what it finds.

They are in environments of their own (``.ci/locks/judges.txt``, ``.ci/locks/guard.txt``), which
``make check`` sets up.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.harness.judges.findings import Finding, Rule
from tests.harness.judges.policies import identity_policies

_TOOLS = Path(sys.prefix) / "tools"
_JUDGES = _TOOLS / "judges" / "bin"
_GUARD = _TOOLS / "guard" / "package"
_MACHINE = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())

Templates = Mapping[Path, Mapping[str, Any]]


def _json(*command: str | Path, typed: str = "", succeeds: tuple[int, ...] = (0,)) -> Any:
    finished = subprocess.run(
        [str(part) for part in command],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if finished.returncode not in succeeds:
        raise RuntimeError(f"{command[0]} failed:\n{finished.stdout}{finished.stderr}")
    return json.loads(finished.stdout)


def checkov(templates: Templates) -> Iterator[tuple[Path, Finding]]:
    """Checkov's checks of CloudFormation."""
    answer = _json(
        *(_JUDGES / "checkov", "--framework", "cloudformation", "--skip-download", "--compact"),
        *(option for path in templates for option in ("-f", path)),
        *("--output", "json"),
        succeeds=(0, 1),
    )
    for check in answer["results"]["failed_checks"]:
        rule = Rule("checkov", check["check_id"], check["resource"].rpartition(".")[2])
        yield Path(check["file_abs_path"]), Finding(rule, check["check_name"])


def guard(templates: Templates) -> Iterator[tuple[Path, Finding]]:
    """AWS's cfn-guard, with the proactive controls of AWS Control Tower as its rules."""
    answer = _json(
        *(_GUARD / "bin" / "ubuntu" / _MACHINE / "cfn-guard", "validate"),
        *("--rules", _GUARD / "rules" / "control-tower" / "cfn-guard"),
        *(option for path in templates for option in ("--data", path)),
        *("--output-format", "json", "--structured", "--show-summary", "none"),
        succeeds=(0, 19),
    )
    for document in answer:
        for broken in document["not_compliant"]:
            for finding in guard_findings(broken):
                yield Path(document["name"]), finding


def guard_findings(broken: Mapping[str, Any]) -> list[Finding]:
    """The control that a rule stands for, once for each resource that does not keep it."""
    text = json.dumps(broken)
    controls = re.findall(r"\[(CT\.[A-Z0-9.]+)\]: ([^\\]+)", text)
    names = sorted(set(re.findall(r'"path": "/Resources/(\w+)', text)))
    return [
        Finding(Rule("guard", control, name), says)
        for control, says in sorted(set(controls))
        for name in names
    ]


def policies(templates: Templates) -> Iterator[tuple[Path, Finding]]:
    """Parliament and cloudsplaining, which read the policies of roles alone."""
    asked = {
        f"{path}#{name}#{number}": policy
        for path, template in templates.items()
        for name, found in identity_policies(template).items()
        for number, policy in enumerate(found)
    }
    answer = _json(
        *(
            _JUDGES / "python",
            "-W",
            "ignore",
            Path(__file__).with_name("ask_policy_judges.py"),
        ),
        typed=json.dumps(asked),
    )
    for judge, rule, place, message in answer:
        path, name, _ = place.split("#")
        yield Path(path), Finding(Rule(judge, rule, name), message)
