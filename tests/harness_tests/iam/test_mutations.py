"""Which changes of a policy are tried, and which requests a call stands for."""

from __future__ import annotations

from typing import Any

from tests.artifacts.parameter_sets import FULLEST
from tests.harness.iam.policies import Policies, Statement, mutations
from tests.harness.iam.recording import Call
from tests.harness.iam.requests import Rights


def test_every_part_of_a_statement_is_changed_once() -> None:
    """Actions and resources are taken away; resources are opened and conditions dropped."""
    statement: dict[str, Any] = {
        "Sid": "Read",
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"],
        "Condition": {"StringEquals": {"aws:PrincipalAccount": "1"}},
    }
    tried = {one.what: one for one in mutations("Role", [statement])}
    assert {what: one.narrower for what, one in tried.items()} == {
        "Read: without s3:GetObject": True,
        "Read: without s3:PutObject": True,
        "Read: without arn:aws:s3:::a/*": True,
        "Read: without arn:aws:s3:::b/*": True,
        "Read: every resource": False,
        "Read: without the condition on aws:PrincipalAccount": False,
    }
    [left] = tried["Read: without s3:GetObject"].statements
    assert left == statement | {"Action": ["s3:PutObject"]}
    [open_to_all] = tried["Read: without the condition on aws:PrincipalAccount"].statements
    assert "Condition" not in open_to_all


def test_a_statement_without_actions_goes() -> None:
    """The last action takes its statement along; others stay."""
    statements: list[Statement] = [
        {"Sid": sid, "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
        for sid in ("One", "Two")
    ]
    [first, second] = mutations("Role", statements)
    assert ([*first.statements], [*second.statements]) == ([statements[1]], [statements[0]])


def test_a_copied_part_needs_the_source_and_both_uses_of_the_key() -> None:
    """UploadPartCopy reads one object and writes another (S3 UserGuide, mpuAndPermissions)."""
    members = {"x-amz-copy-source": "documents-to-seal/incoming/a.pdf?versionId=1", "uploadId": "u"}
    call = Call("SealingRole", "s3", "PUT", "/sealed-documents/sealed/a.pdf", members, 200)
    found = {(one.action, one.resource) for one in Rights(Policies.of(FULLEST)).of(call)}
    key = "arn:aws:kms:eu-central-1:012345678912:key/DestinationKey"
    assert found == {
        ("s3:PutObject", "arn:aws:s3:::outbox/sealed/a.pdf"),
        ("s3:GetObjectVersion", "arn:aws:s3:::inbox/incoming/a.pdf"),
        ("kms:GenerateDataKey", key),
        ("kms:Decrypt", key),
    }
