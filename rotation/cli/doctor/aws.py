"""Asks AWS for what the application needs, with its credentials and over its network.

Every function returns a fact and raises nothing, since an exception may hold a request. None of
them changes anything.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    NoRegionError,
    ProfileNotFound,
)

from rotation.aws.answers import reading_answer
from rotation.aws.client_config import diagnosis
from rotation.aws.errors import AWS_CALL_ERRORS, error_code
from rotation.cli.doctor.connection import ConnectionFailure, botocore_failure
from rotation.credential import Confidential, json_object
from rotation.privacy.printable import outside_text
from rotation.privacy.redaction import scrub
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.snapshot import Snapshot

_Fact = TypeVar("_Fact")

#: The function refuses an empty request at once, but a cold start takes seconds.
_FUNCTION_SECONDS: Final = 70
_READ_SECONDS: Final = 10
_ATTEMPTS: Final = 2
_MAX_NAMES: Final = 1000
#: A denial names the caller, the action, the resource and the policy.
_LONGEST_MESSAGE: Final = 1000


@dataclass(frozen=True)
class AwsRefusal:
    """AWS answered a call with an error: its code, and its message."""

    code: str
    message: str


#: What comes instead of the fact that was asked for.
NoFact = AwsRefusal | ConnectionFailure


@dataclass(frozen=True)
class NoCredentials:
    """No call can be signed: the code of the problem, and details about it."""

    code: str
    problem: str = ""


@dataclass(frozen=True)
class Caller:
    """The credentials and the endpoint of the calls.

    Attributes:
        method: where the credentials come from, as botocore calls it.
        region: the Region that is asked.
        host: the host name of Secrets Manager's endpoint.
    """

    method: str
    region: str
    host: str


@dataclass(frozen=True)
class CurrentValue:
    """A secret's current value; ``value`` is None if it is bytes and not text."""

    arn: str
    version: str
    value: Confidential | None


@dataclass(frozen=True)
class FunctionAnswer:
    """What a function answered; ``crashed`` if Lambda says that the function failed."""

    members: Mapping[str, Any]
    crashed: bool


class AwsProbe:
    """AWS, as this process's environment, role and network reach it.

    Args:
        timeout: how long a connection may take.
    """

    def __init__(self, timeout: timedelta) -> None:
        self._seconds = timeout.total_seconds()
        self._session: Any = None
        self._clients: dict[tuple[str, str | None], Any] = {}

    def caller(self) -> Caller | NoCredentials:
        """Find credentials and a Region. Nothing but the source of credentials is asked."""
        try:
            self._session = boto3.Session()
            credentials = self._session.get_credentials()
            if credentials is None:
                return NoCredentials("no_aws_credentials")
            credentials.get_frozen_credentials()
            client = self._client("secretsmanager")
        except NoRegionError:
            return NoCredentials("no_aws_region")
        except (ProfileNotFound, ConfigNotFound, ConfigParseError, ValueError) as error:
            # botocore raises ValueError if a Region or an AWS_ENDPOINT_URL is malformed.
            return NoCredentials("aws_profile", f"{error}.")
        except (BotoCoreError, ClientError, RuntimeError) as error:
            # botocore raises RuntimeError if the credentials that it fetched have expired already.
            return NoCredentials("aws_credentials_unreadable", _shown(error))
        meta = client.meta
        return Caller(str(credentials.method), meta.region_name, urlsplit(meta.endpoint_url).netloc)

    def current_value(self, secret: str) -> CurrentValue | NoFact:
        """GetSecretValue, with the staging label that a policy may demand."""

        def call() -> CurrentValue:
            answer = self._client("secretsmanager").get_secret_value(
                SecretId=secret, VersionStage=AWSCURRENT
            )
            text = answer.get("SecretString")
            value = None if text is None else Confidential(text)
            return CurrentValue(answer["ARN"], answer["VersionId"], value)

        return _fact(call)

    def describe(self, secret: str, region: str | None = None) -> Snapshot | NoFact:
        """DescribeSecret, which an application need not be allowed to call."""
        return _fact(
            lambda: Snapshot.read(
                self._client("secretsmanager", region).describe_secret(SecretId=secret)
            )
        )

    def similar_names(self, secret: str) -> list[str] | None:
        """The names of secrets that resemble ``secret``; None if listing is not allowed."""
        names = _fact(self._names)
        if not isinstance(names, list):
            return None
        lower = {one.lower(): one for one in names}
        close = difflib.get_close_matches(_name(secret).lower(), lower, n=3, cutoff=0.6)
        return [lower[one] for one in close]

    def regions_with(self, secret: str, regions: Sequence[str]) -> list[str]:
        """Those of ``regions`` that have a secret of that name."""
        name = _name(secret)
        return [region for region in regions if isinstance(self.describe(name, region), Snapshot)]

    def ask_function(self, function: str) -> FunctionAnswer | NoFact:
        """Invoke with an empty object, without document or key; the sealing function refuses it."""

        def call() -> FunctionAnswer:
            answer = self._client("lambda").invoke(FunctionName=function, Payload=b"{}")
            return FunctionAnswer(
                json_object(answer["Payload"].read()) or {},
                crashed=bool(answer.get("FunctionError")),
            )

        return _fact(call)

    def _names(self) -> list[str]:
        pages = (
            self._client("secretsmanager")
            .get_paginator("list_secrets")
            .paginate(PaginationConfig={"MaxItems": _MAX_NAMES})
        )
        return [secret["Name"] for page in pages for secret in page["SecretList"]]

    def _client(self, service: str, region: str | None = None) -> Any:
        if (service, region) not in self._clients:
            # Less patient than an application: one repetition is enough to see what is wrong.
            invokes = service == "lambda"
            config = diagnosis(
                connect=self._seconds,
                read=_FUNCTION_SECONDS if invokes else _READ_SECONDS,
                attempts=1 if invokes else _ATTEMPTS,
            )
            self._clients[service, region] = self._session.client(
                service, region_name=region, config=config
            )
        return self._clients[service, region]


def _fact(call: Callable[[], _Fact]) -> _Fact | NoFact:
    """What a call returns, or why it failed."""
    try:
        with reading_answer():
            return call()
    except ClientError as error:
        message = error.response.get("Error", {}).get("Message", "")
        return AwsRefusal(error_code(error), _shown(message))
    except AWS_CALL_ERRORS as error:
        return botocore_failure(error) or AwsRefusal(error_code(error), _shown(error))


def _name(secret: str) -> str:
    """The name in an ARN, without the dash and six characters (reference_iam-permissions)."""
    return secret.partition(":secret:")[2][:-7] if secret.startswith("arn:") else secret


def _shown(said: object) -> str:
    """What AWS or botocore said, as a result of a check shows it."""
    return outside_text(scrub(str(said)), _LONGEST_MESSAGE)
