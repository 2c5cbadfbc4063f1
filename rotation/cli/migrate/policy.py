"""The least that an application's role must be allowed: one secret, its key, one function. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

_MANAGED: Final = "alias/aws/secretsmanager"
# API_Invoke, FunctionName: each part before the name may be left out.
_NAMED: Final = re.compile(
    r"(?:(?P<region>[a-z]+(?:-[a-z]+)+-\d):)?(?:(?P<account>\d{12}):)?(?:function:)?(?P<name>.+)"
)


def least_policy(arn: str, kms_key: str | None, function: str | None) -> dict[str, Any]:
    """An identity policy for the application's role.

    Secrets Manager supports the condition key ``secretsmanager:VersionStage`` for GetSecretValue
    (service authorization reference, list_awssecretsmanager), and KMS ``kms:ViaService`` and
    ``kms:ResourceAliases`` (KMS developer guide, conditions-kms). It decrypts under the encryption
    context ``SecretARN`` (Secrets Manager user guide, security-encryption).

    Args:
        arn: the secret's full ARN.
        kms_key: its customer managed key: an id, an ARN or an alias; None: the managed one.
        function: the sealing function: a name, perhaps with an alias, or an ARN; None: none.
    """
    statements = [
        _allow(
            "secretsmanager:GetSecretValue",
            arn,
            {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}},
        )
    ]
    if kms_key is not None and not kms_key.endswith(_MANAGED):
        statements.append(_decrypt(arn, kms_key))
    if function is not None:
        statements.append(_allow("lambda:InvokeFunction", function_arn(arn, function)))
    return {"Version": "2012-10-17", "Statement": statements}


def function_arn(secret_arn: str, function: str) -> str:
    """The ARN of a function that is named as Invoke takes it.

    API_Invoke, FunctionName: ``name``, ``name:alias``, ``account:function:name``, or an ARN. An
    account or a Region that is not named is the secret's.
    """
    named = None if function.startswith("arn:") else _NAMED.fullmatch(function)
    if named is None:
        return function
    _, partition, _, region, account = secret_arn.split(":")[:5]
    region, account = named["region"] or region, named["account"] or account
    return f"arn:{partition}:lambda:{region}:{account}:function:{named['name']}"


def _decrypt(arn: str, kms_key: str) -> dict[str, Any]:
    region = arn.split(":")[3]
    dns = "amazonaws.com.cn" if arn.startswith("arn:aws-cn:") else "amazonaws.com"
    conditions: dict[str, Any] = {
        "StringEquals": {
            "kms:ViaService": f"secretsmanager.{region}.{dns}",
            "kms:EncryptionContext:SecretARN": arn,
        }
    }
    key = kms_key.rpartition(":")[2]
    if key.startswith("alias/"):
        # A policy names a key by its ARN alone; whoever has only an alias asks for the alias.
        conditions["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": key}
        there = kms_key if kms_key.startswith("arn:") else arn
        return _allow("kms:Decrypt", _kms_arn(there, "*"), conditions)
    key_arn = kms_key if kms_key.startswith("arn:") else _kms_arn(arn, kms_key)
    return _allow("kms:Decrypt", key_arn, conditions)


def _kms_arn(there: str, key: str) -> str:
    """A key's ARN, in the account and Region of another ARN."""
    _, partition, _, region, account = there.split(":")[:5]
    return f"arn:{partition}:kms:{region}:{account}:key/{key}"


def _allow(action: str, resource: str, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})
