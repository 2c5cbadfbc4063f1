"""Takes the picture of a report that docs/audit-report.md shows, in headless Chromium.

``make screenshots`` runs it; it needs Debian's chromium.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rotation.cli.report.facts import report_facts
from rotation.cli.report.page import report_page
from tests.cli.report import story
from tests.paths import ROOT

PICTURE: Final = ROOT / "docs" / "images" / "audit-report.png"


def main() -> None:
    """Write docs/images/audit-report.png."""
    with TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(report_page(report_facts(story.sources())))
        subprocess.run(
            [
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                f"--user-data-dir={folder}/profile",
                "--window-size=1000,1100",
                f"--screenshot={PICTURE}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
        )
    print(PICTURE.relative_to(ROOT))  # noqa: T201


if __name__ == "__main__":
    main()
