"""The artifacts, built once for all workers of a run, and what runs them."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from rotation.sandbox.aws.functions import FunctionRunner
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import RECONCILE, ROTATE, SEAL, TIMEOUTS, Deployment
from tests.artifacts.emulator import EmulatedFunction
from tests.artifacts.template import Template
from tests.artifacts.toolchain import (
    HOST,
    interface_emulator,
    lambda_runtime,
    package,
    sam_environment,
)
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


#: Makes one thing at a path that the maker is given, once for all workers of a run.
MakeOnce = Callable[[str, Callable[[Path], Path]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> MakeOnce:
    """What takes long to make and is only read is made by the first worker that needs it."""
    base = tmp_path_factory.getbasetemp()
    # pytest-xdist gives each worker a directory in that of the run.
    shared = (base.parent if hasattr(request.config, "workerinput") else base) / "made-once"
    shared.mkdir(exist_ok=True)

    def make(name: str, maker: Callable[[Path], Path]) -> Path:
        with (shared / f"{name}.made").open("a+") as told:
            fcntl.flock(told, fcntl.LOCK_EX)
            told.seek(0)
            path = told.read()
            if not path:
                path = str(maker(shared / name))
                told.write(path)
            return Path(path)

    return make


@pytest.fixture(scope="session")
def built(make_once: MakeOnce) -> Path:
    """``rotation`` and ``sealing`` for this machine and this interpreter."""
    return make_once("host", lambda path: package(path, HOST))


@pytest.fixture(scope="session")
def built_for_arm64(make_once: MakeOnce) -> Path:
    """``rotation`` and ``sealing`` for Lambda's arm64."""
    return make_once("arm64", lambda path: package(path, "arm64"))


@pytest.fixture(scope="session")
def built_with_repair(built: Path, make_once: MakeOnce) -> Path:
    """As ``built``, with a ``sealing`` that can repair."""

    def make(path: Path) -> Path:
        package(path, HOST, "REPAIR=1", target="package-sealing")
        (path / "rotation").symlink_to(built / "rotation")
        return path

    return make_once("repair", make)


@pytest.fixture(scope="session")
def runtime(make_once: MakeOnce) -> Path:
    """What Lambda's Python runtime brings."""
    return make_once("runtime", lambda_runtime)


@pytest.fixture(scope="session")
def sam_installed(make_once: MakeOnce) -> Path:
    """An environment with AWS SAM."""
    return make_once("sam", sam_environment)


@pytest.fixture(scope="session")
def interface_emulator_binary(sam_installed: Path) -> Path:
    """The runtime interface emulator's binary, from AWS."""
    return interface_emulator(sam_installed)


@pytest.fixture
def artifacts(request: pytest.FixtureRequest) -> Path:
    """What is deployed: ``built``, or the fixture that a parameter names."""
    directory: Path = request.getfixturevalue(getattr(request, "param", "built"))
    return directory


@pytest.fixture
def deployment(
    artifacts: Path, runtime: Path, interface_emulator_binary: Path, tmp_path: Path
) -> Iterator[Deployment]:
    """The template's functions, from their artifacts, in the sandbox."""
    template = Template.read(KeyIssuer="admin-api")

    def emulated(name: str, handler: str, environment: Mapping[str, str]) -> FunctionRunner:
        function, artifact = _functions[name]
        properties = template.properties(function)
        assert properties["Handler"] == handler
        assert timedelta(seconds=properties["Timeout"]) == TIMEOUTS[name]
        return EmulatedFunction(
            artifact=artifacts / artifact,
            handler=handler,
            # The sandbox has no topic.
            environment={
                **template.environment(function),
                **environment,
                "ADMIN_API_URL": "",
                "NOTIFICATION_TOPIC": "",
            },
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
