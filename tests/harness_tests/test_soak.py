"""The soak in short, with its bars, and that each bar catches what it is for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.harness.soak.settings import SHORT, SoakSettings
from tests.harness.soak.soak import Soak

# Without stray rejections: each would be a reason to refresh. With pauses: what these wait for is
# time and not seals, and other tests need the processors.
_CALM = replace(
    SHORT,
    pause=timedelta(seconds=0.5),
    seals=40,
    rotations=2,
    every=100,
    troubles=0,
    restarts=0,
    failures=12,
    half_known=timedelta(0),
    stray_one_in=None,
)
# Never refreshes for age alone, so that a key which dies early is still held, however slow the
# machine is.
_PATIENT = replace(
    _CALM,
    soft=timedelta(minutes=5),
    hard=timedelta(minutes=6),
    grace=timedelta(minutes=7),
    reconciled=timedelta(seconds=0.5),
)


def test_no_seal_fails_through_rotations_outages_and_kills(tmp_path: Path) -> None:
    """Some hundred seals, five rotations, two of them forced, and every disturbance once."""
    result = Soak(tmp_path, SHORT).run()
    assert result.missed == (), result.beside["failures"]
    assert result.forced == 2
    assert result.beside["stray_rejections"] > 0
    brought = result.beside["troubles"]
    assert brought.pop("functions killed") >= 1
    assert brought == {
        "outages": 1,
        "vendor throttlings": 1,
        "Secrets Manager throttlings": 1,
        "clients killed": 1,
    }
    members = json.loads(json.dumps(result.as_json()))
    names = ["seals", "failed", "rotations", "forced", "dead_key_seals", "gets", "gets_allowed"]
    assert [*members][:7] == names


@pytest.mark.parametrize(
    ("settings", "bars"),
    [
        pytest.param(
            replace(_CALM, every=2, settles=True, cache="keeps the rejected"),
            {"seals with a dead key"},
            id="a client that keeps the rejected key",
        ),
        pytest.param(
            replace(_CALM, settles=True, cache="never refreshes"),
            {"rejections of keys in their grace"},
            id="a cache that never refreshes",
        ),
        pytest.param(
            replace(_PATIENT, rotations=1, cache="caches nothing"),
            {"gets"},
            id="a cache that asks each time",
        ),
        pytest.param(
            replace(_PATIENT, settles=True, revokes_early=True),
            {"rejections of keys in their grace"},
            id="a rotation that revokes inside the grace",
        ),
    ],
)
def test_the_soak_bites(tmp_path: Path, settings: SoakSettings, bars: set[str]) -> None:
    """Each defect makes it miss the bars that it is about."""
    missed = Soak(tmp_path, settings).run().missed
    assert all(any(bar in one for one in missed) for bar in bars), missed
