"""Judges of seals that share no code with ours: Poppler's pdfsig and pdftoppm, and qpdf."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from rotation.sealing.visible_seal import Box


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
    count = said.count("Signature #")
    return 0 < count == said.count("Signature is Valid.") == said.count("Certificate is Trusted.")


def qpdf_check(document: bytes, folder: Path) -> str:
    """What ``qpdf --check`` says; "No syntax or stream encoding errors" if nothing is wrong."""
    path = folder / "sealed.pdf"
    path.write_bytes(document)
    return _run("qpdf", "--check", str(path))


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
        timeout=60,
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
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr
