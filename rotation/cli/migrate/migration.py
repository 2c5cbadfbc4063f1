"""The work of ``rotation migrate``: look, read the key, plan, prove, and only then write."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import boto3
import click
from botocore.config import Config

from rotation.cli.migrate.code import code_diff
from rotation.cli.migrate.plan import Act, Held, Plan, plan
from rotation.cli.migrate.policy import least_policy
from rotation.cli.shared.typed_key import failing_in_words, prove, read_key
from rotation.credential import ApiKey, Confidential, SecretDocument
from rotation.errors import SecretStoreError, VersionStateError
from rotation.secrets_manager.calls import store_call
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.versions import SecretVersions

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

#: Staging label of a value until it becomes current, for as long as that takes.
MIGRATING: Final = "rotation-migrating"


@dataclass(frozen=True)
class Wish:
    """What the command line asks for.

    Attributes:
        secret: the secret's name or ARN.
        expires: when the key expires, aware UTC, where it was said.
        unproven: whether the key is stored without a test seal.
        kms_key: the customer managed key for a secret that is created, or None.
        function: the sealing function that the application asks, or None.
    """

    secret: str
    expires: datetime | None
    unproven: bool
    kms_key: str | None
    function: str | None


def show_migration(wish: Wish, *, apply_it: bool, as_json: bool) -> None:
    """Do what the command's help says."""
    with failing_in_words():
        store = Store(wish)
        # Before anybody types a key: may we look at the secret?
        held = store.look()
        key = read_key(wish.expires)
        planned = plan(wish.secret, held, key)
        proven = _proven(wish, planned, key)
        if not as_json:
            click.echo(f"{planned.says} ({proven})" if proven else planned.says)
        if apply_it and planned.document is not None:
            held = store.carry_out(planned.act, held, planned.document)
    done = apply_it or planned.act is Act.NOTHING
    guide = _guide(wish, held, key) if done and held is not None else {}
    if as_json:
        told = {
            "secret": wish.secret,
            "arn": held.arn if held else None,
            "keyId": key.id,
            "action": planned.act.value,
            "done": done,
            "proof": proven,
        }
        click.echo(json.dumps({**told, **guide}))
    elif not done:
        click.echo("Nothing was changed. Add --apply to do it.")
    else:
        if planned.document is not None and held is not None:
            click.echo(f"Done: {held.arn}")
        _tell(guide)


class Store:
    """The secret that is looked at and written."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        patience = Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 4},
        )
        self._client: SecretsManagerClient = boto3.client("secretsmanager", config=patience)

    def look(self) -> Held | None:
        """What the secret holds, or None if there is none.

        Raises:
            VersionStateError: it is scheduled for deletion, or an ARN that names nothing.
            SecretStoreError: AWS refused or failed.
        """
        name = self._wish.secret
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
            raise VersionStateError(
                f"{name} is scheduled for deletion. To keep it: aws secretsmanager restore-secret "
                f"--secret-id {name}"
            )
        version, value = self._found("GetSecretValue", self._current) or (None, None)
        return Held(
            name=described["Name"],
            arn=described["ARN"],
            version=version,
            value=value,
            kms_key=described.get("KmsKeyId"),
            rotates=described.get("RotationEnabled", False),
        )

    def carry_out(self, act: Act, held: Held | None, document: SecretDocument) -> Held:
        """Create the secret or store the document; the secret that then holds it.

        It is not looked at again: Secrets Manager is eventually consistent, and may not yet find a
        secret that it has just created.

        Raises:
            VersionStateError: somebody else wrote meanwhile; that is what counts.
            SecretStoreError: AWS refused or failed.
        """
        if act is Act.CREATE or held is None:
            return self._create(document)
        self._store(held, document)
        return held

    def _create(self, document: SecretDocument) -> Held:
        encrypted: Any = {"KmsKeyId": self._wish.kms_key} if self._wish.kms_key else {}
        try:
            made = store_call(
                "CreateSecret",
                self._wish.secret,
                lambda: self._client.create_secret(
                    Name=self._wish.secret,
                    Description="A Trusted Signatures API key",
                    SecretString=document.serialize().reveal(),
                    **encrypted,
                ),
            )
        except SecretStoreError as error:
            if error.aws_code == "ResourceExistsException":
                raise _changed(self._wish.secret) from None
            raise
        return Held(
            name=made["Name"],
            arn=made["ARN"],
            version=made["VersionId"],
            value=None,
            kms_key=self._wish.kms_key,
            rotates=False,
        )

    def _store(self, held: Held, document: SecretDocument) -> None:
        """Store the value under a label of its own, and then move AWSCURRENT, if it may.

        API_PutSecretValue has no condition; API_UpdateSecretVersionStage is a compare-and-swap. So
        a value that somebody else stored meanwhile stays current. The first value of a secret
        becomes current by itself.
        """
        token = str(uuid.uuid4())
        answer = store_call(
            "PutSecretValue",
            held.arn,
            lambda: self._client.put_secret_value(
                SecretId=held.arn,
                ClientRequestToken=token,
                SecretString=document.serialize().reveal(),
                VersionStages=[MIGRATING],
            ),
        )
        versions = SecretVersions(self._client, held.arn)
        try:
            if AWSCURRENT not in answer.get("VersionStages", ()):
                versions.promote(token, held.version)
        except SecretStoreError as error:
            if error.aws_code != "InvalidParameterException":
                raise
            # A move whose answer was lost and that botocore repeated is refused like somebody
            # else's; who bears the label tells them apart.
            if versions.snapshot().version_with(AWSCURRENT) != token:
                raise _changed(held.arn) from None
        finally:
            versions.detach(MIGRATING, token)

    def _current(self) -> tuple[str, Confidential]:
        answer = self._client.get_secret_value(SecretId=self._wish.secret, VersionStage=AWSCURRENT)
        return answer["VersionId"], Confidential(answer.get("SecretString", ""))

    def _found(self, operation: str, call: Any) -> Any:
        """What a call brings; None if there is no such thing."""
        try:
            return store_call(operation, self._wish.secret, call)
        except SecretStoreError as error:
            if error.aws_code == "ResourceNotFoundException":
                return None
            raise


def _proven(wish: Wish, planned: Plan, key: ApiKey) -> str | None:
    """What the test seal showed; None where nothing is going to be stored."""
    if planned.document is None:
        return None
    if wish.unproven:
        return "not proven"
    return prove(key, wish.secret, otherwise="The key was not stored.")


def _changed(name: str) -> VersionStateError:
    return VersionStateError(
        f"{name} was changed by somebody else just now; that was not overwritten. Run this again."
    )


def _guide(wish: Wish, held: Held, key: ApiKey) -> dict[str, Any]:
    """What the application needs, and what comes next."""
    return {
        "policy": least_policy(held.arn, held.kms_key, wish.function),
        "diff": code_diff(key.id, wish.secret, wish.function),
        "next": _steps(wish, held, key),
    }


def _steps(wish: Wish, held: Held, key: ApiKey) -> list[str]:
    function = f" --sealing-function {wish.function}" if wish.function else ""
    turn_on = (
        "Rotation is turned on already."
        if held.rotates
        else "Turn rotation on, with the rotation function of your stack: aws secretsmanager "
        f"rotate-secret --secret-id {wish.secret} --rotation-lambda-arn ROTATION_FUNCTION_ARN "
        "--rotation-rules AutomaticallyAfterDays=30 --no-rotate-immediately"
    )
    return [
        "Attach the policy to the application's role, change its code, and deploy it.",
        f"Where the application runs: rotation doctor {wish.secret}{function}",
        turn_on,
        (
            "When no process has used the fallback since its last start (it logs a warning and "
            "counts the hook `fallback` each time), remove the fallback and the key from the code."
        ),
        (
            f"Only then replace the key that was in the code, {key.id}: rotation rotate "
            f"{wish.secret}. It is retired after the grace."
        ),
    ]


def _tell(guide: dict[str, Any]) -> None:
    click.echo("\nThe policy for the application's role:\n")
    click.echo(json.dumps(guide["policy"], indent=2))
    click.echo("\nThe change to the application's code:\n")
    click.echo(guide["diff"].rstrip())
    click.echo("\nWhat comes next:\n")
    for number, step in enumerate(guide["next"], 1):
        click.echo(f"{number}. {step}")
