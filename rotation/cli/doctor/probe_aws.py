"""Asks AWS as the application does, and brings back facts. Judges nothing, raises nothing."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    NoRegionError,
    ProfileNotFound,
)

from rotation.cli.doctor.facts import (
    Fetched,
    FunctionAnswer,
    Identity,
    NoCredentials,
    NotGot,
    Refusal,
    Search,
)
from rotation.cli.doctor.obstacles import obstacle_of
from rotation.credential import Confidential
from rotation.privacy.redaction import scrub
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.snapshot import Snapshot

_Got = TypeVar("_Got")

#: An empty request is refused at once; a cold start takes seconds.
_FUNCTION_SECONDS: Final = 70
_READ_SECONDS: Final = 10
_ATTEMPTS: Final = 2
_MOST_NAMES: Final = 1000


class AwsProbe:
    """AWS, as this process's environment, role and network reach it.

    Args:
        timeout: how long a connection may take.
    """

    def __init__(self, timeout: timedelta) -> None:
        self._seconds = timeout.total_seconds()
        self._session: Any = None
        self._clients: dict[tuple[str, str | None], Any] = {}

    def identity(self) -> Identity | NoCredentials:
        """As whom and where AWS would be asked. Nothing is asked yet but for credentials."""
        try:
            self._session = boto3.Session()
            credentials = self._session.get_credentials()
            if credentials is None:
                return NoCredentials("no_aws_credentials")
            credentials.get_frozen_credentials()
            client = self._client("secretsmanager")
        except NoRegionError:
            return NoCredentials("no_aws_region")
        except (ProfileNotFound, ConfigNotFound, ConfigParseError, ValueError) as failure:
            # botocore's own ValueError: a Region or an AWS_ENDPOINT_URL that is none.
            return NoCredentials("aws_profile", f"{failure}.")
        except (BotoCoreError, ClientError, RuntimeError) as failure:
            # botocore's own RuntimeError: what was handed out had expired already.
            return NoCredentials("aws_credentials_unreadable", scrub(f"{failure}"))
        return Identity(
            method=str(credentials.method),
            region=client.meta.region_name,
            host=urlsplit(client.meta.endpoint_url).netloc,
            seconds=self._seconds,
        )

    def fetch(self, secret: str) -> Fetched | NotGot:
        """GetSecretValue, with the stage that a policy may demand."""

        def ask() -> Fetched:
            answer = self._client("secretsmanager").get_secret_value(
                SecretId=secret, VersionStage=AWSCURRENT
            )
            text = answer.get("SecretString")
            return Fetched(
                answer["ARN"], answer["VersionId"], None if text is None else Confidential(text)
            )

        return _asked(ask)

    def describe(self, secret: str, region: str | None = None) -> Snapshot | NotGot:
        """DescribeSecret, which an application need not be allowed."""
        return _asked(
            lambda: Snapshot.read(
                self._client("secretsmanager", region).describe_secret(SecretId=secret)
            )
        )

    def search(self, secret: str, regions: Sequence[str]) -> Search:
        """Where else a secret could be: under a similar name, or in one of ``regions``."""
        name = _name(secret)
        names = _asked(self._names)
        similar = None
        if isinstance(names, list):
            lower = {one.lower(): one for one in names}
            close = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.6)
            similar = tuple(lower[one] for one in close)
        found = [region for region in regions if isinstance(self.describe(name, region), Snapshot)]
        return Search(similar, tuple(found))

    def ask_function(self, function: str) -> FunctionAnswer | NotGot:
        """Invoke with an empty object: no document, no key. Its function refuses that itself."""

        def ask() -> FunctionAnswer:
            answer = self._client("lambda").invoke(FunctionName=function, Payload=b"{}")
            members = _json_object(answer["Payload"].read())
            return FunctionAnswer(members, crashed=bool(answer.get("FunctionError")))

        return _asked(ask)

    def _names(self) -> list[str]:
        pages = (
            self._client("secretsmanager")
            .get_paginator("list_secrets")
            .paginate(PaginationConfig={"MaxItems": _MOST_NAMES})
        )
        return [secret["Name"] for page in pages for secret in page["SecretList"]]

    def _client(self, service: str, region: str | None = None) -> Any:
        if (service, region) not in self._clients:
            self._clients[service, region] = self._session.client(
                service, region_name=region, config=self._patience(service)
            )
        return self._clients[service, region]

    def _patience(self, service: str) -> Config:
        # Not the application's patience: one repetition is enough to tell what is wrong.
        invoking = service == "lambda"
        return Config(
            connect_timeout=self._seconds,
            read_timeout=_FUNCTION_SECONDS if invoking else _READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 1 if invoking else _ATTEMPTS},
        )


def _asked(ask: Callable[[], _Got]) -> _Got | NotGot:
    """What a call brings, or why it does not. The exceptions end here: they hold requests."""
    try:
        return ask()
    except ClientError as failure:
        error = failure.response.get("Error", {})
        return Refusal(str(error.get("Code", "Unknown")), scrub(str(error.get("Message", ""))))
    except BotoCoreError as failure:
        return obstacle_of(failure) or Refusal(type(failure).__name__, scrub(str(failure)))


def _name(secret: str) -> str:
    """The name in an ARN: without its dash and six characters (reference_iam-permissions)."""
    if not secret.startswith("arn:"):
        return secret
    return secret.partition(":secret:")[2][:-7]


def _json_object(payload: bytes) -> dict[str, Any]:
    try:
        members = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}
