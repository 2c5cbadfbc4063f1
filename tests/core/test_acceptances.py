"""How often, and over how long, a new key is accepted before it is promoted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rotation.core import steps
from rotation.core.ports import Proof
from rotation.core.steps import STEPS, create_secret, finish_secret
from rotation.credential import ApiKey
from rotation.errors import CredentialRejectedError, VersionStateError
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from tests.rotation_fixture import RotationFixture

prove_secret = steps.test_secret
LIMIT = timedelta(seconds=60)
Accepts = Callable[[timedelta, int], bool]


class Nodes:
    """A vendor of many nodes: whether a new key is accepted depends on its age and on the node.

    Args:
        fixture: its clock, and the current key, which every node accepts.
        accepts: of a key's age and the number of the question, whether the node accepts it.
    """

    def __init__(self, fixture: RotationFixture, accepts: Accepts) -> None:
        self._fixture = fixture
        self._accepts = accepts
        self._current = fixture.value(AWSCURRENT)["apiKeyId"]
        self.questions: list[tuple[datetime, bool]] = []

    def prove(self, key: ApiKey, statement: str) -> Proof:
        """Accept or reject the key."""
        if key.id != self._current:
            now = self._fixture.now()
            accepted = self._accepts(now - (key.issued_at or now), len(self.questions))
            self.questions.append((now, accepted))
            if not accepted:
                raise CredentialRejectedError("sign", "this node does not know the key", status=401)
        return Proof(self._fixture.now(), identity_checked=bool(statement))


def staged(rotation_fixture: RotationFixture) -> str:
    """A secret with a current key and a pending one."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    return token


def test_a_clean_rotation_buys_five_signatures_in_a_minute(
    rotation_fixture: RotationFixture,
) -> None:
    """Three are spread over the propagation limit by testSecret; two are enough afterwards."""
    rotation_fixture.store()
    nodes = Nodes(rotation_fixture, lambda *_: True)
    token = rotation_fixture.stage()
    begun = rotation_fixture.now()
    made: dict[str, int] = {}
    for name, step in STEPS.items():
        before = len(nodes.questions)
        step(rotation_fixture.rotation(token, prover=nodes))
        made[name] = len(nodes.questions) - before
    assert made == {"createSecret": 0, "setSecret": 0, "testSecret": 3, "finishSecret": 2}
    first, middle, last = (at for at, _ in nodes.questions[:3])
    assert last - begun >= LIMIT
    assert middle - first > timedelta(seconds=25)
    assert last - middle > timedelta(seconds=25)
    assert sum(rotation_fixture.pauses) < 62
    assert rotation_fixture.version(AWSCURRENT) == token


@pytest.mark.parametrize("step", ["testSecret", "finishSecret"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_key_that_half_of_the_nodes_accept_is_not_promoted(
    rotation_fixture: RotationFixture, first: int, step: str
) -> None:
    """While they differ, no row of acceptances is long enough; once all know it, it is promoted."""
    token = staged(rotation_fixture)
    everywhere = timedelta(seconds=50)
    nodes = Nodes(rotation_fixture, lambda age, number: age > everywhere or number % 2 == first)
    STEPS[step](rotation_fixture.rotation(token, prover=nodes))
    answers = [accepted for _, accepted in nodes.questions]
    assert not all(answers)
    assert all(answers[-3:])
    finish_secret(rotation_fixture.rotation(token, prover=nodes))
    assert rotation_fixture.version(AWSCURRENT) == token


@pytest.mark.parametrize("old", [False, True])
def test_a_key_that_one_node_never_accepts_is_not_promoted(
    rotation_fixture: RotationFixture, old: bool
) -> None:
    """A rejection in between starts the row over, also when the limit has long passed."""
    token = staged(rotation_fixture)
    if old:
        rotation_fixture.later(timedelta(hours=1))
    current = rotation_fixture.version(AWSCURRENT)
    nodes = Nodes(rotation_fixture, lambda _, number: number % 2 == 0)
    with pytest.raises((CredentialRejectedError, VersionStateError)):
        finish_secret(rotation_fixture.rotation(token, prover=nodes))
    assert rotation_fixture.version(AWSCURRENT) == current
    assert rotation_fixture.version(AWSPENDING) == token
    assert len([1 for _, accepted in nodes.questions if accepted]) < 40


def test_stray_rejections_of_an_old_key_abandon_nothing(rotation_fixture: RotationFixture) -> None:
    """Two in a row are no verdict; the third would be."""
    token = staged(rotation_fixture)
    rotation_fixture.later(timedelta(hours=1))
    nodes = Nodes(rotation_fixture, lambda _, number: number not in {0, 1, 3})
    for step in (prove_secret, finish_secret):
        step(rotation_fixture.rotation(token, prover=nodes))
    assert rotation_fixture.version(AWSCURRENT) == token


def test_a_limit_longer_than_one_invocation_is_waited_for_by_both_steps(
    rotation_fixture: RotationFixture,
) -> None:
    """The one ends with its time; finishSecret insists, fails, and the retry promotes."""
    token = staged(rotation_fixture)
    policy = replace(rotation_fixture.policy, propagation_limit=timedelta(minutes=10))
    nodes = Nodes(rotation_fixture, lambda *_: True)
    prove_secret(rotation_fixture.rotation(token, policy=policy, prover=nodes))
    assert timedelta(seconds=9) <= rotation_fixture.time_left <= timedelta(seconds=11)
    rotation_fixture.time_left = timedelta(minutes=4)
    with pytest.raises(VersionStateError, match="accepted, but not for as long"):
        finish_secret(rotation_fixture.rotation(token, policy=policy, prover=nodes))
    assert rotation_fixture.version(AWSPENDING) == token
    rotation_fixture.later(timedelta(minutes=2))
    rotation_fixture.time_left = timedelta(minutes=5)
    finish_secret(rotation_fixture.rotation(token, policy=policy, prover=nodes))
    assert rotation_fixture.version(AWSCURRENT) == token
    assert len(nodes.questions) < 12


def test_the_first_key_of_a_secret_needs_no_limit_to_pass(
    rotation_fixture: RotationFixture,
) -> None:
    """It would be given up for another, as new, which could never get so far either."""
    policy = replace(rotation_fixture.policy, propagation_limit=timedelta(hours=1))
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token, policy=policy))
    assert rotation_fixture.version(AWSCURRENT) == token
