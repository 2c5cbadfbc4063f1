"""Where a cache fetches from: the port, and Secrets Manager behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from rotation.credential import ApiKey, Confidential, SecretDocument
from rotation.secrets_manager.calls import store_call

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

Client = TypeVar("Client")

_CONNECT_SECONDS: Final = 2
_READ_SECONDS: Final = 4
_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class FetchedSecret:
    """The version of a secret that bears a staging label.

    Attributes:
        arn: the secret's full ARN, whatever it was asked for by.
        version: the version's id.
        key: what its value holds.
    """

    arn: str
    version: str
    key: ApiKey


class SecretSource(Protocol):
    """Fetches one secret. Called by several threads, and after a fork in the child too."""

    def fetch(self, secret_id: str, stage: str) -> FetchedSecret:
        """The version of ``secret_id`` that bears the staging label ``stage``.

        Raises:
            InvalidCredentialError: its value is not an API key.
            SecretStoreError: it was refused, or could not be fetched.
        """


class SecretsManager:
    """`SecretSource` over AWS Secrets Manager.

    A boto3 client is thread-safe, but a forked child must not go on with its parent's: they would
    share TLS connections, and locks that nobody is left to release. So it is made when it is first
    needed, once in each process.

    Args:
        make_client: makes a Secrets Manager client; by default one with short timeouts, of a
            session of its own. Use a new ``boto3.Session`` in it where the process forks: the
            default session's credentials have a lock that would be inherited.
    """

    def __init__(self, make_client: Callable[[], SecretsManagerClient] | None = None) -> None:
        self._client = OnePerProcess(make_client or secrets_manager_client)

    def fetch(self, secret_id: str, stage: str) -> FetchedSecret:
        """As `SecretSource.fetch`; API_GetSecretValue with an explicit VersionStage.

        Without a stage the call means AWSCURRENT. It is named all the same, so that a policy can
        demand it (condition key ``secretsmanager:VersionStage``).
        """
        arn, version, value = store_call(
            "GetSecretValue",
            secret_id,
            lambda: _read(
                self._client().get_secret_value(SecretId=secret_id, VersionStage=stage),
            ),
        )
        document = SecretDocument.parse(value, of=f"{secret_id} version {version}")
        return FetchedSecret(arn, version, document.key)


def secrets_manager_client() -> SecretsManagerClient:
    """A client that gives up after about twenty seconds, retries included."""
    import boto3
    from botocore.config import Config

    patience = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
    return boto3.Session().client("secretsmanager", config=patience)


class OnePerProcess(Generic[Client]):
    """Makes something when it is first needed, and again in a forked child."""

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._made: tuple[int, Client] | None = None

    def __call__(self) -> Client:
        """The one of this process. Two threads may make one each; the last is kept."""
        made = self._made
        if made is None or made[0] != os.getpid():
            made = self._made = (os.getpid(), self._make())
        return made[1]


def _read(answer: Mapping[str, Any]) -> tuple[str, str, Confidential]:
    """What is needed of an answer; a binary value reads as no JSON object."""
    return answer["ARN"], answer["VersionId"], Confidential(answer.get("SecretString", ""))
