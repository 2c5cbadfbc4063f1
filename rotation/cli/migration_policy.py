"""The least that an application's role must be allowed: one secret, its key, one function. Pure."""

from __future__ import annotations

from typing import Any, Final

_MANAGED: Final = "alias/aws/secretsmanager"


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
    """The ARN of a function that is named as Invoke takes it, in the secret's Region.

    API_Invoke, FunctionName: ``name``, ``name:alias``, ``account:function:name``, or an ARN. What
    does not name an account is in the secret's.
    """
    if function.startswith("arn:"):
        return function
    account, called, name = function.rpartition(":function:")
    if called:
        return _there(secret_arn, "lambda", f"function:{name}", account.rpartition(":")[2])
    return _there(secret_arn, "lambda", f"function:{function}")


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
        return _allow("kms:Decrypt", _there(arn, "kms", "key/*"), conditions)
    key_arn = kms_key if kms_key.startswith("arn:") else _there(arn, "kms", f"key/{kms_key}")
    return _allow("kms:Decrypt", key_arn, conditions)


def _there(secret_arn: str, service: str, resource: str, account: str | None = None) -> str:
    _, partition, _, region, same = secret_arn.split(":")[:5]
    return f"arn:{partition}:{service}:{region}:{account or same}:{resource}"


def _allow(action: str, resource: str, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})
