"""The artifacts, built once a session, and what runs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from rotation.sandbox.aws.functions import FunctionRunner
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import RECONCILE, ROTATE, SEAL, TIMEOUTS, Deployment
from tests.artifacts.emulator import EmulatedFunction
from tests.artifacts.template import Template
from tests.artifacts.toolchain import HOST, interface_emulator, lambda_runtime, package
from tests.unattended.fixtures import arrival_queue, sealer_fixture

__all__ = ["arrival_queue", "sealer_fixture"]

# Sandbox name, function in the template, artifact.
_functions = {
    ROTATE: ("RotationFunction", "rotation"),
    RECONCILE: ("ReconcileFunction", "rotation"),
    SEAL: ("SealingFunction", "sealing"),
}


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory outside the checkout, so that nothing of it is found by accident."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def built(workshop: Path) -> Path:
    """``rotation`` and ``sealing`` for this machine and this interpreter."""
    return package(workshop / "host", HOST)


@pytest.fixture(scope="session")
def built_for_arm64(workshop: Path) -> Path:
    """``rotation`` and ``sealing`` for Lambda's arm64."""
    return package(workshop / "arm64", "arm64")


@pytest.fixture(scope="session")
def runtime(workshop: Path) -> Path:
    """What Lambda's Python runtime brings."""
    return lambda_runtime(workshop / "runtime")


@pytest.fixture(scope="session")
def interface_emulator_binary(workshop: Path) -> Path:
    """The runtime interface emulator's binary, from AWS."""
    return interface_emulator(workshop / "sam")


@pytest.fixture
def artifacts(request: pytest.FixtureRequest, built: Path, workshop: Path) -> Path:
    """What is deployed; by a parameter, what ``make package`` builds with that variable."""
    variable: str | None = getattr(request, "param", None)
    return built if variable is None else package(workshop / "other", HOST, variable)


@pytest.fixture
def deployment(
    artifacts: Path, runtime: Path, interface_emulator_binary: Path, tmp_path: Path
) -> Iterator[Deployment]:
    """The template's functions, from their artifacts, in the sandbox."""
    template = Template.read()

    def emulated(name: str, handler: str, environment: Mapping[str, str]) -> FunctionRunner:
        function, artifact = _functions[name]
        properties = template.properties(function)
        assert properties["Handler"] == handler
        assert timedelta(seconds=properties["Timeout"]) == TIMEOUTS[name]
        return EmulatedFunction(
            artifact=artifacts / artifact,
            handler=handler,
            environment={**template.environment(function), **environment, "ADMIN_API_URL": ""},
            runtime=runtime,
            emulator=interface_emulator_binary,
            log=tmp_path / "logs" / f"{name}.log",
            name=name,
            timeout=TIMEOUTS[name],
        ).start()

    retries = RetryPolicy((timedelta(milliseconds=100),))
    with Deployment(
        tmp_path,
        make_runner=emulated,
        retries=retries,
        propagation_limit=timedelta(seconds=0.5),
    ) as running:
        yield running
