"""What somebody knew who leaves, and what it costs to find out."""

from __future__ import annotations

from datetime import timedelta

from rotation.exposure.access import SecretFacts
from rotation.exposure.examination import Window
from rotation.exposure.leaver import Departure, departure
from tests.exposure.accounts import (
    NOW,
    READS,
    MemoryAccount,
    MemoryHistory,
    allow,
    arn,
    secret_arn,
    trust,
)
from tests.exposure.test_readings import record

WINDOW = Window(NOW - timedelta(days=90), NOW)


def knew(
    account: MemoryAccount, history: MemoryHistory, names: list[str], secrets: int
) -> Departure:
    facts = [SecretFacts(secret_arn(f"s{one}"), f"s{one}") for one in range(secrets)]
    return departure(names, facts, account, history, window=WINDOW, progress=lambda _: None)


def test_requests_grow_with_the_secrets_and_no_faster() -> None:
    """2,000 principals and 5,000 secrets: a simulation for fifty secrets, for each role too."""
    counted = {}
    for size in (500, 5000):
        account = MemoryAccount(
            {"alice": [READS], **{f"u{one}": [] for one in range(999)}},
            {
                "operators": (trust(arn("user", "alice")), []),
                **{f"r{one}": (trust(arn("user", "u0")), []) for one in range(999)},
            },
        )
        history = MemoryHistory()
        found = knew(account, history, ["user/alice"], size)
        assert len(found.known) == size
        assert found.arns == [arn("user", "alice"), arn("role", "operators")]
        assert history.requests == {"GetSecretValue": 1}
        counted[size] = account.requests["simulate"]
    # One for the role that she may assume, and a hundred for her and for the role each.
    assert counted == {500: 1 + 2 * 10, 5000: 1 + 2 * 100}


def test_what_depends_on_a_secret_s_tags_is_asked_for_it_alone() -> None:
    """Fifty secrets have fifty sets of tags."""
    tagged = allow(
        "secretsmanager:*", Condition={"StringEquals": {"aws:ResourceTag/team": "archive"}}
    )
    account = MemoryAccount({"alice": [tagged]})
    facts = [
        SecretFacts(secret_arn(name), name, tags={"team": team})
        for name, team in (("a", "archive"), ("b", "other"), ("c", "archive"))
    ]
    found = departure(
        ["user/alice"], facts, account, MemoryHistory(), window=WINDOW, progress=lambda _: None
    )
    assert [one.secret.name for one in found.known] == ["a", "c"]
    assert account.requests["simulate"] == 4


def test_one_who_is_gone_already_is_known_by_what_was_read() -> None:
    """What a deleted user could read nobody can tell, and the gap says so."""
    history = MemoryHistory(
        {
            "GetSecretValue": [
                record(
                    secretId="s1", identity={"type": "IAMUser", "arn": arn("user", "team/alice")}
                ),
                record(secretId="s2", error="AccessDenied"),
                record(secretId="s3", identity={"type": "IAMUser", "arn": arn("user", "bob")}),
            ]
        }
    )
    found = knew(MemoryAccount({"bob": [READS]}), history, ["user/alice"], 5)
    assert [one.secret.name for one in found.known] == ["s1"]
    assert "gone" in {one.code for one in found.gaps}
