"""One secret's versions and labels in Secrets Manager.

Saving is not promoting: `SecretVersions.put_pending` stores a value, `SecretVersions.promote` moves
AWSCURRENT, and neither revokes anything. Every write names what it expects to find, so that a late
or repeated call cannot undo somebody else's.

AWS rules used here, each cited where it is used, are those of the Secrets Manager API reference
(``API_*``) and user guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from rotation.aws_calls import store_call
from rotation.credential import Confidential, SecretDocument
from rotation.errors import SecretStoreError, VersionStateError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

AWSCURRENT: Final = "AWSCURRENT"
AWSPENDING: Final = "AWSPENDING"
AWSPREVIOUS: Final = "AWSPREVIOUS"
#: Staging label of a version whose key was declared compromised; the version's id follows.
COMPROMISED: Final = "rotation-compromised-"

_RATE: Final = re.compile(r"rate\((\d+) (hour|day)s?\)")


@dataclass(frozen=True)
class Snapshot:
    """What DescribeSecret says of one secret at one moment. Eventually consistent.

    Attributes:
        arn: the secret's full ARN.
        deleted_at: when it is scheduled to be deleted, or None.
        rotation_enabled: whether its rotation is turned on.
        rotation_function: the ARN of the function that rotates it, or None.
        labels: the staging labels of each version that has one, by version id.
        rotation_interval: the time between two rotations, where the schedule tells.
    """

    arn: str
    deleted_at: datetime | None
    rotation_enabled: bool
    rotation_function: str | None
    labels: Mapping[str, frozenset[str]]
    rotation_interval: timedelta | None

    def version_with(self, label: str) -> str | None:
        """The id of the version that bears ``label``; a label sits on one version at a time."""
        return next((version for version, has in self.labels.items() if label in has), None)

    def has(self, version: str, label: str) -> bool:
        """Whether ``version`` bears ``label``."""
        return label in self.labels.get(version, frozenset())

    def compromised(self, version: str) -> bool:
        """Whether the key of ``version`` was declared compromised."""
        return any(label.startswith(COMPROMISED) for label in self.labels.get(version, ()))


class SecretVersions:
    """The versions of one secret.

    Args:
        client: a boto3 Secrets Manager client.
        secret_id: the secret's ARN.
        rotation_token: the RotationToken of the event, where there is one. UserGuide
            rotate-secrets_lambda-functions: it names the caller of a cross-account or assumed-role
            rotation, and PutSecretValue must pass it on.
    """

    def __init__(
        self,
        client: SecretsManagerClient,
        secret_id: str,
        rotation_token: Confidential | None = None,
    ) -> None:
        self._client = client
        self.arn = secret_id
        self._rotation_token = rotation_token

    def snapshot(self) -> Snapshot:
        """Read the labels and the rotation's configuration. No value is read."""
        answer = self._call(
            "DescribeSecret", lambda: self._client.describe_secret(SecretId=self.arn)
        )
        return Snapshot(
            arn=answer["ARN"],
            deleted_at=answer.get("DeletedDate"),
            rotation_enabled=answer.get("RotationEnabled", False),
            rotation_function=answer.get("RotationLambdaARN"),
            labels={
                version: frozenset(labels)
                for version, labels in answer.get("VersionIdsToStages", {}).items()
            },
            rotation_interval=_interval(answer.get("RotationRules", {})),
        )

    def read(self, version: str) -> SecretDocument | None:
        """The document that ``version`` holds, or None if it has no value (yet).

        API_GetSecretValue, with VersionId and no stage. A rotation's AWSPENDING version exists
        before it has a value: then AWS answers ResourceNotFoundException.

        Raises:
            InvalidCredentialError: the value is not an API key.
            SecretStoreError: AWS refused or failed.
        """
        try:
            value = self._call(
                "GetSecretValue",
                lambda: _text(self._client.get_secret_value(SecretId=self.arn, VersionId=version)),
            )
        except SecretStoreError as error:
            if error.aws_code == "ResourceNotFoundException":
                return None
            raise
        return SecretDocument.parse(value, of=f"{self.arn} version {version}")

    def put_pending(self, token: str, document: SecretDocument) -> None:
        """Store ``document`` as version ``token`` and label it AWSPENDING. Promotes nothing.

        API_PutSecretValue: the same token with the same value is a no-op; with another value it is
        ResourceExistsException, and what was stored first stays. Without VersionStages the call
        would move AWSCURRENT.

        Raises:
            VersionStateError: another value was stored under this token; read it and adopt it.
            SecretStoreError: AWS refused or failed; the value may have been stored all the same.
        """
        token_of_caller = (
            {} if self._rotation_token is None else {"RotationToken": self._rotation_token}
        )
        try:
            self._call(
                "PutSecretValue",
                lambda: self._client.put_secret_value(
                    SecretId=self.arn,
                    ClientRequestToken=token,
                    SecretString=document.serialize().reveal(),
                    VersionStages=[AWSPENDING],
                    **{name: value.reveal() for name, value in token_of_caller.items()},
                ),
            )
        except SecretStoreError as error:
            if error.aws_code == "ResourceExistsException":
                raise VersionStateError(
                    f"Version {token} of {self.arn} already has another value."
                ) from error
            raise

    def promote(self, token: str, current: str | None) -> None:
        """Move AWSCURRENT from ``current`` to ``token``. Revokes nothing.

        API_UpdateSecretVersionStage is a compare-and-swap: RemoveFromVersionId must be the version
        that bears the label. AWS moves AWSPREVIOUS to ``current`` by itself.

        Raises:
            SecretStoreError: ``current`` is not current (any more), or AWS failed; the move may
                have happened all the same.
        """
        self._move(AWSCURRENT, remove_from=current, move_to=token)

    def unstage_pending(self, token: str) -> None:
        """Take AWSPENDING off version ``token``; nothing happens if it is not there.

        A version that bears no other label is deprecated by this, and AWS may delete it.
        """
        try:
            self._move(AWSPENDING, remove_from=token, move_to=None)
        except SecretStoreError as error:
            if error.aws_code not in {"InvalidParameterException", "ResourceNotFoundException"}:
                raise

    def _move(self, label: str, *, remove_from: str | None, move_to: str | None) -> None:
        versions: dict[str, Any] = {}
        if remove_from is not None:
            versions["RemoveFromVersionId"] = remove_from
        if move_to is not None:
            versions["MoveToVersionId"] = move_to
        self._call(
            "UpdateSecretVersionStage",
            lambda: self._client.update_secret_version_stage(
                SecretId=self.arn, VersionStage=label, **versions
            ),
        )

    def _call(self, operation: str, call: Callable[[], Any]) -> Any:
        return store_call(operation, self.arn, call)


def read_credential(client: SecretsManagerClient, secret_id: str) -> SecretDocument:
    """The document that is current in ``secret_id``.

    Raises:
        InvalidCredentialError: the value is not an API key.
        SecretStoreError: AWS refused or failed, or the secret has no value.
    """
    value = store_call(
        "GetSecretValue",
        secret_id,
        lambda: _text(client.get_secret_value(SecretId=secret_id, VersionStage=AWSCURRENT)),
    )
    return SecretDocument.parse(value, of=secret_id)


def _text(answer: Mapping[str, Any]) -> Confidential:
    """The SecretString of an answer; a binary value reads as no JSON object."""
    return Confidential(answer.get("SecretString", ""))


def _interval(rules: Mapping[str, Any]) -> timedelta | None:
    """The time between rotations.

    API_RotationRulesType: AutomaticallyAfterDays, which DescribeSecret also calculates from a
    schedule expression after every successful rotation; before the first, a rate tells it too.
    """
    if days := rules.get("AutomaticallyAfterDays"):
        return timedelta(days=days)
    if rate := _RATE.fullmatch(rules.get("ScheduleExpression", "")):
        count = int(rate[1])
        return timedelta(hours=count) if rate[2] == "hour" else timedelta(days=count)
    return None
