"""What AWS says of secrets and of their KMS keys, their policies above all. It reads no value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from rotation.aws.answers import reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS
from rotation.aws.unread import account_unread
from rotation.credential import json_object

#: The alias of the key that AWS manages (UserGuide security-encryption).
_MANAGED: Final = "alias/aws/secretsmanager"


class SecretPolicies:
    """Asks Secrets Manager and KMS.

    Args:
        secrets: a boto3 Secrets Manager client.
        kms: a boto3 KMS client.
        functions: a boto3 Lambda client.
        pace: waits for the turn of the next call.
    """

    def __init__(self, secrets: Any, kms: Any, functions: Any, pace: Callable[[], None]) -> None:
        self._secrets = secrets
        self._kms = kms
        self._functions = functions
        self._pace = pace
        self._keys: dict[str, tuple[str | None, Mapping[str, Any] | None]] = {}

    def list_secrets(self) -> Iterator[Mapping[str, Any]]:
        """Every secret of the Region, as ListSecrets describes it.

        Raises:
            AccountReadError: Secrets Manager refused.
        """
        more: dict[str, str] = {}
        while True:
            page = self._ask(
                "secretsmanager:ListSecrets",
                partial(self._secrets.list_secrets, MaxResults=100, **more),
                "SecretList",
            )
            yield from page["SecretList"]
            if "NextToken" not in page:
                return
            more = {"NextToken": page["NextToken"]}

    def describe(self, secret: str) -> Mapping[str, Any]:
        """A secret, as DescribeSecret describes it.

        Raises:
            AccountReadError: Secrets Manager refused.
        """
        return self._ask(
            "secretsmanager:DescribeSecret",
            lambda: self._secrets.describe_secret(SecretId=secret),
            "ARN",
        )

    def policy(self, secret: str) -> Mapping[str, Any] | None:
        """The resource policy of a secret; None: it has none.

        Raises:
            AccountReadError: Secrets Manager refused.
        """
        answer = self._ask(
            "secretsmanager:GetResourcePolicy",
            lambda: self._secrets.get_resource_policy(SecretId=secret),
            "ARN",
        )
        text = answer.get("ResourcePolicy")
        return None if text is None else json_object(text)

    def key(self, key_id: str | None) -> tuple[str | None, Mapping[str, Any] | None]:
        """The ARN and the policy of a KMS key; no ARN where AWS manages the key.

        Raises:
            AccountReadError: KMS refused.
        """
        if key_id is None or key_id.endswith(_MANAGED):
            return None, None
        if key_id not in self._keys:
            described = self._ask(
                "kms:DescribeKey", lambda: self._kms.describe_key(KeyId=key_id), "KeyMetadata"
            )["KeyMetadata"]
            arn = described["Arn"]
            answer = self._ask(
                "kms:GetKeyPolicy",
                lambda: self._kms.get_key_policy(KeyId=arn, PolicyName="default"),
                "Policy",
            )
            managed = described.get("KeyManager") == "AWS"
            found = (None, None) if managed else (arn, json_object(answer["Policy"]))
            self._keys[key_id] = found
        return self._keys[key_id]

    def role_of(self, function: str) -> str:
        """The ARN of the role of a Lambda function.

        Raises:
            AccountReadError: Lambda refused.
        """
        answer = self._ask(
            "lambda:GetFunctionConfiguration",
            lambda: self._functions.get_function_configuration(FunctionName=function),
            "Role",
        )
        return str(answer["Role"])

    def _ask(
        self, action: str, call: Callable[[], Mapping[str, Any]], member: str
    ) -> Mapping[str, Any]:
        self._pace()
        try:
            with reading_answer():
                answer = call()
                answer[member]
        except AWS_CALL_ERRORS as error:
            raise account_unread(action, error) from error
        return answer
