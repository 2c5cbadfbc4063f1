"""What the rotation function does when it cannot ask for a reconciliation. No socket."""

from __future__ import annotations

import pytest

from rotation.handlers import rotate


def test_an_unforeseen_error_does_not_fail_a_step_that_is_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is promoted by then: botocore's ValueError for a bad endpoint is a warning."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "nonsense")
    rotate._lambda.cache_clear()
    rotate._ask_for_reconciliation("reconcile", "arn:of-the-secret")
    [record] = caplog.records
    assert record.getMessage() == "reconciliation was not asked for"
    assert record.__dict__["reason"] == "ValueError"
