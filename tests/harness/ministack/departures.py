"""What the emulator does otherwise than AWS, as far as our flows notice.

Each has a check, so that the list is true: what the emulator has mended must leave it, and the
flows, which go around it, can then do without that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from rotation.sandbox.aws import ACCOUNT, REGION
from tests.harness.ministack.emulator import Ministack

#: The condition keys of the template, with ``UnattendedSealing=events``, that it does not know.
UNKNOWN_KEYS: Final = frozenset(
    {
        "kms:ViaService",
        "secretsmanager:ModifyRotationRules",
        "secretsmanager:RotationLambdaARN",
        "secretsmanager:VersionStage",
        "secretsmanager:resource/AllowRotationLambdaArn",
    }
)
_FUNCTION: Final = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"


@dataclass(frozen=True)
class Departure:
    """One difference.

    Attributes:
        here: what the emulator does.
        aws: AWS's rule.
        page: the page of AWS that has it.
        shows: whether the emulator still does so; called with the emulator and a name that nothing
            else has.
    """

    here: str
    aws: str
    page: str
    shows: Callable[[Ministack, str], bool]


def _knows_no_keys_of_services(ministack: Ministack, name: str) -> bool:
    secrets, iam = ministack.client("secretsmanager"), ministack.client("iam")
    arn = secrets.create_secret(Name=name, SecretString="value")["ARN"]
    allow = {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": arn,
        "Condition": {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}},
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": []}))
    iam.put_role_policy(
        RoleName=name,
        PolicyName="read",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )
    reader = ministack.client("secretsmanager", ministack.session_of(role["Role"]["Arn"]))
    try:
        reader.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")
    except ClientError:
        return True
    return False


def _rotated(ministack: Ministack, name: str, **members: str) -> tuple[Any, str, str]:
    """A client, a secret that rotates, and the version that RotateSecret answered."""
    secrets = ministack.client("secretsmanager")
    arn = secrets.create_secret(Name=name, **members)["ARN"]
    answer = secrets.rotate_secret(
        SecretId=arn,
        RotationLambdaARN=_FUNCTION,
        RotationRules={"AutomaticallyAfterDays": 30},
    )
    return secrets, arn, answer["VersionId"]


def _rotates_by_copying(ministack: Ministack, name: str) -> bool:
    secrets, arn, version = _rotated(ministack, name, SecretString="value")
    answer = secrets.get_secret_value(SecretId=arn)
    return bool(answer["VersionId"] == version and answer["SecretString"] == "value")


def _answers_without_value(ministack: Ministack, name: str) -> bool:
    secrets, arn, version = _rotated(ministack, name)
    try:
        return "SecretString" not in secrets.get_secret_value(SecretId=arn, VersionId=version)
    except ClientError:
        return False


def _lists_no_function(ministack: Ministack, name: str) -> bool:
    secrets, arn, _ = _rotated(ministack, name, SecretString="value")
    [listed] = [one for one in secrets.list_secrets()["SecretList"] if one["ARN"] == arn]
    return "RotationLambdaARN" not in listed


def _drops_versions_without_labels(ministack: Ministack, name: str) -> bool:
    secrets = ministack.client("secretsmanager")
    first = secrets.create_secret(Name=name, SecretString="1")["VersionId"]
    for value in ("2", "3"):
        secrets.put_secret_value(SecretId=name, SecretString=value)
    listed = secrets.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
    return first not in {one["VersionId"] for one in listed}


def _dates_in_seconds(ministack: Ministack, name: str) -> bool:
    secrets = ministack.client("secretsmanager")
    secrets.create_secret(Name=name, SecretString="1")
    secrets.put_secret_value(SecretId=name, SecretString="2")
    listed = secrets.list_secret_version_ids(SecretId=name)["Versions"]
    return all(one["CreatedDate"].microsecond == 0 for one in listed)


def _ignores_ranges_of_versions(ministack: Ministack, name: str) -> bool:
    s3 = ministack.client("s3")
    s3.create_bucket(Bucket=name)
    versioning = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    version = s3.put_object(Bucket=name, Key="k", Body=b"0123456789")["VersionId"]
    answer = s3.get_object(Bucket=name, Key="k", VersionId=version, Range="bytes=0-4")
    return bool(answer["ContentLength"] == 10)


DEPARTURES: Final = (
    Departure(
        "does not know the condition keys of Secrets Manager and KMS, so it refuses what is "
        "allowed on a condition on one",
        "the keys are part of each request",
        "Service Authorization Reference, list_awssecretsmanager",
        _knows_no_keys_of_services,
    ),
    Departure(
        "RotateSecret invokes no function, and makes a copy of the value the current one",
        "the function is invoked for four steps, and it alone promotes",
        "API_RotateSecret",
        _rotates_by_copying,
    ),
    Departure(
        "answers GetSecretValue of a version without a value with success",
        "ResourceNotFoundException",
        "API_GetSecretValue",
        _answers_without_value,
    ),
    Departure(
        "ListSecrets does not say which function rotates a secret",
        "`RotationLambdaARN` is in each entry",
        "API_SecretListEntry",
        _lists_no_function,
    ),
    Departure(
        "PutSecretValue deletes the versions that have no label",
        "those of the last 24 hours are kept",
        "reference_limits",
        _drops_versions_without_labels,
    ),
    Departure(
        "dates a version in whole seconds, so that a key that is issued within a second after a "
        "declaration counts as compromised",
        "dates have milliseconds",
        "API_GetSecretValue",
        _dates_in_seconds,
    ),
    Departure(
        "answers GetObject with `versionId` and `Range` with the whole object, so that no large "
        "document is sealed",
        "that part of that version",
        "API_GetObject",
        _ignores_ranges_of_versions,
    ),
)
