"""Which rights a call needs: an action on a resource, with the keys that conditions may ask for.

Sources: Service Authorization Reference, and for calls that need other rights than that of their
name, or that a service makes on the role's behalf, the page that is named beside the rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rotation.sandbox.aws import ACCOUNT as SANDBOX_ACCOUNT
from rotation.sandbox.deployment import (
    ADMIN_SECRET,
    DESTINATION_BUCKET,
    EVIDENCE_BUCKET,
    POOL_SECRET,
    RECONCILE,
    ROTATE,
    SECRET,
    SOURCE_BUCKET,
)
from tests.artifacts.template import BUCKETS, PSEUDO
from tests.harness.iam.policies import Policies
from tests.harness.iam.recording import (
    AUDITOR,
    BREAK_GLASS,
    LEDGER,
    RESPONDER,
    ROLES,
    TRAIL_BUCKET,
    Call,
)

_REGION: Final = PSEUDO["AWS::Region"]
_AT: Final = f"{_REGION}:{PSEUDO['AWS::AccountId']}"
#: A secret, and its key, that the stack does not know.
_OTHER_SECRET: Final = f"arn:aws:secretsmanager:{_AT}:secret:of-others-AbCdEf"
_OTHER_KEY: Final = f"arn:aws:kms:{_AT}:key/of-others"
_STORE: Final = f"arn:aws:cloudtrail:{_AT}:eventdatastore/0f1e2d3c"
_FUNCTIONS: Final = {ROTATE: "RotationFunction", RECONCILE: "ReconcileFunction"}
_FUNCTION: Final = re.compile(r"/2015-03-31/functions/([^/]+)/(invocations|configuration)")
_ALLOWED: Final = "secretsmanager:resource/AllowRotationLambdaArn"


@dataclass(frozen=True)
class Request:
    """What IAM is asked."""

    role: str
    action: str
    resource: str
    context: tuple[tuple[str, str | tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, role: str, action: str, resource: str, **context: Any) -> Request:
        """A request; the keys of the context are given as ``**{"service:Key": value}``."""
        return cls(role, action, resource, tuple(sorted(context.items())))


#: The sources of all entries of a call (Service Authorization Reference, list_amazoneventbridge).
SOURCES: Final = "events:source"


def event_bus(name: str) -> str:
    """The ARN of an event bus in the account of the template."""
    return f"arn:aws:events:{_REGION}:{PSEUDO['AWS::AccountId']}:event-bus/{name}"


class Rights:
    """Translates calls of the sandbox to requests on the resources of the template."""

    def __init__(self, policies: Policies) -> None:
        parameters = policies.template.parameters
        secret = parameters["ExistingSecretArn"] or policies.arn("Secret")
        self._secrets = {
            SECRET: secret,
            ADMIN_SECRET: policies.arn("AdminSecret"),
            POOL_SECRET: policies.arn("PoolSecret"),
        }
        self._buckets = {
            SOURCE_BUCKET: parameters["SourceBucketName"] or BUCKETS["SourceBucket"],
            DESTINATION_BUCKET: parameters["DestinationBucketName"] or BUCKETS["DestinationBucket"],
            EVIDENCE_BUCKET: "EvidenceBucket",
            LEDGER: parameters["LedgerBucketName"],
            TRAIL_BUCKET: parameters["TrailBucketName"],
        }
        self._policies, self._parameters = policies, parameters
        further = parameters["FurtherSecretArns"].replace("*", "another-AbCdEf")
        self._further = further.split(",") if further else []
        self._key_of_secrets = self._key("KmsKeyArn", "SecretsKey")
        self._source_key = self._key("DocumentsKmsKeyArn", "SourceKey")
        self._destination_key = self._key("DestinationKmsKeyArn", "DestinationKey")
        self._destination_key = self._destination_key or self._source_key

    def _key(self, parameter: str, resource: str) -> str:
        """The ARN of the key that is given, or that the stack creates; empty without one."""
        creates = self._parameters["CreateKmsKeys"] == "true"
        return self._parameters[parameter] or (self._policies.arn(resource) if creates else "")

    def of(self, call: Call) -> Iterator[Request]:
        """The requests that a recorded call stands for, on every secret that is rotated."""
        if call.role == BREAK_GLASS and "Qualifier" not in call.members:
            # BreakGlassPolicy is held beside ResponderPolicy.
            call = replace(call, role=RESPONDER)
        if call.role == AUDITOR and call.service == "lambda" and call.operation == "POST":
            # AuditorPolicy is held beside it too: it asks the reconcile function.
            call = replace(call, role=RESPONDER)
        for request in self._of(call):
            yield request
            rotated = request.resource == self._secrets[SECRET]
            if rotated and request.role in {"RotationRole", "ReconcileRole", RESPONDER}:
                for other in self._further:
                    yield replace(request, resource=other)

    def _of(self, call: Call) -> Iterator[Request]:
        match call.service:
            case "secretsmanager":
                yield from self._of_secrets(call)
            case "s3":
                yield from self._of_objects(call)
            case "lambda":
                yield self._of_a_function(call)
            case "iam" | "cloudtrail" | "kms":
                yield _of_an_audit(call)
            case "access-analyzer":
                yield _of_findings(call)
            case "sns":
                yield from self._of_messages(call)
            case "events":
                if bus := self._parameters["PhaseEventsBusName"]:
                    sources = tuple(sorted({one["Source"] for one in call.members["Entries"]}))
                    yield Request.of(
                        call.role, "events:PutEvents", event_bus(bus), **{SOURCES: sources}
                    )

    def _of_a_function(self, call: Call) -> Request:
        [(name, what)] = _FUNCTION.findall(call.path)
        arn = self._policies.arn(_FUNCTIONS[name.rpartition(":")[2]])
        if what == "configuration":
            return Request.of(call.role, "lambda:GetFunctionConfiguration", arn)
        alias = call.members.get("Qualifier")
        resource = f"{arn}:{alias}" if alias else arn
        mfa = {"aws:MultiFactorAuthPresent": "true"} if alias else {}
        return Request.of(call.role, "lambda:InvokeFunction", resource, **mfa)

    def _of_secrets(self, call: Call) -> Iterator[Request]:
        members, action = call.members, f"secretsmanager:{call.operation}"
        if "SecretId" not in members:
            yield Request.of(call.role, action, "*")
            return
        name = re.sub(r"^arn:.*:secret:|-[A-Za-z0-9]{6}$", "", members["SecretId"])
        if {ADMIN_SECRET: "admin-api", POOL_SECRET: "key-pool"}.get(name) not in {
            self._parameters["KeyIssuer"],
            None,
        }:
            return
        arn = self._secrets.get(name, _OTHER_SECRET)
        function = self._policies.arn("RotationFunction")
        context: dict[str, Any] = {_ALLOWED: function} if name == SECRET else {}
        if "VersionStage" in members:
            context["secretsmanager:VersionStage"] = members["VersionStage"]
        if "VersionId" in members:
            context["secretsmanager:VersionId"] = members["VersionId"]
        if call.operation in {"TagResource", "UntagResource"}:
            keys = [one["Key"] for one in members.get("Tags", ())] or members["TagKeys"]
            context["aws:TagKeys"] = tuple(keys)
        if call.operation == "RotateSecret":
            context["secretsmanager:ModifyRotationRules"] = (
                "true" if "RotationRules" in members else "false"
            )
            # API_RotateSecret: the caller must be allowed to invoke the function.
            yield Request.of(call.role, "lambda:InvokeFunction", function)
        yield Request.of(call.role, action, arn, **context)
        # UserGuide security-encryption: what Secrets Manager does with the key for its caller.
        via = {
            "kms:ViaService": f"secretsmanager.{_REGION}.amazonaws.com",
            "kms:EncryptionContext:SecretARN": arn,
        }
        uses = {
            "GetSecretValue": ["kms:Decrypt"],
            "PutSecretValue": ["kms:GenerateDataKey", "kms:Decrypt"],
        }
        for use in uses.get(call.operation, ()):
            if self._key_of_secrets:
                yield Request.of(call.role, use, self._key_of_secrets, **via)
            # Only values of the past are still encrypted under the former key.
            if use == "kms:Decrypt" and (former := self._parameters["FormerKmsKeyArn"]):
                yield Request.of(call.role, use, former, **via)

    def _of_objects(self, call: Call) -> Iterator[Request]:
        """UserGuide using-with-s3-policy-actions: the actions that each API operation needs."""
        _, bucket, *rest = call.path.split("/", 2)
        key, members = "".join(rest), call.members
        if not self._buckets[bucket]:
            return
        place = f"arn:aws:s3:::{self._buckets[bucket]}"
        resource = f"{place}/{key}" if key else place
        copies_tags = self._parameters["CopyTags"] == "true"
        for action in _object_actions(call.operation, key, members):
            if "Tagging" in action and not copies_tags:
                continue
            yield Request.of(call.role, action, resource)
            if action.startswith("s3:GetObjectVersion"):
                # As from a bucket without versions.
                yield Request.of(call.role, action.replace("Version", ""), resource)
        if call.status == 404 and call.operation in {"GET", "HEAD"} and key:
            # API_GetObject: without the right to list, what does not exist is 403.
            yield Request.of(call.role, "s3:ListBucket", place)
        if source := members.get("x-amz-copy-source"):
            name, _, copied = source.lstrip("/").partition("/")
            copied, _, version = copied.partition("?versionId=")
            action = "s3:GetObjectVersion" if version else "s3:GetObject"
            yield Request.of(call.role, action, f"arn:aws:s3:::{self._buckets[name]}/{copied}")
        keys = {
            SOURCE_BUCKET: self._source_key,
            DESTINATION_BUCKET: self._destination_key,
            EVIDENCE_BUCKET: self._parameters["EvidenceKmsKeyArn"],
            LEDGER: self._parameters["LedgerKmsKeyArn"],
            # Its policy lets the auditor decrypt: the stack does not know it.
            TRAIL_BUCKET: "",
        }
        if (used := keys[bucket]) and key:
            # UserGuide UsingKMSEncryption: a multipart upload, which documents may be, needs both.
            via = {"kms:ViaService": f"s3.{_REGION}.amazonaws.com"}
            uses = ["kms:GenerateDataKey"] if call.operation in {"PUT", "POST"} else []
            if not uses or bucket in {SOURCE_BUCKET, DESTINATION_BUCKET}:
                uses.append("kms:Decrypt")
            for use in uses:
                yield Request.of(call.role, use, used, **via)

    def _of_messages(self, call: Call) -> Iterator[Request]:
        given, topic = self._parameters["NotificationTopicArn"], self._policies.arn("AlarmTopic")
        if not given and self._parameters["AlarmTopicArn"]:
            return
        yield Request.of(call.role, "sns:Publish", given or topic)
        if not given:
            # SNS developer guide sns-key-management: whoever publishes needs both.
            via = {"kms:ViaService": f"sns.{_REGION}.amazonaws.com"}
            for use in ("kms:GenerateDataKey", "kms:Decrypt"):
                yield Request.of(call.role, use, self._policies.arn("AlarmKey"), **via)

    def by_services(self) -> Iterator[Request]:
        """What AWS does in the name of a role, and no client of ours asks for."""
        template, arn = self._policies.template, self._policies.arn
        created = template.created("AWS::IAM::Role").keys()
        for role in created & {*ROLES.values()}:
            # Lambda developer guide lambda-intro-execution-role: Lambda writes the log.
            log = {"Seal": "Unattended"}.get(role[:4], role[: -len("Role")])
            log = "Sealing" if role == "SealingRole" else log
            group = arn(f"{log}LogGroup").removesuffix(":*")
            for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                yield Request.of(role, action, f"{group}:log-stream:2026/11/27/[$LATEST]0f1e")
            if template.parameters["SubnetIds"]:
                # Lambda developer guide configuration-vpc, "Required IAM permissions".
                yield from _network(role)
        if "SealEventsRole" in created:
            # Lambda developer guide services-sqs-configure.
            for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
                yield Request.of("SealEventsRole", f"sqs:{action}", arn("ArrivalsQueue"))
            if key := self._key("QueuesKmsKeyArn", "QueuesKey"):
                # SQS developer guide sqs-key-management.
                via = {"kms:ViaService": f"sqs.{_REGION}.amazonaws.com"}
                yield Request.of("SealEventsRole", "kms:Decrypt", key, **via)
        if "JobRole" in created:
            yield from self._of_a_job()

    def _of_a_job(self) -> Iterator[Request]:
        """S3 UserGuide batch-ops-iam-role-policies, "Invoke AWS Lambda function"."""
        papers = f"arn:aws:s3:::{self._buckets[DESTINATION_BUCKET]}/seal-jobs/"
        function = self._policies.arn("SealBatchFunction")
        yield Request.of("JobRole", "lambda:InvokeFunction", function)
        yield Request.of("JobRole", "s3:GetObject", f"{papers}manifest.csv")
        yield Request.of("JobRole", "s3:GetObjectVersion", f"{papers}manifest.csv")
        yield Request.of("JobRole", "s3:PutObject", f"{papers}reports/job-1/results.csv")
        if documents := self._destination_key:
            for use in ("kms:GenerateDataKey", "kms:Decrypt"):
                via = {"kms:ViaService": f"s3.{_REGION}.amazonaws.com"}
                yield Request.of("JobRole", use, documents, **via)


def _of_an_audit(call: Call) -> Request:
    """Who looks for readers asks for every principal, and for what the stack does not know."""
    resource = {
        "SimulatePrincipalPolicy": call.members.get("PolicySourceArn", "").replace(
            SANDBOX_ACCOUNT, PSEUDO["AWS::AccountId"]
        ),
        "DescribeKey": _OTHER_KEY,
        "GetKeyPolicy": _OTHER_KEY,
        "GetEventSelectors": f"arn:aws:cloudtrail:{_AT}:trail/all",
        "GetEventDataStore": _STORE,
        "GetQueryResults": _STORE,
        "StartQuery": _STORE,
    }.get(call.operation, "*")
    return Request.of(call.role, f"{call.service}:{call.operation}", resource)


def _of_findings(call: Call) -> Request:
    """API_ListFindingsV2, API_GetFindingV2: the actions are those without V2."""
    analyzer = f"arn:aws:access-analyzer:{_AT}:analyzer/account"
    match call.path.split("/")[1:]:
        case ["analyzer"]:
            return Request.of(call.role, "access-analyzer:ListAnalyzers", "*")
        case ["findingv2"]:
            return Request.of(call.role, "access-analyzer:ListFindings", analyzer)
        case _:
            return Request.of(call.role, "access-analyzer:GetFinding", analyzer)


def _network(role: str) -> Iterator[Request]:
    interface = f"arn:aws:ec2:{_REGION}:{PSEUDO['AWS::AccountId']}:network-interface/eni-0f1e2d3c"
    for action in ("Create", "Delete"):
        yield Request.of(role, f"ec2:{action}NetworkInterface", interface)
    for action in ("Assign", "Unassign"):
        yield Request.of(role, f"ec2:{action}PrivateIpAddresses", interface)
    for action in ("NetworkInterfaces", "Subnets"):
        yield Request.of(role, f"ec2:Describe{action}", "*")


def _object_actions(method: str, key: str, members: Mapping[str, Any]) -> list[str]:
    version = "Version" if "versionId" in members else ""
    if not key:
        return ["s3:ListBucketMultipartUploads" if "uploads" in members else "s3:ListBucket"]
    if method in {"GET", "HEAD"}:
        return [f"s3:GetObject{version}{'Tagging' if 'tagging' in members else ''}"]
    if method == "DELETE":
        return ["s3:AbortMultipartUpload" if "uploadId" in members else "s3:DeleteObject"]
    tagging = ["s3:PutObjectTagging"] if "x-amz-tagging" in members else []
    # UserGuide conditional-writes: If-Match needs the right to read.
    reading = ["s3:GetObject"] if "if-match" in members and "uploadId" not in members else []
    return ["s3:PutObject", *tagging, *reading]
