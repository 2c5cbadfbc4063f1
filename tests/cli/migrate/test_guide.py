"""What `rotation migrate` tells the application's people: its rights and the change to its code."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rotation.cli.migrate.code import code_after, code_before, code_diff
from rotation.cli.migrate.policy import function_arn, least_policy
from tests.docs.test_docs import blocks, page
from tests.rotation_fixture import RotationFixture

ARN = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:trusted-signatures-api-AbCdEf"
KEY_ARN = "arn:aws:kms:eu-central-1:111122223333:key/0c5f2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"
FOR_THIS_SECRET = {
    "StringEquals": {
        "kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com",
        "kms:EncryptionContext:SecretARN": ARN,
    }
}


def statement(kms_key: str) -> dict[str, Any]:
    found: dict[str, Any] = least_policy(ARN, kms_key, None)["Statement"][1]
    return found


def test_the_policy_is_the_one_in_the_client_s_page() -> None:
    """docs/client.md shows what the command prints."""
    policy = least_policy(ARN, None, "trusted-signatures-seal")
    shown = [block for block in blocks(page("client.md"), "json") if '"Statement"' in block]
    assert [json.loads(block) for block in shown] == [policy]


def test_the_key_is_allowed_for_this_secret_alone() -> None:
    """Through Secrets Manager; by its ARN or by its id; the managed key needs no right."""
    assert statement(KEY_ARN) == {
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": KEY_ARN,
        "Condition": FOR_THIS_SECRET,
    }
    assert statement(KEY_ARN.rpartition("/")[2]) == statement(KEY_ARN)
    for managed in (None, "alias/aws/secretsmanager"):
        assert len(least_policy(ARN, managed, None)["Statement"]) == 1


@pytest.mark.parametrize(
    "alias", ["alias/ours", "arn:aws:kms:eu-central-1:111122223333:alias/ours"]
)
def test_an_alias_is_a_condition(alias: str) -> None:
    """A policy cannot name a key by its alias, but it can ask for one."""
    found = statement(alias)
    assert found["Resource"] == "arn:aws:kms:eu-central-1:111122223333:key/*"
    assert found["Condition"] == FOR_THIS_SECRET | {
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/ours"}
    }


def test_an_alias_of_another_account_is_asked_for_there() -> None:
    """Its ARN says in which account the key is; the secret's account has no such key."""
    found = statement("arn:aws:kms:eu-central-1:999988887777:alias/theirs")
    assert found["Resource"] == "arn:aws:kms:eu-central-1:999988887777:key/*"
    assert found["Condition"] == FOR_THIS_SECRET | {
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/theirs"}
    }


@pytest.mark.parametrize(
    ("named", "arn"),
    [
        ("seal", "arn:aws:lambda:eu-central-1:111122223333:function:seal"),
        ("seal:live", "arn:aws:lambda:eu-central-1:111122223333:function:seal:live"),
        ("my-function:live", "arn:aws:lambda:eu-central-1:111122223333:function:my-function:live"),
        ("111122223333:function:seal", "arn:aws:lambda:eu-central-1:111122223333:function:seal"),
        (
            "999988887777:function:seal:v2",
            "arn:aws:lambda:eu-central-1:999988887777:function:seal:v2",
        ),
        ("eu-west-1:999988887777:seal", "arn:aws:lambda:eu-west-1:999988887777:function:seal"),
        ("arn:aws:lambda:eu-west-1:1:function:x", "arn:aws:lambda:eu-west-1:1:function:x"),
    ],
)
def test_a_function_is_allowed_by_its_arn(named: str, arn: str) -> None:
    """However it is named to Invoke."""
    assert function_arn(ARN, named) == arn


def test_other_partitions_have_other_names() -> None:
    """In China the service's DNS name differs."""
    policy = least_policy(ARN.replace(":aws:", ":aws-cn:"), "x", "seal")
    assert policy["Statement"][1]["Resource"].startswith("arn:aws-cn:kms:")
    via = policy["Statement"][1]["Condition"]["StringEquals"]["kms:ViaService"]
    assert via == "secretsmanager.eu-central-1.amazonaws.com.cn"


def patched(before: str, diff: str) -> str:
    """What ``patch`` makes of ``before``; it must fit to the letter."""
    lines, after, at = before.splitlines(keepends=True), list[str](), 0
    for line in diff.splitlines(keepends=True)[2:]:
        if hunk := re.match(r"@@ -(\d+)", line):
            after += lines[at : int(hunk[1]) - 1]
            at = int(hunk[1]) - 1
            continue
        if line[0] in " -":
            assert lines[at] == line[1:]
            at += 1
        if line[0] in " +":
            after.append(line[1:])
    return "".join(after + lines[at:])


@pytest.mark.parametrize("function", [None, "trusted-signatures-seal"])
def test_the_diff_leads_from_the_hard_coded_key_to_the_secret(function: str | None) -> None:
    """It applies, the result compiles, and the old key stays as the fallback alone."""
    before = code_before("4f1c2d3e", function)
    after = code_after("4f1c2d3e", "trusted-signatures-api", function)
    assert patched(before, code_diff("4f1c2d3e", "trusted-signatures-api", function)) == after
    compile(before, "before", "exec")
    compile(after, "after", "exec")
    assert "fallback={SECRET: ApiKey.from_text(KEY_ID, KEY)}" in after


def test_the_changed_application_uses_the_secret(
    rotation_fixture: RotationFixture, environment: dict[str, str]
) -> None:
    """Before the secret has a value the fallback is used, and from then on the secret's key."""
    old, new = rotation_fixture.vendor.keys.create(), rotation_fixture.vendor.keys.create()
    code = code_after(old.id, "trusted-signatures-api", None).replace("…", old.material)
    assert started(code)["current_key"]() == (old.id, old.material)
    rotation_fixture.put({"apiKey": new.material, "apiKeyId": new.id})
    assert started(code)["current_key"]() == (new.id, new.material)


def started(code: str) -> dict[str, Any]:
    """The application's names, as a process has them that was just started."""
    application: dict[str, Any] = {}
    exec(code, application)
    return application
