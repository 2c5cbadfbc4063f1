"""One secret's versions, as Secrets Manager lists them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from rotation.credential import ApiKey, KeyFormat, KeyMember, SecretDocument
from rotation.errors import ConfigurationError
from rotation.secrets_manager.versions import SecretVersions

ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:a-AbCdEf"
MADE = datetime(2026, 3, 1, tzinfo=UTC)


def test_every_page_of_versions_is_read() -> None:
    """A key on a later page is not lost from sight (API_ListSecretVersionIds, NextToken)."""
    client = boto3.client(
        "secretsmanager",
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="none",
    )
    asked: dict[str, Any] = {"SecretId": ARN, "IncludeDeprecated": True, "MaxResults": 100}
    ids = [f"{number:032}" for number in range(3)]
    first, second, third = ({"VersionId": one, "CreatedDate": MADE} for one in ids)
    with Stubber(client) as stub:
        answers: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({"Versions": [first | {"VersionStages": ["AWSCURRENT"]}], "NextToken": "x"}, {}),
            ({"Versions": [], "NextToken": "y"}, {"NextToken": "x"}),
            ({"Versions": [second, third]}, {"NextToken": "y"}),
        ]
        for answer, page in answers:
            stub.add_response("list_secret_version_ids", answer, asked | page)
        found = SecretVersions(client, ARN).list_versions()
        stub.assert_no_pending_responses()
    assert [one.id for one in found] == ids
    assert [one.labels for one in found] == [{"AWSCURRENT"}, set(), set()]
    assert {one.created_at for one in found} == {MADE}


@pytest.mark.slow
def test_a_key_of_another_format_is_not_stored() -> None:
    """It could not be read back from the secret, and a stored version keeps its value for good."""
    other = KeyFormat(id=KeyMember("id", "text", str), material=KeyMember("token", "text", str))
    key = ApiKey.from_text("one", "a-token-of-another-vendor", key_format=other)
    client = boto3.client("secretsmanager", region_name="us-east-1")
    with Stubber(client), pytest.raises(ConfigurationError, match="apiKey"):
        SecretVersions(client, ARN).put_pending("t" * 32, SecretDocument.empty(key))
