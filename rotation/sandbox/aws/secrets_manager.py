"""Secrets Manager's rotation operations, and the wire side of all its operations.

moto promotes by itself, calls the function synchronously and ignores its answer, and inverts the
guard against a second rotation; `rotations` runs the steps as AWS does. Errors carry HTTP 400, as
every client error of this API does (API_RotateSecret, Errors), where moto answers 404.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from moto.awslambda.utils import get_backend as lambda_backend
from moto.core.exceptions import JsonRESTError
from moto.secretsmanager.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    ResourceNotFoundException,
    ValidationException,
)
from moto.secretsmanager.models import SecretsStore
from moto.secretsmanager.responses import SecretsManagerResponse

from rotation.sandbox.aws.rotations import Rotations
from rotation.sandbox.aws.schedule import ScheduleError, parse_rules
from rotation.sandbox.aws.secret_store import SecretStore
from rotation.sandbox.aws.versions import AWSCURRENT, AWSPENDING

_rotation_token = re.compile(r"[A-Za-z0-9-]{36,256}")


class FaithfulSecretsManager(SecretStore):
    """The secrets of one account in one region, and their rotation."""

    # moto finds a backend's URLs by the name of the module that its class claims to be from.
    __module__ = "moto.secretsmanager.models"

    def __init__(
        self,
        region_name: str,
        account_id: str,
        *,
        rotations: Rotations,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(region_name, account_id, clock=clock)
        self.rotations = rotations

    def reset(self) -> None:
        """Forget every secret. Does NOT end their rotations: that is `Cloud.reset`'s."""
        self.secrets = SecretsStore()

    def rotate_secret(
        self,
        secret_id: str,
        client_request_token: str | None = None,
        rotation_lambda_arn: str | None = None,
        rotation_rules: dict[str, Any] | None = None,
        rotate_immediately: bool = True,
    ) -> str:
        """API_RotateSecret: check, configure, stage an empty AWSPENDING version, and start.

        The answer proves nothing but that. The same token again, while that rotation runs or ran,
        is a no-op: it is what the caller's own retries send.
        """
        secret = self._writable(secret_id)
        token = self._from_client_request_token(client_request_token)
        if self.rotations.known(secret.arn, token):
            return str(secret.to_short_dict(version_id=token))
        function = rotation_lambda_arn or secret.rotation_lambda_arn
        if not function:
            raise InvalidRequestException(
                f"No Lambda rotation function ARN is associated with {secret.name}."
            )
        try:
            schedule = parse_rules(rotation_rules) if rotation_rules else secret.schedule
            next_date = schedule.next_date(self._clock()).timestamp() if schedule else None
        except ScheduleError as error:
            raise InvalidParameterException(str(error)) from error
        self._refuse_missing_function(function)
        pending = secret.labelled(AWSPENDING)
        if pending is not None and AWSCURRENT not in pending["version_stages"]:
            raise InvalidRequestException(
                "A previous rotation isn't complete: AWSPENDING is attached to version "
                f"{pending['version_id']}, AWSCURRENT is not."
            )
        if token in secret.versions:
            raise InvalidRequestException(f"Version {token} already exists.")

        secret.stage_empty(token, self._now())
        secret.rotation_requested = secret.rotation_enabled = True
        secret.rotation_lambda_arn = function
        secret.schedule = schedule
        secret.next_rotation_date = next_date
        settle = (
            partial(self._judge_rotation, secret.arn)
            if rotate_immediately
            else partial(self._remove_test_version, secret.arn, token)
        )
        self.rotations.begin(
            secret.arn,
            token,
            function,
            settle,
            test_alone=not rotate_immediately,
        )
        return str(secret.to_short_dict(version_id=token))

    def cancel_rotate_secret(self, secret_id: str) -> str:
        """API_CancelRotateSecret: rotation off, a running one ended; AWSPENDING stays behind."""
        secret = self._writable(secret_id)
        if not secret.rotation_requested:
            raise InvalidRequestException(f"Rotation was never configured for {secret.name}.")
        secret.rotation_enabled = False
        self.rotations.cancel(secret.arn)
        pending = secret.labelled(AWSPENDING)
        version_id = None if pending is None else pending["version_id"]
        return str(
            secret.to_short_dict(version_id=version_id, include_version_id=pending is not None)
        )

    def _judge_rotation(self, secret_arn: str, error: str | None) -> str | None:
        """Success only if AWSPENDING is gone or where AWSCURRENT is (API_RotateSecret).

        On success AWSPENDING is removed; after a failure it stays and blocks the next rotation.
        """
        secret = self.secrets.get(secret_arn)
        if error is not None or secret is None:
            return error or "the secret is gone"
        pending = secret.labelled(AWSPENDING)
        if pending is not None:
            if AWSCURRENT not in pending["version_stages"]:
                return f"AWSPENDING is still on version {pending['version_id']}"
            pending["version_stages"].remove(AWSPENDING)
        secret.last_rotation_date = self._now()
        self._reschedule(secret)
        return None

    def _remove_test_version(self, secret_arn: str, token: str, error: str | None) -> str | None:
        """API_RotateSecret, RotateImmediately: the test's AWSPENDING version is removed again.

        What a failed test does besides is not documented; here the configuration stays.
        """
        secret = self.secrets.get(secret_arn)
        if secret is not None:
            secret.drop_version(token)
        return error

    def _refuse_missing_function(self, arn: str) -> None:
        try:
            lambda_backend(self.account_id, self.region_name).get_function(arn)
        except JsonRESTError as error:
            raise ResourceNotFoundException(f"Lambda function {arn} does not exist.") from error


class FaithfulResponse(SecretsManagerResponse):  # type: ignore[misc]
    """The wire side: one operation at a time, and the parameters that moto does not read."""

    def call_action(self) -> Any:
        """Run the operation under the lock; every client error is HTTP 400."""
        with self.backend.rotations.lock:
            status, headers, body = super().call_action()
        if status == 404:
            status, headers["status"] = 400, "400"
        return status, headers, body

    def put_secret_value(self) -> str:
        """API_PutSecretValue: a RotationToken, where one is given, has the form of one.

        Whether it is this rotation's is not checked: AWS publishes no error for that.
        """
        token = self._get_param("RotationToken")
        if token is not None and not _rotation_token.fullmatch(token):
            raise ValidationException("RotationToken must be 36 to 256 letters, digits or hyphens.")
        return str(super().put_secret_value())

    def list_secret_version_ids(self) -> str:
        """API_ListSecretVersionIds with all its parameters."""
        return str(
            self.backend.list_secret_version_ids(
                secret_id=self._get_param("SecretId"),
                include_deprecated=self._get_bool_param("IncludeDeprecated", False),
                max_results=self._get_int_param("MaxResults"),
                next_token=self._get_param("NextToken"),
            )
        )
