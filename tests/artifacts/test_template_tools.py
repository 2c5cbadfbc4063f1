"""What cfn-lint and AWS SAM say of the template."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.artifacts import parameter_sets
from tests.artifacts.toolchain import SCRIPTS, run, sam, succeed
from tests.paths import ROOT

_cfn_lint = (SCRIPTS / "cfn-lint", "--include-checks", "I")


@pytest.fixture
def project(tmp_path: Path, built: Path) -> Path:
    """The template beside built artifacts, as after ``make package``."""
    (tmp_path / "template.yaml").write_bytes((ROOT / "template.yaml").read_bytes())
    (tmp_path / "build").symlink_to(built)
    return tmp_path


def test_cfn_lint_has_nothing_to_say() -> None:
    """No error, no warning and no hint, whichever set of parameters is deployed."""
    sets = [parameter_sets.path(name) for name in parameter_sets.SETS]
    assert succeed(*_cfn_lint, "--parameter-files", *sets, "--", ROOT / "template.yaml") == ""


def test_cfn_lint_would_object(tmp_path: Path) -> None:
    """The linter's silence means something: it names a property that does not exist."""
    spoilt = (ROOT / "template.yaml").read_text().replace("RotateImmediatelyOnUpdate", "Rotate")
    (tmp_path / "template.yaml").write_text(spoilt)
    objection = run(*_cfn_lint, "--", tmp_path / "template.yaml")
    assert objection.returncode != 0
    assert "Rotate" in objection.stdout


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
