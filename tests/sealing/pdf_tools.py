"""Judges of seals that share no code with ours: Poppler, qpdf, MuPDF, and PDFBox's preflight."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from rotation.sealing.visible_seal import Box

# Where Debian's packages put PDFBox and what it needs.
_JAVA: Final = Path("/usr/share/java")
_PREFLIGHT: Final = (
    *("pdfbox2", "preflight", "xmpbox", "fontbox2"),
    *("commons-logging", "javax.activation", "jaxb-api"),
)


def pdfsig(document: bytes, folder: Path, *, anchors: Path | None = None) -> str:
    """What pdfsig says; ``anchors`` is an NSS database with the trusted roots."""
    path = folder / "sealed.pdf"
    path.write_bytes(document)
    trust = ["-nssdir", str(anchors)] if anchors else ["-nocert"]
    return _run("pdfsig", *trust, str(path))


def trusted_by_pdfsig(document: bytes, root: bytes, folder: Path) -> bool:
    """Whether pdfsig calls every signature valid and its certificate trusted by ``root``, PEM."""
    anchors = nss_database(folder, root)
    said = pdfsig(document, folder, anchors=anchors)
    # pdfsig does not know document timestamps.
    count = said.count("Signature #") - said.count("Signature Type: unknown")
    return 0 < count == said.count("Signature is Valid.") == said.count("Certificate is Trusted.")


def qpdf_check(document: bytes, folder: Path) -> str:
    """What ``qpdf --check`` says; "No syntax or stream encoding errors" if nothing is wrong."""
    path = folder / "sealed.pdf"
    path.write_bytes(document)
    return _run("qpdf", "--check", str(path))


def mutool(document: bytes, folder: Path) -> str:
    """What MuPDF complains of when it draws every page; nothing if it reads all without repair.

    Color profiles are ignored, because not every build of it has them.
    """
    path = folder / "drawn.pdf"
    path.write_bytes(document)
    command = ("mutool", "draw", "-q", "-N", "-r", "20", "-F", "pbm", "-o", "/dev/null", str(path))
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    return done.stderr


def preflight(documents: Mapping[str, bytes], folder: Path) -> dict[str, set[str]]:
    """How each document breaks PDF/A-1b, by PDFBox's preflight in one run; empty if it does not."""
    paths = {folder / f"{number}.pdf": name for number, name in enumerate(documents)}
    for path, name in paths.items():
        path.write_bytes(documents[name])
    (folder / "list").write_text("".join(f"{path}\n" for path in paths))
    archives = ":".join(str(_JAVA / f"{archive}.jar") for archive in _PREFLIGHT)
    subprocess.run(
        [
            # It starts sooner, and keeps its list of fonts out of the home folder.
            *("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            *(f"-Dpdfbox.fontcache={folder}", "-cp", archives),
            *("org.apache.pdfbox.preflight.Validator_A1b", "xml", "group", str(folder / "list")),
        ],
        check=False,
        capture_output=True,
        timeout=120,
    )
    report = ET.parse(folder / "list.preflight.xml")
    return {
        paths[folder / str(one.get("name"))]: {
            f"{error.findtext('code')}: {error.findtext('details')}" for error in one.iter("error")
        }
        for one in report.getroot().iter("preflight")
    }


@dataclass(frozen=True)
class RenderedPage:
    """A page as a viewer shows it, one pixel to a point; row by row from its top, one gray each."""

    width: int
    height: int
    grays: bytes

    def changes(self, before: RenderedPage) -> set[tuple[int, int]]:
        """The pixels that are not as they were: from the left, and from the bottom."""
        assert (self.width, self.height) == (before.width, before.height)
        return {
            (at % self.width, self.height - 1 - at // self.width)
            for at, (one, other) in enumerate(zip(self.grays, before.grays, strict=True))
            if one != other
        }


def render_page(document: bytes, folder: Path, page: int = 1) -> RenderedPage:
    """What pdftoppm shows of one page."""
    path = folder / "shown.pdf"
    path.write_bytes(document)
    done = subprocess.run(
        [
            *("pdftoppm", "-cropbox", "-gray", "-r", "72"),
            *("-f", str(page), "-l", str(page), str(path)),
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    _, size, _, grays = done.stdout.split(b"\n", 3)
    width, height = map(int, size.split())
    return RenderedPage(width, height, grays)


def visible_change(
    document: bytes, sealed: bytes, folder: Path, page: int = 1
) -> tuple[int, int, int, int] | None:
    """The box around what sealing changed on the page, in points from its lower left corner."""
    changes = render_page(sealed, folder, page).changes(render_page(document, folder, page))
    if not changes:
        return None
    xs, ys = zip(*changes, strict=True)
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def is_within(found: tuple[int, int, int, int] | None, box: Box) -> bool:
    """Whether ``found`` lies in ``box`` and takes up most of its width or height."""
    if found is None:
        return False
    left, bottom, right, top = found
    wide = right - left > 0.8 * (box[2] - box[0])
    high = top - bottom > 0.6 * (box[3] - box[1])
    return (
        box[0] <= left and box[1] <= bottom and right <= box[2] and top <= box[3] and (wide or high)
    )


def nss_database(folder: Path, root_pem: bytes) -> Path:
    """An NSS database that trusts one root."""
    database = folder / "nss"
    database.mkdir()
    root = folder / "root.pem"
    root.write_bytes(root_pem)
    _run("certutil", "-N", "-d", str(database), "--empty-password")
    trust = ["-t", "CT,C,C", "-i", str(root)]
    _run("certutil", "-A", "-n", "root", *trust, "-d", str(database))
    return database


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr
