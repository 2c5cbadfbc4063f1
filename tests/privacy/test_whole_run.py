"""The last test of a run: what all the others printed and wrote holds no key."""

from __future__ import annotations

import pytest

from rotation.sandbox.vendor import Pki, VendorEmulator
from tests.privacy.whole_run import WholeRun


def test_a_key_in_any_file_or_output_would_be_found(
    emulator: VendorEmulator, pki: Pki, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The search bites: a piece of a key that the vendor made, in a file or printed by a test."""
    assert pki.root_pem
    run = WholeRun()
    material = emulator.keys.create().material
    run.plant(material)
    folder = tmp_path_factory.mktemp("searched")
    harmless = folder / "a.log"
    harmless.write_text("key 4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5 is current")
    assert run.findings(folder) == []
    leaking = folder / "below" / "b.log"
    leaking.parent.mkdir()
    leaking.write_text(f"the key begins with {material[5:17]}…")
    assert run.findings(folder) == [str(leaking)]
    leaking.unlink()
    run.printed.append(("some test", material.encode()))
    assert run.findings(folder) == ["printed by some test"]


@pytest.mark.last
def test_nothing_of_this_run_holds_a_key(
    whole_run: WholeRun, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every file that the run wrote and every test's output, searched for all keys."""
    assert whole_run.findings(tmp_path_factory.getbasetemp()) == []
