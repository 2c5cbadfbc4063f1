"""``rotation sandbox``: keeps a deployment on this machine running for other programs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from threading import Event

import click
from rich.console import Console

from rotation.cli.shared.output import plain_console
from rotation.sandbox.aws.log_groups import LogGroups
from rotation.sandbox.aws.rotations import StepRun
from rotation.sandbox.demo import DOCUMENT
from rotation.sandbox.deployment import (
    RECONCILE,
    ROTATE,
    SEAL,
    SECRET,
    SOURCE_BUCKET,
    Deployment,
)
from rotation.sandbox.folder_lock import FolderInUseError, folder_held
from rotation.sandbox.page.server import SandboxPage
from rotation.sandbox.vendor import VendorPortal

#: How many keys a pool has at first.
_POOL_KEYS = 2
#: How often the functions' logs are shown in CloudWatch Logs, and the keys looked at, in seconds.
_LOOK_EVERY = 1.0


def run_sandbox(folder: Path, *, as_json: bool, empty: bool, key_pool: bool) -> None:
    """Start the sandbox, print how to use it, and print each rotation step until interrupted."""
    console = plain_console(stderr=as_json)
    try:
        with folder_held(folder):
            _run(console, folder, as_json=as_json, empty=empty, key_pool=key_pool)
    except FolderInUseError as error:
        raise click.ClickException(str(error)) from None
    console.print("The sandbox has ended; nothing is left running.")


def _run(console: Console, folder: Path, *, as_json: bool, empty: bool, key_pool: bool) -> None:
    ended = Event()

    def end(*_: object) -> None:
        # A console holds locks, which whoever was interrupted may hold too.
        if not ended.is_set():
            os.write(2, b"\nEnding the sandbox.\n")
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    logs = LogGroups(folder.resolve() / "logs", (ROTATE, RECONCILE, SEAL))
    with (
        Deployment(
            folder, validation_services=True, key_pool=key_pool, phase_events=True
        ) as deployment,
        VendorPortal(deployment.vendor.keys) as portal,
        SandboxPage(deployment, portal) as page,
    ):
        logs.create(deployment.cloud)
        _fill(deployment, empty=empty, key_pool=key_pool)
        # As for the functions, so that `rotation seal` and other commands use the same vendor.
        environment = deployment.environment() | {
            "VENDOR_URL": deployment.vendor.url,
            "VENDOR_PORTAL": portal.url,
            "SANDBOX_PAGE": page.url,
            "SIGNER_TRUST_ANCHORS": str(deployment.trust_root),
            **deployment.validation_environment(),
        }
        with _environment_file(deployment.folder, environment) as exports:
            _print_instructions(console, exports, deployment, page.url, key_pool=key_pool)
            # Last: whoever has read it finds env.sh written.
            if as_json:
                click.echo(json.dumps(environment))
                sys.stdout.flush()

            def step_ended(run: StepRun) -> None:
                page.observe()
                _print_step(console, run)

            deployment.cloud.watch_rotations(step_ended)
            while not ended.wait(_LOOK_EVERY):
                logs.copy()
                page.observe()


def _fill(deployment: Deployment, *, empty: bool, key_pool: bool) -> None:
    """A first key, a schedule, keys in the pool, and a document to seal."""
    if not empty:
        deployment.store_first_key()
    if key_pool:
        deployment.stock_pool(*(deployment.vendor.keys.create() for _ in range(_POOL_KEYS)))
    deployment.turn_on_rotation()
    document = files("rotation.sandbox") / "documents" / DOCUMENT
    deployment.cloud.client("s3").put_object(
        Bucket=SOURCE_BUCKET, Key=DOCUMENT, Body=document.read_bytes()
    )


@contextmanager
def _environment_file(folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """A file to source in a shell, which exists as long as the sandbox does.

    It puts this command on the PATH too: whoever ran ``make sandbox`` has it in `.venv/bin` alone.
    """
    exports = folder / "env.sh"
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
    commands = shlex.quote(str(Path(sys.executable).parent))
    path = f'case ":$PATH:" in *:{commands}:*) ;; *) export PATH={commands}:"$PATH" ;; esac\n'
    exports.write_text("".join([*lines, path]))
    try:
        yield exports
    finally:
        exports.unlink(missing_ok=True)


def _print_instructions(
    console: Console, exports: Path, deployment: Deployment, page: str, *, key_pool: bool
) -> None:
    lines = [
        f"source {shlex.quote(str(exports))}",
        f"rotation status {SECRET}",
        f"rotation rotate {SECRET}",
        f"rotation seal s3://{SOURCE_BUCKET}/{DOCUMENT} s3://sealed-documents/",
        f"aws secretsmanager rotate-secret --secret-id {SECRET}",
        f"aws secretsmanager describe-secret --secret-id {SECRET}",
    ]
    if key_pool:
        lines.insert(2, 'curl -sX POST "$VENDOR_PORTAL" | rotation pool add')
    console.print(f"[bold]The sandbox is running.[/] Look at it in a browser: {page}\n")
    console.print("In another terminal:\n")
    for line in lines:
        console.print(f"  {line}", markup=False)
    console.print(f"\nLogs: {deployment.logs}", markup=False)
    # Older ones do not read AWS_ENDPOINT_URL (AWS Developer Tools Blog, 2023, on endpoint URLs).
    console.print("An aws before 2.13 (1.29 of version 1) would ask AWS itself.")
    console.print("Ctrl-C ends it. Rotation steps as they happen:\n")


def _print_step(console: Console, run: StepRun) -> None:
    outcome = "ok" if run.error is None else f"failed: {run.error}"
    milliseconds = run.duration.total_seconds() * 1000
    console.print(
        f"{run.started:%H:%M:%S}  {run.step:<13} attempt {run.attempt}  {milliseconds:6.0f} ms  "
        f"version {run.token[:8]}  {outcome}",
        markup=False,
    )
