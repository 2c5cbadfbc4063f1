"""Secrets Manager and S3 without sockets: the sandbox's own core, called directly.

The emulator's rules are used as they are; only the wire between it and the clients is left out.
``test_contract.py`` holds this against boto3.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import md5
from threading import RLock
from typing import Any

from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError

from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.secrets_manager import FaithfulSecretsManager
from tests.harness.faults.boundary import Boundary, labels_told
from tests.harness.faults.gates import again, raise_lost, raise_timed_out, subject_of

_TIMES = {
    *("CreatedDate", "LastChangedDate", "DeletedDate", "DeletionDate", "NextRotationDate"),
    *("LastRotatedDate", "LastAccessedDate"),
}


class DirectSecrets(FaithfulSecretsManager):
    """The sandbox's Secrets Manager, outside of moto's server."""

    # moto finds a backend's URLs by the name of the module that its class claims to be from.
    __module__ = "moto.secretsmanager.models"

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.begun = RotationsBegun()
        super().__init__(REGION, ACCOUNT, rotations=self.begun, clock=clock)  # type: ignore[arg-type]

    def _refuse_missing_function(self, arn: str) -> None:
        """Every function exists here."""


class RotationsBegun:
    """Remembers which rotations were begun; the harness runs them.

    Attributes:
        tokens: the ARN and the token of each.
        on_begin: told of each rotation when it begins.
        on_cancel: told of each secret whose rotation is turned off.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.tokens: set[tuple[str, str]] = set()
        self.on_begin: Callable[[str, str], None] = lambda arn, token: None
        self.on_cancel: Callable[[str], None] = lambda arn: None

    def known(self, arn: str, token: str) -> bool:
        return (arn, token) in self.tokens

    def begin(self, arn: str, token: str, *_: Any, **__: Any) -> None:
        self.tokens.add((arn, token))
        self.on_begin(arn, token)

    def cancel(self, arn: str) -> None:
        self.on_cancel(arn)


class DirectClient:
    """What of boto3's Secrets Manager client the product uses, over a backend in this process."""

    def __init__(self, backend: FaithfulSecretsManager, boundary: Boundary | None = None) -> None:
        self._backend = backend
        self._boundary = boundary

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = "".join(word.title() for word in name.split("_"))
        perform = getattr(type(self), f"_{name}", None)
        if perform is None:
            raise AttributeError(name)
        return lambda **members: self._call(operation, members, perform)

    def _call(self, operation: str, members: dict[str, Any], perform: Any) -> Any:
        def act() -> Any:
            try:
                with self._backend.rotations.lock:
                    return _read(perform(self._backend, members))
            except JsonRESTError as error:
                problem = {"Error": {"Code": error.error_type, "Message": error.message}}
                raise ClientError(problem, operation) from error  # type: ignore[arg-type]

        if self._boundary is None:
            return act()
        intercepted = self._boundary.open(operation, subject_of(operation, members), members)
        return again(intercepted, lambda: intercepted.attempt(act, _DirectWire(operation)))

    @staticmethod
    def _describe_secret(backend: Any, given: Mapping[str, Any]) -> Any:
        return _without(
            backend.describe_secret(given["SecretId"]).to_dict(), "SecretVersionsToStages"
        )

    @staticmethod
    def _create_secret(backend: Any, given: Mapping[str, Any]) -> Any:
        none: Any = dict.fromkeys(
            ("secret_binary", "description", "tags", "kms_key_id", "client_request_token")
        )
        return backend.create_secret(
            name=given["Name"],
            secret_string=given.get("SecretString"),
            replica_regions=[],
            force_overwrite=False,
            **none,
        )

    @staticmethod
    def _get_secret_value(backend: Any, given: Mapping[str, Any]) -> Any:
        return backend.get_secret_value(
            given["SecretId"], given.get("VersionId"), given.get("VersionStage")
        )

    @staticmethod
    def _put_secret_value(backend: Any, given: Mapping[str, Any]) -> Any:
        return backend.put_secret_value(
            given["SecretId"],
            given.get("SecretString"),
            None,
            given.get("ClientRequestToken"),
            given.get("VersionStages", ["AWSCURRENT"]),
        )

    @staticmethod
    def _update_secret_version_stage(backend: Any, given: Mapping[str, Any]) -> Any:
        arn, name = backend.update_secret_version_stage(
            given["SecretId"],
            given["VersionStage"],
            given.get("RemoveFromVersionId"),
            given.get("MoveToVersionId"),
        )
        return {"ARN": arn, "Name": name}

    @staticmethod
    def _list_secret_version_ids(backend: Any, given: Mapping[str, Any]) -> Any:
        return backend.list_secret_version_ids(
            given["SecretId"],
            include_deprecated=given.get("IncludeDeprecated", False),
            max_results=given.get("MaxResults"),
            next_token=given.get("NextToken"),
        )

    @staticmethod
    def _list_secrets(backend: Any, given: Mapping[str, Any]) -> Any:
        listed, token = backend.list_secrets(
            [], given.get("MaxResults", 100), given.get("NextToken")
        )
        listed = [_without(one, "VersionIdsToStages") for one in listed]
        return {"SecretList": listed} | ({"NextToken": token} if token else {})

    @staticmethod
    def _tag_resource(backend: Any, given: Mapping[str, Any]) -> Any:
        backend.tag_resource(given["SecretId"], {t["Key"]: t["Value"] for t in given["Tags"]})
        return {}

    @staticmethod
    def _untag_resource(backend: Any, given: Mapping[str, Any]) -> Any:
        backend.untag_resource(given["SecretId"], given["TagKeys"])
        return {}

    @staticmethod
    def _rotate_secret(backend: Any, given: Mapping[str, Any]) -> Any:
        return backend.rotate_secret(
            given["SecretId"],
            given.get("ClientRequestToken"),
            given.get("RotationLambdaARN"),
            given.get("RotationRules"),
        )

    @staticmethod
    def _cancel_rotate_secret(backend: Any, given: Mapping[str, Any]) -> Any:
        return backend.cancel_rotate_secret(given["SecretId"])

    @staticmethod
    def _delete_secret(backend: Any, given: Mapping[str, Any]) -> Any:
        arn, name, at = backend.delete_secret(given["SecretId"], 30, False)
        return {"ARN": arn, "Name": name, "DeletionDate": at}

    @staticmethod
    def _restore_secret(backend: Any, given: Mapping[str, Any]) -> Any:
        arn, name = backend.restore_secret(given["SecretId"])
        return {"ARN": arn, "Name": name}


class _DirectWire:
    def __init__(self, operation: str) -> None:
        self._operation = operation

    lost = staticmethod(raise_lost)
    timed_out = staticmethod(raise_timed_out)

    def throttled(self) -> Any:
        code = "SlowDown" if self._operation.endswith(" object") else "ThrottlingException"
        raise ClientError({"Error": {"Code": code, "Message": ""}}, self._operation)

    def rejected(self) -> Any:
        raise NotImplementedError("only the vendor answers 401")

    def outcome(self, answer: Any) -> str:
        return "ok"

    def labels(self, answer: Any) -> Any:
        return labels_told(answer)


def _without(described: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The emulator says the same under two names; boto3 keeps the one that its model has."""
    return {other: value for other, value in described.items() if other != name}


def _read(answer: Any) -> Any:
    """A copy with what boto3 makes of it: times are aware, and no live object is handed out."""
    return _copied(json.loads(answer) if isinstance(answer, str) else answer)


def _copied(value: Any, name: str = "") -> Any:
    """A copy of what JSON can hold, with times as boto3 gives them.

    Raises:
        TypeError: JSON cannot hold it, so the emulator could not have sent it.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {one: _copied(held, one) for one, held in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(one) for one in value]
    if isinstance(value, bool | int | float):
        times = name in _TIMES and not isinstance(value, bool)
        return datetime.fromtimestamp(value, UTC) if times else value
    raise TypeError(f"{name or 'an answer'} holds {type(value).__name__}")


class DirectBucket:
    """What of boto3's S3 client the product uses, with the rules of conditional writes.

    Attributes:
        objects: the current state of each object, by its name.
        former: every state that any object ever had, oldest first: its name, its body.
    """

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        self.objects: dict[str, bytes] = {}
        self.metadata: dict[str, Mapping[str, str]] = {}
        self.former: list[tuple[str, bytes]] = []
        self._lock = RLock()

    def put_object(
        self,
        *,
        Key: str,  # noqa: N803 - boto3's names
        Body: bytes,  # noqa: N803
        IfNoneMatch: str | None = None,  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
        Metadata: Mapping[str, str] | None = None,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        """S3 UserGuide conditional-writes: 412, and 404 where If-Match finds no object."""

        def act() -> dict[str, Any]:
            held = self.objects.get(Key)
            if IfMatch is not None and held is None:
                raise _s3_error("NoSuchKey", 404, "PutObject")
            changed = IfMatch is not None and held is not None and _etag(held) != IfMatch
            if changed or (IfNoneMatch is not None and held is not None):
                raise _s3_error("PreconditionFailed", 412, "PutObject")
            self.objects[Key], self.metadata[Key] = Body, dict(Metadata or {})
            self.former.append((Key, Body))
            return {"ETag": _etag(Body)}

        return self._call("PUT object", Key.rpartition("/")[2], act)

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """API_GetObject, for who may list the bucket."""

        def act() -> dict[str, Any]:
            if Key not in self.objects:
                raise _s3_error("NoSuchKey", 404, "GetObject")
            body = self.objects[Key]
            metadata = self.metadata.get(Key, {})
            return {"Body": io.BytesIO(body), "ETag": _etag(body), "Metadata": metadata}

        return self._call("GET object", Key.rpartition("/")[2], act)

    def get_paginator(self, _: str) -> DirectBucket:
        """The one of list_objects_v2."""
        return self

    def paginate(self, *, Prefix: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803 - boto3's names
        def act() -> dict[str, Any]:
            # In the order in which they were written; LastModified counts that.
            return {
                "Contents": [
                    {"Key": key, "LastModified": place}
                    for place, key in enumerate(self.objects)
                    if key.startswith(Prefix)
                ]
            }

        return [self._call("LIST objects", Prefix, act)]

    def _call(self, name: str, subject: str, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        def alone() -> dict[str, Any]:
            with self._lock:
                return act()

        intercepted = self._boundary.open(name, subject)
        answer: dict[str, Any] = again(
            intercepted, lambda: intercepted.attempt(alone, _DirectWire(name))
        )
        return answer


class DirectTopic:
    """What of boto3's SNS client the product uses, and the mailbox of who reads it.

    Attributes:
        messages: the texts that were published.
    """

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        self.messages: list[str] = []

    def publish(self, *, Message: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        def act() -> dict[str, Any]:
            self.messages.append(Message)
            return {"MessageId": str(len(self.messages))}

        keys = keys_to_revoke(Message)
        intercepted = self._boundary.open("Publish", " ".join(keys))
        answer: dict[str, Any] = again(
            intercepted, lambda: intercepted.attempt(act, _DirectWire("Publish"))
        )
        return answer


class DirectBus:
    """What of boto3's EventBridge client the product uses, and what those hear who have a rule.

    Attributes:
        heard: the details of the events, in the order of their arrival.
    """

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        self.heard: list[dict[str, Any]] = []

    def put_events(self, *, Entries: Sequence[Any]) -> dict[str, Any]:  # noqa: N803 - boto3's names
        details = [json.loads(one["Detail"]) for one in Entries]

        def act() -> dict[str, Any]:
            self.heard.extend(details)
            return {"FailedEntryCount": 0, "Entries": [{"EventId": one["id"]} for one in details]}

        intercepted = self._boundary.open("PutEvents", " ".join(one["phase"] for one in details))
        answer: dict[str, Any] = again(
            intercepted, lambda: intercepted.attempt(act, _DirectWire("PutEvents"))
        )
        return answer


def keys_to_revoke(message: str) -> list[str]:
    """The ids of the keys that a message asks a person to revoke."""
    lines = dict(line.partition(": ")[::2] for line in message.splitlines())
    return [*lines.get("key id", "").split(), *lines.get("key ids", "").split()]


def _etag(body: bytes) -> str:
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


def _s3_error(code: str, status: int, operation: str) -> ClientError:
    problem: Any = {
        "Error": {"Code": code, "Message": ""},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(problem, operation)
