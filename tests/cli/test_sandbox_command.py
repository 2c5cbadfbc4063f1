"""`rotation sandbox` and the stock `aws` command line against it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.json_answers import answer_of
from tests.cli.operator_terminal import ROTATION
from tests.cli.processes import commands_below
from tests.sealing.pdfs import pdf

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent


@dataclass
class SandboxProcess:
    """A sandbox in another process, as a person in another terminal has it."""

    process: subprocess.Popen[str]
    environment: dict[str, str]
    folder: Path

    def aws(self, *arguments: str) -> Any:
        done = subprocess.run(
            [str(BIN / "aws"), *arguments, "--output", "json"],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.environment},
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return json.loads(done.stdout) if done.stdout.strip() else None


@contextmanager
def started(folder: Path) -> Iterator[SandboxProcess]:
    """`rotation sandbox`, started and later killed."""
    process = subprocess.Popen(
        [str(BIN / "rotation"), "sandbox", "--json", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield SandboxProcess(process, answer_of("sandbox", process.stdout.readline()), folder)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox that tests share, each with a document of its own."""
    with started(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def labels(sandbox: SandboxProcess) -> list[list[str]]:
    described = sandbox.aws(
        "secretsmanager", "describe-secret", "--secret-id", "trusted-signatures-api"
    )
    # Reconciliation, which a promotion asks for, adds labels of its own in its own time.
    found = (
        [label for label in labels if label.startswith("AWS")]
        for labels in described["VersionIdsToStages"].values()
    )
    return sorted(labels for labels in found if labels)


def test_the_aws_command_line_drives_a_rotation(sandbox: SandboxProcess) -> None:
    """rotate-secret answers at once; soon AWSCURRENT and AWSPREVIOUS are as AWS shows them."""
    assert labels(sandbox) == [["AWSCURRENT"]]
    secret = ["--secret-id", "trusted-signatures-api"]
    answer = sandbox.aws("secretsmanager", "rotate-secret", *secret)
    assert set(answer) == {"ARN", "Name", "VersionId"}
    deadline = time.monotonic() + 120
    while labels(sandbox) != [["AWSCURRENT"], ["AWSPREVIOUS"]]:
        assert time.monotonic() < deadline, (sandbox.folder / "logs").glob("*")
    current = sandbox.aws("secretsmanager", "get-secret-value", *secret)
    assert current["VersionId"] == answer["VersionId"]
    assert "expiresAt" in json.loads(current["SecretString"])


def test_every_command_that_it_prints_works(tmp_path: Path) -> None:
    """In a shell that knows no `rotation`, with keys from a pool, line by line as printed."""
    command = [ROTATION, "sandbox", "--json", "--key-pool", "--folder", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        lines = iter(process.stderr.readline, "")
        printed = list(takewhile(lambda line: "Logs:" not in line, lines))
        typed = [line.strip() for line in printed if line.startswith("  ")]
        assert len(typed) == 7
        done = subprocess.run(
            ["sh", "-e", "-c", "\n".join(line.replace("source ", ". ") for line in typed)],
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is in the pool trusted-signatures-pool (proven" in done.stdout
    assert "is current after" in done.stdout
    assert "1 sealed" in done.stdout


def test_documents_are_sealed_and_verified_with_what_it_prints(sandbox: SandboxProcess) -> None:
    """The other commands ask the emulated vendor, and trust it."""
    (sandbox.folder / "a.pdf").write_bytes(pdf())
    environment = {"PATH": os.environ["PATH"], **sandbox.environment}
    for arguments in (("seal", "a.pdf", "sealed/"), ("verify", "sealed/a.pdf")):
        done = subprocess.run(
            [ROTATION, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            cwd=sandbox.folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(
        "ok           sealed/a.pdf  sealed by Trusted Signatures Sandbox\n"
    )


def test_a_seal_gets_the_highest_level_with_what_it_prints(sandbox: SandboxProcess) -> None:
    """The sandbox has an OCSP responder, CRLs and a time-stamping authority."""
    (sandbox.folder / "b.pdf").write_bytes(pdf())
    environment = {"PATH": os.environ["PATH"], **sandbox.environment}
    answers = []
    for arguments in (
        ("seal", "--level", "B-LTA", "--json", "b.pdf", "sealed/"),
        ("verify", "--json", "sealed/b.pdf"),
    ):
        done = subprocess.run(
            [ROTATION, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            cwd=sandbox.folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        answers.append(done.stdout)
    sealed = json.loads(answers[0].splitlines()[0])
    assert sealed["level"] == "B-LTA"
    [report] = json.loads(answers[1])["files"]
    assert len(report["documentTimestamps"]) == 1


def test_what_it_prints_can_be_sourced_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    """env.sh holds the printed variables; Ctrl-C ends it with 0 and leaves nothing running."""
    with started(tmp_path) as sandbox:
        done = subprocess.run(
            ["sh", "-c", f". {sandbox.folder}/env.sh && env"],
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"]},
        )
        sourced = dict(text.split("=", 1) for text in done.stdout.splitlines())
        assert sandbox.environment.items() <= sourced.items()
        page = requests.get(sourced["SANDBOX_PAGE"], timeout=300)
        assert "Keys over time" in page.text
        sandbox.process.send_signal(signal.SIGINT)
        _, said = sandbox.process.communicate(timeout=300)
        assert sandbox.process.returncode == 0, said
        assert "nothing is left running" in said
        assert commands_below(str(sandbox.folder)) == []
