"""Whatever follows a seal is judged as it must be, and as two other judges say, but for a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotation.sandbox.vendor import Pki
from tests.docs.test_docs import page
from tests.sealing.verification.disagreements import DISAGREEMENTS
from tests.sealing.verification.tails import (
    BASES,
    CERTIFICATIONS,
    ENCRYPTIONS,
    KINDS,
    Base,
    Tails,
    combinations,
)
from tests.sealing.verification.trial import problems, sample

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tails(pki: Pki) -> Tails:
    return Tails(pki)


@pytest.mark.parametrize(
    ("kind", "base"), list(sample()), ids=lambda one: str(one).replace(" ", "-")
)
def test_the_judges_agree_about_a_tail_or_the_list_says_why(
    tails: Tails, kind: str, base: Base, tmp_path: Path
) -> None:
    """`verify` says what the table of kinds says, and others differ where the list says so."""
    assert problems(tails, kind, base, tmp_path) == []


def test_the_sample_meets_every_possibility() -> None:
    """Each kind, document, level and encryption is in it; `make tails` has all combinations."""
    drawn = list(sample())
    assert {kind for kind, _ in drawn} == KINDS.keys()
    assert {base.document for _, base in drawn} == BASES.keys()
    assert {base.certification for _, base in drawn} == set(CERTIFICATIONS)
    assert {base.encryption for _, base in drawn} == set(ENCRYPTIONS)
    assert len(list(combinations())) > 1_500


def test_each_disagreement_stands_on_the_page() -> None:
    """Who is right, and why, is said there."""
    told = page("verification.md")
    assert [one.title for one in DISAGREEMENTS if one.title not in told] == []
