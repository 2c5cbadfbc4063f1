"""The options of ``rotation seal`` that say how documents are sealed.

They are checked before any document is read: a wrong one costs neither a signature nor a wait.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from rotation.errors import InvalidRequestError

if TYPE_CHECKING:
    from rotation.sealing.request import SealOptions

Command = TypeVar("Command", bound=Callable[..., Any])

_EXAMPLE: Final = (
    "For instance, --page -1 --box 36,36,236,84 --text Sealed shows a seal in the lower left "
    "corner of the last page."
)


def option_name(path: str) -> str:
    """``--box`` for ``options.visible.box``, which is its path in a request."""
    if path == "options.fieldName":
        return "--field"
    words = re.sub("([A-Z])", r"-\1", path.rpartition(".")[2])
    return f"--{words.lower()}"


def _box(_: click.Context, __: click.Parameter, value: str | None) -> list[float] | None:
    if value is None:
        return None
    try:
        corners = [float(number) for number in value.split(",")]
    except ValueError:
        corners = []
    if len(corners) != 4:
        raise click.BadParameter(
            f"{value} is not left,bottom,right,top, such as 36,36,236,84: points (1/72 inch), "
            "counted from the page's lower left corner."
        )
    return corners


def _text(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    # As in a request's JSON; a shell has no short way to a newline that all of them know.
    return None if value is None else value.replace("\\n", "\n")


def _image(_: click.Context, __: click.Parameter, value: str | None) -> bytes | None:
    from rotation.sealing.visible_seal import LARGEST_IMAGE

    if value is None:
        return None
    try:
        with Path(value).open("rb") as file:
            return file.read(LARGEST_IMAGE + 1)
    except OSError as error:
        raise click.BadParameter(f"{value} cannot be read: {error.strerror}.") from None


_OPTIONS: Final = (
    click.option("--reason", metavar="TEXT", help="Why, written into the signature."),
    click.option("--location", metavar="TEXT", help="Where, written into the signature."),
    click.option("--contact", metavar="TEXT", help="Whom to ask, written into the signature."),
    click.option("--field", metavar="NAME", help="The signature field to fill or to make."),
    click.option("--timestamp", is_flag=True, help="Have the vendor's authority prove the time."),
    click.option(
        "--level",
        type=click.Choice(["B-B", "B-T", "B-LT", "B-LTA"]),
        help="What the seal proves, and for how long; B-T and above have a timestamp.",
    ),
    click.option(
        "--certify",
        type=click.Choice(["no-changes", "form-filling", "annotations"]),
        help="Say what may still be done to a sealed document. Only its first signature can.",
    ),
    click.option(
        "--page",
        metavar="N",
        type=int,
        help="Show the seal on this page: 1 is the first, -1 the last. Needs --box.",
    ),
    click.option(
        "--box",
        metavar="L,B,R,T",
        callback=_box,
        help="Where on it: left, bottom, right and top in points, from the lower left corner.",
    ),
    click.option(
        "--text",
        metavar="TEXT",
        callback=_text,
        help="Show this text, as large as the box allows; \\n begins a new line.",
    ),
    click.option(
        "--image",
        metavar="FILE",
        callback=_image,
        help="Show this PNG or JPEG; with --text, to the left of it.",
    ),
    click.option("--every-page", is_flag=True, help="Show the same in the same box of every page."),
    click.option(
        "--lock",
        metavar="NAME",
        multiple=True,
        help="Forbid changes of this form field; repeat for more. An asterisk means every field.",
    ),
    click.option("--repair", is_flag=True, help="Rewrite a damaged document first (pikepdf)."),
)


def seal_options(command: Command) -> Command:
    """Add the options that `read_options` takes to ``command``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_options(values: Mapping[str, Any]) -> SealOptions:
    """The options of each sealing request.

    Args:
        values: the values of all options that `seal_options` adds, and of ``function``.

    Raises:
        click.UsageError: an option is not what it must be, or lacks another.
    """
    from rotation.sealing.request import (
        Certification,
        Level,
        SealOptions,
        error_message,
        option_names,
    )
    from rotation.sealing.validate_options import validate_options
    from rotation.sealing.visible_seal import VisibleSeal

    if values["repair"] and not values["function"] and find_spec("pikepdf") is None:
        raise click.UsageError(
            "--repair needs pikepdf, which is not installed: "
            "pip install 'trusted-signatures-rotation[cli,repair]'."
        )
    certify = values["certify"]
    options = SealOptions(
        field_name=values["field"],
        reason=values["reason"],
        location=values["location"],
        contact=values["contact"],
        timestamp=values["timestamp"],
        level=Level(values["level"]) if values["level"] else None,
        repair=values["repair"],
        certify=Certification(certify.upper().replace("-", "_")) if certify else None,
        lock=values["lock"],
        visible=VisibleSeal.of(
            *(values[name] for name in ("page", "box", "text", "image")),
            every_page=values["every_page"],
        ),
    )
    try:
        return validate_options(options)
    except InvalidRequestError as error:
        problem = error_message(error, option_names(option_name))
        incomplete = error.field == "options.visible"
        raise click.UsageError(f"{problem} {_EXAMPLE}" if incomplete else problem) from None
