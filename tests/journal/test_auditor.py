"""The former states of a journal are there for an auditor, and nobody can take them away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from rotation.aws.journal_bucket import S3JournalStore, object_name
from rotation.errors import JournalError
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.deployment import create_evidence_bucket
from tests.journal.auditor import former_states, version_ids

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "evidence-for-the-auditor"
ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:pay/ments-AbCdEf"
OTHER = "arn:aws:secretsmanager:us-east-1:012345678912:secret:pay/ments-AbCdEf.json-AbCdEf"
STATES = [f'{{"state": {number}}}'.encode() for number in range(4)]


@pytest.fixture(params=["sandbox", "seaweedfs"])
def s3(request: pytest.FixtureRequest) -> S3Client:
    """An S3 with an evidence bucket like the template's; the journal has four states."""
    client: S3Client
    if request.param == "sandbox":
        cloud: Cloud = request.getfixturevalue("shared_cloud")
        cloud.reset()
        client = cloud.client("s3")
    else:
        client = request.getfixturevalue("seaweedfs")
    create_evidence_bucket(client, BUCKET)
    store = S3JournalStore(client, BUCKET)
    store.write(OTHER, b"{}", None)
    revision = None
    for state in STATES:
        revision = store.write(ARN, state, revision)
    return client


@pytest.mark.slow
def test_no_former_state_of_a_journal_can_be_taken_away(s3: S3Client) -> None:
    """Not by deleting, overwriting or hiding it, and not by shortening its lock."""
    name = object_name(ARN)
    assert former_states(s3, BUCKET, ARN) == STATES
    versions = version_ids(s3, BUCKET, ARN)
    for version in versions:
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(Bucket=BUCKET, Key=name, VersionId=version)
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.put_object_retention(
                Bucket=BUCKET,
                Key=name,
                VersionId=version,
                Retention={
                    "Mode": "GOVERNANCE",
                    "RetainUntilDate": datetime.now(UTC) + timedelta(days=1),
                },
            )
    with pytest.raises(ClientError, match="InvalidBucketState"):
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket=BUCKET, Key=name, Body=b"forged", ChecksumAlgorithm="SHA256")
    s3.delete_object(Bucket=BUCKET, Key=name)
    assert former_states(s3, BUCKET, ARN) == [*STATES, b"forged"]
    assert version_ids(s3, BUCKET, ARN)[: len(STATES)] == versions


@pytest.mark.slow
def test_a_deleted_journal_goes_on_without_its_delete_marker(shared_cloud: Cloud) -> None:
    """The functions stop at the marker; who removes it has the last state again."""
    shared_cloud.reset()
    client = shared_cloud.client("s3")
    create_evidence_bucket(client, BUCKET)
    store = S3JournalStore(client, BUCKET)
    revision = store.write(ARN, STATES[0], None)
    marker = client.delete_object(Bucket=BUCKET, Key=object_name(ARN))["VersionId"]
    with pytest.raises(JournalError, match="delete marker"):
        store.read(ARN)
    client.delete_object(Bucket=BUCKET, Key=object_name(ARN), VersionId=marker)
    store.write(ARN, STATES[1], revision)
    assert former_states(client, BUCKET, ARN) == STATES[:2]
