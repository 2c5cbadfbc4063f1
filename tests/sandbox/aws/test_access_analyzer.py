"""IAM Access Analyzer of the sandbox."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud

pytestmark = pytest.mark.slow


def test_whom_a_policy_lets_in_from_outside_is_found(cloud: Cloud) -> None:
    """UserGuide access-analyzer-findings: nobody of the account itself, and no denial."""
    make: Any = cloud.client
    analyzer, secrets = make("accessanalyzer"), make("secretsmanager")
    assert analyzer.list_analyzers()["analyzers"] == []
    arn = analyzer.create_analyzer(analyzerName="a", type="ACCOUNT")["arn"]
    secret = secrets.create_secret(Name="s", SecretString="x")["ARN"]
    outside = "arn:aws:iam::999999999999:root"
    read = {"Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    statements = [
        {**read, "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::012345678912:user/carol"}},
        {**read, "Effect": "Allow", "Principal": {"AWS": outside}},
        {**read, "Effect": "Deny", "Principal": "*"},
    ]
    secrets.put_resource_policy(SecretId="s", ResourcePolicy=json.dumps({"Statement": statements}))
    wanted = {"resource": {"eq": [secret]}}
    [found] = analyzer.list_findings_v2(analyzerArn=arn, filter=wanted)["findings"]
    told = analyzer.get_finding_v2(analyzerArn=arn, id=found["id"])
    [details] = told["findingDetails"]
    assert details["externalAccessDetails"]["principal"] == {"AWS": outside}
    other = {"resource": {"eq": ["arn:of:another"]}}
    assert analyzer.list_findings_v2(analyzerArn=arn, filter=other)["findings"] == []
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        analyzer.get_finding_v2(analyzerArn=arn, id="unknown")
