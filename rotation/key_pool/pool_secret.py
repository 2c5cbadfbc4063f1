"""A pool secret that many may change at once: compare-and-swap over Secrets Manager.

PutSecretValue knows no condition, UpdateSecretVersionStage does: it moves a label only away from
the version that it is told (API_UpdateSecretVersionStage, RemoveFromVersionId). So a change reads
the current version, stores the changed document under a staging label of its own, which nobody
reads, and then moves AWSCURRENT from the version that it read. If somebody else was faster the move
is refused; then the label is dropped and everything is done again with what is current now.

What a crash leaves:

- after the put: a version that nobody reads, and its label; the next change sweeps it;
- after the move: the change took effect; the next change sweeps the label.

A lost reply looks like a refusal or like an error, and says nothing about the move. So an edit has
to find out by itself that it was made already, and then it changes nothing.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rotation.credential import Confidential
from rotation.errors import KeyPoolError, SecretStoreError
from rotation.key_pool.document import MOST_BYTES, EditResult, PoolDocument, PoolEdit
from rotation.privacy.observability import logger
from rotation.secrets_manager.calls import call_secrets_manager
from rotation.secrets_manager.labels import AWSCURRENT

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

#: Staging label of a version that is being made; the version's id follows.
STAGE: Final = "rotation-pool-"

_ATTEMPTS: Final = 20
#: Nobody takes this long between a put and its move: a step's calls are over within two minutes.
_ABANDONED: Final = timedelta(minutes=5)
# API_UpdateSecretVersionStage, "Errors": the label is elsewhere, or the version is gone.
_REFUSED: Final = frozenset(
    {"InvalidParameterException", "InvalidRequestException", "ResourceNotFoundException"}
)


class PoolSecret:
    """One pool secret.

    Args:
        client: a boto3 Secrets Manager client.
        secret_id: the secret's name or ARN.
        clock: our clock, aware UTC; it only decides how old a label left behind is.
        sleep: how to wait, in seconds, before another attempt.
    """

    def __init__(
        self,
        client: SecretsManagerClient,
        secret_id: str,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self.name = secret_id
        self._clock = clock
        self._sleep = sleep

    def read(self) -> PoolDocument:
        """The current pool; empty where the secret has no value yet.

        Raises:
            InvalidCredentialError: the value is not a key pool.
            SecretStoreError: AWS refused or failed, or there is no such secret.
        """
        return self._read()[1]

    def change(self, edit: PoolEdit[EditResult]) -> EditResult:
        """Apply ``edit`` to the current pool and make the result current, whoever else changes it.

        Args:
            edit: what it raises ends the change, and nothing is stored.

        Returns:
            the edit's result.

        Raises:
            InvalidCredentialError: the value is not a key pool.
            KeyPoolError: the changed document is too large; nothing was stored.
            SecretStoreError: AWS refused or failed. The change may have been made all the same:
                make it again.
        """
        swept = False
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(random.uniform(0, min(1.0, 0.05 * 2**attempt)))  # noqa: S311 - jitter
            version, pool = self._read()
            changed, outcome = edit(pool)
            if changed is None:
                return outcome
            if not swept:
                self._sweep()
                swept = True
            if self._swap(version, changed):
                return outcome
        raise SecretStoreError(
            f"UpdateSecretVersionStage on {self.name} was refused {_ATTEMPTS} times: others go on "
            "changing the pool, or AWSCURRENT may not be moved. Try again.",
            operation="UpdateSecretVersionStage",
            aws_code="InvalidParameterException",
            retryable=True,
        )

    def _read(self) -> tuple[str | None, PoolDocument]:
        """The version that bears AWSCURRENT, by its id, and what it holds.

        Reads are eventually consistent: what is read may be outdated. Then the move is refused.
        """
        try:
            version, value = self._call(
                "GetSecretValue",
                lambda: _held(
                    self._client.get_secret_value(SecretId=self.name, VersionStage=AWSCURRENT)
                ),
            )
        except SecretStoreError as error:
            if error.aws_code != "ResourceNotFoundException":
                raise
        else:
            return version, PoolDocument.parse(value, of=self.name)
        # The same code says that there is no such secret; then this call fails.
        self._call("DescribeSecret", lambda: self._client.describe_secret(SecretId=self.name))
        return None, PoolDocument()

    def _swap(self, version: str | None, changed: PoolDocument) -> bool:
        """Make ``changed`` current if ``version`` still is; False where the move was refused."""
        value = changed.serialize()
        size = len(value.reveal().encode())
        if size > MOST_BYTES:
            raise KeyPoolError(
                f"The pool in {self.name} would be {size} bytes; Secrets Manager stores "
                f"{MOST_BYTES} at most. Take dead keys out with `rotation pool remove`."
            )
        token = str(uuid.uuid4())
        removed = {} if version is None else {"RemoveFromVersionId": version}
        try:
            self._call(
                "PutSecretValue",
                lambda: self._client.put_secret_value(
                    SecretId=self.name,
                    ClientRequestToken=token,
                    SecretString=value.reveal(),
                    VersionStages=[STAGE + token],
                ),
            )
            self._call(
                "UpdateSecretVersionStage",
                lambda: self._client.update_secret_version_stage(
                    SecretId=self.name, VersionStage=AWSCURRENT, MoveToVersionId=token, **removed
                ),
            )
        except SecretStoreError as error:
            self._drop(STAGE + token, token)
            if not _another_attempt_helps(error):
                raise
            logger.debug("the pool was changed by somebody else meanwhile", pool=self.name)
            return False
        self._drop(STAGE + token, token)
        return True

    def _sweep(self) -> None:
        """Drop labels that a crash left behind: a secret may have 20 in all.

        Source: UserGuide reference_limits. A version without a label is deprecated, and AWS
        deletes it when it likes. A slow writer whose label was swept loses nothing: its move
        succeeds, or is refused and done again.
        """
        try:
            for stage, version in self._abandoned():
                self._drop(stage, version)
                logger.info("label of an interrupted change swept", pool=self.name, version=version)
        except SecretStoreError as error:
            logger.warning("old labels were not swept", pool=self.name, reason=error.aws_code)

    def _abandoned(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        page: dict[str, Any] = {}
        while True:
            answer = self._call(
                "ListSecretVersionIds",
                partial(self._client.list_secret_version_ids, SecretId=self.name, **page),
            )
            found += [
                (stage, version["VersionId"])
                for version in answer.get("Versions", ())
                for stage in version.get("VersionStages", ())
                if stage.startswith(STAGE) and self._clock() - version["CreatedDate"] > _ABANDONED
            ]
            if "NextToken" not in answer:
                return found
            page = {"NextToken": answer["NextToken"]}

    def _drop(self, stage: str, version: str) -> None:
        """Take our label off; if that fails, a later change sweeps it."""
        try:
            self._call(
                "UpdateSecretVersionStage",
                lambda: self._client.update_secret_version_stage(
                    SecretId=self.name, VersionStage=stage, RemoveFromVersionId=version
                ),
            )
        except SecretStoreError as error:
            if error.aws_code not in _REFUSED:
                logger.warning("a label was left behind", pool=self.name, reason=error.aws_code)

    def _call(self, operation: str, call: Callable[[], Any]) -> Any:
        return call_secrets_manager(operation, self.name, call)


def _another_attempt_helps(error: SecretStoreError) -> bool:
    """Whether somebody else moved AWSCURRENT first, or all labels of the secret are in use now."""
    if error.operation == "PutSecretValue":
        return error.aws_code == "LimitExceededException"
    return error.aws_code in _REFUSED


def _held(answer: Mapping[str, Any]) -> tuple[str, Confidential]:
    """The version's id and its value; a binary value reads as no JSON."""
    return answer["VersionId"], Confidential(answer.get("SecretString", ""))
