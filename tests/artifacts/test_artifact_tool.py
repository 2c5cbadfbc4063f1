"""What `tests/harness/package/artifact.py` keeps of installed packages, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.harness.package.artifact import describe, fill

_sources = {
    "rotation/__init__.py": "",
    "rotation/handlers/__init__.py": "",
    "rotation/handlers/seal.py": "import pure\nfrom rotation import drawing\n",
    "rotation/drawing.py": "def draw():\n    import spaced.inner\n",
    "rotation/letters.zlib": "letters",
    "rotation/unused.py": "",
}
_installed = {
    "pure/__init__.py": "import types\ndef late():\n    from . import helper\n",
    "pure/helper.py": "from .types import Kind\n",
    "pure/types.py": "Kind = int\n",
    "pure/helper.pyi": "",
    "pure/table.json": "{}",
    "pure/unused.py": "",
    "pure/command/__init__.py": "",
    "pure/command/help.txt": "help",
    "pure/templates/page.html": "page",
    "pure/tests/test_pure.py": "",
    "spaced/inner.py": "",
    "spaced/outer.py": "",
    "native/__init__.py": "",
    "native/_c.so": "machine code",
    "native/imported_by_c.py": "import needed_by_native",
    "needed_by_native.py": "",
    "never/__init__.py": "",
    "bin/never": "",
}


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def _packages(tree: Path, *names: str, licence: str = "MIT") -> None:
    for name in names:
        files = [file for file in _installed if file.startswith(name)]
        _write(
            tree / f"{name}-1.0.dist-info",
            {
                "METADATA": f"Name: {name}\nVersion: 1.0\nLicense: {licence}\n\nThe page.\n",
                "WHEEL": "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n",
                "RECORD": "".join(f"{file},sha256=x,1\n" for file in files),
                "INSTALLER": "uv",
            },
        )


def _export(*names: str) -> dict[str, Any]:
    """What `uv export --format cyclonedx1.5` writes, for packages without dependencies."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "tools": [{"vendor": "Astral Software Inc.", "name": "uv", "version": "0.13.9"}],
            "component": {"type": "library", "bom-ref": "us@1", "name": "us", "version": "1"},
        },
        "components": [
            {
                "type": "library",
                "bom-ref": f"{name}@1.0",
                "name": name,
                "version": "1.0",
                "externalReferences": [
                    {
                        "type": "distribution",
                        "url": f"https://files.invalid/{name}-1.0{suffix}",
                        "hashes": [{"alg": "SHA-256", "content": digest * 64}],
                    }
                    for suffix, digest in (("-py2.py3-none-any.whl", "a"), (".tar.gz", "b"))
                ],
            }
            for name in names
        ],
        "dependencies": [
            {"ref": "us@1", "dependsOn": [f"{name}@1.0" for name in names]},
            *({"ref": f"{name}@1.0"} for name in names),
        ],
    }


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _write(tmp_path / "checkout", _sources)
    _write(tmp_path / "tree", _installed)
    _packages(tmp_path / "tree", "pure", "spaced", "native", "needed_by_native", "never")
    monkeypatch.chdir(tmp_path / "checkout")
    fill(tmp_path / "tree", ["seal"])
    return tmp_path / "tree"


def test_what_nothing_imports_is_not_deployed(tree: Path) -> None:
    """Of a pure package the imported modules stay, with their data; a compiled one stays whole."""
    left = {str(file.relative_to(tree)) for file in tree.rglob("*") if file.is_file()}
    assert {file for file in left if ".dist-info/" not in file} == {
        "rotation/__init__.py",
        "rotation/handlers/__init__.py",
        "rotation/handlers/seal.py",
        "rotation/drawing.py",
        "rotation/letters.zlib",
        "pure/__init__.py",
        "pure/helper.py",
        "pure/types.py",
        "pure/table.json",
        "pure/templates/page.html",
        "spaced/inner.py",
        "native/__init__.py",
        "native/_c.so",
        "native/imported_by_c.py",
        "needed_by_native.py",
    }


def test_a_package_without_code_leaves_no_metadata(tree: Path) -> None:
    """Versions and licences are those of what is deployed; nothing of the installer is left."""
    assert {str(file.relative_to(tree)) for file in tree.glob("*.dist-info/*")} == {
        f"{name}-1.0.dist-info/{file}"
        for name in ("pure", "spaced", "native", "needed_by_native")
        for file in ("METADATA", "WHEEL")
    }
    metadata = (tree / "pure-1.0.dist-info" / "METADATA").read_text()
    assert "License: MIT" in metadata
    assert "page" not in metadata


def _describe(tmp_path: Path, export: dict[str, Any], largest: int = 1) -> Path:
    (tmp_path / "export.json").write_text(json.dumps(export))
    describe(
        tmp_path / "tree",
        tmp_path / "seal",
        export=tmp_path / "export.json",
        python="3.13",
        architecture="arm64",
        largest=largest,
    )
    return tmp_path / "seal.cdx.json"


def test_the_bill_of_materials_names_what_was_installed(tmp_path: Path) -> None:
    """A package that was left out is not in it, and of a package's files only its wheel is."""
    _packages(tmp_path / "tree", "pure")
    bill = _describe(tmp_path, _export("pure", "never")).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(bill) is None
    [component] = json.loads(bill)["components"]
    assert component["licenses"] == [{"expression": "MIT"}]
    [file] = component["externalReferences"]
    assert file["url"].endswith("pure-1.0-py2.py3-none-any.whl")
    assert [one["ref"] for one in json.loads(bill)["dependencies"]] == ["us@1", "pure@1.0"]


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "MIT AND AGPL-3.0-only", ""])
def test_a_licence_that_is_not_allowed_is_refused(tmp_path: Path, licence: str) -> None:
    """A licence nobody agreed to, or none at all, stops the build and names the package."""
    _packages(tmp_path / "tree", "pure", licence=licence)
    with pytest.raises(SystemExit, match=r"pure 1\.0 has the licence"):
        _describe(tmp_path, _export("pure"))


def test_an_artifact_over_its_budget_is_refused(tmp_path: Path) -> None:
    """An artifact that grew does not appear unnoticed: size is cold start."""
    _packages(tmp_path / "tree", "pure")
    with pytest.raises(SystemExit, match=r"0\.0 MiB zipped, and may have 0"):
        _describe(tmp_path, _export("pure"), largest=0)
    assert not (tmp_path / "seal.json").exists()


def test_a_package_that_the_lock_does_not_name_is_refused(tmp_path: Path) -> None:
    """What the bill of materials cannot name is not deployed."""
    _packages(tmp_path / "tree", "pure", "never")
    with pytest.raises(SystemExit, match=r"other packages than uv\.lock"):
        _describe(tmp_path, _export("pure"))
