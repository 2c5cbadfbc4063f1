"""The pages of `rotation report` and `rotation evidence` in headless Chromium, read and printed.

No name can be resolved in it, and the system's proxies are not used: nothing leaves the machine.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from rotation.cli.report.facts import report_facts
from rotation.cli.report.incident import record_page
from rotation.cli.report.page import report_page
from tests.cli.report import story

pytestmark = pytest.mark.slow

#: What Chromium writes to its log of a page: errors of the console, and what a policy refused.
COMPLAINT = re.compile(r"CONSOLE|Refused|ERR_")

Chromium = Callable[..., tuple[str, str]]


@pytest.fixture
def chromium(tmp_path: Path) -> Chromium:
    """Opens a page; returns what Chromium wrote to standard output, and its log."""

    def opened(page: str, *arguments: str) -> tuple[str, str]:
        program = shutil.which("chromium")
        assert program, "Debian's chromium is needed (.ci/run installs it)."
        (tmp_path / "page.html").write_text(page)
        done = subprocess.run(
            [
                program,
                "--headless",
                "--no-sandbox",  # Chromium refuses to run as root with it, and CI is root
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--enable-logging=stderr",
                "--no-proxy-server",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={tmp_path / 'profile'}",
                *arguments,
                (tmp_path / "page.html").as_uri(),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done.stdout, done.stderr

    return opened


def report() -> str:
    return report_page(report_facts(story.sources()))


def printed(chromium: Chromium, page: str, target: Path) -> str:
    """The text of a page as it is printed."""
    _, log = chromium(page, f"--print-to-pdf={target}", "--no-pdf-header-footer")
    assert COMPLAINT.findall(log) == []
    read = subprocess.run(
        ["pdftotext", "-layout", str(target), "-"], check=True, capture_output=True, text=True
    )
    return read.stdout


def test_a_report_is_shown_whole_and_asks_for_nothing(chromium: Chromium) -> None:
    """Every section is there, what a stranger wrote is text, and the console is silent."""
    document, log = chromium(report(), "--dump-dom")
    assert COMPLAINT.findall(log) == []
    assert "<title>Keys of payments, 2026-04-30 00:05 UTC</title>" in document
    assert document.count("<h2 ") == 8
    assert document.count("<rect ") > 6
    assert "&lt;script&gt;document.title" in document
    assert "<img" not in document
    assert set(re.findall(r'(?:href|src)="([^"#]*)', document)) <= {""}


def test_the_page_forbids_what_a_stranger_could_have_put_into_it(chromium: Chromium) -> None:
    """A script that got in all the same does not run, and an image is not asked for."""
    stranger = "<script>document.title='run'</script><img src='http://stranger.invalid/'>"
    document, log = chromium(report().replace("<main>", f"<main>{stranger}"), "--dump-dom")
    assert "<title>Keys of payments" in document
    assert "ERR_NAME_NOT_RESOLVED" not in log
    assert len(COMPLAINT.findall(log)) >= 2


def test_a_report_is_printed_with_a_header_on_each_page(chromium: Chromium, tmp_path: Path) -> None:
    """The name of the secret, the time and the number of the page; the menu is left out."""
    text = printed(chromium, report(), tmp_path / "report.pdf")
    pages = text.split("\f")[:-1]
    assert len(pages) > 4
    for number, page in enumerate(pages, start=1):
        assert "Keys of payments, 2026-04-30 00:05 UTC" in page
        assert f"{number} / {len(pages)}" in page
    for wanted in ("proven dead", "8.6.3", "A.8.24", "does not prove", "s3-version-1"):
        assert wanted in text


def test_an_incident_is_printed(chromium: Chromium, tmp_path: Path) -> None:
    """Who declared it and why, each probe of the proof, and what it does not prove."""
    [kept] = story.sources().records
    page = record_page(json.loads(kept.body), f"s3://{story.BUCKET}/{kept.name}", ["12 seals"])
    text = printed(chromium, page, tmp_path / "incident.pdf")
    for wanted in ("Incident of payments, closed", "12 seals", "Declarations"):
        assert wanted in text
    assert text.count("rejected") == 3
    assert "does not prove" in text


def test_a_report_is_dark_where_the_system_is(chromium: Chromium, tmp_path: Path) -> None:
    """Light text on a dark ground; without that preference it is the reverse."""
    shot = tmp_path / "page.png"
    for scheme, dark in (("0", True), ("1", False)):
        chosen = f"--blink-settings=preferredColorScheme={scheme}"
        chromium(report(), chosen, f"--screenshot={shot}")
        assert (max(first_pixel(shot.read_bytes())) < 64) == dark


def first_pixel(png: bytes) -> bytes:
    """Red, green and blue of the upper left corner; no filter of PNG changes that pixel."""
    data, place = b"", 8
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        if kind == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    return zlib.decompressobj().decompress(data, 4)[1:4]
