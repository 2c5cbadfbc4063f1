"""What each guardrail of the template gives when it is asked for, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rotation.egress import DIRECT
from rotation.settings.egress import egress
from tests.artifacts.template import PSEUDO, Template, actions

SIGNING = "arn:aws:lambda:eu-central-1:012345678912:code-signing-config:csc-0f1e2d3c4b5a69788"
FUNCTIONS = {
    "RotationFunction",
    "ReconcileFunction",
    "SealingFunction",
    "SealEventsFunction",
    "SealBatchFunction",
}


def functions(**parameters: str) -> dict[str, Any]:
    """The properties of all five functions."""
    template = Template.read(UnattendedSealing="events", **parameters)
    return {name: template.properties(name) for name in FUNCTIONS}


def test_the_code_of_every_function_is_checked() -> None:
    """By the configuration that is given; without one, no signature is checked."""
    for parameters, configuration in (({}, None), ({"CodeSigningConfigArn": SIGNING}, SIGNING)):
        found = functions(**parameters).values()
        assert {one.get("CodeSigningConfigArn") for one in found} == {configuration}


@pytest.mark.parametrize("wrong", ["csc-0f1e2d3c4b5a69788", SIGNING[:-1], f"{SIGNING} "])
def test_what_is_no_signing_configuration_is_refused(wrong: str) -> None:
    """Before anything is created."""
    with pytest.raises(AssertionError, match="CodeSigningConfigArn"):
        Template.read(CodeSigningConfigArn=wrong)


def test_evidence_outlives_the_stack() -> None:
    """Logs and messages that need a person stay, also when an update replaces what holds them."""
    template = Template.read(UnattendedSealing="events")
    logs = template.created("AWS::Logs::LogGroup")
    assert len(logs) == 4
    for name in [*logs, "UnsealedQueue", "UndeliveredQueue", "EvidenceBucket"]:
        resource = template.document["Resources"][name]
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resource["UpdateReplacePolicy"] == "Retain"


def test_logs_that_outlive_the_stack_end_one_day() -> None:
    """Their retention stays with them: a year by default."""
    for log in Template.read(UnattendedSealing="events").created("AWS::Logs::LogGroup").values():
        assert log["RetentionInDays"] == "365"


PROXY = "http://proxy.example.com:3128"
LAYER = "arn:aws:lambda:eu-central-1:012345678912:layer:egress-ca:7"


def test_every_function_goes_through_the_proxy() -> None:
    """What is given arrives in the settings of each function; without a proxy, none is set."""
    template = Template.read(UnattendedSealing="events", EgressProxy=PROXY)
    for function in FUNCTIONS:
        assert egress(template.environment(function)).proxy == PROXY
        assert egress(Template.read().environment(function)) == DIRECT


def test_every_function_gets_the_layer_with_the_private_certificates() -> None:
    """And the path of the file in it."""
    found = functions(EgressCa="/opt/egress-ca.pem", EgressCaLayerArn=LAYER)
    for properties in found.values():
        assert properties["Layers"] == [LAYER]
        assert properties["Environment"]["Variables"]["EGRESS_CA"] == "/opt/egress-ca.pem"
    assert all("Layers" not in one for one in functions().values())


@pytest.mark.parametrize(
    ("parameter", "wrong"),
    [
        ("EgressProxy", "proxy.example.com:3128"),
        ("EgressProxy", "http://user:password@proxy.example.com:3128"),
        ("EgressProxy", "http://proxy.example.com"),
        ("EgressCa", "opt/egress-ca.pem"),
        ("EgressCa", "-----BEGIN CERTIFICATE-----"),
        ("EgressCaLayerArn", LAYER[:-2]),
    ],
)
def test_a_malformed_way_out_is_refused(parameter: str, wrong: str) -> None:
    """Before anything is created."""
    with pytest.raises(AssertionError, match=parameter):
        Template.read(**{parameter: wrong})


ACCOUNT = PSEUDO["AWS::AccountId"]
SUBNETS = ["subnet-0f1e2d3c", "subnet-4b5a6978"]
VPC = {"SubnetIds": ",".join(SUBNETS), "VpcId": "vpc-0f1e2d3c"}
ENDPOINTS = {**VPC, "VpcCidr": "10.0.0.0/16", "RouteTableIds": "rtb-0f1e2d3c,rtb-4b5a6978"}


def test_without_subnets_there_is_no_network() -> None:
    """The default: Lambda's own network, no right to make interfaces, nothing in any VPC."""
    template = Template.read(UnattendedSealing="events")
    assert all("VpcConfig" not in one for one in functions().values())
    for kind in ("SecurityGroup", "VPCEndpoint"):
        assert template.created(f"AWS::EC2::{kind}") == {}
    for role in template.created("AWS::IAM::Role"):
        assert not any("ec2:" in action for action in actions(template.statements(role)))


def test_every_function_runs_in_the_subnets_that_are_given() -> None:
    """In the security groups that are given, or in one that the stack creates."""
    for more, groups in (
        ({"SecurityGroupIds": "sg-0f1e2d3c,sg-4b5a6978"}, ["sg-0f1e2d3c", "sg-4b5a6978"]),
        ({}, ["FunctionsSecurityGroup"]),
    ):
        template = Template.read(UnattendedSealing="events", **VPC, **more)
        for name in FUNCTIONS:
            network = template.properties(name)["VpcConfig"]
            assert network == {"SubnetIds": SUBNETS, "SecurityGroupIds": groups}
        assert template.exists("FunctionsSecurityGroup") == (not more)


def test_lambda_may_make_network_interfaces_and_the_functions_code_may_not() -> None:
    """Every function's role has the right, unless the function's own code asks."""
    template = Template.read(UnattendedSealing="events", **VPC)
    for role in template.created("AWS::IAM::Role"):
        network = [
            one for one in template.statements(role) if any("ec2:" in a for a in actions([one]))
        ]
        if "lambda.amazonaws.com" not in str(template.properties(role)["AssumeRolePolicyDocument"]):
            assert network == []
            continue
        allowed = actions([one for one in network if one["Effect"] == "Allow"])
        assert allowed == {
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
        }
        [denied] = [one for one in network if one["Effect"] == "Deny"]
        assert (denied["Action"], denied["Resource"]) == ("ec2:*", "*")
        assert denied["Condition"] == {"Null": {"lambda:SourceFunctionArn": "false"}}


@pytest.mark.parametrize(
    ("more", "ports"),
    [
        ({}, {"443"}),
        ({"EgressProxy": PROXY}, {"443", "3128"}),
        ({"ValidationHosts": "ocsp.example.com"}, {"443", "80"}),
        ({"TsaUrl": "http://tsa.example.com"}, {"443", "80"}),
        ({"ValidationHosts": "ocsp.example.com", "EgressProxy": PROXY}, {"443", "3128"}),
    ],
)
def test_nothing_comes_in_and_only_what_is_needed_goes_out(
    more: dict[str, str], ports: set[str]
) -> None:
    """The created security group has no rule for what comes in, and one for each port out."""
    group = Template.read(**VPC, **more).properties("FunctionsSecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert {str(one["FromPort"]) for one in group["SecurityGroupEgress"]} == ports
    assert {str(one["ToPort"]) for one in group["SecurityGroupEgress"]} == ports
    assert {one["IpProtocol"] for one in group["SecurityGroupEgress"]} == {"tcp"}


def _services(template: Template) -> set[str]:
    endpoints = template.created("AWS::EC2::VPCEndpoint").values()
    return {one["ServiceName"].rpartition(".")[2] for one in endpoints}


def test_the_endpoints_are_those_that_are_asked_for() -> None:
    """None, those of the functions, or all; that of S3 where there are route tables."""
    for choice, services in (
        ("none", set()),
        ("functions", {"secretsmanager", "sns", "lambda"}),
        (
            "all",
            {"secretsmanager", "sns", "lambda", "kms", "logs", "monitoring", "cloudtrail"},
        ),
    ):
        template = Template.read(**ENDPOINTS, InterfaceEndpoints=choice)
        assert _services(template) == services | {"s3"}
        told = Template.read(**ENDPOINTS, InterfaceEndpoints=choice, PhaseEventsBusName="keys")
        assert _services(told) - _services(template) == ({"events"} if services else set())
        interfaces = template.created("AWS::EC2::VPCEndpoint")
        gateway = interfaces.pop("S3Endpoint")
        assert gateway["RouteTableIds"] == ["rtb-0f1e2d3c", "rtb-4b5a6978"]
        assert all(one["PrivateDnsEnabled"] for one in interfaces.values())
    assert _services(Template.read(**VPC)) == set()


def test_the_endpoints_of_china_have_the_names_of_china() -> None:
    """Those of Lambda and CloudWatch have another beginning there, and the others have not."""
    elsewhere = Template.read(**ENDPOINTS, InterfaceEndpoints="all")
    there = {"AWS::Partition": "aws-cn", "AWS::Region": "cn-north-1"}
    in_china = replace(elsewhere, pseudo=PSEUDO | there)
    for template, region, own in (
        (elsewhere, PSEUDO["AWS::Region"], set()),
        (in_china, "cn-north-1", {"lambda", "monitoring"}),
    ):
        endpoints = template.created("AWS::EC2::VPCEndpoint").values()
        assert {one["ServiceName"] for one in endpoints} == {
            f"{'cn.' if service in own else ''}com.amazonaws.{region}.{service}"
            for service in _services(template)
        }


def test_the_functions_endpoints_lead_to_every_service_that_their_code_calls() -> None:
    """What a role allows and no endpoint leads to is called by Lambda itself or by another service.

    Lambda writes the logs, reads the queue and makes the interfaces; Secrets Manager, S3 and SNS
    call KMS.
    """
    template = Template.read(
        UnattendedSealing="events",
        LedgerBucketName="ledger",
        PhaseEventsBusName="keys",
        KmsKeyArn=f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/0f1e2d3c",
        InterfaceEndpoints="functions",
        **ENDPOINTS,
    )
    allowed = [
        one
        for role, properties in template.created("AWS::IAM::Role").items()
        if "lambda.amazonaws.com" in str(properties["AssumeRolePolicyDocument"])
        for one in template.statements(role)
        if one["Effect"] == "Allow"
    ]
    called = {action.partition(":")[0] for action in actions(allowed)}
    assert called - {"logs", "sqs", "ec2", "kms"} == _services(template)


def test_no_endpoint_leads_to_or_from_another_account() -> None:
    """Neither with credentials of others, nor to resources of others that nobody has named."""
    topic = "arn:aws:sns:eu-central-1:999999999999:keys"
    template = Template.read(
        **ENDPOINTS,
        InterfaceEndpoints="all",
        NotificationTopicArn=topic,
        SourceBucketName="inbox",
        DestinationBucketName="outbox",
        LedgerBucketName="ledger",
        PhaseEventsBusName="keys",
    )
    named = set()
    for name, endpoint in template.created("AWS::EC2::VPCEndpoint").items():
        own, *foreign = endpoint["PolicyDocument"]["Statement"]
        service = {"MonitoringEndpoint": "cloudwatch"}.get(name, name[: -len("Endpoint")].lower())
        assert own["Action"] == f"{service}:*"
        assert own["Condition"] == {
            "StringEquals": {"aws:PrincipalAccount": ACCOUNT, "aws:ResourceAccount": ACCOUNT}
        }
        for one in foreign:
            assert one["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
            resources = one["Resource"]
            named |= {resources} if isinstance(resources, str) else set(resources)
    buckets = {f"arn:aws:s3:::{name}" for name in ("inbox", "outbox", "ledger")}
    assert named == {topic} | buckets | {f"{bucket}/*" for bucket in buckets}


def test_buckets_of_the_stack_are_named_to_no_endpoint() -> None:
    """They are this account's, like everything that the stack creates."""
    endpoint = Template.read(**ENDPOINTS).properties("S3Endpoint")
    assert [one["Sid"] for one in endpoint["PolicyDocument"]["Statement"]] == ["OnlyThisAccount"]


def test_only_the_vpc_reaches_the_interface_endpoints() -> None:
    """By TLS alone; and no connection begins at an endpoint."""
    template = Template.read(**ENDPOINTS, InterfaceEndpoints="functions")
    group = template.properties("EndpointsSecurityGroup")
    [way_in] = group["SecurityGroupIngress"]
    assert (way_in["CidrIp"], way_in["FromPort"], way_in["ToPort"]) == ("10.0.0.0/16", 443, 443)
    assert [one["CidrIp"] for one in group["SecurityGroupEgress"]] == ["127.0.0.1/32"]
    assert not Template.read(**ENDPOINTS).exists("EndpointsSecurityGroup")


@pytest.mark.parametrize(
    ("parameter", "wrong"),
    [
        ("SubnetIds", "subnet-0f1e2d3c, subnet-4b5a6978"),
        ("SubnetIds", "10.0.0.0/24"),
        ("SecurityGroupIds", "default"),
        ("VpcId", "main"),
        ("VpcCidr", "10.0.0.0"),
        ("RouteTableIds", "main"),
    ],
)
def test_a_malformed_network_is_refused(parameter: str, wrong: str) -> None:
    """Before anything is created."""
    with pytest.raises(AssertionError, match=parameter):
        Template.read(**{parameter: wrong})


GIVEN_KEYS = {
    name: f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/{name.lower()}"
    for name in (
        "KmsKeyArn",
        "DocumentsKmsKeyArn",
        "DestinationKmsKeyArn",
        "LogsKmsKeyArn",
        "QueuesKmsKeyArn",
        "TopicKmsKeyArn",
    )
}
CREATED_KEYS = {
    "KmsKeyArn": "SecretsKey.Arn",
    "DocumentsKmsKeyArn": "SourceKey.Arn",
    "DestinationKmsKeyArn": "DestinationKey.Arn",
    "LogsKmsKeyArn": "LogsKey.Arn",
    "QueuesKmsKeyArn": "QueuesKey.Arn",
    "TopicKmsKeyArn": "AlarmKey.Arn",
}
CREATED = Template.read(UnattendedSealing="events", CreateKmsKeys="true")


def test_without_a_word_about_keys_only_the_alarms_have_one() -> None:
    """Everything else is encrypted by AWS's own keys, which cost nothing and need no policy."""
    template = Template.read(UnattendedSealing="events")
    assert template.created("AWS::KMS::Key").keys() == {"AlarmKey"}
    assert all("KmsKeyId" not in log for log in template.created("AWS::Logs::LogGroup").values())
    for queue in template.created("AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True
        assert "KmsMasterKeyId" not in queue


@pytest.mark.parametrize(
    ("parameters", "keys"),
    [({"CreateKmsKeys": "true"}, CREATED_KEYS), (GIVEN_KEYS, GIVEN_KEYS)],
    ids=["created", "given"],
)
def test_each_kind_of_data_has_a_key_of_its_own(
    parameters: dict[str, str], keys: dict[str, str]
) -> None:
    """Secrets, documents before and after, logs, queues and the topic; made or given."""
    template = Template.read(UnattendedSealing="events", **parameters)
    for secret in template.created("AWS::SecretsManager::Secret").values():
        assert secret["KmsKeyId"] == keys["KmsKeyArn"]
    for log in template.created("AWS::Logs::LogGroup").values():
        assert log["KmsKeyId"] == keys["LogsKmsKeyArn"]
    for queue in template.created("AWS::SQS::Queue").values():
        assert queue["KmsMasterKeyId"] == keys["QueuesKmsKeyArn"]
        assert "SqsManagedSseEnabled" not in queue
    topic = template.properties("AlarmTopic")["KmsMasterKeyId"]
    assert topic == keys["TopicKmsKeyArn"].removesuffix(".Arn")
    for function in ("SealingFunction", "SealEventsFunction", "SealBatchFunction"):
        sealed = template.environment(function)["DESTINATION_KMS_KEY"]
        assert sealed == keys["DestinationKmsKeyArn"]


def test_the_buckets_of_the_stack_encrypt_by_these_keys() -> None:
    """Whatever is stored in them without a word about encryption."""
    for keys, parameters in ((CREATED_KEYS, {"CreateKmsKeys": "true"}), (GIVEN_KEYS, GIVEN_KEYS)):
        template = Template.read(**parameters)
        for bucket, key in (
            ("Source", "DocumentsKmsKeyArn"),
            ("Destination", "DestinationKmsKeyArn"),
        ):
            encryption = template.properties(f"{bucket}Bucket")["BucketEncryption"]
            [rule] = encryption["ServerSideEncryptionConfiguration"]
            assert rule["ServerSideEncryptionByDefault"] == {
                "SSEAlgorithm": "aws:kms",
                "KMSMasterKeyID": keys[key],
            }


def test_keys_that_are_given_are_not_made() -> None:
    """Also with CreateKmsKeys: a key is made only where none is given."""
    given = Template.read(UnattendedSealing="events", CreateKmsKeys="true", **GIVEN_KEYS)
    assert given.created("AWS::KMS::Key") == {}
    some = Template.read(CreateKmsKeys="true", LogsKmsKeyArn=GIVEN_KEYS["LogsKmsKeyArn"])
    assert "LogsKey" not in some.created("AWS::KMS::Key")
    assert some.exists("QueuesKey")


def test_no_key_of_the_stack_encrypts_evidence() -> None:
    """Whoever deletes a key destroys what it encrypts, which no lock of an object prevents."""
    assert "BucketEncryption" not in CREATED.properties("EvidenceBucket")


def test_sealed_documents_get_the_source_s_key_if_no_other_is_given() -> None:
    """One key for both, and one statement for it."""
    key = GIVEN_KEYS["DocumentsKmsKeyArn"]
    template = Template.read(DocumentsKmsKeyArn=key)
    assert template.environment("SealingFunction")["DESTINATION_KMS_KEY"] == key
    assert _keys_of(template, "SealingRole") == {(key, ("kms:Decrypt", "kms:GenerateDataKey"))}


def _keys_of(template: Template, role: str) -> set[tuple[str, tuple[str, ...]]]:
    return {
        (one["Resource"], tuple(sorted(actions([one]))))
        for one in template.statements(role)
        if one["Effect"] == "Allow" and any("kms:" in action for action in actions([one]))
    }


@pytest.mark.parametrize(
    ("parameters", "keys"),
    [({"CreateKmsKeys": "true"}, CREATED_KEYS), (GIVEN_KEYS, GIVEN_KEYS)],
    ids=["created", "given"],
)
def test_each_role_uses_the_keys_of_what_it_touches(
    parameters: dict[str, str], keys: dict[str, str]
) -> None:
    """Read or write as it does, and no other key: sealing reads sources and writes sealed ones."""
    template = Template.read(UnattendedSealing="events", **parameters)
    both = ("kms:Decrypt", "kms:GenerateDataKey")
    documents = {
        (keys["DocumentsKmsKeyArn"], ("kms:Decrypt",)),
        (keys["DestinationKmsKeyArn"], both),
    }
    rotating = {(keys["KmsKeyArn"], both), (keys["TopicKmsKeyArn"], both)}
    assert _keys_of(template, "RotationRole") == rotating
    assert _keys_of(template, "ReconcileRole") == rotating
    assert _keys_of(template, "SealingRole") == documents
    events = documents | {
        (keys["KmsKeyArn"], ("kms:Decrypt",)),
        (keys["QueuesKmsKeyArn"], ("kms:Decrypt",)),
    }
    assert _keys_of(template, "SealEventsRole") == events


def test_a_topic_of_somebody_else_with_a_key_can_be_published_to() -> None:
    """The roles may use the key of NotificationTopicArn, if it is given."""
    topic = f"arn:aws:sns:eu-central-1:{ACCOUNT}:people"
    key = GIVEN_KEYS["TopicKmsKeyArn"]
    both = ("kms:Decrypt", "kms:GenerateDataKey")
    for more, keys in (({}, set()), ({"TopicKmsKeyArn": key}, {(key, both)})):
        template = Template.read(NotificationTopicArn=topic, **more)
        assert _keys_of(template, "RotationRole") == keys


def _policy(key: str) -> dict[str, Any]:
    return {one["Sid"]: one for one in CREATED.properties(key)["KeyPolicy"]["Statement"]}


@pytest.mark.parametrize("key", sorted(CREATED.created("AWS::KMS::Key")))
def test_only_services_of_aws_are_given_grants(key: str) -> None:
    """A grant would let somebody use a key whom no policy names."""
    denied = _policy(key)["OnlyAwsServicesGrant"]
    assert (denied["Effect"], denied["Principal"], denied["Resource"]) == ("Deny", "*", "*")
    assert actions([denied]) == {"kms:CreateGrant"}
    neither = {"kms:GrantIsForAWSResource": "false", "aws:PrincipalIsAWSService": "false"}
    assert denied["Condition"] == {"BoolIfExists": neither}


@pytest.mark.parametrize(
    ("key", "service"),
    [("SecretsKey", "secretsmanager"), ("SourceKey", "s3"), ("DestinationKey", "s3")],
)
def test_a_key_for_data_is_used_through_the_service_that_keeps_it(key: str, service: str) -> None:
    """Even an administrator decrypts nothing beside it; to administer the key is not denied."""
    administer, _, only = _policy(key).values()
    assert administer["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert (only["Effect"], only["Principal"]) == ("Deny", "*")
    assert actions([only]) == {
        "kms:Encrypt",
        "kms:Decrypt",
        "kms:ReEncrypt*",
        "kms:GenerateDataKey*",
    }
    via = only["Condition"]["StringNotEquals"]["kms:ViaService"]
    assert via == f"{service}.eu-central-1.amazonaws.com"


def test_the_key_of_the_logs_serves_the_logs_of_this_stack_alone() -> None:
    """CloudWatch Logs, and whoever asks it; no log group of another stack or account."""
    _, _, service, through = _policy("LogsKey").values()
    assert service["Principal"] == {"Service": "logs.eu-central-1.amazonaws.com"}
    groups = f"arn:aws:logs:eu-central-1:{ACCOUNT}:log-group:signatures-*"
    for one in (service, through):
        assert one["Condition"]["ArnLike"] == {"kms:EncryptionContext:aws:logs:arn": groups}
    assert through["Condition"]["StringEquals"] == {
        "kms:CallerAccount": ACCOUNT,
        "kms:ViaService": "logs.eu-central-1.amazonaws.com",
    }


def test_the_key_of_the_queues_admits_eventbridge_and_nobody_else() -> None:
    """Readers have their right from their own policies."""
    _, _, service = _policy("QueuesKey").values()
    assert service["Principal"] == {"Service": "events.amazonaws.com"}
    assert actions([service]) == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_keys_outlive_the_stack_as_what_they_encrypt_does() -> None:
    """Without its key no secret, document, line of a log or message could be read again."""
    for name, key in CREATED.created("AWS::KMS::Key").items():
        assert key["EnableKeyRotation"] is True
        if name != "AlarmKey":
            resource = CREATED.document["Resources"][name]
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
            assert resource["UpdateReplacePolicy"] == "Retain"


def test_the_outputs_name_every_role_and_every_key_that_is_made() -> None:
    """A key policy that somebody else writes needs the roles; a bucket's default needs the key."""
    outputs = CREATED.document["Outputs"].values()
    values = {str(CREATED.resolve(one["Value"])) for one in outputs}
    keys = CREATED.created("AWS::KMS::Key").keys() - {"AlarmKey"}
    for name in CREATED.created("AWS::IAM::Role").keys() | keys:
        assert f"{name}.Arn" in values


@pytest.mark.parametrize("parameter", GIVEN_KEYS)
def test_an_alias_is_no_key(parameter: str) -> None:
    """A policy cannot name an alias, which may lead to another key tomorrow."""
    with pytest.raises(AssertionError, match=parameter):
        Template.read(**{parameter: f"arn:aws:kms:eu-central-1:{ACCOUNT}:alias/documents"})
