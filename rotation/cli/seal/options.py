"""How ``rotation seal`` is asked to seal: its options, and what they make of a request's.

They are checked before anything is looked at: a wrong one costs neither a signature nor a wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from rotation.errors import InvalidRequestError

if TYPE_CHECKING:
    from rotation.sealing.request import SealOptions

Command = TypeVar("Command", bound=Callable[..., Any])

#: What a person types for what a request calls otherwise.
NAMES: Final[Mapping[str, str]] = {
    "options.fieldName": "--field",
    "options.reason": "--reason",
    "options.location": "--location",
    "options.contact": "--contact",
    "options.timestamp": "--timestamp",
    "options.repair": "--repair",
    "options.certify": "--certify",
    "options.visible": "A visible seal",
    "options.visible.page": "--page",
    "options.visible.box": "--box",
    "options.visible.text": "--text",
    "options.visible.image": "--image",
}
_NO_PLACE: Final = (
    "Where is the seal to be seen? Say --page -1 --box 36,36,236,84 for the lower left corner of "
    "the last page, or --field with the name of a signature field that has its place."
)
_NO_SIGHT: Final = "What is to be seen there? Say --text, --image, or both."


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
    from rotation.sealing.visible_seal import LARGEST_IMAGE, is_image

    if value is None:
        return None
    try:
        with Path(value).open("rb") as file:
            content = file.read(LARGEST_IMAGE + 1)
    except OSError as error:
        raise click.BadParameter(f"{value} cannot be read: {error.strerror}.") from None
    if not is_image(content):
        raise click.BadParameter(
            f"{value} is no PNG or JPEG file of at most {LARGEST_IMAGE // 1024} KiB."
        )
    return content


_OPTIONS: Final = (
    click.option("--reason", metavar="TEXT", help="Why, written into the signature."),
    click.option("--location", metavar="TEXT", help="Where, written into the signature."),
    click.option("--contact", metavar="TEXT", help="Whom to ask, written into the signature."),
    click.option("--field", metavar="NAME", help="The signature field to fill or to make."),
    click.option("--timestamp", is_flag=True, help="Have the vendor's authority prove the time."),
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
    click.option("--repair", is_flag=True, help="Rewrite a damaged document first (pikepdf)."),
)


def how_to_seal(command: Command) -> Command:
    """The options of a command that `read` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read(asked: Mapping[str, Any]) -> SealOptions:
    """The options of each request.

    Args:
        asked: the values of all that `how_to_seal` adds, and ``function``.

    Raises:
        click.UsageError: one is not what it must be, or lacks another.
    """
    from rotation.sealing.request import SealOptions, in_other_words

    if asked["repair"] and not asked["function"] and find_spec("pikepdf") is None:
        raise click.UsageError(
            "--repair needs pikepdf, which is not installed: "
            "pip install 'trusted-signatures-rotation[cli,repair]'."
        )
    certify = asked["certify"]
    members = {
        "fieldName": asked["field"],
        "reason": asked["reason"],
        "location": asked["location"],
        "contact": asked["contact"],
        "timestamp": asked["timestamp"],
        "repair": asked["repair"],
        "certify": certify and certify.upper().replace("-", "_"),
        "visible": _visible(asked),
    }
    try:
        options = SealOptions.parse(
            {name: value for name, value in members.items() if value is not None}
        )
        if options.visible:
            from rotation.sealing.validate_visible import rehearse

            rehearse(options.visible)
        return options
    except InvalidRequestError as error:
        raise click.UsageError(in_other_words(str(error), NAMES)) from None


def _visible(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    from rotation.sealing.visible_seal import VisibleSeal

    page, box, text, image = (asked[name] for name in ("page", "box", "text", "image"))
    if text is None and image is None:
        if page is None and box is None:
            return None
        raise click.UsageError(_NO_SIGHT)
    if (page is None) != (box is None) or (page is None and asked["field"] is None):
        raise click.UsageError(_NO_PLACE)
    return VisibleSeal(page, box, text, image).members()
