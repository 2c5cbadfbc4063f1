"""Listens to a whole test run: which keys the emulated vendor made, and what every test printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rotation.sandbox.vendor.keys import KeyStore, PortalKey
from tests.privacy.canary import PIECE, text_renderings

_run = re.compile(rb"[A-Za-z0-9+/=_-]{%d,}" % PIECE)


class WholeRun:
    """The keys of a run and its printed output.

    Its search is the canary's, less raw bytes: fast enough for every file of a run. A piece is
    twelve characters of the key: where a rendering has two for each of those, it is twice as long,
    or among the many keys of a run a piece of one would be found in another by chance.
    """

    def __init__(self) -> None:
        self.keys = 0
        self.printed: list[tuple[str, bytes]] = []
        self._pieces: set[bytes] = set()
        self._harmless: set[bytes] = set()

    def listen(self) -> None:
        """Hear of every key that any emulated vendor makes in this process from now on."""
        create = KeyStore.create

        def heard(store: KeyStore, **arguments: Any) -> PortalKey:
            key = create(store, **arguments)
            self.plant(key.material)
            return key

        KeyStore.create = heard  # type: ignore[assignment, method-assign]

    def plant(self, material: str) -> None:
        """Look for ``material`` from now on."""
        self.keys += 1
        self._harmless.clear()
        for rendering in text_renderings(material):
            size = 2 * PIECE if len(rendering) == 2 * len(material) else PIECE
            for start in range(len(rendering) - size + 1):
                self._pieces.add(rendering[start : start + size])

    def note(self, report: pytest.TestReport) -> None:
        """Keep what a test printed and logged, and how a failure was shown."""
        shown = [text for _, text in report.sections] + [str(report.longrepr or "")]
        self.printed.append((report.nodeid, "\n".join(shown).encode(errors="replace")))

    def holds_a_key(self, content: bytes) -> bool:
        """Whether a piece of any key is in ``content``."""
        # The same ids and words stand in many places; they are looked through once.
        for run in {*_run.findall(content)} - self._harmless:
            for size in (PIECE, 2 * PIECE):
                for start in range(len(run) - size + 1):
                    if run[start : start + size] in self._pieces:
                        return True
            self._harmless.add(run)
        return False

    def findings(self, folder: Path) -> list[str]:
        """Every test that printed a key, and every file below ``folder`` that holds one."""
        tests = [f"printed by {test}" for test, text in self.printed if self.holds_a_key(text)]
        files = [
            str(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink() and self.holds_a_key(path.read_bytes())
        ]
        return tests + files
