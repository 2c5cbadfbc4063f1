"""What `import rotation` gives: few names, each loaded when it is used."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import rotation

PACKAGE = Path(rotation.__file__).parent
PUBLIC = {
    "ApiKey",
    "CacheMetrics",
    "CachedCredential",
    "CredentialCache",
    "LambdaInvoker",
    "ObjectLocation",
    "RotationError",
    "SealOptions",
    "SealingClient",
    "SecretsManager",
}


def test_the_public_names_are_these_ten() -> None:
    """Applications depend on them: none is added or lost without this test being changed."""
    assert set(rotation.__all__) == PUBLIC
    assert set(dir(rotation)) == PUBLIC | {"__version__"}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_name_is_the_class_of_that_name(name: str) -> None:
    """It is there, it is what the stub says, and it is documented."""
    found = getattr(rotation, name)
    assert (found.__name__, isinstance(found, type)) == (name, True)
    assert found.__doc__
    assert getattr(rotation, name) is found


def test_the_stub_says_the_same() -> None:
    """Type checkers read ``__init__.pyi``: the same names, from modules that have them."""
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    said = {
        (alias.asname, node.module)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name for name, _ in said} == PUBLIC
    for name, module in said:
        assert getattr(importlib.import_module(str(module)), str(name)) is getattr(
            rotation, str(name)
        )


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="no attribute 'Rotator'"):
        _ = rotation.Rotator  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("use", "loaded"),
    [
        ("rotation.ApiKey", set()),
        ("rotation.RotationError", set()),
        ("rotation.ObjectLocation", set()),
        ("rotation.CredentialCache", {"botocore"}),
        ("rotation.SealingClient", {"botocore"}),
        ("rotation.LambdaInvoker", {"botocore"}),
        ("rotation.CredentialCache()", {"botocore"}),
    ],
)
def test_a_name_loads_no_more_than_it_needs(use: str, loaded: set[str]) -> None:
    """No boto3 before the first fetch, and neither pyHanko nor Powertools at all."""
    program = (
        f"import rotation, sys; {use}; heavy = {{'boto3', 'botocore', 'requests', 'pyhanko', "
        "'aws_lambda_powertools', 'cryptography'}; print(*heavy & {*sys.modules})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(ran.stdout.split()) == loaded
