"""The source of a cache's secrets: a port, and its implementation with Secrets Manager."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from rotation.credential import ApiKey, Confidential, SecretDocument
from rotation.secrets_manager.calls import call_secrets_manager, value_of

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

Client = TypeVar("Client")


@dataclass(frozen=True)
class FetchedSecret:
    """The version of a secret that bears a staging label.

    Attributes:
        arn: the secret's full ARN, even where it was asked for by name.
        version: the version's id.
        key: the API key in its value.
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

    A boto3 client is thread-safe, but a forked child must not use its parent's client: the two
    would share TLS connections, and locks that no thread of the child could release. So each
    process makes a client of its own when it first needs one.

    Args:
        make_client: makes a Secrets Manager client; by default one with short timeouts, of a
            session of its own. Use a new ``boto3.Session`` in it where the process forks: the
            default session's credentials have a lock that would be inherited.
    """

    def __init__(self, make_client: Callable[[], SecretsManagerClient] | None = None) -> None:
        self._client = ProcessLocal(make_client or secrets_manager_client)

    def fetch(self, secret_id: str, stage: str) -> FetchedSecret:
        """As `SecretSource.fetch`; API_GetSecretValue with an explicit VersionStage.

        A call without a stage means AWSCURRENT. The stage is named nevertheless, so that a policy
        can demand it (condition key ``secretsmanager:VersionStage``).
        """
        arn, version, value = call_secrets_manager(
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

    from rotation.aws.client_config import CACHE_FETCH

    return boto3.Session().client("secretsmanager", config=CACHE_FETCH)


class ProcessLocal(Generic[Client]):
    """Makes an object when it is first needed, and another one in each forked child."""

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._made: tuple[int, Client] | None = None

    def __call__(self) -> Client:
        """This process's object. If two threads make one each, the last one is kept."""
        made = self._made
        if made is None or made[0] != os.getpid():
            made = self._made = (os.getpid(), self._make())
        return made[1]


def _read(answer: Mapping[str, Any]) -> tuple[str, str, Confidential | None]:
    """The ARN, the version id and the value, which is None if it is binary.

    Raises:
        KeyError: the answer is not whole.
    """
    return answer["ARN"], answer["VersionId"], value_of(answer)
