"""What strangers rely on: versions that agree, a workflow and a hook that run our own commands."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml

import rotation
from tests.artifacts.template import Template
from tests.paths import ROOT


def read_yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_place_names_the_same_version() -> None:
    """The package, the project, the lock, the newest release in the changelog, the template."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    [locked] = [one["version"] for one in lock if one["name"] == project["name"]]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = re.findall(r"^## \[(\d\S*)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)[0]
    metadata = Template.read().document["Metadata"]["AWS::ServerlessRepo::Application"]
    published = metadata["SemanticVersion"]
    assert {rotation.__version__, locked, newest, published} == {project["version"]}


def test_the_newest_minor_version_gets_security_corrections() -> None:
    """SECURITY.md names the version that is current."""
    supported = re.findall(
        r"^\| (\d+\.\d+)\.x \| yes \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE
    )
    assert rotation.__version__.rpartition(".")[0] in supported


def test_the_workflow_runs_the_project_s_own_judgement() -> None:
    """It runs .ci/run and the audit, with no right but to read, and with pinned actions."""
    workflow = read_yaml(".github/workflows/ci.yml")
    steps = {name: job["steps"] for name, job in workflow["jobs"].items()}
    run = {name: [one["run"] for one in all_of if "run" in one] for name, all_of in steps.items()}
    assert run == {"judge": [".ci/run"], "audit": ["make audit"]}
    used = [one["uses"] for all_of in steps.values() for one in all_of if "uses" in one]
    actions = {one.partition("@")[0] for one in used}
    assert actions == {"actions/checkout", "actions/setup-python"}
    assert [one for one in used if not re.fullmatch(r".+@[0-9a-f]{40}", one)] == []
    assert workflow["permissions"] == {"contents": "read"}


def test_the_workflow_s_python_is_that_of_the_functions() -> None:
    """Otherwise the artifacts would be tested on another interpreter than Lambda's."""
    job = read_yaml(".github/workflows/ci.yml")["jobs"]["judge"]
    [version] = [step["with"]["python-version"] for step in job["steps"] if "python" in str(step)]
    assert f"Runtime: python{version}" in (ROOT / "template.yaml").read_text()


def test_a_commit_runs_make_check() -> None:
    """The hook is the command itself, so that the two cannot differ."""
    [repository] = read_yaml(".pre-commit-config.yaml")["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == ["make check"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["demo", "sandbox"])
def test_make_calls_what_the_tests_run(command: str) -> None:
    """README begins with these targets; the tests run the commands behind them."""
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == f".venv/bin/rotation {command}"


def test_every_program_that_the_tests_need_is_named() -> None:
    """What .ci/run installs stands in README and in the guide."""
    script = (ROOT / ".ci" / "run").read_text()
    packages = set(re.findall(r"[\w.-]+:([a-z][\w-]+)", script)) - {"make"}
    assert "poppler-utils" in packages
    for page in ("README.md", "CONTRIBUTING.md"):
        [told] = re.findall(r"`apt-get install (.*?)`", (ROOT / page).read_text())
        assert set(told.split()) == packages, page


def test_updates_are_proposed_for_the_lock_and_the_actions() -> None:
    """Dependabot knows every place that pins what others publish."""
    updates = read_yaml(".github/dependabot.yml")["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"uv", "pip", "github-actions"}


def test_the_guide_names_only_commands_that_exist() -> None:
    """Each `make …` in CONTRIBUTING.md is a target."""
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert named <= make_targets()
    assert {"check", "test"} <= named
