"""Moves a key into a secret: reads the secret and the key, plans, proves, and only then writes."""

from __future__ import annotations

import json
import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import boto3
import click

from rotation.aws.client_config import SECRET_WRITES
from rotation.cli.migrate.plan import (
    ExistingSecret,
    MigrationAction,
    MigrationPlan,
    plan_migration,
)
from rotation.cli.shared.account import refuse_unknown_region
from rotation.cli.shared.errors import deletion_text, readable_errors
from rotation.cli.shared.output import plain_console
from rotation.cli.shared.typed_key import prove, read_key
from rotation.cli.shared.waiting import WaitLog, told_when_interrupted
from rotation.credential import ApiKey, Confidential, SecretDocument
from rotation.errors import SecretStoreError, VersionStateError
from rotation.secrets_manager.calls import call_secrets_manager
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.versions import SecretVersions

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

_GOES_ON: Final = (
    "The key may be stored or not. Run the command again: it finds out, and stores no key twice."
)
#: The staging label of the new value until it becomes current.
MIGRATING: Final = "rotation-migrating"


@dataclass(frozen=True)
class MigrationRequest:
    """What the command line asks for.

    Attributes:
        secret: the secret's name or ARN.
        expires: when the key expires, aware UTC, if it was given.
        unproven: whether the key is stored without a test seal.
        kms_key: the customer managed key for a secret that is created, or None.
        function: the sealing function that the application asks, or None.
    """

    secret: str
    expires: datetime | None
    unproven: bool
    kms_key: str | None
    function: str | None


def migrate_key(request: MigrationRequest, *, apply_it: bool, as_json: bool) -> None:
    """Read the key, and move it into the secret or show how it would be moved."""
    with readable_errors():
        writer = SecretWriter(request)
        # The secret is read first: without the right to read it, nobody should type a key.
        existing = writer.read()
        key = read_key(request.expires)
        plan = plan_migration(request.secret, existing, key)
        with _waiting("the vendor, which is asked for a test seal by the key"):
            proof = _prove(request, plan, key)
        if not as_json:
            click.echo(f"{plan.description} ({proof})" if proof else plan.description)
        if apply_it and plan.document is not None:
            with _waiting("Secrets Manager, which stores the key"), told_when_interrupted(_GOES_ON):
                existing = writer.write(plan.action, existing, plan.document)
    done = apply_it or plan.action is MigrationAction.NOTHING
    steps = _next_steps(request, existing, key) if done and existing is not None else []
    if as_json:
        report = {
            "secret": request.secret,
            "arn": existing.arn if existing else None,
            "keyId": key.id,
            "action": plan.action.value,
            "done": done,
            "proof": proof,
        }
        click.echo(json.dumps(report | ({"next": steps} if done else {})))
    elif not done:
        click.echo("Nothing was changed. Add --apply to do it.")
    else:
        if plan.document is not None and existing is not None:
            click.echo(f"Done: {existing.arn}")
        click.echo("\nWhat comes next:\n")
        for number, step in enumerate(steps, 1):
            click.echo(f"{number}. {step}")


class SecretWriter:
    """Reads and writes the secret."""

    def __init__(self, request: MigrationRequest) -> None:
        self._request = request
        self._client: SecretsManagerClient = boto3.client("secretsmanager", config=SECRET_WRITES)
        refuse_unknown_region(self._client.meta.region_name)

    def read(self) -> ExistingSecret | None:
        """The secret, or None if there is none.

        Raises:
            VersionStateError: it is scheduled for deletion, or there is none and an ARN was given.
            SecretStoreError: AWS refused or failed.
        """
        name = self._request.secret
        described = self._found(
            "DescribeSecret", lambda: self._client.describe_secret(SecretId=name)
        )
        if described is None and name.startswith("arn:"):
            raise VersionStateError(
                f"There is no such secret, and one cannot be created by its ARN: {name}. Check the "
                "ARN and the region, or give a name instead."
            )
        if described is None:
            return None
        if described.get("DeletedDate") is not None:
            raise VersionStateError(deletion_text(name))
        arn = described["ARN"]
        found = self._found("GetSecretValue", lambda: self._current(arn))
        version, value = found or (None, None)
        return ExistingSecret(
            arn=arn,
            version=version,
            value=value,
            rotation_enabled=described.get("RotationEnabled", False),
        )

    def write(
        self, action: MigrationAction, existing: ExistingSecret | None, document: SecretDocument
    ) -> ExistingSecret:
        """Create the secret, or store the document in it; returns the secret.

        It is not read again: Secrets Manager is eventually consistent, and may not yet find a
        secret that it has just created.

        Raises:
            VersionStateError: somebody else wrote meanwhile; their value stays.
            SecretStoreError: AWS refused or failed.
        """
        if action is MigrationAction.CREATE or existing is None:
            return self._create(document)
        self._store(existing, document)
        return existing

    def _create(self, document: SecretDocument) -> ExistingSecret:
        encrypted: Any = {"KmsKeyId": self._request.kms_key} if self._request.kms_key else {}
        try:
            made = call_secrets_manager(
                "CreateSecret",
                self._request.secret,
                lambda: self._client.create_secret(
                    Name=self._request.secret,
                    Description="A Trusted Signatures API key",
                    SecretString=document.serialize().reveal(),
                    **encrypted,
                ),
            )
        except SecretStoreError as error:
            if error.aws_code == "ResourceExistsException":
                raise _changed(self._request.secret) from None
            raise
        return ExistingSecret(
            arn=made["ARN"], version=made["VersionId"], value=None, rotation_enabled=False
        )

    def _store(self, existing: ExistingSecret, document: SecretDocument) -> None:
        """Store the value under a label of its own, then move AWSCURRENT to it.

        API_PutSecretValue has no condition, but API_UpdateSecretVersionStage is a compare-and-swap:
        a value that somebody else stored meanwhile stays current. The first value of a secret
        becomes current by itself.
        """
        token = str(uuid.uuid4())
        answer = call_secrets_manager(
            "PutSecretValue",
            existing.arn,
            lambda: self._client.put_secret_value(
                SecretId=existing.arn,
                ClientRequestToken=token,
                SecretString=document.serialize().reveal(),
                VersionStages=[MIGRATING],
            ),
        )
        versions = SecretVersions(self._client, existing.arn)
        try:
            if AWSCURRENT not in answer.get("VersionStages", ()):
                versions.promote(token, existing.version)
        except SecretStoreError as error:
            if error.aws_code != "InvalidParameterException":
                raise
            # AWS refuses the move if somebody else moved the label, but also if botocore repeated
            # our own move because its answer was lost. The version that bears the label tells.
            if versions.snapshot().version_with(AWSCURRENT) != token:
                raise _changed(existing.arn) from None
        finally:
            versions.remove_label(MIGRATING, token)

    def _current(self, arn: str) -> tuple[str, Confidential]:
        answer = self._client.get_secret_value(SecretId=arn, VersionStage=AWSCURRENT)
        return answer["VersionId"], Confidential(answer.get("SecretString", ""))

    def _found(self, operation: str, call: Any) -> Any:
        """What a call returns; None if AWS answers that there is no such secret or value."""
        try:
            return call_secrets_manager(operation, self._request.secret, call)
        except SecretStoreError as error:
            if error.aws_code == "ResourceNotFoundException":
                return None
            raise


def _waiting(awaited: str) -> AbstractContextManager[None]:
    """On a terminal, show what is waited for; nothing else may be printed meanwhile."""
    return WaitLog(plain_console(stderr=True)).waiting(awaited)


def _prove(request: MigrationRequest, plan: MigrationPlan, key: ApiKey) -> str | None:
    """The result of the test seal, in words; None if nothing is going to be stored."""
    if plan.document is None:
        return None
    if request.unproven:
        return "not proven"
    return prove(key, request.secret, otherwise="The key was not stored.")


def _changed(name: str) -> VersionStateError:
    return VersionStateError(
        f"Somebody else changed {name} just now; their value was not overwritten. Run this again."
    )


def _next_steps(request: MigrationRequest, existing: ExistingSecret, key: ApiKey) -> list[str]:
    function = f" --sealing-function {request.function}" if request.function else ""
    turn_on = (
        "Rotation is turned on already."
        if existing.rotation_enabled
        else "Turn rotation on, with the rotation function of your stack: aws secretsmanager "
        f"rotate-secret --secret-id {request.secret} --rotation-lambda-arn ROTATION_FUNCTION_ARN "
        "--rotation-rules AutomaticallyAfterDays=30 --no-rotate-immediately"
    )
    return [
        (
            "Give the application's role the rights that docs/migrating.md shows, change its code "
            "as the page shows, and deploy it."
        ),
        f"Where the application runs: rotation doctor {request.secret}{function}",
        turn_on,
        (
            "Wait until no process has used the fallback since its last start; each use logs a "
            "warning and counts the hook `fallback`. Then remove the fallback and the key from the "
            "code."
        ),
        (
            f"Only then replace the key that was in the code, {key.id}: rotation rotate "
            f"{request.secret}. The old key is retired after the grace period."
        ),
    ]
