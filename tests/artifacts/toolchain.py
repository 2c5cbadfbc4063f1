"""Runs the project's own build, and fetches what stands in for Lambda around an artifact.

Nothing here needs Docker, AWS credentials or an interpreter other than the running one. What is
fetched is locked by hash: what Lambda brings in ``uv.lock``, AWS SAM, whose wheel carries the
runtime interface emulator, in ``.ci/locks/sam.txt``.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from tests.paths import ROOT

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

SCRIPTS = Path(sysconfig.get_path("scripts"))

# Lambda's name for the machine that runs the tests.
HOST = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without what an outer make or virtualenv put there."""
    left_out = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name not in left_out} | extra


def run(
    *command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is in the result, whatever its exit status."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment() if env is None else env,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def succeed(*command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed, and give its standard output."""
    finished = run(*command, cwd=cwd, env=env)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def package(into: Path, arch: str, *more: str, target: str = "package") -> Path:
    """``make package`` for the running interpreter and ``arch``; gives the directory built into."""
    succeed(
        "make",
        target,
        f"BUILD={into}",
        f"ARCH={arch}",
        f"PYTHON_VERSION={VERSION}",
        f"RUNTIME_PYTHON={sys.executable}",
        *more,
    )
    return into


def lambda_runtime(into: Path) -> Path:
    """What Lambda's Python runtime brings, at the locked versions: boto3 and the client of it."""
    locked = into.with_name("locked.txt")
    succeed(
        SCRIPTS / "uv",
        *("export", "--quiet", "--frozen", "--no-emit-project", "--only-group", "lambda-runtime"),
        *("--output-file", locked),
    )
    succeed(
        SCRIPTS / "uv",
        *("pip", "install", "--quiet", "--python", sys.executable, "--only-binary", ":all:"),
        *("--require-hashes", "--no-deps", "--target", into, "--requirement", locked),
    )
    return into


def sam_environment(into: Path) -> Path:
    """AWS SAM in an environment of its own."""
    succeed(SCRIPTS / "uv", "venv", "--quiet", "--python", sys.executable, into)
    succeed(
        SCRIPTS / "uv",
        *("pip", "sync", "--quiet", "--python", into / "bin" / "python", "--only-binary", ":all:"),
        *("--require-hashes", ROOT / ".ci" / "locks" / "sam.txt"),
    )
    return into


def interface_emulator(environment: Path) -> Path:
    """AWS's Lambda runtime interface emulator, in an environment that has AWS SAM."""
    [binary] = environment.glob(f"lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-{HOST}")
    binary.chmod(0o755)
    return binary


def sam(
    environment_of_sam: Path, *arguments: str | Path, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run AWS SAM with no credentials."""
    return run(
        environment_of_sam / "bin" / "sam",
        *arguments,
        cwd=cwd,
        env=environment(
            SAM_CLI_TELEMETRY="0",
            __SAM_CLI_APP_DIR=str(cwd / ".aws-sam-cli"),
            AWS_DEFAULT_REGION="eu-central-1",
            AWS_EC2_METADATA_DISABLED="true",
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        ),
    )
