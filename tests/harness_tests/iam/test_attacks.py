"""The part of `make iam` that needs no flow, with every run of the tests."""

from __future__ import annotations

import re

from tests.artifacts.toolchain import succeed


def test_every_attack_is_refused_by_the_policies() -> None:
    """For each set of parameters, by an evaluator that nobody here wrote; services are admitted."""
    told = succeed("make", "--silent", "iam", "IAM=--short").splitlines()[-1]
    judged = re.fullmatch(r"(\d+) requests, 0 refused or let in wrongly", told)
    assert judged is not None, told
    assert int(judged[1]) > 100
