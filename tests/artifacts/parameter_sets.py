"""The sets of parameters that the template is judged and deployed with.

Each is a file that CloudFormation's tools read: ``aws cloudformation create-stack --parameters
file://…``, ``cfn-lint --parameter-files``. Together they take every branch of the template.

- ``shortest``: what a first deployment names, and nothing else.
- ``fullest``: everything that can be turned on; what can be created is created.
- ``given``: what the stack would create exists already, and is named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("parameters")


def path(name: str) -> Path:
    """The file of one set."""
    return FOLDER / f"{name}.json"


def _read(name: str) -> Mapping[str, str]:
    entries = json.loads(path(name).read_text())
    return {one["ParameterKey"]: one["ParameterValue"] for one in entries}


SHORTEST: Final = _read("shortest")
FULLEST: Final = _read("fullest")
GIVEN: Final = _read("given")
SETS: Final[Mapping[str, Mapping[str, str]]] = {
    "shortest": SHORTEST,
    "fullest": FULLEST,
    "given": GIVEN,
}
