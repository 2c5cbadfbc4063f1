"""The explorer bites: a defect that only shows between two hands is found, and its line replays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rotation.client.credential_cache import CredentialCache
from rotation.errors import RotationError
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.versions import SecretVersions
from tests.harness.explore import actors
from tests.harness.explore.schedule import Schedule
from tests.harness.explore.search import PairSize, explore_pair
from tests.harness.explore.trial import Laboratory

_contain: Any = getattr(actors, "contain")  # noqa: B009 - it is no name of that module
_promote = SecretVersions.promote
_ONCE = PairSize(second_one_in=0)


@contextmanager
def _planted(owner: Any, name: str, defect: Any) -> Iterator[None]:
    """The product with a defect."""
    sound = getattr(owner, name)
    setattr(owner, name, defect)
    try:
        yield
    finally:
        setattr(owner, name, sound)


def _promotes_whatever_is_current(self: SecretVersions, token: str, _: str | None) -> None:
    _promote(self, token, self.snapshot().version_with(AWSCURRENT))


def _keeps_the_rejected_key(
    self: CredentialCache, secret_id: str, *, if_version: str, stage: str = AWSCURRENT
) -> Any:
    return self.get(secret_id, stage)


def _dies_when_it_has_declared(arn: str, declared: Any, ask: Any, **_: Any) -> Any:
    ask("declare", arn, reason=declared.reason, actor=declared.actor, declaration=declared.id)
    raise RotationError("the laptop is lost")


def _says_at_once_that_it_is_over(*given: Any, **named: Any) -> Any:
    ended = _contain(*given, **named)
    ended.contained = True
    return ended


@pytest.mark.parametrize(
    ("place", "defect", "pair", "invariant"),
    [
        pytest.param(
            (SecretVersions, "promote"),
            _promotes_whatever_is_current,
            "pending/waiting+edit",
            "nobody_undone",
            id="promotes without compare-and-swap",
        ),
        pytest.param(
            (CredentialCache, "refresh"),
            _keeps_the_rejected_key,
            "steady/sealing+force",
            "no_seal_fails",
            id="the application keeps a key that was rejected",
        ),
        pytest.param(
            (actors, "contain"),
            _says_at_once_that_it_is_over,
            "pool/hold+force",
            "contained_means_dead",
            id="says that an incident is over while a key signs",
        ),
    ],
)
def test_a_planted_defect_is_found(
    place: tuple[Any, str], defect: Any, pair: str, invariant: str, laboratory: Laboratory
) -> None:
    """By the invariant that it breaks; without it that pair violates nothing; the line replays."""
    base = Schedule.parse(pair)
    sound = explore_pair(laboratory, base, _ONCE)
    assert invariant not in {one for found in sound.violated for one in found.invariants}
    with _planted(*place, defect):
        found = [
            outcome
            for outcome in explore_pair(laboratory, base, _ONCE).violated
            if invariant in outcome.invariants
        ]
        assert found
        line = found[0].told()
        text = line.partition("'")[2].partition("'")[0]
        assert laboratory.run(Schedule.parse(text)).told() == line


def test_a_command_that_dies_after_its_declaration_has_declared(laboratory: Laboratory) -> None:
    """The keys that were there are suspect for the judge, and are dead in the end."""
    with _planted(actors, "contain", _dies_when_it_has_declared):
        outcome = laboratory.run(Schedule.parse("steady/force"))
    assert not outcome.violations
    judge = laboratory.world.judge
    [history] = judge.secrets.values()
    suspects = history.suspects(perhaps=False)
    assert suspects
    assert not suspects & judge.alive()
