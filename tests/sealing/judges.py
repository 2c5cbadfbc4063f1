"""Poppler's pdfsig and qpdf, which share no code with what made the seal."""

from __future__ import annotations

import subprocess
from pathlib import Path


def pdfsig(document: bytes, folder: Path, *, anchors: Path | None = None) -> str:
    """What pdfsig says; ``anchors`` is an NSS database with the trusted roots."""
    path = folder / "sealed.pdf"
    path.write_bytes(document)
    trust = ["-nssdir", str(anchors)] if anchors else ["-nocert"]
    return _run("pdfsig", *trust, str(path))


def qpdf_check(document: bytes, folder: Path) -> str:
    """What ``qpdf --check`` says; "No syntax or stream encoding errors" if nothing is wrong."""
    path = folder / "sealed.pdf"
    path.write_bytes(document)
    return _run("qpdf", "--check", str(path))


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
