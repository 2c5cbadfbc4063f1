"""The handlers of a stack in another Region: the sandbox's context always names the first one."""

from __future__ import annotations

import os
from typing import Any

from rotation.handlers import reconcile as reconcile_handlers
from rotation.handlers import rotate as rotate_handlers
from rotation.sandbox.aws import REGION
from rotation.sandbox.aws.runtime import LambdaContext


class _Context(LambdaContext):
    @property
    def invoked_function_arn(self) -> str:
        return super().invoked_function_arn.replace(REGION, os.environ["AWS_REGION"])


def rotate(event: Any, context: LambdaContext) -> Any:
    """The rotation function."""
    return rotate_handlers.handler(event, _Context(**vars(context)))


def reconcile(event: Any, context: LambdaContext) -> Any:
    """The reconcile function."""
    return reconcile_handlers.handler(event, _Context(**vars(context)))
