"""Principals of the sandbox's account who read secrets, or may, or try to."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from rotation.sandbox.aws import ACCOUNT
from rotation.sandbox.deployment import RECONCILE, ROTATE, SECRET, Deployment

READ: Final = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [*statements]})


def user(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def trusting(*names: str) -> str:
    principal = {"AWS": [*names]}
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


class ReaderAccounts:
    """Makes users and roles, and calls as they do."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        client: Any = deployment.cloud.client
        self.iam = client("iam")
        self._keys: dict[str, dict[str, str]] = {}

    def create_five(self) -> None:
        """alice, carol and dave, who are users, and the roles operators and bounded.

        operators reads by its own policy, alice by assuming it, and carol because the secret names
        her. A boundary denies bounded what its policy allows, and nothing allows dave anything. The
        roles of the stack's functions read too.
        """
        for name in ("alice", "carol", "dave"):
            self.create_user(name)
        self.iam.create_role(RoleName="operators", AssumeRolePolicyDocument=trusting(user("alice")))
        boundary = self.iam.create_policy(
            PolicyName="no-secrets",
            PolicyDocument=policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}),
        )["Policy"]["Arn"]
        self.iam.create_role(
            RoleName="bounded",
            AssumeRolePolicyDocument=trusting(user("dave")),
            PermissionsBoundary=boundary,
        )
        for name in ("operators", "bounded", f"{ROTATE}-role", f"{RECONCILE}-role"):
            self.iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=policy(READ))
        self.deployment.cloud.client("secretsmanager").put_resource_policy(
            SecretId=SECRET, ResourcePolicy=policy({**READ, "Principal": {"AWS": user("carol")}})
        )

    def create_user(self, name: str) -> None:
        """A user with an access key, and without any right."""
        self.iam.create_user(UserName=name)
        self._keys[name] = self.iam.create_access_key(UserName=name)["AccessKey"]

    def arn_of(self, name: str) -> str:
        """The ARN of a user."""
        return user(name)

    def client(self, service: str, name: str) -> Any:
        """A client that signs with the access key of a user."""
        return self._client(service, self._keys[name])

    def read_as_alice_through_the_role(self, secret: str = SECRET) -> None:
        """Alice assumes operators in the session night-shift, and reads."""
        session = self.client("sts", "alice").assume_role(
            RoleArn=role("operators"), RoleSessionName="night-shift"
        )
        self._client("secretsmanager", session["Credentials"]).get_secret_value(SecretId=secret)

    def read_as_carol(self, secret: str = SECRET, **more: str) -> None:
        """Carol reads."""
        self.client("secretsmanager", "carol").get_secret_value(SecretId=secret, **more)

    def read_as_dave_in_vain(self) -> None:
        """Dave is refused."""
        self.deployment.cloud.deny(self._keys["dave"]["AccessKeyId"], "GetSecretValue")
        with suppress(ClientError):
            self.client("secretsmanager", "dave").get_secret_value(SecretId=SECRET)

    def _client(self, service: str, keys: dict[str, str]) -> Any:
        make: Any = boto3.client
        return make(
            service,
            region_name=self.deployment.cloud.region,
            endpoint_url=self.deployment.cloud.url,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            config=Config(proxies={}),
        )
