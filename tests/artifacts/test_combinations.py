"""Which combinations of parameters the template refuses, and what its guardrails reach."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rotation.core.policy import least_life_when_issued
from tests.artifacts.template import Template

ONE_BUCKET = {"SourceBucketName": "documents", "DestinationBucketName": "documents"}
SUBNETS = "subnet-0f1e2d3c,subnet-4b5a6978"
VPC = "vpc-0f1e2d3c"
KEY = "arn:aws:kms:eu-central-1:012345678912:key/5ec7e700-0000-4000-8000-000000000001"
SECRET = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:ours-AbCdEf"
READER = "arn:aws:iam::210987654321:role/portal"
LAYER = "arn:aws:lambda:eu-central-1:012345678912:layer:egress-ca:7"
BOUNDARY = "arn:aws:iam::012345678912:policy/boundary"


@pytest.mark.parametrize("issuer", ["admin-api", "key-pool"])
@pytest.mark.parametrize("sealing", ["none", "bulk", "events"])
def test_the_defaults_are_accepted(issuer: str, sealing: str) -> None:
    """Whoever names nothing gets two buckets, which are apart."""
    assert Template.read(KeyIssuer=issuer, UnattendedSealing=sealing).refusals() == []


@pytest.mark.parametrize(
    ("parameters", "refused"),
    [
        ({"RotationDays": "90"}, ""),
        ({"RotationDays": "91"}, "AcceptRotationDaysAbove90"),
        ({"RotationDays": "335", "KeyLifetimeDays": "364"}, "AcceptRotationDaysAbove90"),
        ({"RotationDays": "91", "AcceptRotationDaysAbove90": "true"}, ""),
        (
            {
                "RotationDays": "91",
                "AcceptRotationDaysAbove90": "true",
                "KeyLifetimeDays": "91",
                "KeyIssuer": "admin-api",
            },
            "KeyLifetimeDays must exceed",
        ),
        (
            {"RotationDays": "31", "KeyLifetimeDays": "31", "KeyIssuer": "admin-api"},
            "KeyLifetimeDays must exceed",
        ),
        # The pool's keys have the lives that people gave them.
        ({"RotationDays": "31", "KeyLifetimeDays": "32", "KeyIssuer": "key-pool"}, ""),
        ({**ONE_BUCKET, "UnattendedSealing": "none"}, ""),
        ({**ONE_BUCKET, "UnattendedSealing": "bulk"}, "overlap"),
        ({**ONE_BUCKET, "UnattendedSealing": "events", "SourcePrefix": "in/"}, "overlap"),
        ({**ONE_BUCKET, "UnattendedSealing": "events", "DestinationPrefix": "out/"}, "overlap"),
        (
            {
                **ONE_BUCKET,
                "UnattendedSealing": "events",
                "SourcePrefix": "in/",
                "DestinationPrefix": "in/",
            },
            "overlap",
        ),
        (
            {
                **ONE_BUCKET,
                "UnattendedSealing": "events",
                "SourcePrefix": "in/",
                "DestinationPrefix": "out/",
            },
            "",
        ),
        (
            {
                "AlarmEmail": "on-call@example.com",
                "AlarmTopicArn": "arn:aws:sns:eu-central-1:012345678912:on-call",
            },
            "AlarmEmail",
        ),
        (
            {"EgressCaLayerArn": LAYER},
            "EgressCa",
        ),
        ({"EgressCaLayerArn": LAYER, "SignerTrustAnchors": "/opt/signer-anchors.pem"}, ""),
        ({"SecurityGroupIds": "sg-0f1e2d3c"}, "SubnetIds"),
        ({"RouteTableIds": "rtb-0f1e2d3c"}, "SubnetIds"),
        ({"SubnetIds": SUBNETS}, "VpcId"),
        ({"SubnetIds": SUBNETS, "SecurityGroupIds": "sg-0f1e2d3c"}, ""),
        ({"SubnetIds": SUBNETS, "VpcId": VPC}, ""),
        (
            {
                "SubnetIds": SUBNETS,
                "SecurityGroupIds": "sg-0f1e2d3c",
                "RouteTableIds": "rtb-0f1e2d3c",
            },
            "VpcId",
        ),
        ({"SubnetIds": SUBNETS, "VpcId": VPC, "InterfaceEndpoints": "functions"}, "VpcCidr"),
        (
            {
                "SubnetIds": SUBNETS,
                "VpcId": VPC,
                "VpcCidr": "10.0.0.0/16",
                "InterfaceEndpoints": "functions",
            },
            "",
        ),
        ({"ForeignReaderArns": READER}, "KmsKeyArn"),
        ({"ForeignReaderArns": READER, "KmsKeyArn": KEY}, ""),
        ({"ExistingSecretArn": SECRET, "OnlyKnownReaders": "true"}, "ExistingSecretArn"),
        ({"ExistingSecretArn": SECRET, "ReplicaRegion": "eu-west-1"}, "ExistingSecretArn"),
        (
            {"ExistingSecretArn": SECRET, "ForeignReaderArns": READER, "KmsKeyArn": KEY},
            "ExistingSecretArn",
        ),
        ({"SecondReplicaRegion": "eu-west-1"}, "SecondReplicaRegion"),
        ({"ReplicaRegion": "eu-west-1", "SecondReplicaRegion": "eu-west-1"}, "other than"),
        ({"ReplicaRegion": "eu-west-1", "SecondReplicaRegion": "eu-north-1"}, ""),
        ({"ReplicaKmsKeyArn": KEY}, "needs its Region"),
        ({"ReplicaRegion": "eu-west-1", "SecondReplicaKmsKeyArn": KEY}, "needs its Region"),
        ({"KmsKeyArn": KEY, "FormerKmsKeyArn": KEY}, "FormerKmsKeyArn"),
        ({"FormerKmsKeyArn": KEY}, ""),
    ],
)
def test_a_wrong_combination_is_refused(parameters: dict[str, str], refused: str) -> None:
    """Each by one sentence that names the parameter to change; nothing is created."""
    said = Template.read(**parameters).refusals()
    assert len(said) == bool(refused)
    assert all(refused in one for one in said)


@pytest.mark.parametrize("grace", [0, 2, 720])
def test_no_life_that_the_functions_accept_is_refused(grace: int) -> None:
    """A rule compares texts and is coarse: it errs towards what createSecret then refuses."""
    for days in range(1, 336):
        least = least_life_when_issued(timedelta(days=days), timedelta(hours=grace))
        life = -(-least // timedelta(days=1))
        if life > 364:
            continue
        parameters = {
            "RotationDays": str(days),
            "KeyLifetimeDays": str(life),
            "KeyIssuer": "admin-api",
        }
        template = Template.read(
            AcceptRotationDaysAbove90="true", GraceHours=str(grace), **parameters
        )
        assert template.refusals() == []


def test_a_boundary_holds_every_role() -> None:
    """Also the role of S3 Batch Operations; without one nothing is set."""
    for parameters, boundary in (({}, None), ({"PermissionsBoundaryArn": BOUNDARY}, BOUNDARY)):
        roles = Template.read(UnattendedSealing="events", **parameters).created("AWS::IAM::Role")
        assert len(roles) == 6
        assert {one.get("PermissionsBoundary") for one in roles.values()} == {boundary}


def test_concurrency_is_reserved_where_it_is_asked_for() -> None:
    """For rotation and reconciliation each, and for sealing; by default the account's is shared."""
    for parameters, rotation, sealing in (
        ({}, None, None),
        ({"RotationReservedConcurrency": "10"}, "10", None),
        ({"SealingReservedConcurrency": "50"}, None, "50"),
    ):
        template = Template.read(**parameters)
        reserved = {
            name: template.properties(f"{name}Function").get("ReservedConcurrentExecutions")
            for name in ("Rotation", "Reconcile", "Sealing")
        }
        assert reserved == {"Rotation": rotation, "Reconcile": rotation, "Sealing": sealing}
