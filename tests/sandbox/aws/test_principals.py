"""IAM's principals in the sandbox: what is said of them and of their policies.

API_SimulatePrincipalPolicy, API_GetAccountAuthorizationDetails.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.policy_simulator import (
    ALLOWED,
    EXPLICIT,
    IMPLICIT,
    Policy,
    Question,
    simulate,
)

ACCOUNT = "012345678912"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:s-AbCdEf"
USER, ROLE = f"arn:aws:iam::{ACCOUNT}:user/u", f"arn:aws:iam::{ACCOUNT}:role/r"
READ = "secretsmanager:GetSecretValue"


def policy(effect: str = "Allow", **more: Any) -> Policy:
    action = {} if "NotAction" in more else {"Action": "secretsmanager:Get*"}
    statement = {"Effect": effect, **action, "Resource": "*", **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


READS, DENIES, OTHER = policy(), policy("Deny"), policy(Action="s3:*")
OF_CURRENT = policy(Condition={"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}})


def for_principal(arn: Any, effect: str = "Allow") -> Policy:
    return policy(effect, Principal={"AWS": arn})


@pytest.mark.parametrize(
    ("caller", "identity", "boundary", "attached", "decision"),
    [
        (USER, [], None, None, IMPLICIT),
        (USER, [READS], None, None, ALLOWED),
        (USER, [READS, DENIES], None, None, EXPLICIT),
        (USER, [READS], OTHER, None, IMPLICIT),
        (USER, [READS], DENIES, None, EXPLICIT),
        (USER, [], None, for_principal(USER), ALLOWED),
        (USER, [], OTHER, for_principal([USER]), ALLOWED),
        (ROLE, [], OTHER, for_principal(ROLE), IMPLICIT),
        (ROLE, [], None, for_principal(ROLE), ALLOWED),
        (USER, [], None, for_principal(f"arn:aws:iam::{ACCOUNT}:root"), IMPLICIT),
        (USER, [READS], None, for_principal(ACCOUNT, "Deny"), EXPLICIT),
        (USER, [READS], None, for_principal(ROLE, "Deny"), ALLOWED),
        (USER, [READS], None, policy("Deny", NotPrincipal={"AWS": USER}), ALLOWED),
        (USER, [READS], None, policy("Deny", NotPrincipal={"AWS": ROLE}), EXPLICIT),
        (USER, [policy(NotAction="s3:*")], None, None, ALLOWED),
        (USER, [policy(Resource=f"{SECRET[:-7]}-??????")], None, None, ALLOWED),
        (USER, [policy(Resource=f"{SECRET}x")], None, None, IMPLICIT),
        (USER, [OF_CURRENT], None, None, IMPLICIT),
    ],
)
def test_a_request_is_judged_as_the_user_guide_says(
    caller: str,
    identity: list[Policy],
    boundary: Policy | None,
    attached: Policy | None,
    decision: str,
) -> None:
    """Deny before allow; a boundary limits; a resource's policy that names somebody allows."""
    question = Question(caller, READ, SECRET, {})
    assert simulate(question, identity, boundary, attached).decision == decision


def test_conditions_are_judged_by_what_is_known() -> None:
    """A key that is not given is missing, and the statement does not count."""
    asked = Question(USER, READ, SECRET, {})
    assert simulate(asked, [OF_CURRENT], None, None).missing == ("secretsmanager:VersionStage",)
    for value, decision in (("AWSCURRENT", ALLOWED), ("AWSPREVIOUS", IMPLICIT)):
        known = Question(USER, READ, SECRET, {"secretsmanager:versionstage": [value]})
        answer = simulate(known, [OF_CURRENT], None, None)
        assert (answer.decision, answer.missing) == (decision, ())


def test_principals_are_listed_in_pages_and_simulated(cloud: Cloud) -> None:
    """Groups count for their users, and boundaries; a role is simulated without resource policy."""
    client: Any = cloud.client
    iam = client("iam")
    managed = {
        name: iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(one))["Policy"]["Arn"]
        for name, one in (("reads", READS), ("other", OTHER))
    }
    iam.create_user(UserName="u")
    iam.create_user(UserName="bounded")
    iam.create_group(GroupName="g")
    iam.attach_group_policy(GroupName="g", PolicyArn=managed["reads"])
    for name in ("u", "bounded"):
        iam.add_user_to_group(GroupName="g", UserName=name)
    iam.put_user_permissions_boundary(UserName="bounded", PermissionsBoundary=managed["other"])
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(for_principal(USER)))

    pages = [*iam.get_paginator("get_account_authorization_details").paginate(MaxItems=2)]
    assert len(pages) == 3
    users = {one["UserName"]: one for page in pages for one in page["UserDetailList"]}
    assert users["u"]["GroupList"] == ["g"]
    assert users["bounded"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == managed["other"]

    def decision(arn: str, **more: str) -> str:
        [result] = iam.simulate_principal_policy(
            PolicySourceArn=arn, ActionNames=[READ], ResourceArns=[SECRET], **more
        )["EvaluationResults"]
        return str(result["ResourceSpecificResults"][0]["EvalResourceDecision"])

    assert decision(USER) == ALLOWED
    assert decision(USER.replace("user/u", "user/bounded")) == IMPLICIT
    assert decision(ROLE) == IMPLICIT
    with pytest.raises(ClientError, match="InvalidInput"):
        decision(ROLE, ResourcePolicy=json.dumps(for_principal(ROLE)))
    with pytest.raises(ClientError, match="NoSuchEntity"):
        decision(f"{ROLE}-of-nobody")
