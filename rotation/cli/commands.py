"""The table of commands. Each explains itself with ``--help``.

Exit codes: 0 the command succeeded; 1 it failed, and the message says what to do; 2 the command
line was wrong; 130 it was interrupted.
"""

from __future__ import annotations

from errno import EPIPE
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Any, ClassVar

import click

import rotation as package
from rotation.cli.shared.options import refuse_keys
from rotation.cli.shared.waiting import Interrupted

FOLDER = Path(".sandbox")
#: The commands that need the extra ``sandbox``.
_IN_SANDBOX = ("demo", "sandbox")

_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Where documents, the trust root and the functions' logs go.",
)


class LazyCommands(click.Group):
    """A group that imports each of its commands only when it is used."""

    modules: ClassVar[dict[str, str]] = {
        "attest": "rotation.cli.attest",
        "cost": "rotation.cli.cost.command",
        "doctor": "rotation.cli.doctor.command",
        "evidence": "rotation.cli.evidence",
        "extend": "rotation.cli.extend.command",
        "force": "rotation.cli.force.command",
        "hold": "rotation.cli.hold",
        "migrate": "rotation.cli.migrate.command",
        "pool": "rotation.cli.pool.command",
        "release": "rotation.cli.release",
        "rollback": "rotation.cli.rollback",
        "rotate": "rotation.cli.rotate",
        "seal": "rotation.cli.seal.command",
        "status": "rotation.cli.status",
        "unstick": "rotation.cli.unstick",
        "verify": "rotation.cli.verify.command",
    }

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, of whatever command, unless it has a key in it.

        click repeats what it does not understand, and each command shows what it was given.
        """
        if not ctx.resilient_parsing:
            refuse_keys(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An error that nobody foresaw is one line too, never a traceback.

        A traceback may show what a frame holds, and tells nobody what to do.
        """
        unforeseen: click.ClickException
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            unforeseen = Interrupted("")
        except ModuleNotFoundError as error:
            extra = "sandbox" if ctx.invoked_subcommand in _IN_SANDBOX else "cli"
            module = (error.name or "").partition(".")[0]
            unforeseen = click.ClickException(
                f"rotation {ctx.invoked_subcommand} needs the module {module}, which the extra "
                f"{extra} installs; in a checkout: pip install '.[{extra}]'"
            )
        except Exception as error:
            if isinstance(error, OSError) and error.errno == EPIPE:
                raise
            unforeseen = _unforeseen(ctx.invoked_subcommand, error)
        raise unforeseen

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted({*super().list_commands(ctx), *self.modules})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; imports it."""
        if cmd_name in self.modules:
            command: click.Command = getattr(import_module(self.modules[cmd_name]), cmd_name)
            return command
        return super().get_command(ctx, cmd_name)


def _unforeseen(command: str | None, error: Exception) -> click.ClickException:
    ours = Path(package.__file__).parent
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    places = [
        f"{Path(frame.f_code.co_filename).relative_to(ours)}, {frame.f_code.co_name}"
        for frame in frames
        if Path(frame.f_code.co_filename).is_relative_to(ours)
    ]
    return click.ClickException(
        f"rotation {command} failed unexpectedly: {type(error).__name__} in {places[-1]}. What it "
        "had printed until then was done. Run it again; if it fails again, report this line."
    )


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package.__version__, message="%(version)s")
def rotation() -> None:
    """Rotate a Trusted Signatures API key in AWS Secrets Manager, and seal PDFs with it."""


@rotation.command()
@_folder
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also draw the timeline into this file.",
)
def demo(folder: Path, as_json: bool, svg: Path | None) -> None:
    """Rotate a key and seal a PDF, on this machine alone.

    Starts an emulated vendor and an emulated AWS, stores a key, seals a document, rotates the key
    through the real rotation function, seals again, and verifies everything. Takes a few seconds
    and leaves the sealed documents and the logs in the folder.
    """
    from rotation.cli.demo import run_demo

    run_demo(folder, as_json=as_json, svg=svg)


@rotation.command()
@_folder
@click.option("--json", "as_json", is_flag=True, help="Print the variables as one JSON object.")
@click.option(
    "--empty",
    is_flag=True,
    help="Leave the secret without a key; the first rotation then issues it.",
)
@click.option(
    "--key-pool",
    is_flag=True,
    help="Rotate with keys that people make in the vendor's portal, as the vendor is today.",
)
def sandbox(folder: Path, as_json: bool, empty: bool, key_pool: bool) -> None:
    """Keep the sandbox running for the aws command line.

    Prints what to type in another terminal, and then each rotation step as it happens, until
    Ctrl-C. `aws secretsmanager rotate-secret --secret-id trusted-signatures-api` then drives the
    real rotation function, asynchronously and with AWS's retries.

    With --key-pool rotations take keys from a pool, which has two at first. The emulated vendor's
    portal makes more: curl -sX POST "$VENDOR_PORTAL" | rotation pool add
    """
    from rotation.cli.sandbox import run_sandbox

    run_sandbox(folder, as_json=as_json, empty=empty, key_pool=key_pool)
