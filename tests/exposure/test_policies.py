"""What a resource's policy says of a principal, against the table and against the simulator."""

from __future__ import annotations

from typing import Any

import pytest

from rotation.exposure.policies import Certainty, Policy, PolicyAnswer, Principal, judge, outsiders
from rotation.sandbox.aws import policy_simulator

ACCOUNT = "012345678912"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:s-AbCdEf"
READ = "secretsmanager:GetSecretValue"
USER = Principal(f"arn:aws:iam::{ACCOUNT}:user/team/u", "AIDAUSER")
ROLE = Principal(f"arn:aws:iam::{ACCOUNT}:role/r", "AROAROLE")
NO, PERHAPS, YES = Certainty
NOTHING = PolicyAnswer()


def policy(effect: str = "Allow", **more: Any) -> Policy:
    statement = {"Effect": effect, "Principal": "*", "Action": READ, "Resource": "*", **more}
    return {"Version": "2012-10-17", "Statement": statement}


def aws(*names: str) -> dict[str, Any]:
    return {"Principal": {"AWS": [*names]}}


def where(operator: str, key: str, value: Any) -> dict[str, Any]:
    return {"Condition": {operator: {key: value}}}


CONTEXT = {"secretsmanager:VersionStage": "AWSCURRENT", "aws:SecureTransport": "true"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, NOTHING),
        (policy(), PolicyAnswer(YES, YES)),
        (policy(**aws(USER.arn)), PolicyAnswer(YES, YES)),
        (policy(**aws(USER.id)), PolicyAnswer(YES, YES)),
        (policy(**aws(ROLE.arn)), NOTHING),
        (policy(**aws(f"arn:aws:iam::{ACCOUNT}:root")), PolicyAnswer(NO, YES)),
        (policy(**aws(ACCOUNT)), PolicyAnswer(NO, YES)),
        (policy(**aws("arn:aws:iam::999999999999:root")), NOTHING),
        (policy("Deny", **aws(ACCOUNT)), PolicyAnswer(denied=YES)),
        (policy("Deny", **aws(ROLE.arn)), NOTHING),
        (policy(Action="secretsmanager:*"), PolicyAnswer(YES, YES)),
        (policy(Action="SecretsManager:getsecret*"), PolicyAnswer(YES, YES)),
        (policy(Action="secretsmanager:Put*"), NOTHING),
        (policy(Resource=f"{SECRET}-other"), NOTHING),
        (policy(Resource=f"{SECRET[:-7]}-??????"), PolicyAnswer(YES, YES)),
        (policy(Resource="arn:${aws:PrincipalTag/x}"), PolicyAnswer(PERHAPS, PERHAPS)),
        (
            policy(**where("IpAddress", "aws:SourceIp", "10.0.0.0/8")),
            PolicyAnswer(PERHAPS, PERHAPS),
        ),
        (policy("Deny", **where("Bool", "aws:SecureTransport", "false")), NOTHING),
        (
            policy(**where("StringEquals", "secretsmanager:versionstage", ["A", "AWSCURRENT"])),
            PolicyAnswer(YES, YES),
        ),
        (
            policy("Deny", **where("StringNotEquals", "secretsmanager:VersionStage", "AWSCURRENT")),
            NOTHING,
        ),
        (
            policy("Deny", **where("StringNotLike", "aws:PrincipalTag/team", "archive*")),
            PolicyAnswer(denied=PERHAPS),
        ),
    ],
)
def test_a_policy_is_judged_for_a_user(document: Policy | None, expected: PolicyAnswer) -> None:
    """By name, by account, or denied; a condition over what is not known makes it perhaps."""
    assert judge(document, USER, READ, SECRET, CONTEXT) == expected


def test_everybody_but_those_who_are_named_is_denied() -> None:
    """NotPrincipal with Deny is how some keep a secret to a few."""
    kept: Policy = {
        "Statement": {
            "Effect": "Deny",
            "NotPrincipal": {"AWS": [ROLE.arn]},
            "Action": "*",
            "Resource": "*",
        }
    }
    assert judge(kept, ROLE, READ, SECRET, {}).denied is NO
    assert judge(kept, USER, READ, SECRET, {}).denied is YES


@pytest.mark.parametrize("principal", [USER.arn, ACCOUNT, ROLE.arn, "*"])
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize("stage", ["AWSCURRENT", "AWSPREVIOUS"])
def test_it_agrees_with_the_simulator(principal: str, effect: str, stage: str) -> None:
    """For a user without policies, which the simulator judges with the resource's policy."""
    condition = where("StringEquals", "secretsmanager:VersionStage", stage)
    document = policy(effect, **aws(principal), **condition)
    answer = judge(document, USER, READ, SECRET, CONTEXT)
    question = policy_simulator.Question(
        USER.arn, READ, SECRET, {key.lower(): [value] for key, value in CONTEXT.items()}
    )
    simulated = policy_simulator.simulate(question, [], None, document).decision
    ours = "explicitDeny" if answer.denied else "allowed" if answer.named else "implicitDeny"
    assert ours == simulated


def test_those_who_are_not_of_the_account_are_named() -> None:
    """Services, federations, other accounts, and everybody."""
    names = {
        "AWS": [f"arn:aws:iam::{ACCOUNT}:root", USER.arn, "AIDADELETED", "999999999999"],
        "Service": "lambda.amazonaws.com",
        "Federated": ["arn:aws:iam::012345678912:saml-provider/x"],
    }
    assert [*outsiders(policy(Principal=names), ACCOUNT, READ)] == [
        "999999999999",
        "lambda.amazonaws.com",
        "arn:aws:iam::012345678912:saml-provider/x",
    ]
    assert [*outsiders(policy(), ACCOUNT, READ)] == ["*"]
    assert [*outsiders(policy("Deny"), ACCOUNT, READ)] == []
    assert [*outsiders(policy(Action="kms:*"), ACCOUNT, READ)] == []
