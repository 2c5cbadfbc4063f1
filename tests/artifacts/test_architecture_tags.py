"""The arm64 artifact, judged without a machine that could run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.artifacts.toolchain import HOST

# e_machine in the ELF header (System V ABI, "ELF Header"; Arm and AMD64 supplements).
_MACHINES = {62: "x86_64", 183: "arm64"}


def _machine(library: Path) -> str:
    """The architecture that an ELF file is for, from the 20 bytes of its header that say so."""
    header = library.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    assert header[4:6] == b"\x02\x01", "64 bits, little-endian"
    return _MACHINES[int.from_bytes(header[18:20], "little")]


def _libraries(artifact: Path) -> list[Path]:
    return [path for path in artifact.rglob("*") if path.is_file() and ".so" in path.suffixes]


def _tags(artifact: Path) -> set[str]:
    """The platform part of every wheel tag in the artifact."""
    return {
        line.rpartition("-")[2]
        for wheel in artifact.glob("*.dist-info/WHEEL")
        for line in wheel.read_text().splitlines()
        if line.startswith("Tag: ")
    }


@pytest.mark.parametrize("artifact", ["rotation", "sealing"])
def test_every_library_is_for_arm64(built_for_arm64: Path, artifact: str) -> None:
    """No file in the arm64 artifact was compiled for anything else."""
    libraries = _libraries(built_for_arm64 / artifact)
    assert len(libraries) >= 4
    assert {_machine(library) for library in libraries} == {"arm64"}


@pytest.mark.parametrize("artifact", ["rotation", "sealing"])
def test_every_wheel_is_for_arm64_or_for_any(built_for_arm64: Path, artifact: str) -> None:
    """Wheel tags agree with the files, and none is of a glibc younger than Lambda's 2.34."""
    tags = _tags(built_for_arm64 / artifact) - {"any"}
    assert tags
    assert all(tag.endswith("_aarch64") for tag in tags)
    glibc = {int(tag.split("_")[2]) for tag in tags if tag.startswith("manylinux_2_")}
    assert glibc
    assert max(glibc) <= 34


def test_the_other_build_is_for_the_machine_that_runs_it(built: Path) -> None:
    """The check can fail: it tells this machine's artifact from the other."""
    assert {_machine(library) for library in _libraries(built / "rotation")} == {HOST}
