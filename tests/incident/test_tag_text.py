"""What a responder says of an incident reaches the secret's tag and the reconcile function."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.handlers.reconcile_actions import parse
from rotation.incident.declaration import Declaration

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALLOWED = set("+-=._:/@ ")
#: As long as IAM lets role and session names be (IAM UserGuide reference_iam-quotas: 64 each).
SSO = (
    "arn:aws-us-gov:sts::012345678912:assumed-role/"
    f"AWSReservedSSO_{'IncidentResponders'.ljust(32, 'x')}_0123456789abcdef/"
    "first.last,on-call@a-company-with-a-long-name.example.com"
)
PATH = f"arn:aws:iam::012345678912:user/{'a-long-path/' * 40}ada"


def asked(declaration: Declaration) -> None:
    """The function takes these words, with the pool and with one secret."""
    words = {"reason": declaration.reason, "actor": declaration.actor}
    assert parse({"action": "condemn-pool", **words}).actor == declaration.actor
    event = {"action": "revoke-first", "secrets": ["s"], **words}
    assert parse(event, "revoke-first").reason == declaration.reason


@pytest.mark.parametrize("actor", [SSO, PATH, "arn:aws:iam::012345678912:root", "unknown"])
@pytest.mark.parametrize(
    "reason", ["key-compromise", "J. Doe's laptop (INC-12): lost, not encrypted!", "why " * 100]
)
def test_whoever_it_is_and_whatever_they_say_it_can_be_declared(actor: str, reason: str) -> None:
    """A long name, commas and brackets at three in the morning stop nobody."""
    declaration = Declaration.from_free_text(NOW, reason, actor)
    asked(declaration)
    assert Declaration.read(declaration.tag()) == Declaration(
        NOW, Declaration.read(declaration.tag()).reason, declaration.actor
    )
    assert declaration.actor.endswith(actor[-20:].replace(",", "-"))


@given(reason=st.text(max_size=300), actor=st.text(max_size=300))
def test_no_words_are_refused(reason: str, actor: str) -> None:
    """The tag has no character that AWS's services may not have, and no more than 256."""
    declaration = Declaration.from_free_text(NOW, reason, actor)
    asked(declaration)
    tag = declaration.tag()
    assert len(tag) <= 256
    assert all(one.isalnum() or one in ALLOWED or one == "_" for one in tag)
    read = Declaration.read(tag)
    assert (read.at, read.actor) == (NOW, declaration.actor)
    assert read.reason
