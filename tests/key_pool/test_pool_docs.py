"""docs/key-pool.md says what the code does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from rotation.credential import Confidential, iso_utc
from rotation.key_pool.document import KeyState, PoolDocument
from rotation.key_pool.pool_secret import CLAIM, STAGE
from rotation.key_pool.version_list import MOST_VERSIONS, VERSIONS_FOR_LEASES
from tests.key_pool.pool_fixture import PoolFixture
from tests.paths import ROOT

YEAR = timedelta(days=364)
PAGE = (ROOT / "docs" / "key-pool.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_example_is_a_pool() -> None:
    """What the page shows can be read, and is written again with the same members."""
    [example] = blocks("json")
    pool = PoolDocument.parse(Confidential(example), of="the page")
    assert json.loads(pool.serialize().reveal()) == json.loads(example)


def test_every_state_has_its_row() -> None:
    """The table names the states of the code, and no others."""
    table = PAGE.partition("| state | meaning |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [one.value for one in KeyState]


def test_the_label_is_the_code_s() -> None:
    """Whoever sees it in DescribeSecret finds it on the page."""
    assert f"`{STAGE}<version id>`" in PAGE
    assert f"`{CLAIM}`" in PAGE


def test_each_change_costs_the_versions_of_its_row(key_pool: PoolFixture) -> None:
    """The quota of versions is what a person plans the schedules by."""
    key_pool.fill([YEAR] * 4)
    for _ in range(2):
        key_pool.lease()
    costs: list[int] = []
    before = key_pool.versions()
    leased = key_pool.lease()
    acts: list[Callable[[], object]] = [
        lambda: key_pool.pool.revoke(leased.id),
        lambda: key_pool.pool.forget(leased.id),
    ]
    for act in (lambda: None, *acts):
        act()
        costs.append(key_pool.versions() - before)
        before = key_pool.versions()
    table = PAGE.partition("| change | versions |")[2].partition("\n\n")[0]
    assert costs == [int(cost) for cost in re.findall(r"\| (\d)[^|]*\|$", table, re.MULTILINE)[:3]]
    assert f"costs {sum(costs)} versions" in PAGE
    assert f"up to {MOST_VERSIONS // sum(costs)} rotations in a day" in PAGE
    assert f"The last {VERSIONS_FOR_LEASES} versions of a day" in PAGE


def test_the_commands_work(key_pool: PoolFixture) -> None:
    """Adding from a program, and both lists, as the page has them."""
    key = key_pool.rotation.vendor.keys.create()
    adding, listing = blocks("sh")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", adding + listing],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **key_pool.rotation.cloud.environment(),
            "VENDOR_URL": key_pool.rotation.vendor.url,
            "id": key.id,
            "key": key.material,
            "expires": iso_utc(key.expires_at),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    said = done.stdout.splitlines()
    assert said[0].startswith(f"Key {key.id} is in the pool")
    [held] = json.loads(said[-1])["keys"]
    assert (held["keyId"], held["state"]) == (key.id, "free")
    assert held["expiresAt"] == iso_utc(key.expires_at)
