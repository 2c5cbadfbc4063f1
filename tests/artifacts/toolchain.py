"""Runs the project's own build, and fetches what stands in for Lambda around an artifact.

Nothing here needs Docker, AWS credentials or an interpreter other than the running one. What is
fetched is pinned: Python packages by ``uv.lock``, the runtime interface emulator by the hash of
the wheel that carries it, AWS SAM by its version.
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

SAM_VERSION = "1.170.0"
_SAM_WHEEL = "sha256:24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf"


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


def package(into: Path, arch: str, *more: str) -> Path:
    """``make package`` for the running interpreter and ``arch``; gives the directory built into."""
    succeed(
        "make",
        "package",
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
        *("export", "--quiet", "--frozen", "--no-emit-project", "--group", "test"),
        *("--output-file", locked),
    )
    succeed(
        SCRIPTS / "uv",
        *("pip", "install", "--quiet", "--python", sys.executable, "--only-binary", ":all:"),
        *("--constraint", locked, "--target", into, "boto3", "awslambdaric"),
    )
    return into


def interface_emulator(into: Path) -> Path:
    """AWS's Lambda runtime interface emulator, from the wheel of AWS SAM that carries it."""
    pinned = into.with_name("pinned.txt")
    pinned.write_text(f"aws-sam-cli=={SAM_VERSION} --hash={_SAM_WHEEL}\n")
    succeed(
        SCRIPTS / "uv",
        *("pip", "install", "--quiet", "--python", sys.executable, "--only-binary", ":all:"),
        *("--require-hashes", "--no-deps", "--target", into, "--requirement", pinned),
    )
    binary = into / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{HOST}"
    binary.chmod(0o755)
    return binary


def sam(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run AWS SAM, which has an environment of its own in uv's cache, with no credentials."""
    return run(
        SCRIPTS / "uv",
        *("tool", "run", "--quiet", "--python", sys.executable),
        *("--from", f"aws-sam-cli=={SAM_VERSION}", "sam"),
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
