"""What import-linter's contracts (pyproject.toml) cannot say of the structure."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGE = ROOT / "rotation"
MODULES = {
    ".".join(("rotation", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# Who may import a library; whoever is not named here may not.
MAY_IMPORT_LIBRARY = {
    "pyhanko": [
        "sealing.pdf",
        "sealing.levels",
        "sealing.verify",
        "sealing.verification",
        "sandbox.vendor",
    ],
    "pyhanko_certvalidator": [
        "sealing.levels",
        "sealing.pdf",
        "sealing.verify",
        "sealing.verification",
        "sandbox.vendor",
    ],
    "moto": ["sandbox.aws"],
    "flask": ["sandbox"],
    "time_machine": ["sandbox.aws.runtime"],
    "click": ["cli"],
    "rich": ["cli"],
    "jinja2": ["cli.report.page"],
    "requests": ["exchange", "egress", "vendor.http", "sealing.levels.services"],
    "aws_lambda_powertools": ["privacy.observability", "handlers"],
    "boto3": ["handlers", "sandbox", "cli", "client.secret_source", "client.lambda_invoker"],
}

ENVIRONMENT_READERS = {
    "rotation.settings.environment",
    # A process's own environment, handed on to the processes it starts.
    "rotation.sandbox.aws.processes",
    "rotation.sandbox.aws.runtime",
    "rotation.sandbox.aws.cloud",
}


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree; many tests look at the same files."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or inside a function."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def within(module: str, places: list[str]) -> bool:
    return any(
        module == f"rotation.{place}" or module.startswith(f"rotation.{place}.") for place in places
    )


@pytest.mark.parametrize("library", MAY_IMPORT_LIBRARY)
def test_each_library_is_known_to_few(library: str) -> None:
    """A third-party library is imported only where the table above says so."""
    users = [
        module
        for module, path in MODULES.items()
        if any(name.split(".")[0] == library for name in imports(path))
    ]
    assert users
    assert [user for user in users if not within(user, MAY_IMPORT_LIBRARY[library])] == []


def test_the_life_of_a_key_names_no_vendor() -> None:
    """Another vendor's functions say the same to people, so no text in them names a vendor."""
    rooms = ["core", "reconciliation", "incident"]
    texts = {
        node.value: module
        for module, path in MODULES.items()
        if within(module, rooms)
        for node in nodes_of(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert len(texts) > 100
    assert [text for text in texts if "Trusted Signatures" in text or "SIGNER_" in text] == []


def test_only_the_settings_read_the_environment() -> None:
    """os.environ and os.getenv are used by the settings alone, and by what starts processes."""
    readers = {
        module
        for module, path in MODULES.items()
        if any(
            isinstance(node, ast.Attribute)
            and node.attr in {"environ", "getenv"}
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
            for node in nodes_of(path)
        )
    }
    assert "rotation.settings.environment" in readers
    assert readers <= ENVIRONMENT_READERS


@pytest.mark.slow
def test_importing_the_package_loads_no_third_party_module() -> None:
    """`import rotation` is free: nothing but the standard library is loaded by it."""
    program = (
        "import sys; before = set(sys.modules); import rotation; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before} "
        "- set(sys.stdlib_module_names)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert loaded.stdout.split() == ["rotation"]


@pytest.mark.slow
def test_help_loads_no_library_that_only_pages_need() -> None:
    """Whoever asks for help waits for click alone."""
    program = (
        "import sys; from rotation.cli.commands import rotation; "
        "[rotation.main([*one, '--help'], standalone_mode=False) for one in ([], ['report'])]; "
        "sys.exit('jinja2' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=ROOT)


@pytest.mark.parametrize("room", ["core", "incident", "reconciliation"])
def test_the_life_of_a_key_names_no_vendor_and_no_client(room: str) -> None:
    """No line of these rooms names a vendor, an AWS client or another AWS service."""
    foreign = re.compile(
        r"Trusted Signatures|\bboto3\b|\bbotocore\b|\bSNS\b|\bS3\b|rotation\.aws\b"
    )
    named = {
        (path.name, found.group())
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for found in foreign.finditer(path.read_text())
    }
    assert named == set()
