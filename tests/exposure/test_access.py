"""Who could read secrets: the verdict on each principal, and what it costs to find out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rotation.exposure.access import MOST_HOPS, Access, Readers, SecretFacts, members, strangers
from rotation.exposure.examination import Window, examine
from rotation.exposure.policies import Certainty, Policy
from tests.exposure.accounts import (
    NOW,
    READS,
    ROOT,
    MemoryAccount,
    MemoryAnalyzer,
    MemoryHistory,
    allow,
    arn,
    secret_arn,
    trust,
)

SECRET = SecretFacts(secret_arn("s"), "s")
KEY = "arn:aws:kms:us-east-1:012345678912:key/1"
LAMBDA: Policy = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
}


def readers(account: MemoryAccount, secret: SecretFacts = SECRET) -> dict[str, Access]:
    found = Readers(account, members(account.details()), lambda _: None).of(secret)
    return {one.member.name: one for one in found}


def grants(principal: str, action: str = "secretsmanager:GetSecretValue") -> Policy:
    return {
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": principal},
            "Action": action,
            "Resource": "*",
        }
    }


def test_the_policy_of_a_secret_allows_alone() -> None:
    """To whom it names, without any policy of theirs; naming the account allows nobody."""
    account = MemoryAccount({"named": [], "other": []}, {"r": (LAMBDA, [])})
    named = SecretFacts(SECRET.arn, "s", policy=grants(arn("user", "named")))
    assert [(name, one.by) for name, one in readers(account, named).items()] == [
        ("named", "resource-policy")
    ]
    assert readers(account, SecretFacts(SECRET.arn, "s", policy=grants(ROOT))) == {}
    role = SecretFacts(SECRET.arn, "s", policy=grants(arn("role", "r")))
    assert [*readers(account, role)] == ["r"]


def test_a_boundary_limits_a_role_that_the_secret_names_but_no_user() -> None:
    """access_policies_boundaries: an implicit denial does not reach the name of a user."""
    account = MemoryAccount(
        {"u": [READS]},
        {"r": (LAMBDA, [READS])},
        {"u": allow("s3:*"), "r": allow("s3:*")},
    )
    assert readers(account) == {}
    for kind, name, found in (("user", "u", ["u"]), ("role", "r", [])):
        secret = SecretFacts(SECRET.arn, "s", policy=grants(arn(kind, name)))
        assert [*readers(account, secret)] == found


@pytest.mark.parametrize(
    ("own", "key_policy", "answer"),
    [
        ([], grants(ROOT, "kms:*"), None),
        ([allow("kms:Decrypt")], grants(ROOT, "kms:*"), Certainty.YES),
        ([allow("kms:Decrypt")], grants(arn("user", "other"), "kms:*"), None),
        ([], grants(arn("user", "u"), "kms:Decrypt"), Certainty.YES),
        ([allow("kms:Decrypt")], None, Certainty.PERHAPS),
        (
            [
                allow(
                    "kms:Decrypt",
                    Condition={
                        "StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}
                    },
                )
            ],
            grants(ROOT, "kms:*"),
            Certainty.YES,
        ),
    ],
)
def test_reading_takes_the_use_of_the_key(
    own: list[Policy], key_policy: Policy | None, answer: Certainty | None
) -> None:
    """Identity policies count for a KMS key only where its policy lets the account decide."""
    account = MemoryAccount({"u": [READS, *own]})
    secret = SecretFacts(SECRET.arn, "s", key=KEY, key_policy=key_policy)
    found = readers(account, secret).get("u")
    assert (found and found.answer) == answer


def test_what_depends_on_a_condition_is_perhaps_and_names_it() -> None:
    """Tags and the stage are known; an address is not."""
    of_team = allow(
        "secretsmanager:*",
        Condition={"StringEquals": {"aws:ResourceTag/team": "archive"}},
    )
    from_office = allow("secretsmanager:*", Condition={"StringLike": {"aws:SourceVpc": "vpc-1*"}})
    account = MemoryAccount({"tagged": [of_team], "office": [from_office], "nobody": []})
    found = readers(account, SecretFacts(SECRET.arn, "s", tags={"team": "archive"}))
    assert found["tagged"].answer is Certainty.YES
    assert found["office"].answer is Certainty.PERHAPS
    assert found["office"].conditions == ("aws:SourceVpc",)
    assert "nobody" not in found


def test_who_may_assume_a_role_that_reads_may_read() -> None:
    """By name, or by the account and a policy of their own; over several roles, named in order."""
    account = MemoryAccount(
        {"named": [], "own": [allow("sts:AssumeRole")], "neither": []},
        {
            "reads": (trust(ROOT, arn("role", "between")), [READS]),
            "between": (trust(arn("user", "named")), []),
            "service": (LAMBDA, [READS]),
        },
    )
    found = readers(account)
    assert {
        name: tuple(way.rpartition("/")[2] for way in one.through) for name, one in found.items()
    } == {
        "reads": (),
        "service": (),
        "own": ("reads",),
        "between": ("reads",),
        "named": ("between", "reads"),
    }
    assert strangers(SECRET, found.values()) == [("lambda.amazonaws.com", arn("role", "service"))]


def test_a_circle_of_roles_ends() -> None:
    """Roles that may assume each other are each named once."""
    names = [f"r{number}" for number in range(6)]
    account = MemoryAccount(
        {},
        {
            name: (trust(*(arn("role", one) for one in names)), [READS] if name == "r0" else [])
            for name in names
        },
    )
    assert readers(account).keys() == {*names}


def test_requests_grow_with_the_principals_and_no_faster() -> None:
    """One page for each hundred, one simulation for each principal, and one more for each hop."""
    counted: dict[int, Any] = {}
    for size in (500, 2000):
        account = MemoryAccount(
            {f"u{number}": [] for number in range(size // 2)},
            {f"r{number}": (trust(ROOT), []) for number in range(size // 2 - 1)}
            | {"reads": (trust(ROOT), [READS])},
        )
        history = MemoryHistory()
        told: list[str] = []
        found = examine(
            SECRET,
            account,
            history,
            MemoryAnalyzer(),
            lives=[],
            window=Window(NOW - timedelta(days=90), NOW),
            known=[],
            progress=told.append,
        )
        assert found.principals == size
        assert [one.member.name for one in found.could or ()] == ["reads"]
        assert f"principal {size} of {size}" in told
        counted[size] = account.requests
    assert counted[2000] == {"details": 10, "simulate": 2000 + 1999}
    assert counted[500] == {"details": 3, "simulate": 500 + 499}
    assert MOST_HOPS == 4
