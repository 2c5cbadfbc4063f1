"""Secrets, their values and their labels: the part of Secrets Manager that stores.

moto overwrites a version on a token conflict, lets a deleted secret be written, lists versions
under the wrong ARN and dates, and answers an old value where none was asked for; `versions` holds
AWS's rules instead. Each operation names the API page that it follows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from moto.core.exceptions import InvalidNextTokenException
from moto.secretsmanager.exceptions import (
    InvalidRequestException,
    OperationNotPermittedOnReplica,
    ResourceExistsException,
    ResourceNotFoundException,
    SecretNotFoundException,
    SecretStageVersionMismatchException,
)
from moto.secretsmanager.models import ReplicaSecret, SecretsManagerBackend

from rotation.sandbox.aws.versions import (
    AWSCURRENT,
    FaithfulSecret,
    checked_value,
    value_of,
)

_PAGE: Final = 100


class SecretStore(SecretsManagerBackend):  # type: ignore[misc]
    """The secrets of one account in one region, without their rotation."""

    # moto finds a backend's URLs by the name of the module that its class claims to be from.
    __module__ = "moto.secretsmanager.models"

    def __init__(self, region_name: str, account_id: str, *, clock: Callable[[], datetime]) -> None:
        super().__init__(region_name, account_id)
        self._clock = clock

    def create_secret(
        self,
        *,
        name: str,
        secret_string: str | None,
        secret_binary: str | None,
        description: str | None,
        tags: list[dict[str, str]] | None,
        kms_key_id: str | None,
        client_request_token: str | None,
        replica_regions: list[dict[str, str]],
        force_overwrite: bool,
    ) -> str:
        """API_CreateSecret: the same token and value again is a no-op; a taken name is refused."""
        value = checked_value(secret_string, secret_binary)
        version_id = self._from_client_request_token(client_request_token)
        existing = self.secrets.get(name)
        if existing is not None:
            if existing.is_deleted():
                raise InvalidRequestException(f"A secret {name} is scheduled for deletion.")
            if not value or value_of(existing.versions.get(version_id, {})) != value:
                raise ResourceExistsException(f"The secret {name} already exists.")
            return str(existing.to_short_dict(version_id=version_id))
        now = self._now()
        secret = FaithfulSecret(
            account_id=self.account_id,
            region_name=self.region_name,
            secret_id=name,
            description=description,
            tags=tags,
            kms_key_id=kms_key_id,
            last_changed_date=now,
            created_date=now,
            replica_regions=replica_regions,
            force_overwrite=force_overwrite,
        )
        if value:
            secret.put(version_id, value, [AWSCURRENT], now)
        self.secrets[name] = secret
        return str(secret.to_short_dict(include_version_id=bool(value)))

    def update_secret(
        self,
        *,
        secret_id: str,
        secret_string: str | None = None,
        secret_binary: str | None = None,
        client_request_token: str | None = None,
        kms_key_id: str | None = None,
        description: str | None = None,
    ) -> str:
        """API_UpdateSecret: description and key; a value becomes a new AWSCURRENT version."""
        value = checked_value(secret_string, secret_binary)
        secret = self._writable(secret_id)
        now = self._now()
        if value:
            version_id = self._from_client_request_token(client_request_token)
            self._put_current(secret, version_id, value, [AWSCURRENT])
        secret.update(description or secret.description, secret.tags, kms_key_id, now)
        return str(secret.to_short_dict(include_version_id=bool(value)))

    def put_secret_value(
        self,
        secret_id: str,
        secret_string: str | None,
        secret_binary: str | None,
        client_request_token: str | None,
        version_stages: list[str],
    ) -> str:
        """API_PutSecretValue: see `versions.FaithfulSecret.put`."""
        value = checked_value(secret_string, secret_binary)
        secret = self._writable(secret_id)
        version_id = self._from_client_request_token(client_request_token)
        self._put_current(secret, version_id, value, version_stages)
        return str(secret.to_short_dict(include_version_stages=True, version_id=version_id))

    def get_secret_value(
        self, secret_id: str, version_id: str | None, version_stage: str | None
    ) -> dict[str, Any]:
        """API_GetSecretValue: the version asked for, AWSCURRENT otherwise, as a copy.

        A version without a value, such as AWSPENDING before createSecret, is not found.
        """
        secret = self._existing(secret_id)
        self._refuse_deleted(secret)
        stage = version_stage or AWSCURRENT
        version = secret.versions.get(version_id) if version_id else _labelled(secret, stage)
        if version is not None and version_stage and version_stage not in version["version_stages"]:
            raise SecretStageVersionMismatchException
        if version is None or not value_of(version):
            asked = f"VersionId: {version_id}" if version_id else f"staging label: {stage}"
            raise ResourceNotFoundException(f"Secrets Manager can't find a value for {asked}")
        # API_DescribeSecret, LastAccessedDate: a date, without a time.
        accessed = self._clock().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        version["accessed"] = accessed
        if isinstance(secret, FaithfulSecret):
            secret.last_accessed = accessed
        names = {"secret_string": "SecretString", "secret_binary": "SecretBinary"}
        return {
            "ARN": secret.arn,
            "Name": secret.name,
            "VersionId": version["version_id"],
            "VersionStages": list(version["version_stages"]),
            "CreatedDate": version["createdate"],
            **{names[name]: text for name, text in value_of(version).items()},
        }

    def list_secret_version_ids(
        self,
        secret_id: str,
        *,
        include_deprecated: bool = False,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> str:
        """API_ListSecretVersionIds: versions with a value, deprecated ones only if asked for."""
        secret = self._existing(secret_id)
        listed = [
            {
                "VersionId": version["version_id"],
                "VersionStages": list(version["version_stages"]),
                "CreatedDate": version["createdate"],
                **({"LastAccessedDate": version["accessed"]} if "accessed" in version else {}),
            }
            for version in secret.versions.values()
            if value_of(version) and (include_deprecated or version["version_stages"])
        ]
        if next_token is not None and not next_token.isdigit():
            raise InvalidNextTokenException
        start = int(next_token or 0)
        end = start + min(max_results or _PAGE, _PAGE)
        page = {"ARN": secret.arn, "Name": secret.name, "Versions": listed[start:end]}
        if end < len(listed):
            page["NextToken"] = str(end)
        return json.dumps(page)

    def update_secret_version_stage(
        self,
        secret_id: str,
        version_stage: str,
        remove_from_version_id: str | None,
        move_to_version_id: str | None,
    ) -> tuple[str, str]:
        """API_UpdateSecretVersionStage: see `versions.FaithfulSecret.move_label`."""
        secret = self._writable(secret_id)
        secret.move_label(version_stage, remove_from_version_id, move_to_version_id)
        secret.last_changed_date = self._now()
        return secret.arn, secret.name

    def _put_current(self, secret: Any, version_id: str, value: Any, stages: list[str]) -> None:
        before = secret.default_version_id
        secret.put(version_id, value, stages, self._now())
        if secret.default_version_id != before:
            # RotationRulesType: a value put by hand counts as a rotation for the schedule.
            self._reschedule(secret)

    def _reschedule(self, secret: Any) -> None:
        if secret.schedule is not None:
            secret.next_rotation_date = secret.schedule.next_date(self._clock()).timestamp()

    def _existing(self, secret_id: str) -> Any:
        secret = self.secrets.get(secret_id)
        if secret is None:
            raise SecretNotFoundException
        return secret

    def _writable(self, secret_id: str) -> Any:
        secret = self._existing(secret_id)
        if isinstance(secret, ReplicaSecret):
            raise OperationNotPermittedOnReplica
        self._refuse_deleted(secret)
        return secret

    def _refuse_deleted(self, secret: Any) -> None:
        if secret.is_deleted():
            raise InvalidRequestException(f"The secret {secret.name} is scheduled for deletion.")

    def _now(self) -> float:
        return self._clock().timestamp()


def _labelled(secret: Any, stage: str) -> dict[str, Any] | None:
    return next((v for v in secret.versions.values() if stage in v["version_stages"]), None)
