"""The fuzzer in short: some seconds, and the same documents each time."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.sandbox.vendor import Pki
from rotation.sealing.request import SealOptions
from tests.harness.fuzz.answers import ACCEPTED, Answers, parse
from tests.harness.fuzz.damage import damaged
from tests.harness.fuzz.documents import made
from tests.harness.fuzz.trial import SEALED, Outcome, attempt, options
from tests.sealing.pdf.odd_documents import ODD
from tests.sealing.pdfs import DATA, pdf, pdf_with_form, signed_by_author, signer_of

SOURCES = [*ODD.values(), *(path.read_bytes() for path in sorted(DATA.glob("*.pdf")))]


@pytest.fixture(scope="module")
def signer(pki: Pki) -> SimpleSigner:
    """The vendor's identity, signing in this process."""
    return signer_of(pki.signer)


@settings(
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.randoms(use_true_random=False))
def test_made_up_documents(signer: SimpleSigner, pki: Pki, chance: random.Random) -> None:
    """Whatever syntax is put together: sealed and valid, or refused in words, in time."""
    content = made(chance)
    assert attempt(content, options(chance), signer, pki.root_pem).problem is None


@pytest.mark.parametrize("seed", range(5))
def test_damaged_documents(seed: int, signer: SimpleSigner, pki: Pki) -> None:
    """Whatever happens to a file, signed or not: sealed and valid, or refused in words, in time."""
    chance = random.Random(seed)
    signed = signed_by_author(pdf_with_form(), signer)
    results: Counter[str] = Counter()
    for _ in range(50):
        content = damaged(chance.choice((*SOURCES, signed)), chance)
        outcome = attempt(content, options(chance), signer, pki.root_pem)
        assert outcome.problem is None, content
        results[outcome.result] += 1
    assert results[SEALED] > 5, "damage that nothing survives tests nothing"
    assert len(results) > 2


def test_damaged_answers_of_the_vendor(pki: Pki) -> None:
    """Whatever happens to a CMS: it is read, or refused in words, alone and in a document."""
    chance = random.Random(1)
    results: Counter[str] = Counter()
    with Answers.of(pki) as answers:
        for _ in range(150):
            outcome = answers.attempt(chance)
            assert outcome.problem is None
            results[outcome.result] += 1
    assert results.keys() == {ACCEPTED, "seal_verification"}


def test_an_answer_that_is_not_damaged_is_accepted(pki: Pki) -> None:
    """What is damaged was good, and the tree is written as it was read."""
    with Answers.of(pki) as answers:
        for whole in answers.whole["cms"]:
            answers.readers["cms"](whole)
            parsed = parse(whole)
            assert parsed is not None
            assert b"".join(node.encoded() for node in parsed) == whole


def test_damaged_answers_of_validation_services(pki: Pki) -> None:
    """A document is raised or is not, for a reason; its seal is as good as before."""
    chance = random.Random(1)
    results: Counter[str] = Counter()
    with Answers.of(pki) as answers:
        for _ in range(12):
            outcome = answers.raise_level(chance)
            assert outcome.problem is None
            results[outcome.result] += 1
    assert "raised to B-T" in results
    assert len(results) > 1


def test_a_seed_makes_the_same_documents_again() -> None:
    """What was found can be found again."""
    first, second = random.Random(7), random.Random(7)
    for _ in range(20):
        assert made(first) == made(second)
        assert damaged(pdf(), first) == damaged(pdf(), second)
        assert options(first) == options(second)


def test_the_trial_sees_a_seal_that_is_none(signer: SimpleSigner, pki: Pki) -> None:
    """A signature of a stranger is a problem, and so is one that is not found."""
    stranger = Pki.create(pki.made_at)
    plain = SealOptions(field_name="FuzzedSeal")
    assert attempt(pdf(), plain, signer, pki.root_pem) == Outcome(SEALED)
    for how, root in ((plain, stranger.root_pem), (SealOptions(), pki.root_pem)):
        outcome = attempt(pdf(), how, signer, root)
        assert outcome.problem
        assert outcome.problem.startswith("sealed, and not valid")


def test_poppler_is_asked_too(signer: SimpleSigner, pki: Pki, tmp_path: Path) -> None:
    """The long form's second judge is given what was sealed, and accepts it."""
    plain = SealOptions(field_name="FuzzedSeal")
    assert attempt(pdf(), plain, signer, pki.root_pem, tmp_path) == Outcome(SEALED)
    assert "FuzzedSeal" in (tmp_path / "sealed.pdf").read_text("latin-1")
