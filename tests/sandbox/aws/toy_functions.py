"""Lambda handlers for the tests, run in processes of their own."""

import os
import secrets
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

_kept: list[Any] = []


def rotation(event: dict[str, Any], context: Any) -> None:
    """Rotate a random string: the four steps as AWS's template has them.

    Waits in createSecret until ``TOY_GATE``, a FIFO, is opened for writing, where it is set.
    """
    client = boto3.client("secretsmanager")
    secret, token = event["SecretId"], event["ClientRequestToken"]
    staged = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
    if "AWSCURRENT" in staged[token]:
        return
    sys.stdout.write(f"{event['Step']} of {token} by {context.aws_request_id}\n")
    if event["Step"] == "createSecret":
        if gate := os.environ.get("TOY_GATE"):
            Path(gate).read_bytes()
        try:
            client.get_secret_value(SecretId=secret, VersionId=token, VersionStage="AWSPENDING")
        except client.exceptions.ResourceNotFoundException:
            client.put_secret_value(
                SecretId=secret,
                ClientRequestToken=token,
                SecretString=secrets.token_hex(16),
                VersionStages=["AWSPENDING"],
                RotationToken=event["RotationToken"],
            )
    if event["Step"] == "finishSecret":
        current = next(v for v, stages in staged.items() if "AWSCURRENT" in stages)
        client.update_secret_version_stage(
            SecretId=secret,
            VersionStage="AWSCURRENT",
            MoveToVersionId=token,
            RemoveFromVersionId=current,
        )


def introspect(event: Any, context: Any) -> dict[str, Any]:
    """What the function sees: its event, context, environment and process."""
    return {
        "event": event,
        "pid": os.getpid(),
        "environment": dict(os.environ),
        "request": context.aws_request_id,
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "log_group": context.log_group_name,
        "log_stream": context.log_stream_name,
        "remaining": context.get_remaining_time_in_millis(),
    }


def fail(event: Any, context: Any) -> None:
    """Print, and raise with a local variable that no log may show."""
    hidden = "local " + "variable"
    sys.stdout.write("to stdout\n")
    sys.stderr.write("to stderr\n")
    raise LookupError(f"no {event['what']}, {len(hidden)}")


def fail_if_asked(event: dict[str, Any], context: Any) -> str:
    """Leave with status 3, answer what is no JSON, wait for ever, or answer."""
    if event["how"] == "exit":
        sys.exit(3)
    if event["how"] == "unserializable":
        return object()  # type: ignore[return-value]
    if event["how"] == "hang":
        Path(event["gate"]).read_bytes()
    return "fine"


def listen(event: Any, context: Any) -> int:
    """Listen on a port for as long as the process lives, and answer with it."""
    listener = socket.create_server(("127.0.0.1", 0))
    _kept.append(listener)
    return int(listener.getsockname()[1])


def meet(event: dict[str, str], context: Any) -> int:
    """Wait at a FIFO, and answer with the process id."""
    Path(event["gate"]).read_bytes()
    return os.getpid()


def read_clocks(event: Any, context: Any) -> dict[str, float]:
    """What the function takes for the time, in POSIX seconds, and the milliseconds it has left."""
    return {
        "date": datetime.now(UTC).timestamp(),
        "time": time.time(),
        "remaining": context.get_remaining_time_in_millis(),
    }
