"""``rotation sandbox``: keeps a deployment on this machine running for other programs."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from pathlib import Path
from threading import Event

import click
from rich.console import Console

from rotation.cli.shared.output import plain_console
from rotation.sandbox.aws.rotations import StepRun
from rotation.sandbox.deployment import SECRET, Deployment


def run_sandbox(folder: Path, *, as_json: bool, empty: bool) -> None:
    """Start the sandbox, print how to use it, and print each rotation step until interrupted."""
    console = plain_console(stderr=as_json)
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Deployment(folder, validation_services=True) as deployment:
        if not empty:
            deployment.store_first_key()
        deployment.turn_on_rotation()
        # As for the functions, so that `rotation seal` and other commands use the same vendor.
        environment = deployment.environment() | {
            "VENDOR_URL": deployment.vendor.url,
            "SIGNER_TRUST_ANCHORS": str(deployment.trust_root),
            **deployment.validation_environment(),
        }
        _print_instructions(console, environment, deployment)
        # Last: whoever has read it finds env.sh written.
        if as_json:
            click.echo(json.dumps(environment))
            sys.stdout.flush()
        deployment.cloud.watch_rotations(lambda run: _print_step(console, run))
        ended.wait()
    console.print("The sandbox has ended; nothing is left running.")


def _print_instructions(
    console: Console, environment: dict[str, str], deployment: Deployment
) -> None:
    exports = deployment.folder / "env.sh"
    exports.write_text(
        "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    )
    console.print("[bold]The sandbox is running.[/] In another terminal:\n")
    console.print(f"  source {exports}")
    console.print(f"  aws secretsmanager rotate-secret --secret-id {SECRET}")
    console.print(f"  aws secretsmanager describe-secret --secret-id {SECRET}\n")
    console.print(f"Logs: {deployment.logs}")
    console.print("Ctrl-C ends it. Rotation steps as they happen:\n")


def _print_step(console: Console, run: StepRun) -> None:
    outcome = "ok" if run.error is None else f"failed: {run.error}"
    milliseconds = run.duration.total_seconds() * 1000
    console.print(
        f"{run.started:%H:%M:%S}  {run.step:<13} attempt {run.attempt}  {milliseconds:6.0f} ms  "
        f"version {run.token[:8]}  {outcome}",
        markup=False,
    )
