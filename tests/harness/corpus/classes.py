"""What ``qpdf --check`` says of each document of the corpus, kept beside this module.

``python -m tests.harness.corpus.classes --corpus DIR`` writes the list anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

CLEAN: Final = "clean"
WARNED: Final = "warned"
PASSWORD: Final = "password"
ERROR: Final = "error"
CLASSES: Final = (CLEAN, WARNED, ERROR, PASSWORD)

LIST: Final = Path(__file__).with_name("classes.json")


def documents(corpus: Path) -> dict[str, Path]:
    """Every PDF below ``corpus``, by its path from there, in order."""
    return {str(path.relative_to(corpus)): path for path in sorted(corpus.rglob("*.pdf"))}


def class_of(path: Path) -> str:
    """The class of one document: qpdf's exit code, with a missing password set apart."""
    try:
        done = subprocess.run(
            ["qpdf", "--check", str(path)], check=False, capture_output=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        return ERROR
    # qpdf manual, "Exit Status": 0 no problem, 2 errors, 3 warnings.
    if done.returncode == 0:
        return CLEAN
    if done.returncode == 3:
        return WARNED
    return PASSWORD if b"invalid password" in done.stderr else ERROR


def known() -> dict[str, str]:
    """The list that is kept: name to class."""
    found: dict[str, str] = json.loads(LIST.read_text())
    return found


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    found = documents(parser.parse_args().corpus)
    with ThreadPoolExecutor(2) as pool:
        classes = dict(zip(found, pool.map(class_of, found.values()), strict=True))
    LIST.write_text(json.dumps(classes, indent=1) + "\n")
    for name in CLASSES:
        sys.stdout.write(f"{name} {list(classes.values()).count(name)}\n")


if __name__ == "__main__":
    main()
