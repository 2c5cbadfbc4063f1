"""Creates what CloudFormation would create of the template, in the sandbox's AWS.

moto's CloudFormation knows neither secrets nor alarms nor policies of buckets, queues and topics,
so each resource is created here by the call of AWS's API that CloudFormation's handler makes. What
a resource refers to is created before it; a circle is an error. botocore's own descriptions of the
calls turn the texts of parameters into numbers, and refuse a property that the call does not have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Self

from botocore import xform_name

from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.functions import FunctionRunner
from tests.artifacts.template import PSEUDO, Template

#: Makes what runs a function, of its logical id, its name, and its properties.
MakeFunction = Callable[[str, str, Mapping[str, Any]], FunctionRunner]
#: What a resource can be asked for: ``Ref``, and the attributes of ``Fn::GetAtt``.
Attributes = dict[str, Any]


@dataclass
class Stack:
    """A stack of the template, with one choice of parameters.

    Args:
        cloud: the AWS that it is created in.
        template: the template with the parameters.
        make_function: makes what runs a function.
        name: of the stack.

    Attributes:
        mappings: the properties of each event source mapping. Nothing polls in the sandbox: moto
            would invoke a function for each message, without batches.
    """

    cloud: Cloud
    template: Template
    make_function: MakeFunction
    name: str = "signatures"
    mappings: list[Mapping[str, Any]] = field(default_factory=list)
    _created: dict[str, Attributes] = field(default_factory=dict)
    _under_way: list[str] = field(default_factory=list)
    _clients: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        here = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::StackName": self.name}
        self.template = replace(
            self.template.transformed(), pseudo={**PSEUDO, **here}, physical=self.attribute
        )

    def create(self) -> Self:
        """Create every resource whose condition holds."""
        for name in self.template.document["Resources"]:
            if self.template.exists(name):
                self._create(name)
        return self

    def attribute(self, name: str, attribute: str = "Ref") -> Any:
        """What ``Ref`` or ``Fn::GetAtt`` gives of a resource, which is created if it is not yet."""
        return self._create(name)[attribute]

    def output(self, name: str) -> Any:
        """The value of an output."""
        return self.template.resolve(self.template.document["Outputs"][name]["Value"])

    def call(self, service: str, operation: str, **members: Any) -> Any:
        """Call an operation, with texts where numbers are meant and documents where texts are."""
        client = self._client(service)
        shape = client.meta.service_model.operation_model(operation).input_shape
        return getattr(client, xform_name(operation))(**_as_input(shape, members))

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.cloud.client(service)  # type: ignore[call-overload]
        return self._clients[service]

    def _create(self, name: str) -> Attributes:
        if name in self._created:
            return self._created[name]
        assert name not in self._under_way, f"a circle: {' → '.join([*self._under_way, name])}"
        self._under_way.append(name)
        declared = self.template.document["Resources"][name]
        before = declared.get("DependsOn", [])
        for other in [before] if isinstance(before, str) else before:
            if self.template.exists(other):
                self._create(other)
        properties = self.template.properties(name)
        self._created[name] = _CREATORS[declared["Type"]](self, name, properties)
        self._under_way.pop()
        return self._created[name]

    def physical_name(self, name: str) -> str:
        """What CloudFormation calls a resource that the template gives no name."""
        return f"{self.name}-{name}-1A2B3C4D5E6F"

    def arn(self, service: str, resource: str) -> str:
        """An ARN of this account and Region."""
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _same(value: Any) -> Any:
    return value


_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "integer": int,
    "long": int,
    "double": float,
    "float": float,
    "boolean": lambda value: value if isinstance(value, bool) else value == "true",
    "string": lambda value: value if isinstance(value, str) else json.dumps(value),
}


def _as_input(shape: Any, value: Any) -> Any:
    match shape.type_name:
        case "structure":
            unknown = value.keys() - shape.members.keys()
            assert not unknown, f"{shape.name} has no {unknown}"
            return {name: _as_input(shape.members[name], one) for name, one in value.items()}
        case "list":
            return [_as_input(shape.member, one) for one in value]
        case "map":
            return {name: _as_input(shape.value, one) for name, one in value.items()}
    return _SCALARS.get(shape.type_name, _same)(value)


def _secret(stack: Stack, _: str, properties: Mapping[str, Any]) -> Attributes:
    members = dict(properties)
    if replicas := members.pop("ReplicaRegions", None):
        members["AddReplicaRegions"] = replicas
    arn = stack.call("secretsmanager", "CreateSecret", **members)["ARN"]
    return {"Ref": arn, "Id": arn}


def _secret_policy(stack: Stack, _: str, properties: Mapping[str, Any]) -> Attributes:
    return {"Ref": stack.call("secretsmanager", "PutResourcePolicy", **properties)["ARN"]}


def _schedule(stack: Stack, _: str, properties: Mapping[str, Any]) -> Attributes:
    members = dict(properties)
    members["RotateImmediately"] = members.pop("RotateImmediatelyOnUpdate")
    answer = stack.call("secretsmanager", "RotateSecret", **members)
    # CloudFormation does not wait for the test of the configuration, and does not ask how it ended.
    stack.cloud.wait_for_rotation(answer["ARN"], answer["VersionId"], timedelta(seconds=120))
    return {"Ref": answer["ARN"]}


def _role(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    members = dict(properties)
    policies = members.pop("Policies", [])
    managed = members.pop("ManagedPolicyArns", [])
    called = stack.physical_name(name)
    role = stack.call("iam", "CreateRole", RoleName=called, **members)["Role"]
    for arn in managed:
        stack.call("iam", "AttachRolePolicy", RoleName=called, PolicyArn=arn)
    for policy in policies:
        stack.call("iam", "PutRolePolicy", RoleName=called, **policy)
    return {"Ref": called, "Arn": role["Arn"]}


def _role_policy(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    members = dict(properties)
    for role in members.pop("Roles"):
        stack.call("iam", "PutRolePolicy", RoleName=role, **members)
    return {"Ref": stack.physical_name(name)}


def _managed_policy(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    called = stack.physical_name(name)
    answer = stack.call("iam", "CreatePolicy", PolicyName=called, **properties)
    return {"Ref": answer["Policy"]["Arn"]}


def _log_group(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    called = stack.physical_name(name)
    members = dict(properties)
    days = members.pop("RetentionInDays")
    if "KmsKeyId" in members:
        members["kmsKeyId"] = members.pop("KmsKeyId")
    stack.call("logs", "CreateLogGroup", logGroupName=called, **members)
    stack.call("logs", "PutRetentionPolicy", logGroupName=called, retentionInDays=days)
    return {"Ref": called, "Arn": stack.arn("logs", f"log-group:{called}:*")}


def _function(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    called = properties.get("FunctionName", stack.physical_name(name))
    arn = stack.cloud.add_function(
        called,
        stack.make_function(name, called, properties),
        timeout=timedelta(seconds=int(properties["Timeout"])),
        memory_mb=int(properties["MemorySize"]),
    )
    return {"Ref": called, "Arn": arn}


def _permission(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    stack.call("lambda", "AddPermission", StatementId=name, **properties)
    return {"Ref": name}


def _alias(stack: Stack, _: str, properties: Mapping[str, Any]) -> Attributes:
    # Whoever invokes it needs a runner of its own: see `Cloud.add_alias`.
    return {"Ref": stack.call("lambda", "CreateAlias", **properties)["AliasArn"]}


def _event_settings(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    stack.call("lambda", "PutFunctionEventInvokeConfig", **properties)
    return {"Ref": name}


def _mapping(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    stack.mappings.append(properties)
    return {"Ref": name}


def _rule(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    called = stack.physical_name(name)
    members = dict(properties)
    targets = members.pop("Targets")
    arn = stack.call("events", "PutRule", Name=called, **members)["RuleArn"]
    bus = {"EventBusName": members.get("EventBusName", "default")}
    stack.call("events", "PutTargets", Rule=called, Targets=targets, **bus)
    return {"Ref": called, "Arn": arn}


def _queue(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    called = stack.physical_name(name)
    attributes = {
        one: json.dumps(value) if isinstance(value, dict | bool) else str(value)
        for one, value in properties.items()
    }
    url = stack.call("sqs", "CreateQueue", QueueName=called, Attributes=attributes)["QueueUrl"]
    return {"Ref": url, "Arn": stack.arn("sqs", called), "QueueName": called}


def _queue_policy(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    policy = json.dumps(properties["PolicyDocument"])
    for url in properties["Queues"]:
        stack.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes={"Policy": policy})
    return {"Ref": name}


def _topic(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    called = stack.physical_name(name)
    arn = stack.call("sns", "CreateTopic", Name=called, Attributes=properties)["TopicArn"]
    return {"Ref": arn, "TopicName": called}


def _topic_policy(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    for arn in properties["Topics"]:
        stack.call(
            "sns",
            "SetTopicAttributes",
            TopicArn=arn,
            AttributeName="Policy",
            AttributeValue=properties["PolicyDocument"],
        )
    return {"Ref": name}


def _subscription(stack: Stack, _: str, properties: Mapping[str, Any]) -> Attributes:
    return {"Ref": stack.call("sns", "Subscribe", **properties)["SubscriptionArn"]}


def _key(stack: Stack, _: str, properties: Mapping[str, Any]) -> Attributes:
    members = {"Policy": properties["KeyPolicy"], "Description": properties["Description"]}
    key = stack.call("kms", "CreateKey", **members)["KeyMetadata"]
    return {"Ref": key["KeyId"], "Arn": key["Arn"]}


def _bucket(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    called = stack.physical_name(name).lower()
    members = dict(properties)
    locked = members.pop("ObjectLockEnabled", False)
    ownership = members.pop("OwnershipControls")["Rules"][0]["ObjectOwnership"]
    stack.call(
        "s3",
        "CreateBucket",
        Bucket=called,
        ObjectLockEnabledForBucket=locked,
        ObjectOwnership=ownership,
    )
    for setting, value in members.items():
        operation, argument, as_argument = _BUCKET_SETTINGS[setting]
        stack.call("s3", operation, Bucket=called, **{argument: as_argument(value)})
    return {"Ref": called, "Arn": f"arn:aws:s3:::{called}"}


def _encryption(value: Mapping[str, Any]) -> Any:
    rules = [dict(rule) for rule in value["ServerSideEncryptionConfiguration"]]
    for rule in rules:
        rule["ApplyServerSideEncryptionByDefault"] = rule.pop("ServerSideEncryptionByDefault")
    return {"Rules": rules}


def _lifecycle(value: Mapping[str, Any]) -> Any:
    # PutBucketLifecycleConfiguration wants a filter; CloudFormation fills in an empty one.
    return {
        "Rules": [
            {"Filter": {"Prefix": ""}, "ID": rule["Id"]}
            | {name: one for name, one in rule.items() if name != "Id"}
            for rule in value["Rules"]
        ]
    }


def _logging(value: Mapping[str, Any]) -> Any:
    target = {
        "TargetBucket": value["DestinationBucketName"],
        "TargetPrefix": value["LogFilePrefix"],
    }
    return {"LoggingEnabled": target}


_BUCKET_SETTINGS: Mapping[str, tuple[str, str, Callable[[Any], Any]]] = {
    "VersioningConfiguration": ("PutBucketVersioning", "VersioningConfiguration", _same),
    "BucketEncryption": (
        "PutBucketEncryption",
        "ServerSideEncryptionConfiguration",
        _encryption,
    ),
    "PublicAccessBlockConfiguration": (
        "PutPublicAccessBlock",
        "PublicAccessBlockConfiguration",
        _same,
    ),
    "LifecycleConfiguration": (
        "PutBucketLifecycleConfiguration",
        "LifecycleConfiguration",
        _lifecycle,
    ),
    "ObjectLockConfiguration": ("PutObjectLockConfiguration", "ObjectLockConfiguration", _same),
    "NotificationConfiguration": (
        "PutBucketNotificationConfiguration",
        "NotificationConfiguration",
        lambda _: {"EventBridgeConfiguration": {}},
    ),
    "LoggingConfiguration": ("PutBucketLogging", "BucketLoggingStatus", _logging),
}


_WITHOUT_TLS = {"Bool": {"aws:SecureTransport": "false"}}


def _bucket_policy(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    # There is no TLS on loopback; what denies calls without it would deny all of them.
    document = properties["PolicyDocument"]
    kept = [one for one in document["Statement"] if one.get("Condition") != _WITHOUT_TLS]
    if kept:
        policy = {**document, "Statement": kept}
        stack.call("s3", "PutBucketPolicy", Bucket=properties["Bucket"], Policy=policy)
    return {"Ref": name}


def _alarm(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    called = stack.physical_name(name)
    stack.call("cloudwatch", "PutMetricAlarm", AlarmName=called, **properties)
    return {"Ref": called, "Arn": stack.arn("cloudwatch", f"alarm:{called}")}


def _dashboard(stack: Stack, _: str, properties: Mapping[str, Any]) -> Attributes:
    stack.call("cloudwatch", "PutDashboard", **properties)
    return {"Ref": properties["DashboardName"]}


def _config_rule(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    called = stack.physical_name(name)
    rule = {"ConfigRuleName": called, **properties}
    stack.call("config", "PutConfigRule", ConfigRule=rule)
    return {"Ref": called, "Arn": stack.arn("config", f"config-rule/{called}")}


def _security_group(stack: Stack, name: str, properties: Mapping[str, Any]) -> Attributes:
    members = {
        "GroupName": stack.physical_name(name),
        "Description": properties["GroupDescription"],
        "VpcId": properties["VpcId"],
    }
    group = stack.call("ec2", "CreateSecurityGroup", **members)["GroupId"]
    for way in ("Ingress", "Egress"):
        rules = [_permitted(rule) for rule in properties.get(f"SecurityGroup{way}", [])]
        if rules:
            operation = f"AuthorizeSecurityGroup{way}"
            stack.call("ec2", operation, GroupId=group, IpPermissions=rules)
    return {"Ref": group, "GroupId": group}


def _permitted(rule: Mapping[str, Any]) -> Attributes:
    """A rule of a security group as EC2's own calls take it."""
    addresses = {one: rule[one] for one in ("CidrIp", "Description") if one in rule}
    ports = {one: rule[one] for one in ("IpProtocol", "FromPort", "ToPort") if one in rule}
    return {**ports, "IpRanges": [addresses]}


def _endpoint(stack: Stack, _: str, properties: Mapping[str, Any]) -> Attributes:
    answer = stack.call("ec2", "CreateVpcEndpoint", **properties)
    return {"Ref": answer["VpcEndpoint"]["VpcEndpointId"]}


_CREATORS: Mapping[str, Callable[[Stack, str, Mapping[str, Any]], Attributes]] = {
    "AWS::SecretsManager::Secret": _secret,
    "AWS::SecretsManager::ResourcePolicy": _secret_policy,
    "AWS::SecretsManager::RotationSchedule": _schedule,
    "AWS::IAM::Role": _role,
    "AWS::IAM::Policy": _role_policy,
    "AWS::IAM::ManagedPolicy": _managed_policy,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::Permission": _permission,
    "AWS::Lambda::Alias": _alias,
    "AWS::Lambda::EventInvokeConfig": _event_settings,
    "AWS::Lambda::EventSourceMapping": _mapping,
    "AWS::Events::Rule": _rule,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
    "AWS::SNS::Topic": _topic,
    "AWS::SNS::TopicPolicy": _topic_policy,
    "AWS::SNS::Subscription": _subscription,
    "AWS::KMS::Key": _key,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::Config::ConfigRule": _config_rule,
    "AWS::EC2::SecurityGroup": _security_group,
    "AWS::EC2::VPCEndpoint": _endpoint,
}
