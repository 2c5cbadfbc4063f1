"""Who may read the secrets, when they are rotated, and the buckets that the stack creates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.artifacts.parameter_sets import FULLEST, SHORTEST
from tests.artifacts.template import Template, actions
from tests.paths import ROOT

READER = "arn:aws:iam::012345678912:role/archive"
FOREIGN = "arn:aws:iam::210987654321:role/portal"
KEY = "arn:aws:kms:eu-central-1:012345678912:key/0f1e2d3c"
FORMER = "arn:aws:kms:eu-central-1:012345678912:key/9f8e7d6c"
UNATTENDED = {"SealBatchRole.Arn", "SealEventsRole.Arn"}
OWN_ROLES = {"RotationRole.Arn", "ReconcileRole.Arn"} | UNATTENDED
OVER_TLS = {"Bool": {"aws:SecureTransport": "false"}}


def secret_policy(**parameters: str) -> dict[str, Any]:
    """The statements of the secret's own policy, by their ids."""
    policy = Template.read(**parameters).properties("SecretPolicy")
    assert policy["BlockPublicPolicy"] is True
    return {one["Sid"]: one for one in policy["ResourcePolicy"]["Statement"]}


@pytest.mark.parametrize("parameters", [SHORTEST, FULLEST], ids=["shortest", "fullest"])
def test_every_secret_is_reached_over_tls_alone_and_never_public(
    parameters: dict[str, str],
) -> None:
    """Each secret that the stack creates has such a policy, which stays when the stack goes."""
    template = Template.read(**parameters)
    policies = template.created("AWS::SecretsManager::ResourcePolicy")
    secrets = template.created("AWS::SecretsManager::Secret")
    arns = {template.resolve({"Ref": name}) for name in secrets}
    assert {policy["SecretId"] for policy in policies.values()} == arns
    for name, policy in policies.items():
        assert template.resource(name)["DeletionPolicy"] == "RetainExceptOnCreate"
        assert policy["BlockPublicPolicy"] is True
        [tls] = [one for one in policy["ResourcePolicy"]["Statement"] if one["Sid"] == "TlsOnly"]
        assert (tls["Effect"], tls["Action"], tls["Condition"]) == (
            *("Deny", "secretsmanager:*"),
            OVER_TLS,
        )


def test_only_known_readers_read_the_value() -> None:
    """The stack's own roles and those that are named; by default the policy names nobody."""
    assert secret_policy().keys() == {"TlsOnly"}
    for unattended, roles in (("events", OWN_ROLES), ("none", OWN_ROLES - UNATTENDED)):
        denied = secret_policy(
            OnlyKnownReaders="true",
            KnownReaderArns=READER,
            ForeignReaderArns=FOREIGN,
            KmsKeyArn=KEY,
            UnattendedSealing=unattended,
        )["OnlyKnownReaders"]
        assert (denied["Effect"], denied["Action"]) == ("Deny", "secretsmanager:GetSecretValue")
        spared = set(denied["Condition"]["ArnNotEquals"]["aws:PrincipalArn"])
        assert spared == roles | {READER, FOREIGN}
    alone = secret_policy(OnlyKnownReaders="true")["OnlyKnownReaders"]
    assert set(alone["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]) == OWN_ROLES - UNATTENDED


def test_another_account_reads_the_current_version_alone() -> None:
    """Its roles are named one by one, and get nothing but GetSecretValue."""
    allowed = secret_policy(ForeignReaderArns=f"{FOREIGN},{READER}", KmsKeyArn=KEY)[
        "ForeignReaders"
    ]
    assert allowed["Principal"] == {"AWS": [FOREIGN, READER]}
    assert actions([allowed]) == {"secretsmanager:GetSecretValue"}
    assert allowed["Condition"] == {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}


def test_a_secret_that_exists_keeps_its_policy() -> None:
    """The stack attaches none to it: a secret has one policy, and that one is somebody else's."""
    arn = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:ours-AbCdEf"
    assert not Template.read(ExistingSecretArn=arn).exists("SecretPolicy")


@pytest.mark.parametrize(
    ("parameters", "rules"),
    [
        ({"RotationDays": "60"}, {"AutomaticallyAfterDays": "60"}),
        ({"RotationWindow": "3h"}, {"AutomaticallyAfterDays": "30", "Duration": "3h"}),
        (
            {"RotationScheduleExpression": "cron(0 2 1 * ? *)", "RotationWindow": "3h"},
            {"ScheduleExpression": "cron(0 2 1 * ? *)", "Duration": "3h"},
        ),
        ({"RotationScheduleExpression": "rate(1 day)"}, {"ScheduleExpression": "rate(1 day)"}),
    ],
)
def test_the_schedule_is_days_or_an_expression(
    parameters: dict[str, str], rules: dict[str, str]
) -> None:
    """Secrets Manager takes one of the two, and a window with either."""
    assert Template.read(**parameters).properties("RotationSchedule")["RotationRules"] == rules


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RotationScheduleExpression", "rate(30 minutes)"),
        ("RotationScheduleExpression", "every month"),
        ("RotationWindow", "25h"),
        ("RotationWindow", "3"),
        ("ReplicaRegion", "eu-west-1a"),
    ],
)
def test_what_secrets_manager_would_refuse_is_refused_before(name: str, value: str) -> None:
    """A pattern says so at deployment, before anything is created."""
    with pytest.raises(AssertionError, match=name):
        Template.read(**{name: value})


def test_replicas_have_keys_of_their_own_regions() -> None:
    """One Region, two, or none; without a key the AWS managed one of the Region encrypts."""
    assert "ReplicaRegions" not in Template.read().properties("Secret")
    one = Template.read(ReplicaRegion="eu-west-1", ReplicaKmsKeyArn=KEY).properties("Secret")
    assert one["ReplicaRegions"] == [{"Region": "eu-west-1", "KmsKeyId": KEY}]
    two = Template.read(ReplicaRegion="eu-west-1", SecondReplicaRegion="eu-north-1")
    assert two.properties("Secret")["ReplicaRegions"] == [
        {"Region": "eu-west-1"},
        {"Region": "eu-north-1"},
    ]


@pytest.mark.parametrize("role", ["RotationRole", "ReconcileRole", "SealBatchRole"])
def test_what_a_former_key_encrypted_stays_readable(role: str) -> None:
    """UpdateSecret re-encrypts three versions at most: for the rest a role may decrypt, no more."""
    without = Template.read(KmsKeyArn=KEY, UnattendedSealing="bulk").statements(role)
    changed = Template.read(KmsKeyArn=KEY, FormerKmsKeyArn=FORMER, UnattendedSealing="bulk")
    [added] = [one for one in changed.statements(role) if one not in without]
    [current] = [one for one in without if one["Sid"] == "UseKeyThroughSecretsManager"]
    assert (added["Resource"], actions([added])) == (FORMER, {"kms:Decrypt"})
    assert added["Condition"] == current["Condition"]


def test_buckets_are_created_where_none_are_named() -> None:
    """With versions, encrypted, closed to the public, and TLS only; they outlive the stack."""
    template = Template.read(**SHORTEST)
    assert Template.read(SourceBucketName="incoming", DestinationBucketName="sealed").created(
        "AWS::S3::Bucket"
    ).keys() == {"EvidenceBucket"}
    policies = {one["Bucket"]: one for one in template.created("AWS::S3::BucketPolicy").values()}
    for name, called in (("SourceBucket", "inbox"), ("DestinationBucket", "outbox")):
        bucket = template.resource(name)
        assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
        assert bucket["UpdateReplacePolicy"] == "Retain"
        properties = bucket["Properties"]
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        [rule] = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        [statement] = policies[called]["PolicyDocument"]["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Resource"] == [f"{name}.Arn", f"{name}.Arn/*"]
        assert statement["Condition"] == OVER_TLS
    encrypted = Template.read(DocumentsKmsKeyArn=KEY).properties("SourceBucket")
    [rule] = encrypted["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
        "BucketKeyEnabled": True,
    }


def test_the_source_bucket_tells_eventbridge_where_arrivals_are_sealed() -> None:
    """And nobody where they are not."""
    for unattended, told in (
        ("events", {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}),
        ("bulk", None),
        ("none", None),
    ):
        bucket = Template.read(UnattendedSealing=unattended).properties("SourceBucket")
        assert bucket.get("NotificationConfiguration") == told


def test_who_reads_the_buckets_is_logged_where_a_bucket_for_it_is_named() -> None:
    """Of every bucket that the stack creates, under a prefix of its own."""
    buckets = Template.read(AccessLogBucketName="logs").created("AWS::S3::Bucket")
    logged = [one["LoggingConfiguration"] for one in buckets.values()]
    assert {one["DestinationBucketName"] for one in logged} == {"logs"}
    assert len({one["LogFilePrefix"] for one in logged}) == len(buckets) == 3
    plain = Template.read().created("AWS::S3::Bucket")
    assert not any("LoggingConfiguration" in one for one in plain.values())


def test_the_stack_policy_keeps_what_cannot_be_made_again() -> None:
    """docs/stack-policy.json refuses to replace or delete each secret and each bucket."""
    allow, deny = json.loads((ROOT / "docs" / "stack-policy.json").read_text())["Statement"]
    assert (allow["Effect"], allow["Action"], allow["Resource"]) == ("Allow", "Update:*", "*")
    assert deny["Action"] == ["Update:Replace", "Update:Delete"]
    kept = {
        f"LogicalResourceId/{name}"
        for name, one in Template.read().document["Resources"].items()
        if one["Type"] in {"AWS::SecretsManager::Secret", "AWS::S3::Bucket"}
    }
    assert set(deny["Resource"]) == kept
