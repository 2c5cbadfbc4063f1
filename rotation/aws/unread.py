"""The error of a question about the account that AWS did not answer."""

from __future__ import annotations

from rotation.aws.errors import AwsCallError, error_code, is_retryable
from rotation.errors import AccountReadError


def account_unread(action: str, error: AwsCallError, more: str = "") -> AccountReadError:
    """What AWS said, and what to do: to wait where that may help, else to allow the action.

    Args:
        action: the IAM action, and what it was asked about.
        error: what the call raised. It holds no value of a secret.
        more: what else may be missing.
    """
    retryable = is_retryable(error)
    advice = "Try again later." if retryable else f"Allow it to this caller's role{more}."
    code = error_code(error)
    return AccountReadError(
        f"{action} failed: {code}. {advice}", aws_code=code, retryable=retryable
    )
