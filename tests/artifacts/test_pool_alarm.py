"""The alarm of a pool that is nearly empty. One process has room for one deployment at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotation.sandbox.deployment import RECONCILE
from tests.artifacts.alarms import fires, printed
from tests.artifacts.test_alarms import NAMES, alarm, deployed, newly_counted


@pytest.mark.parametrize(("keys", "raised"), [(1, True), (3, False)])
def test_a_pool_that_is_nearly_empty_raises_an_alarm(
    tmp_path: Path, keys: int, raised: bool
) -> None:
    """Before the next rotation finds nothing, and not when it has found nothing."""
    with deployed(tmp_path, keys_in_pool=keys) as pooled:
        values = newly_counted(pooled, "PoolLowAlarm")
        assert fires(alarm("PoolLowAlarm"), [values]) is raised
        log = (pooled.logs / f"{RECONCILE}.log").read_text()
        [*_, left] = printed(log, alarm("PoolLowAlarm") | {"MetricName": "PoolKeysLeft"}, NAMES)
        assert left == keys
