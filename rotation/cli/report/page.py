"""Renders a report, or one incident, as one HTML page that loads nothing.

Everything that stands in the page is escaped by Jinja2, and was scrubbed before (`lives.said`). The
page forbids itself to load or to run anything (Content-Security-Policy); its styles are allowed by
their digest. Equal facts give equal pages.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from rotation.cli.report.controls import SECTIONS
from rotation.cli.report.timeline import drawn_lives

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("rotation.cli.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def report_page(facts: Mapping[str, Any]) -> str:
    """The page of a report."""
    return _page(
        "report.html",
        header=f"Keys of {facts['secret']['name']}, {_minute(facts['madeAt'])}",
        facts=facts,
        sections=SECTIONS,
        bars=drawn_lives(facts),
    )


def incident_page(
    record: Mapping[str, str],
    incident: Mapping[str, Any],
    seals: Sequence[str],
    gaps: Sequence[str],
) -> str:
    """The page of one incident.

    Args:
        record: of its record ``arn``, ``secret`` (the name), ``installation`` and ``place``.
        incident: its facts, as `rotation.cli.report.facts.incident_facts` makes them.
        seals: sentences on the seals that were made with its keys.
        gaps: sentences on what its record does not tell.
    """
    return _page(
        "incident.html",
        header=f"Incident of {record['secret']}, closed {_minute(incident['closedAt'])}",
        record=record,
        incident=incident,
        seals=seals,
        gaps=gaps,
    )


def _page(template: str, *, header: str, **members: Any) -> str:
    style = _ENVIRONMENT.get_template("style.css").render(header=_css_text(header))
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return _ENVIRONMENT.get_template(template).render(
        header=header, style=style, style_digest=digest, **members
    )


def _css_text(text: str) -> str:
    """Text for a string of CSS: each character as an escape, so that none ends the string."""
    return "".join(f"\\{ord(one):06x}" for one in text)


def _minute(time: str | None) -> str:
    """A time as people read it: ``2026-11-27 10:05 UTC``; a text that is no time as it is."""
    if time is None:
        return "unknown"
    try:
        return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return time


def _second(time: str | None) -> str:
    """As `_minute`, to the second."""
    if time is None:
        return "unknown"
    try:
        return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return time


_ENVIRONMENT.filters |= {"minute": _minute, "second": _second}
