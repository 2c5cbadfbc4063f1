"""Turns errors into messages for a person at a terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click
from botocore.exceptions import BotoCoreError

from rotation.errors import RotationError
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import logger
from rotation.privacy.printable import printable


@contextmanager
def readable_errors() -> Iterator[None]:
    """End the command with a message and exit code 1 if one of our errors is raised.

    Meanwhile the log is silent: it would stand between the command's own lines.
    """
    protect_process()
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except RotationError as error:
        raise click.ClickException(error_text(error)) from None
    except BotoCoreError as error:
        raise click.ClickException(
            f"AWS cannot be asked ({type(error).__name__}). Set AWS_DEFAULT_REGION and your "
            "credentials, as for the aws command line."
        ) from None
    finally:
        logger.setLevel(level)


def error_text(error: RotationError) -> str:
    """The message of an error, and its code, which docs/errors.md explains."""
    return f"{printable(str(error))} [{error.code}]"


def deletion_text(secret: str) -> str:
    """What to do about a secret that is scheduled for deletion."""
    return (
        f"{secret} is scheduled for deletion. To keep it: aws secretsmanager restore-secret "
        f"--secret-id {secret}"
    )


def replica_text(secret: str, primary_region: str) -> str:
    """What to do about a replica, whose versions, labels and tags cannot be changed.

    Args:
        secret: the replica's ARN.
        primary_region: the region of the secret that it replicates.
    """
    name = secret.rpartition(":secret:")[2][:-7]
    return (
        f"{secret} is a replica, which cannot be changed; its primary secret is in "
        f"{primary_region}. Run the same command there: AWS_DEFAULT_REGION={primary_region}, and "
        f"{name} as the secret. If that region is lost: docs/runbooks/promoted-replica.md"
    )


def no_function_text(secret: str) -> str:
    """What to do about a secret that no function rotates.

    Args:
        secret: its ARN.
    """
    region = secret.split(":")[3]
    return (
        f"{secret} has no rotation function. Name the stack's (output RotationFunctionArn); that "
        "rotates it too: aws secretsmanager rotate-secret "
        f"--secret-id {secret} --region {region} --rotation-lambda-arn ROTATION_FUNCTION_ARN "
        "--rotation-rules AutomaticallyAfterDays=30"
    )
