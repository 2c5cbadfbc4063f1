"""Fills and describes the tree of a Lambda artifact, for ``make package``.

Runs under the interpreter that the artifact is for, and needs its standard library alone:

    artifact.py fill TREE HANDLER...      what these handlers need, and nothing else
    artifact.py describe TREE FILE ...    its size, digest, licences and parts, written beside it
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import shutil
import sys
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from itertools import product
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

# Licences that let an organisation deploy the code, whatever its own is (SPDX identifiers).
ALLOWED_LICENCES = frozenset(
    {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "PSF-2.0",
    }
)
# Metadata older than PEP 639 may say the same in other words.
_spdx = {"Apache 2.0": "Apache-2.0"}

# What only a compiler, a type checker or an installer reads.
_never_run = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".h", ".typed"})
_of_the_installer = ("RECORD", "INSTALLER", "REQUESTED")

# Reached only by an import inside of a function that nothing here can call: Powertools' functions
# for models of pydantic, which no artifact has.
_out_of_reach = ["aws_lambda_powertools.event_handler"]

_mebibyte = 1024 * 1024


class _Imports(ModuleFinder):
    """Follows import statements, with two faults of ModuleFinder mended.

    It does not know packages without an ``__init__.py`` (PEP 420), and takes ``from .types import``
    for a module that is missing once ``import types`` was.
    """

    def _safe_import_hook(self, name: str, caller: Any, fromlist: Any, level: int = -1) -> None:
        if level > 0:
            self.badmodules.pop(name, None)
        super()._safe_import_hook(name, caller, fromlist, level)  # type: ignore[misc]

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:
        if name == "__init__" and not (Path(path[0]) / "__init__.py").exists():
            return io.BytesIO(), str(path[0]), ("", "rb", 1)  # PY_SOURCE
        try:
            return super().find_module(name, path, parent)
        except AttributeError:
            for folder in map(Path, path or self.path or ()):
                if (folder / name).is_dir():
                    return None, str(folder / name), ("", "", 5)  # PKG_DIRECTORY
            raise ImportError(name) from None

    def files(self) -> set[Path]:
        found = (getattr(module, "__file__", None) for module in self.modules.values())
        return {Path(file).resolve() for file in found if file}


def fill(tree: Path, handlers: Iterable[str]) -> None:
    """Copy the modules of ours that ``handlers`` import into ``tree``, and reduce what is there.

    ``tree`` holds the installed packages. A package with compiled code stays whole, because no one
    can read what compiled code imports. Of another package, the modules stay that something
    imports, at the top of a module or inside a function, and the data beside them.
    """
    _remove_what_never_runs(tree)
    ours = _Imports(path=["."])
    for handler in handlers:
        ours.import_hook(f"rotation.handlers.{handler}")
    modules = {file.relative_to(Path.cwd()) for file in ours.files()}
    for file in modules | set(_data_beside(modules)):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, tree / file)

    compiled = {part.relative_to(tree).parts[0] for part in tree.rglob("*.so*")}
    whole = [file for name in compiled for file in (tree / name).rglob("*.py")]
    imports = _Imports(path=[str(tree)], excludes=_out_of_reach)
    for file in [*(tree / module for module in modules), *whole]:
        imports.import_hook(_module_name(file.relative_to(tree)))
    _keep(tree, imports.files(), compiled)
    _keep_metadata(tree)


def _remove_what_never_runs(tree: Path) -> None:
    for folder in [tree / "bin", *tree.glob("*/tests")]:
        shutil.rmtree(folder, ignore_errors=True)
    for file in [*tree.rglob("*")]:
        if file.suffix in _never_run or file.name.startswith("_testcapi."):
            file.unlink()
    (tree / ".lock").unlink(missing_ok=True)


def _data_beside(modules: Iterable[Path]) -> Iterator[Path]:
    for folder in {module.parent for module in modules}:
        for file in folder.iterdir():
            if file.is_file() and file.suffix not in {".py", *_never_run}:
                yield file


def _module_name(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def _keep(tree: Path, modules: set[Path], compiled: set[str]) -> None:
    """Remove the modules that are not in ``modules``, and data that lies beside none of them."""
    homes = {module.parent for module in modules}
    code = {file.parent.resolve() for file in tree.rglob("*.py")}
    for file in [file for file in tree.rglob("*") if file.is_file()]:
        top = file.relative_to(tree).parts[0]
        if top in compiled or top.endswith(".dist-info"):
            continue
        path = file.resolve()
        home = next((folder for folder in path.parents if folder in code), tree)
        if path not in modules if file.suffix == ".py" else home not in homes:
            file.unlink()
    for folder in sorted((one for one in tree.rglob("*") if one.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _keep_metadata(tree: Path) -> None:
    """Keep the licence and the headers of METADATA of each package of which code is left."""
    for package in tree.glob("*.dist-info"):
        recorded = (line.split(",")[0] for line in (package / "RECORD").read_text().splitlines())
        if not any((tree / file).exists() for file in recorded if ".dist-info/" not in file):
            shutil.rmtree(package)
            continue
        for name in _of_the_installer:
            (package / name).unlink(missing_ok=True)
        # The headers are read at run time (versions); the page for PyPI after them is not.
        headers, _, _ = (package / "METADATA").read_text().partition("\n\n")
        (package / "METADATA").write_text(headers + "\n")


def describe(
    tree: Path, file: Path, *, export: Path, python: str, architecture: str, largest: int
) -> None:
    """Write what is in ``tree``, refuse what may not be deployed, and print its figures.

    ``export`` is uv's in CycloneDX. ``FILE.json`` gets the figures, ``FILE.cdx.json`` the bill of
    materials.

    Raises:
        SystemExit: the tree is too large, or a licence is not allowed.
    """
    files = {str(path.relative_to(tree)): path for path in tree.rglob("*") if path.is_file()}
    contents = {name: files[name].read_bytes() for name in sorted(files)}
    listing = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items()
    )
    digest = hashlib.sha256(listing.encode()).hexdigest()
    unzipped, zipped = sum(map(len, contents.values())), _zipped(contents)
    packages = [_package(folder) for folder in sorted(tree.glob("*.dist-info"))]
    bill = _bill_of_materials(json.loads(export.read_bytes()), packages, file.name, digest)
    _refuse(zipped, largest, packages)
    figures = {
        "python": python,
        "architecture": architecture,
        "bytes": unzipped,
        "zipped_bytes": zipped,
        "sha256": digest,
    }
    for suffix, document in ((".json", figures), (".cdx.json", bill)):
        file.with_suffix(suffix).write_text(json.dumps(document, indent=1) + "\n")
    print(
        f"{file}: python{python}, {architecture}, {unzipped / _mebibyte:.1f} MiB, "
        f"zipped {zipped / _mebibyte:.1f} MiB, sha256 {digest}"
    )


def _zipped(contents: dict[str, bytes]) -> int:
    """The size of the zip that AWS SAM uploads: deflated, at zlib's own level."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in contents.items():
            opened.writestr(name, content)
    return archive.tell()


def _package(folder: Path) -> dict[str, Any]:
    metadata = HeaderParser().parsestr((folder / "METADATA").read_text())
    said = metadata["License-Expression"] or metadata["License"] or ""
    wheel = HeaderParser().parsestr((folder / "WHEEL").read_text())
    return {
        "name": re.sub(r"[-_.]+", "-", metadata["Name"]).lower(),
        "version": metadata["Version"],
        "licence": _spdx.get(said, said),
        "tags": set(wheel.get_all("Tag", [])),
    }


def _refuse(zipped: int, largest: int, packages: list[dict[str, Any]]) -> None:
    refusals = [
        f"{one['name']} {one['version']} has the licence {one['licence'] or '(none)'!r}, which "
        "tests/harness/package/artifact.py does not allow: choose another package, or allow it."
        for one in packages
        if not {*re.split(r" (?:AND|OR) ", one["licence"].strip("()"))} <= ALLOWED_LICENCES
    ]
    if zipped > largest * _mebibyte:
        refusals.append(
            f"It has {zipped / _mebibyte:.1f} MiB zipped, and may have {largest}: find what made "
            "it grow, or raise the budget in the Makefile."
        )
    if refusals:
        sys.exit("\n".join(refusals))


def _bill_of_materials(
    export: dict[str, Any], packages: list[dict[str, Any]], artifact: str, digest: str
) -> dict[str, Any]:
    """Uv's export, reduced to what the artifact holds, with licences, and without a time.

    Of each package's files it names the wheel that was installed, with the hash that the lock has.
    """
    held = {one["name"]: one for one in packages}
    components = [one for one in export["components"] if one["name"] in held]
    if {(one["name"], one["version"]) for one in components} != {
        (one["name"], one["version"]) for one in packages
    }:
        sys.exit("The artifact holds other packages than uv.lock: remove the build directory.")
    for component in components:
        package = held[component["name"]]
        component["licenses"] = [{"expression": package["licence"]}]
        component["externalReferences"] = [
            reference
            for reference in component["externalReferences"]
            if package["tags"] & _wheel_tags(reference["url"])
        ]
    references = {one["bom-ref"] for one in components}
    subject = export["metadata"]["component"]
    return {
        **{name: export[name] for name in ("bomFormat", "specVersion", "version")},
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "metadata": {
            "tools": export["metadata"]["tools"],
            "component": {
                **{name: subject[name] for name in ("type", "bom-ref", "name", "version")},
                "description": f"The {artifact} artifact",
                "licenses": [{"expression": "Apache-2.0"}],
                "properties": [{"name": "sha256 of the artifact's listing", "value": digest}],
            },
        },
        "components": components,
        "dependencies": [
            {
                "ref": one["ref"],
                "dependsOn": [ref for ref in one.get("dependsOn", ()) if ref in references],
            }
            for one in export["dependencies"]
            if one["ref"] in references or one["ref"] == subject["bom-ref"]
        ],
    }


def _wheel_tags(url: str) -> set[str]:
    """The tags that a wheel's file name stands for; none for another file (PEP 425)."""
    name = url.rpartition("/")[2]
    if not name.endswith(".whl"):
        return set()
    parts = [part.split(".") for part in name.removesuffix(".whl").split("-")[-3:]]
    return {"-".join(tag) for tag in product(*parts)}


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    acts = parser.add_subparsers(dest="act", required=True)
    filling = acts.add_parser("fill")
    filling.add_argument("tree", type=Path)
    filling.add_argument("handlers", nargs="+")
    describing = acts.add_parser("describe")
    describing.add_argument("tree", type=Path)
    describing.add_argument("file", type=Path)
    describing.add_argument("--export", type=Path, required=True)
    describing.add_argument("--python", required=True)
    describing.add_argument("--architecture", required=True)
    describing.add_argument("--largest", type=int, required=True, help="MiB, zipped")
    arguments = vars(parser.parse_args())
    if arguments.pop("act") == "fill":
        fill(**arguments)
    else:
        describe(**arguments)


if __name__ == "__main__":
    main()
