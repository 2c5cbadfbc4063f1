"""What cfn-lint and AWS SAM say of the template."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.artifacts.toolchain import SCRIPTS, run, sam
from tests.paths import ROOT


@pytest.fixture
def project(tmp_path: Path, built: Path) -> Path:
    """The template beside built artifacts, as after ``make package``."""
    (tmp_path / "template.yaml").write_bytes((ROOT / "template.yaml").read_bytes())
    (tmp_path / "build").symlink_to(built)
    return tmp_path


def test_cfn_lint_would_object(tmp_path: Path) -> None:
    """Its silence in `make check` means something: it names a property that does not exist."""
    spoilt = tmp_path / "template.yaml"
    spoilt.write_text(
        "Resources: {Queue: {Type: AWS::SQS::Queue, Properties: {RetentionPeriod: 60}}}"
    )
    objection = run(SCRIPTS / "cfn-lint", "--include-checks", "I", "--", spoilt)
    assert objection.returncode != 0
    assert "RetentionPeriod" in objection.stdout


def test_sam_accepts_the_template(project: Path, sam_installed: Path) -> None:
    """AWS SAM transforms the template without credentials, and its linter agrees."""
    validated = sam(sam_installed, "validate", "--lint", cwd=project)
    assert validated.returncode == 0, validated.stdout + validated.stderr
    assert "is a valid SAM Template" in validated.stdout


def test_sam_builds_nothing_again(project: Path, sam_installed: Path) -> None:
    """`sam build` takes the artifacts as they are: it copies nothing and resolves nothing."""
    finished = sam(sam_installed, "build", "--build-dir", "out", cwd=project)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert [path.name for path in (project / "out").iterdir()] == ["template.yaml"]
    locations = re.findall(r"CodeUri: (\S+)", (project / "out" / "template.yaml").read_text())
    assert len(locations) == 5
    for location in locations:
        assert (project / "out" / location / "rotation" / "errors.py").is_file()
