"""Answers of Secrets Manager that were cut or rewritten on the way, with status 200."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from rotation.client.secret_source import SecretsManager
from rotation.credential import ApiKey, SecretDocument
from rotation.errors import InvalidCredentialError, SecretStoreError
from rotation.secrets_manager.allowed import ANY_SECRET
from rotation.secrets_manager.discovery import secrets_rotated_by
from rotation.secrets_manager.versions import SecretVersions, read_credential

FUNCTION = "arn:aws:lambda:us-east-1:012345678912:function:rotate"
ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:a-AbCdEf"
TOKEN = "t" * 32
MATERIAL = "c80dd3f9db3330aa5daae1b469613cce2212e2beba7882b08fcc80acedba4c43"
VALUE = json.dumps({"apiKey": MATERIAL, "apiKeyId": "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"})
DOCUMENT = SecretDocument.empty(ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", MATERIAL))


class Body:
    """The body of an answer, as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        """The whole body at once."""
        yield self._content


class Answers:
    """A Secrets Manager client whose every call is answered by the next of these bodies."""

    def __init__(self, *bodies: str) -> None:
        self._bodies = list(bodies)
        self.client = boto3.client(
            "secretsmanager",
            region_name="us-east-1",
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="none",
        )
        self._headers: Any = {}
        # An answer of a handler is taken for the service's.
        answer: Any = self._answer
        self.client.meta.events.register("before-send.secrets-manager", answer)

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        body = self._bodies.pop(0) if len(self._bodies) > 1 else self._bodies[0]
        return AWSResponse(request.url, 200, self._headers, Body(body.encode()))


def secret(client: Any) -> SecretVersions:
    return SecretVersions(client, ARN)


CALLS: dict[str, Callable[[Any], object]] = {
    "DescribeSecret": lambda client: secret(client).snapshot(),
    "ListSecretVersionIds": lambda client: secret(client).list_versions(),
    "GetSecretValue": lambda client: secret(client).read(TOKEN),
    "GetSecretValue of AWSCURRENT": lambda client: read_credential(client, ARN),
    "GetSecretValue for an application": lambda client: SecretsManager(lambda: client).fetch(
        ARN, "AWSCURRENT"
    ),
    "PutSecretValue": lambda client: secret(client).put_pending(TOKEN, DOCUMENT),
    "UpdateSecretVersionStage": lambda client: secret(client).promote(TOKEN, None),
    "RotateSecret": lambda client: secret(client).rotate(TOKEN),
    "ListSecrets": lambda client: secrets_rotated_by(client, FUNCTION, ANY_SECRET),
}
WHOLE: dict[str, dict[str, Any]] = {
    "DescribeSecret": {"ARN": ARN, "Name": "a", "VersionIdsToStages": {TOKEN: ["AWSPENDING"]}},
    "ListSecretVersionIds": {"Versions": [{"VersionId": TOKEN}]},
    "GetSecretValue": {"ARN": ARN, "VersionId": TOKEN, "SecretString": VALUE},
    "PutSecretValue": {"VersionId": TOKEN},
    "UpdateSecretVersionStage": {"ARN": ARN},
    "RotateSecret": {"VersionId": TOKEN},
    "ListSecrets": {"SecretList": [{"ARN": ARN, "RotationLambdaARN": FUNCTION}]},
}


def operation(call: str) -> str:
    """The API's operation: the first word of the call."""
    return call.partition(" ")[0]


def refused(call: str, *bodies: str) -> SecretStoreError:
    with pytest.raises(SecretStoreError) as failed:
        CALLS[call](Answers(*bodies).client)
    return failed.value


@pytest.mark.parametrize("call", CALLS)
def test_a_whole_answer_is_read(call: str) -> None:
    """The cases below fail for what they lack, and for nothing else."""
    CALLS[call](Answers(json.dumps(WHOLE[operation(call)])).client)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "body", ["", "{}", "[]", "[[]]", '"text"', "7", "null", "<html>busy</html>", '{"ARN": "a']
)
def test_an_answer_that_is_not_secrets_manager_s_may_be_asked_for_again(
    call: str, body: str
) -> None:
    """No call takes it for an answer, and none fails in an untyped way."""
    failed = refused(call, body)
    assert failed.retryable
    assert failed.operation == operation(call)
    assert operation(call) in str(failed)
    assert failed.__cause__ is None
    assert failed.__context__ is None


@pytest.mark.parametrize(
    ("call", "member"),
    [
        (call, member)
        for call in CALLS
        for member in WHOLE[operation(call)]
        if not (call == "GetSecretValue" and member == "ARN")
        and not (call == "GetSecretValue of AWSCURRENT" and member != "SecretString")
    ],
)
@pytest.mark.parametrize("change", ["missing", "null", "another kind"])
def test_an_answer_that_lacks_a_member_may_be_asked_for_again(
    call: str, member: str, change: str
) -> None:
    """Nothing is concluded from what is missing."""
    whole = WHOLE[operation(call)]
    members: dict[str, Any] = {name: value for name, value in whole.items() if name != member}
    if change == "null":
        members[member] = None
    if change == "another kind" and not isinstance(whole[member], str):
        members[member] = 7
    listed = json.dumps({"Versions": [{"VersionId": TOKEN, "VersionStages": ["AWSPENDING"]}]})
    assert refused(call, json.dumps(members), listed).retryable


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("ListSecretVersionIds", {"Versions": [{"CreatedDate": 1772323200}]}),
        ("ListSecretVersionIds", {"Versions": [7]}),
        ("ListSecrets", {"SecretList": [{"RotationLambdaARN": FUNCTION}]}),
        ("GetSecretValue", {"ARN": ARN, "VersionId": "u" * 32, "SecretString": VALUE}),
        ("DescribeSecret", {"ARN": ARN, "Name": "a", "DeletedDate": "soon"}),
    ],
)
def test_an_entry_that_is_not_whole_may_be_asked_for_again(call: str, body: dict[str, Any]) -> None:
    """A version without an id, a secret without an ARN, the value of another version."""
    assert refused(call, json.dumps(body)).retryable


@pytest.mark.parametrize("versions", [[], [{"VersionId": TOKEN}]])
def test_a_secret_without_labels_is_described_without_them(versions: list[Any]) -> None:
    """The list of versions confirms that there are none, so the answer was not cut."""
    described = json.dumps({"ARN": ARN, "Name": "a"})
    client = Answers(described, json.dumps({"Versions": versions})).client
    assert secret(client).snapshot().labels == {}


def test_a_binary_value_is_no_incomplete_answer() -> None:
    """API_GetSecretValue: an answer holds SecretString or SecretBinary."""
    body = json.dumps({"ARN": ARN, "VersionId": TOKEN, "SecretBinary": "AAAA"})
    for name, call in CALLS.items():
        if name.startswith("GetSecretValue"):
            with pytest.raises(InvalidCredentialError, match="is binary"):
                call(Answers(body).client)


def test_a_reading_tells_a_refusal_from_a_value_that_is_no_key() -> None:
    """A version that cannot be read is one version without a known key, with the reason."""
    body = json.dumps({"ARN": ARN, "VersionId": TOKEN, "SecretString": "x"})
    reading = secret(Answers(body).client).reading(TOKEN)
    assert reading.document is None
    assert isinstance(reading.problem, InvalidCredentialError)
