"""README's way to install it, followed: a wheel, and what is in it without any extra."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel that README's command makes, installed without its requirements."""
    folder = tmp_path_factory.mktemp("installing")
    [command] = re.findall(r"^\$ pip (wheel .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = command.replace("dist", str(folder / "dist")).split()
    subprocess.run([*pip, *wheels], cwd=ROOT, check=True, timeout=120)
    [wheel] = (folder / "dist").glob("*.whl")
    target = folder / "site"
    install = ["install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([*pip, *install], cwd=folder, check=True, timeout=120)
    return target


def python(installed: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code that sees the standard library and the installed wheel alone."""
    return subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=installed,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_an_application_imports_it_without_any_library(installed: Path) -> None:
    """`import rotation` and what needs no AWS client work before anything else is installed."""
    ran = python(installed, "import rotation; print(rotation.SealOptions(reason='x').reason)")
    assert (ran.stdout, ran.stderr) == ("x\n", "")


def test_the_command_says_what_to_install(installed: Path) -> None:
    """Without its libraries it ends with the name of the extra, and no traceback."""
    ran = python(installed, "from rotation.cli import main; main()")
    assert ran.returncode == 1
    assert re.fullmatch(r"rotation: the module \w+ is missing\. .*'\.\[cli\]'\n", ran.stderr)


def test_types_and_glyph_outlines_come_with_it(installed: Path) -> None:
    """The wheel has the types of the package, and the outlines that visible text is drawn with."""
    package = installed / "rotation"
    assert (package / "py.typed").is_file()
    assert (package / "__init__.pyi").is_file()
    assert [data.name for data in package.rglob("*.zlib")] == ["roboto.zlib"]


def test_every_extra_that_readme_names_exists() -> None:
    """The extras of the section are those of the project, but for `rotation`, the functions'."""
    [section] = re.findall(
        r"^## Install it$(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    named = set(re.findall(r"`(sealing|repair|sandbox|rotation)`", section)) | set(
        re.findall(r"\[(\w+)\]'", section)
    )
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert named >= set(extras) - {"rotation"}
