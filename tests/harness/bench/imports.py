"""What importing a function's handler costs, and who costs it: Python's own import profile.

``python -X importtime`` tells how long each module took by itself. These times are added up by the
library that the module belongs to. The profile itself makes imports slower, so its sum is more than
a start takes, and the shares are what counts. The fastest of several processes is taken.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from typing import Final

from tests.harness.bench.results import Figure
from tests.paths import ROOT

_STARTS: Final = 7
_HANDLERS: Final = ("rotate", "seal")
_LINE: Final = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)")
#: Libraries, by whom they come with; everything else is the standard library's.
_LIBRARIES: Final = {
    "boto3": (*("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"),),
    "requests": ("requests", "charset_normalizer", "idna", "certifi"),
    "powertools": ("aws_lambda_powertools", "typing_extensions"),
    "cryptography": ("cryptography",),
    "pyhanko": (
        *("pyhanko", "pyhanko_certvalidator", "asn1crypto", "oscrypto", "uritools", "tzlocal"),
        *("yaml", "lxml", "defusedxml", "aiohttp"),
    ),
    "ours": ("rotation",),
}
_MEANINGS: Final = {
    "boto3": "boto3 and what it brings",
    "requests": "requests and what it brings, without urllib3",
    "powertools": "Powertools",
    "cryptography": "cryptography",
    "pyhanko": "pyHanko and what it brings",
    "ours": "our own modules",
    "rest": "the standard library and others",
}

FIGURES: Final = tuple(
    Figure(f"import_{handler}_{owner}_ms", f"`handlers.{handler}`: milliseconds of {meaning}")
    for handler in _HANDLERS
    for owner, meaning in _MEANINGS.items()
)


def measured() -> dict[str, float]:
    """The milliseconds of each library, for each handler."""
    return {
        f"import_{handler}_{owner}_ms": round(milliseconds, 1)
        for handler in _HANDLERS
        for owner, milliseconds in profile(f"rotation.handlers.{handler}").items()
    }


def profile(module: str) -> dict[str, float]:
    """The milliseconds that importing ``module`` takes, by the owners of what is imported."""
    fastest = min((_imported(module) for _ in range(_STARTS)), key=lambda times: times.total())
    owner_of = {library: owner for owner, libraries in _LIBRARIES.items() for library in libraries}
    found = dict.fromkeys(_MEANINGS, 0.0)
    for library, microseconds in fastest.items():
        found[owner_of.get(library, "rest")] += microseconds / 1000
    return found


def _imported(module: str) -> Counter[str]:
    """Microseconds by top-level package, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    times: Counter[str] = Counter()
    for microseconds, name in _LINE.findall(done.stderr):
        times[name.partition(".")[0]] += int(microseconds)
    return times
