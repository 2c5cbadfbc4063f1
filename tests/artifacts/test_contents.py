"""What `make package` puts into each artifact, and what it leaves out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.artifacts.toolchain import HOST, VERSION, environment, package, run
from tests.paths import ROOT

_artifacts = ("rotation", "sealing")


def _files(artifact: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(artifact)): path.read_bytes()
        for path in sorted(artifact.rglob("*"))
        if path.is_file()
    }


def _python(artifact: Path, code: str, *more_path: Path) -> str:
    """Run ``code`` with the artifact, the standard library and ``more_path`` alone."""
    finished = subprocess.run(
        [sys.executable, "-S", "-s", "-P", "-c", code],
        cwd=artifact.parent,
        env={
            "PYTHONPATH": os.pathsep.join(map(str, (artifact, *more_path))),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize("artifact", _artifacts)
@pytest.mark.parametrize(
    "package_name",
    [
        *("boto3", "botocore", "s3transfer", "awslambdaric"),
        *("moto", "flask", "werkzeug", "click", "rich", "pytest", "bin"),
    ],
)
def test_an_artifact_leaves_out_what_lambda_has_or_never_needs(
    built: Path, artifact: str, package_name: str
) -> None:
    """boto3 is the runtime's, and no development or command-line package is deployed."""
    assert not (built / artifact / package_name).exists()


@pytest.mark.parametrize("artifact", _artifacts)
@pytest.mark.parametrize("part", ["sandbox", "cli", "py.typed"])
def test_an_artifact_leaves_out_the_sandbox_and_the_commands(
    built: Path, artifact: str, part: str
) -> None:
    """The emulated vendor and the operator's commands stay on the operator's machine."""
    assert (built / artifact / "rotation" / "errors.py").is_file()
    assert not (built / artifact / "rotation" / part).exists()


@pytest.mark.parametrize("package_name", ["pyhanko", "lxml", "aiohttp", "rotation/sealing"])
def test_the_rotation_artifact_knows_no_pdf(built: Path, package_name: str) -> None:
    """The function that holds the keys carries none of the code that reads documents."""
    assert not (built / "rotation" / package_name).exists()
    assert (built / "sealing" / package_name).exists()


@pytest.mark.parametrize(
    "module",
    [
        "core/steps.py",
        "secrets_manager/versions.py",
        "handlers/rotate.py",
        "vendor/admin_api.py",
    ],
)
def test_the_sealing_artifact_cannot_rotate(built: Path, module: str) -> None:
    """The function that reads documents carries none of the code that issues or stores keys."""
    assert not (built / "sealing" / "rotation" / module).exists()
    assert (built / "rotation" / "rotation" / module).is_file()


@pytest.mark.parametrize(
    ("artifact", "entries"),
    [
        ("rotation", {"rotate", "reconcile"}),
        ("sealing", {"seal", "seal_events", "seal_batch"}),
    ],
)
def test_an_artifact_holds_its_handlers(built: Path, artifact: str, entries: set[str]) -> None:
    """Each artifact has the entry points that the template names for it, and no other."""
    handlers = {path.stem for path in (built / artifact / "rotation" / "handlers").glob("*.py")}
    assert handlers & {"rotate", "reconcile", "seal", "seal_events", "seal_batch"} == entries


@pytest.mark.parametrize("artifact", _artifacts)
def test_every_module_of_ours_imports_from_the_artifact_alone(
    built: Path, runtime: Path, artifact: str
) -> None:
    """Nothing that was left out is needed by anything that was left in."""
    package_root = built / artifact
    modules = sorted(
        ".".join(path.relative_to(package_root).with_suffix("").parts).removesuffix(".__init__")
        for path in (package_root / "rotation").rglob("*.py")
    )
    code = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
    code += "import rotation, boto3; print(rotation.__file__, boto3.__file__, sep='\\n')"
    ours, theirs = map(Path, _python(package_root, code, runtime).splitlines())
    assert len(modules) >= 8
    assert ours.is_relative_to(package_root)
    assert theirs.is_relative_to(runtime)


@pytest.mark.parametrize("artifact", _artifacts)
def test_licences_are_deployed_with_the_code(built: Path, artifact: str) -> None:
    """Every package keeps its METADATA, and those that ship a licence file keep it."""
    packages = list((built / artifact).glob("*.dist-info"))
    assert len(packages) >= 10
    assert all((one / "METADATA").is_file() for one in packages)
    licensed = [one for one in packages if any(one.rglob("LICEN[CS]E*"))]
    assert len(licensed) >= len(packages) - 1


def test_the_same_input_gives_the_same_bytes(built: Path, workshop: Path) -> None:
    """Two builds in two directories are equal, so that a deployment changes what has changed."""
    again = package(workshop / "elsewhere" / "and-deeper", HOST)
    for artifact in _artifacts:
        assert (built / f"{artifact}.json").read_text() == (again / f"{artifact}.json").read_text()
        first, second = _files(built / artifact), _files(again / artifact)
        assert first.keys() == second.keys()
        assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.parametrize("artifact", _artifacts)
def test_an_artifact_names_no_directory_of_the_build(built: Path, artifact: str) -> None:
    """Neither the checkout nor the build directory is written into what is deployed."""
    places = [str(ROOT).encode(), str(built).encode()]
    files = _files(built / artifact)
    beside = {name.name: name.read_bytes() for name in built.glob("*.json")}
    files = files | beside
    assert [name for name in files if any(place in files[name] for place in places)] == []
    assert b"/var/task/rotation/errors.py" in b"".join(
        content for name, content in files.items() if name.startswith("rotation/__pycache__/errors")
    )


def test_pyenvs_interpreter_is_found(tmp_path: Path) -> None:
    """An interpreter that pyenv has, and PATH has not, needs no option."""
    for root, variable in ((tmp_path / "named", "PYENV_ROOT"), (tmp_path / ".pyenv", "HOME")):
        interpreter = root / "versions" / "3.99.1" / "bin" / "python3.99"
        interpreter.parent.mkdir(parents=True)
        interpreter.write_text("#!/bin/sh\nexit 0\n")
        interpreter.chmod(0o755)
        place = root if variable == "PYENV_ROOT" else tmp_path
        found = run(
            *("make", "runtime-python", "PYTHON_VERSION=3.99"),
            env=environment(**{"PYENV_ROOT": "", variable: str(place)}),
        )
        assert found.returncode == 0, found.stderr
        assert str(interpreter) in found.stdout


def test_a_missing_interpreter_is_named_and_nothing_is_built(workshop: Path) -> None:
    """Bytecode of another version would be useless on Lambda: the build says what it lacks."""
    refused = run(
        *("make", "package", f"BUILD={workshop / 'refused'}", "PYTHON_VERSION=3.99"),
        env=environment(),
    )
    assert refused.returncode != 0
    assert "python3.99" in refused.stderr
    assert "RUNTIME_PYTHON=" in refused.stderr
    assert not (workshop / "refused").exists()


def test_another_interpreter_than_the_runtimes_is_refused(workshop: Path) -> None:
    """Naming an interpreter of the wrong version is the same as having none."""
    refused = run(
        *("make", "package", f"BUILD={workshop / 'refused'}", "PYTHON_VERSION=3.99"),
        f"RUNTIME_PYTHON={sys.executable}",
        env=environment(),
    )
    assert refused.returncode != 0
    assert "python3.99" in refused.stderr
    assert VERSION != "3.99"


def test_an_architecture_that_lambda_does_not_have_is_refused(workshop: Path) -> None:
    """A mistyped ARCH is refused before anything is fetched."""
    refused = run("make", "package", f"BUILD={workshop / 'refused'}", "ARCH=riscv64")
    assert refused.returncode != 0
    assert "arm64 or x86_64" in refused.stderr


@pytest.mark.parametrize("artifact", _artifacts)
def test_the_page_states_the_size_that_the_build_prints(
    built_for_arm64: Path, artifact: str
) -> None:
    """Who reads how large an artifact is, gets such a one; another Python's differs a little."""
    page = (ROOT / "docs" / "deploying.md").read_text()
    stated = re.search(rf"`build/{artifact}` \(([\d.]+) MiB, zipped ([\d.]+) MiB\)", page)
    assert stated
    figures = json.loads((built_for_arm64 / f"{artifact}.json").read_text())
    for text, member in zip(stated.groups(), ("bytes", "zipped_bytes"), strict=True):
        assert float(text) == pytest.approx(figures[member] / 2**20, rel=0.04)


@pytest.mark.parametrize("artifact", _artifacts)
def test_the_printed_digest_is_that_of_the_files(built: Path, artifact: str) -> None:
    """The command of the page, run over an artifact, gives the digest that the build printed."""
    [command] = re.findall(
        r"`(find \. .*? sha256sum)`", (ROOT / "docs" / "deploying.md").read_text()
    )
    listing = subprocess.run(
        ["sh", "-c", command], cwd=built / artifact, capture_output=True, check=True, timeout=300
    ).stdout
    figures = json.loads((built / f"{artifact}.json").read_text())
    assert hashlib.sha256(listing).hexdigest() == figures["sha256"]


@pytest.mark.parametrize("artifact", _artifacts)
def test_a_bill_of_materials_lies_beside_an_artifact(built: Path, artifact: str) -> None:
    """It is valid CycloneDX, and has a licence and one hashed file for each package."""
    bill = (built / f"{artifact}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(bill) is None
    components = json.loads(bill)["components"]
    assert len(components) == len([*(built / artifact).glob("*.dist-info")])
    for component in components:
        assert component["licenses"]
        [file] = component["externalReferences"]
        assert file["hashes"]
