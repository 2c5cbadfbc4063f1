"""The table of commands. Each explains itself with ``--help``.

Exit codes: 0 the command succeeded; 1 it failed, and the message says what to do; 2 the command
line was wrong; 130 it was interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass
from errno import EPIPE
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Any, Final

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


@dataclass(frozen=True)
class _Listed:
    """A command as the help lists it.

    Attributes:
        summary: what it does, in a line that a terminal of 60 columns has room for.
        module: the module that has it; None: this one.
    """

    summary: str
    module: str | None = None


#: The commands as people think of them, and each group in the order in which they need them.
GROUPS: Final[dict[str, dict[str, _Listed]]] = {
    "Every day": {
        "status": _Listed("Show keys and what becomes of them", "rotation.cli.status"),
        "rotate": _Listed("Rotate and wait for the new key", "rotation.cli.rotate"),
        "pool": _Listed("Keep the keys that rotations take", "rotation.cli.pool.command"),
        "hold": _Listed("Pause the retirement of old keys", "rotation.cli.hold"),
    },
    "Something is wrong": {
        "doctor": _Listed("Find out why a key does not work", "rotation.cli.doctor.command"),
        "force": _Listed("Replace leaked keys; prove them dead", "rotation.cli.force.command"),
        "unstick": _Listed("Free a secret whose rotation failed", "rotation.cli.unstick"),
        "rollback": _Listed("Go back to the previous key", "rotation.cli.rollback"),
        "release": _Listed("Retire keys that were too many", "rotation.cli.release"),
        "attest": _Listed("Say that an unprovable key is dead", "rotation.cli.attest"),
        "evidence": _Listed("Show the records of incidents", "rotation.cli.evidence"),
        "exposure": _Listed("Show who could read, and who did", "rotation.cli.exposure.command"),
        "leaver": _Listed("Rotate what somebody knew who leaves", "rotation.cli.exposure.leaver"),
    },
    "Audit": {
        "report": _Listed("Report on keys for an auditor", "rotation.cli.report.command"),
        "verify-bundle": _Listed(
            "Verify such a report offline", "rotation.cli.report.verification"
        ),
    },
    "Seal": {
        "seal": _Listed("Seal files, folders or prefixes of S3", "rotation.cli.seal.command"),
        "verify": _Listed("Say who sealed a file, and what is new", "rotation.cli.verify.command"),
        "extend": _Listed("Raise the level of sealed files", "rotation.cli.extend.command"),
    },
    "Set up": {
        "migrate": _Listed("Move a hard-coded key into a secret", "rotation.cli.migrate.command"),
        "drill": _Listed("Rehearse a leak on a throwaway key", "rotation.cli.drill.command"),
        "cost": _Listed("Estimate what a deployment costs", "rotation.cli.cost.command"),
        "demo": _Listed("Rotate and seal on this machine alone"),
        "sandbox": _Listed("Keep a deployment on this machine running"),
    },
}
_LISTED: Final = {name: listed for group in GROUPS.values() for name, listed in group.items()}


class LazyCommands(click.Group):
    """A group that imports each of its commands only when it is used."""

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
        return sorted({*super().list_commands(ctx), *_LISTED})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; imports it."""
        listed = _LISTED.get(cmd_name)
        if listed is not None and listed.module is not None:
            command: click.Command = getattr(
                import_module(listed.module), cmd_name.replace("-", "_")
            )
            return command
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands by group. None of them is imported for that."""
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, listed.summary) for name, listed in commands.items()])


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
    """Rotate a Trusted Signatures API key in AWS Secrets Manager, and seal PDFs with it.

    Each command explains itself with --help, and has --json for programs.
    """


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
    """Keep the sandbox running for a browser and the aws command line.

    Prints the address of a page that shows it, what to type in another terminal, and then each
    rotation step as it happens, until Ctrl-C. `aws secretsmanager rotate-secret --secret-id
    trusted-signatures-api` then drives the real rotation function, asynchronously and with AWS's
    retries.

    With --key-pool rotations take keys from a pool, which has two at first. The emulated vendor's
    portal makes more: curl -sX POST "$VENDOR_PORTAL" | rotation pool add
    """
    from rotation.cli.sandbox import run_sandbox

    run_sandbox(folder, as_json=as_json, empty=empty, key_pool=key_pool)
