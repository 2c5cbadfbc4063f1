"""Reads and changes the versions and labels of one secret in Secrets Manager.

Saving is not promoting: `SecretVersions.put_pending` stores a value, `SecretVersions.promote` moves
AWSCURRENT, and neither revokes anything. Every write names what it expects to find, so that a late
or repeated call cannot undo the work of somebody else.

``API_*`` stands for a page of the Secrets Manager API reference, UserGuide for its user guide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rotation.credential import TRUSTED_SIGNATURES, Confidential, KeyFormat, SecretDocument
from rotation.errors import (
    ConfigurationError,
    InvalidCredentialError,
    SecretStoreError,
    VersionStateError,
)
from rotation.privacy.printable import outside_text
from rotation.secrets_manager.calls import (
    call_secrets_manager,
    incomplete_answer,
    value_of,
)
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from rotation.secrets_manager.snapshot import ListedVersion, Snapshot

#: How many bytes a value has at most (API_PutSecretValue; UserGuide reference_limits).
MOST_VALUE_BYTES: Final = 65_536

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


@dataclass(frozen=True)
class VersionReading:
    """What one answer of GetSecretValue says about one version.

    Attributes:
        document: what the version holds; None: the answer does not tell.
        created_at: when the version was made; None: the answer does not tell.
        problem: why there is no document although AWS answered: the value is not an API key, or
            AWS refuses to give it. None beside no document: AWS found no value. One such answer
            does not tell whether the version has none (yet), was deleted, or does not show yet,
            since reads are eventually consistent (API_GetSecretValue). So nothing is concluded
            from it, least of all that a key is not in the secret.
    """

    document: SecretDocument | None
    created_at: datetime | None = None
    problem: InvalidCredentialError | SecretStoreError | None = None


class SecretVersions:
    """The versions of one secret.

    Args:
        client: a boto3 Secrets Manager client.
        secret_id: the secret's ARN.
        rotation_token: the RotationToken of the event, or None. It names the caller of a rotation
            from another account or under an assumed role, and PutSecretValue must pass it on
            (UserGuide rotate-secrets_lambda-functions).
        key_format: how the secret holds its key.
    """

    def __init__(
        self,
        client: SecretsManagerClient,
        secret_id: str,
        rotation_token: Confidential | None = None,
        key_format: KeyFormat = TRUSTED_SIGNATURES,
    ) -> None:
        self._client = client
        self.arn = secret_id
        self._rotation_token = rotation_token
        self._key_format = key_format

    def snapshot(self) -> Snapshot:
        """Read the labels and the rotation's configuration, but no value.

        An answer without VersionIdsToStages is that of a secret without labels, or it was cut. The
        list of versions tells.

        Raises:
            SecretStoreError: AWS refused or failed.
        """
        snapshot, has_labels = self._call("DescribeSecret", self._describe)
        if not has_labels and any(one.labels for one in self.list_versions()):
            raise incomplete_answer("DescribeSecret", self.arn)
        described: Snapshot = snapshot
        return described

    def list_versions(self) -> tuple[ListedVersion, ...]:
        """Every version that has a value, deprecated ones too (API_ListSecretVersionIds).

        Raises:
            SecretStoreError: AWS refused or failed.
        """
        found: list[ListedVersion] = []
        page: dict[str, str] | None = {}
        while page is not None:
            more, page = self._call("ListSecretVersionIds", partial(self._versions_page, page))
            found += more
        return tuple(found)

    def read(self, version: str) -> SecretDocument | None:
        """The document that ``version`` holds; None: as of `VersionReading`, AWS found no value.

        The version of a rotation exists before it has a value. GetSecretValue then answers
        ResourceNotFoundException (API_GetSecretValue).

        Raises:
            InvalidCredentialError: the value is not an API key.
            SecretStoreError: AWS refused or failed.
        """
        reading = self.reading(version)
        if reading.problem is not None:
            raise reading.problem
        return reading.document

    def reading(self, version: str) -> VersionReading:
        """Read one version, and say what came of it.

        Raises:
            SecretStoreError: AWS could not be asked, or failed in a way that may pass.
        """
        try:
            value, created_at = self._call("GetSecretValue", partial(self._value, version))
        except SecretStoreError as error:
            if error.aws_code == "ResourceNotFoundException":
                return VersionReading(None)
            if error.retryable:
                raise
            return VersionReading(None, problem=error)
        name = f"{self.arn} version {outside_text(version)}"
        try:
            document = SecretDocument.parse(value, of=name, key_format=self._key_format)
        except InvalidCredentialError as error:
            return VersionReading(None, created_at, error)
        return VersionReading(document, created_at)

    def put_pending(self, token: str, document: SecretDocument) -> None:
        """Store ``document`` as version ``token`` and label it AWSPENDING. Promotes nothing.

        API_PutSecretValue: if the token has the same value already, nothing happens. If it has
        another value, that one stays, and the answer is ResourceExistsException. Without
        VersionStages the call would move AWSCURRENT.

        Raises:
            ConfigurationError: the key has another format than this secret's; nothing was stored.
            VersionStateError: another value was stored under this token; read it and adopt it.
            SecretStoreError: AWS refused or failed; the value may have been stored all the same.
        """
        if document.key.key_format.members != self._key_format.members:
            raise ConfigurationError(
                f"The new key has the members {_quoted(document.key.key_format)}, and {self.arn} "
                f"holds {_quoted(self._key_format)}. Give the issuer and the secret one KeyFormat."
            )
        # Not revealed here, so that no frame below holds the token's text.
        token_of_caller = (
            {} if self._rotation_token is None else {"RotationToken": self._rotation_token}
        )
        value = document.serialize()
        try:
            self._call(
                "PutSecretValue",
                lambda: self._client.put_secret_value(
                    SecretId=self.arn,
                    ClientRequestToken=token,
                    SecretString=value.reveal(),
                    VersionStages=[AWSPENDING],
                    **{name: value.reveal() for name, value in token_of_caller.items()},
                ),
            )
        except SecretStoreError as error:
            if error.aws_code == "ResourceExistsException":
                raise VersionStateError(
                    f"Version {outside_text(token)} of {self.arn} already has another value."
                ) from error
            raise

    def promote(self, token: str, current: str | None) -> None:
        """Move AWSCURRENT from ``current`` to ``token``. Revokes nothing.

        API_UpdateSecretVersionStage is a compare-and-swap: RemoveFromVersionId must be the version
        that bears the label. AWS moves AWSPREVIOUS to ``current`` by itself.

        Raises:
            SecretStoreError: ``current`` is not current, or AWS failed; the label may have been
                moved all the same.
        """
        self._move(AWSCURRENT, remove_from=current, move_to=token)

    def unstage_pending(self, token: str) -> None:
        """Take AWSPENDING off version ``token``; nothing happens if it is not there.

        A version without another label is deprecated from then on, and AWS may delete it.
        """
        self.remove_label(AWSPENDING, token)

    def add_label(self, label: str, version: str) -> None:
        """Put on ``version`` a label that no other version bears."""
        self._move(label, remove_from=None, move_to=version)

    def remove_label(self, label: str, version: str) -> None:
        """Take ``label`` off ``version``; nothing happens if it is not there."""
        try:
            self._move(label, remove_from=version, move_to=None)
        except SecretStoreError as error:
            if error.aws_code not in {"InvalidParameterException", "ResourceNotFoundException"}:
                raise

    def tag(self, values: Mapping[str, str]) -> None:
        """Set tags of the secret, all or none; their earlier values are lost (API_TagResource)."""
        tags: Any = [{"Key": name, "Value": value} for name, value in values.items()]
        self._call("TagResource", lambda: self._client.tag_resource(SecretId=self.arn, Tags=tags))

    def rotate(self, token: str) -> None:
        """Begin a rotation under ``token``, with the function and schedule that are configured.

        An answer does NOT mean that the rotation succeeds. The same token begins no second
        rotation (API_RotateSecret).

        Raises:
            SecretStoreError: AWS refused or failed; the code is ``InvalidRequestException`` while
                another rotation is under way.
        """
        self._call(
            "RotateSecret",
            lambda: self._client.rotate_secret(SecretId=self.arn, ClientRequestToken=token),
        )

    def untag(self, *names: str) -> None:
        """Remove tags from the secret; names of tags that it does not have are ignored."""
        self._call(
            "UntagResource",
            lambda: self._client.untag_resource(SecretId=self.arn, TagKeys=list(names)),
        )

    def _describe(self) -> tuple[Snapshot, bool]:
        """The snapshot, and whether the answer tells the labels; KeyError if it is not whole."""
        answer = self._client.describe_secret(SecretId=self.arn)
        return Snapshot.read(answer), "VersionIdsToStages" in answer

    def _versions_page(
        self, page: Mapping[str, str]
    ) -> tuple[list[ListedVersion], dict[str, str] | None]:
        """One page of versions, and what asks for the next; KeyError if it is not whole."""
        answer = self._client.list_secret_version_ids(
            SecretId=self.arn, IncludeDeprecated=True, MaxResults=100, **page
        )
        found = [ListedVersion.read(one) for one in answer["Versions"]]
        return found, {"NextToken": answer["NextToken"]} if "NextToken" in answer else None

    def _value(self, version: str) -> tuple[Confidential | None, datetime | None]:
        """A version's value and when it was made; KeyError if the answer is not whole."""
        answer = self._client.get_secret_value(SecretId=self.arn, VersionId=version)
        if answer["VersionId"] != version:
            raise LookupError
        return value_of(answer), answer.get("CreatedDate")

    def _move(self, label: str, *, remove_from: str | None, move_to: str | None) -> None:
        move_label(self._client, self.arn, label, remove_from=remove_from, move_to=move_to)

    def _call(self, operation: str, call: Callable[[], Any]) -> Any:
        return call_secrets_manager(operation, self.arn, call)


def move_label(
    client: SecretsManagerClient,
    secret_id: str,
    label: str,
    *,
    remove_from: str | None,
    move_to: str | None,
) -> None:
    """Move a staging label, put it on a version, or take it off one.

    API_UpdateSecretVersionStage is a compare-and-swap: a label that a version bears is only moved
    if ``remove_from`` is that version.

    Raises:
        SecretStoreError: another version bears the label, or AWS refused or failed; the label may
            have been moved all the same.
    """
    versions: dict[str, Any] = {}
    if remove_from is not None:
        versions["RemoveFromVersionId"] = remove_from
    if move_to is not None:
        versions["MoveToVersionId"] = move_to
    call_secrets_manager(
        "UpdateSecretVersionStage",
        secret_id,
        lambda: client.update_secret_version_stage(
            SecretId=secret_id, VersionStage=label, **versions
        ),
    )


def read_credential(
    client: SecretsManagerClient, secret_id: str, key_format: KeyFormat = TRUSTED_SIGNATURES
) -> SecretDocument:
    """The document in the current version of ``secret_id``.

    Raises:
        InvalidCredentialError: the value is not an API key.
        SecretStoreError: AWS refused or failed, or the secret has no value.
    """
    value = call_secrets_manager(
        "GetSecretValue",
        secret_id,
        lambda: value_of(client.get_secret_value(SecretId=secret_id, VersionStage=AWSCURRENT)),
    )
    return SecretDocument.parse(value, of=secret_id, key_format=key_format)


def _quoted(key_format: KeyFormat) -> str:
    return " and ".join(f'"{name}"' for name in key_format.members)
