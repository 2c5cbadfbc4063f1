"""What is counted, and for whom."""

from __future__ import annotations

import json

import pytest

from rotation.privacy.observability import count, metrics, set_function_dimension


def test_outside_of_a_function_nothing_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """An application's output is its own, however many documents it seals."""
    metrics.clear_metrics()
    for _ in range(101):
        count("DocumentsSealed")
    assert capsys.readouterr().out == ""
    assert not metrics.metric_set


def test_a_function_counts_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred values of one metric are sent on the way, and bear the function's name."""
    metrics.clear_metrics()
    set_function_dimension("seal")
    for _ in range(101):
        count("DocumentsSealed")
    sent = json.loads(capsys.readouterr().out)
    assert (sent["function"], len(sent["DocumentsSealed"])) == ("seal", 100)
    metrics.clear_metrics()
