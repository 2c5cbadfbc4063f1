"""The house: which module may import which, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rotation"
MODULES = {
    ".".join(("rotation", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def in_folder(folder: str, rows: dict[str, list[str]]) -> dict[str, list[str]]:
    """Rows for the modules of a folder, in which a leading dot stands for the folder."""
    return {
        f"rotation.{folder}.{module}": [
            f"{folder}{place}" if place.startswith(".") else place for place in places
        ]
        for module, places in rows.items()
    }


# What a room may import of the house. A folder's name stands for all that lies in it; a room may
# always import from its own folder.
MAY_IMPORT = {
    "rotation": [],
    "rotation.incident": [],
    "rotation.reconciliation": [],
    "rotation.errors": [],
    "rotation.redaction": [],
    "rotation.credential": ["errors", "redaction"],
    "rotation.settings": ["errors"],
    "rotation.observability": ["redaction"],
    "rotation.wire_logging": ["redaction"],
    "rotation.ports": ["credential"],
    "rotation.aws_calls": ["errors"],
    "rotation.labels": [],
    "rotation.snapshot": ["labels"],
    "rotation.versions": ["aws_calls", "credential", "errors", "labels", "snapshot"],
    "rotation.incident.words": [],
    "rotation.incident.declaration": [
        *("credential", "errors", "incident.words", "labels", "snapshot", "versions"),
    ],
    "rotation.incident.containment": [
        *("credential", "errors", "incident.declaration", "labels", "versions"),
    ],
    "rotation.incident.rollback": [
        *("credential", "errors", "labels", "observability", "ports", "snapshot", "versions"),
    ],
    # Plans and records are pure: no client, no log, no vendor.
    **in_folder(
        "reconciliation",
        {
            "situation": ["labels", "ports", "snapshot"],
            "plan": ["labels", "ports", ".situation"],
            "concerns": ["credential", "ports", ".plan", ".situation"],
            "record": ["credential", "labels", ".death_watch", ".plan", ".situation"],
            "death_watch": ["credential", "errors", "ports"],
            "discovery": ["aws_calls", "labels", "snapshot"],
            "evidence": ["errors"],
            "relabelling": ["labels", "snapshot", "versions", ".plan"],
            "examination": ["credential", "errors", "ports", "snapshot", "versions", ".situation"],
            "retirement": [
                *("credential", "errors", "labels", "observability", "ports", "versions"),
                *(".concerns", ".death_watch", ".examination", ".plan", ".record"),
                *(".relabelling", ".situation"),
            ],
            "report": [
                *("credential", "errors", "labels", "ports"),
                *(".concerns", ".plan", ".record", ".retirement", ".situation"),
            ],
            "stock": [
                *("credential", "errors", "observability", "ports"),
                *(".concerns", ".death_watch", ".record"),
            ],
            "revoke_first": [
                *("errors", "incident.declaration", "observability", "ports", "versions"),
                *(".examination", ".report"),
            ],
            "run": [
                *("credential", "errors", "incident.declaration", "labels", "observability"),
                *("ports", "versions"),
                *(".concerns", ".death_watch", ".examination", ".plan", ".report", ".retirement"),
                ".stock",
            ],
        },
    ),
    "rotation.invocation": ["credential", "errors", "observability", "ports", "versions"],
    "rotation.issuing": [
        *("credential", "errors", "invocation", "observability", "ports", "proving", "versions"),
    ],
    "rotation.proving": [
        "credential",
        "errors",
        "invocation",
        "observability",
        "ports",
        "versions",
    ],
    "rotation.steps": [
        *("credential", "errors", "invocation", "issuing", "observability", "proving", "versions"),
    ],
    "rotation.notification": ["errors", "observability", "redaction"],
    "rotation.vendor": ["credential", "errors", "ports"],
    "rotation.vendor.pool_document": ["credential", "errors", "ports"],
    "rotation.vendor.pool_secret": [
        *("aws_calls", "credential", "errors", "observability", "vendor.pool_document"),
    ],
    "rotation.vendor.pool_incident": [
        *("credential", "errors", "observability", "ports"),
        *("vendor.key_pool", "vendor.pool_document", "vendor.pool_secret"),
    ],
    "rotation.vendor.pool_stock": [
        *("credential", "errors", "vendor.pool_document", "vendor.pool_secret"),
    ],
    "rotation.vendor.key_pool": [
        *("credential", "errors", "observability", "ports", "redaction"),
        *("vendor.pool_document", "vendor.pool_secret"),
    ],
    "rotation.sealing": ["credential", "errors", "observability", "vendor.api", "vendor.cms"],
    "rotation.client": [
        *("aws_calls", "credential", "errors", "labels", "redaction", "sealing.request"),
    ],
    "rotation.client.in_process": ["client.contract", "errors", "redaction", "sealing"],
    "rotation.unattended": [
        *("client.seal", "errors", "observability"),
        *("sealing.ranges", "sealing.refusals", "sealing.request"),
    ],
    "rotation.handlers": [
        *("credential", "errors", "observability", "ports", "redaction", "settings", "versions"),
        "wire_logging",
        *("invocation", "steps", "sealing", "vendor", "notification", "client", "unattended"),
        *("incident.declaration", "incident.rollback", "incident.words"),
        *("reconciliation", "snapshot"),
    ],
    "rotation.sandbox": ["credential", "errors", "redaction", "sealing.verify", "wire_logging"],
    "rotation.cli": [
        *("credential", "errors", "redaction", "sandbox", "sealing", "settings", "wire_logging"),
        *("aws_calls", "client", "reconciliation.concerns"),
        *("handlers.wiring", "incident", "labels", "observability", "vendor"),
        *("snapshot", "versions"),
    ],
}

# Who may know a library; whoever is not named here may not.
MAY_KNOW = {
    "pyhanko": ["sealing.pdf", "sealing.verify", "sandbox.vendor"],
    "pyhanko_certvalidator": ["sealing.pdf", "sealing.verify", "sandbox.vendor"],
    "moto": ["sandbox.aws"],
    "click": ["cli"],
    "rich": ["cli"],
    "requests": ["vendor.answer", "vendor.http"],
    "aws_lambda_powertools": ["observability", "handlers"],
    "boto3": ["handlers", "sandbox", "cli", "client.secrets_manager", "client.lambda_invoker"],
}

ENVIRONMENT_READERS = {
    "rotation.settings.environment",
    # A process's own environment, handed on to the processes it starts.
    "rotation.sandbox.aws.processes",
    "rotation.sandbox.aws.runtime",
    "rotation.sandbox.aws.cloud",
}


def imports(module: str) -> Iterator[str]:
    """Every module that ``module`` imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            base = node.module or ""
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in MODULES else base


def room(module: str) -> str:
    """The row of MAY_IMPORT that governs ``module``: its own, or its folder's."""
    return module if module in MAY_IMPORT else ".".join(module.split(".")[:2])


def within(module: str, places: list[str]) -> bool:
    return any(
        module == f"rotation.{place}" or module.startswith(f"rotation.{place}.") for place in places
    )


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    """A module imports only what its floor of the house may know."""
    own = room(module)
    foreign = [
        name
        for name in imports(module)
        if name.split(".")[0] == "rotation"
        and not within(name, MAY_IMPORT[own])
        and not (name.startswith(f"{own}.") and own != "rotation")
        and not (name == own != "rotation")
        and not (name == "rotation" and own in {"rotation.cli", "rotation.sandbox"})
    ]
    assert foreign == [], f"{module} may not import {foreign}"


@pytest.mark.parametrize("library", MAY_KNOW)
def test_each_library_is_known_to_few(library: str) -> None:
    """A third-party library is imported only where the house says so."""
    strangers = [
        module
        for module in MODULES
        if any(name.split(".")[0] == library for name in imports(module))
        and not within(module, MAY_KNOW[library])
    ]
    assert strangers == []


def test_there_is_no_circle() -> None:
    """No two modules import each other, directly or on the way round."""
    graph = {
        module: {name for name in imports(module) if name in MODULES and name != module}
        for module in MODULES
    }
    order = list(TopologicalSorter(graph).static_order())
    assert set(order) == set(MODULES)


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
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert "rotation.settings.environment" in readers
    assert readers <= ENVIRONMENT_READERS


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
        cwd=PACKAGE.parent,
    )
    assert loaded.stdout.split() == ["rotation"]


def test_no_module_is_longer_than_a_reader_s_patience() -> None:
    """A module past 300 lines is two modules."""
    long = {
        module: lines
        for module, path in MODULES.items()
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert long == {}
