"""What somebody would try who has taken over one role, or holds one of the policies for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.artifacts.template import PSEUDO
from tests.harness.iam.policies import Policies
from tests.harness.iam.requests import SOURCES, Request, event_bus

_SECRETS: Final = (
    f"arn:aws:secretsmanager:{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}:secret"
)
_ACCOUNT: Final = PSEUDO["AWS::AccountId"]
_AT: Final = f"{PSEUDO['AWS::Region']}:{_ACCOUNT}"
_ALLOWED: Final = "secretsmanager:resource/AllowRotationLambdaArn"


def attacks(policies: Policies) -> Iterator[tuple[str, Request]]:
    """Each attempt with a name; every one must be refused."""
    secret, admin, function = map(policies.arn, ("Secret", "AdminSecret", "RotationFunction"))
    ours = {_ALLOWED: function}
    for role in ("RotationRole", "ReconcileRole"):
        yield (
            "a key for a secret of one's own that names the rotation function",
            Request.of(role, "secretsmanager:DescribeSecret", f"{_SECRETS}:mine-AbCdEf", **ours),
        )
        yield (
            "a former admin credential",
            Request.of(
                role,
                "secretsmanager:GetSecretValue",
                admin,
                **{"secretsmanager:VersionStage": "AWSPREVIOUS"},
            ),
        )
        yield "a document", Request.of(role, "s3:GetObject", "arn:aws:s3:::inbox/incoming/a.pdf")
        yield (
            "the end of evidence",
            Request.of(role, "s3:DeleteObject", "arn:aws:s3:::EvidenceBucket/incidents/one.json"),
        )
        yield "rights of its own", Request.of(role, "iam:PutRolePolicy", policies.arn(role))
    yield (
        "a journal that says something else",
        Request.of("RotationRole", "s3:PutObject", "arn:aws:s3:::EvidenceBucket/journal/one.json"),
    )
    yield (
        "a key of one's own as the current one",
        Request.of("ReconcileRole", "secretsmanager:PutSecretValue", secret, **ours),
    )
    for what, context in (
        ("another schedule", {"secretsmanager:ModifyRotationRules": "true"}),
        ("another rotation function", {"secretsmanager:RotationLambdaARN": f"{function}-mine"}),
    ):
        yield (
            what,
            Request.of(
                "ReconcileRole",
                "secretsmanager:RotateSecret",
                secret,
                **{**ours, "secretsmanager:ModifyRotationRules": "false", **context},
            ),
        )
    if bus := policies.template.parameters["PhaseEventsBusName"]:
        yield (
            "an event in the name of somebody else, beside one of ours",
            Request.of(
                "ReconcileRole",
                "events:PutEvents",
                event_bus(bus),
                **{SOURCES: ("trusted-signatures-consumer.billing", "trusted-signatures-rotation")},
            ),
        )
    for role in ("SealingRole", "SealEventsRole", "SealBatchRole"):
        yield "the admin credential", Request.of(role, "secretsmanager:GetSecretValue", admin)
        yield (
            "a source that says something else",
            Request.of(role, "s3:PutObject", "arn:aws:s3:::inbox/incoming/a.pdf"),
        )
        yield (
            "a seal that no entry tells of",
            Request.of(role, "s3:DeleteObject", "arn:aws:s3:::ledger/seals/one"),
        )
    yield "the key", Request.of("SealingRole", "secretsmanager:GetSecretValue", secret)
    for role in ("SealEventsRole", "SealBatchRole"):
        yield (
            "a key that is replaced or to come",
            Request.of(
                role,
                "secretsmanager:GetSecretValue",
                secret,
                **{"secretsmanager:VersionStage": "AWSPENDING"},
            ),
        )
    yield (
        "the messages of the queue",
        Request.of("SealBatchRole", "sqs:ReceiveMessage", policies.arn("ArrivalsQueue")),
    )
    yield "a document", Request.of("JobRole", "s3:GetObject", "arn:aws:s3:::inbox/incoming/a.pdf")
    yield from _people(policies, secret, ours)


def _people(policies: Policies, secret: str, ours: dict[str, str]) -> Iterator[tuple[str, Request]]:
    who, alias = "ResponderPolicy", policies.arn("RevokeFirstAlias")
    yield "the key", Request.of(who, "secretsmanager:GetSecretValue", secret, **ours)
    yield (
        "another key as the current one",
        Request.of(
            who,
            "secretsmanager:UpdateSecretVersionStage",
            secret,
            **ours,
            **{"secretsmanager:VersionStage": "AWSCURRENT"},
        ),
    )
    yield (
        "a tag that other rights follow from",
        Request.of(who, "secretsmanager:TagResource", secret, **ours, **{"aws:TagKeys": ("team",)}),
    )
    yield "an outage", Request.of(who, "lambda:InvokeFunction", alias)
    yield (
        "a step of a rotation",
        Request.of(who, "lambda:InvokeFunction", policies.arn("RotationFunction")),
    )
    auditor = "AuditorPolicy"
    yield "the key", Request.of(auditor, "secretsmanager:GetSecretValue", secret, **ours)
    yield (
        "the key, with the key that encrypts it",
        Request.of(auditor, "kms:Decrypt", f"arn:aws:kms:{_AT}:key/one"),
    )
    yield (
        "the right to read it",
        Request.of(auditor, "iam:PutUserPolicy", f"arn:aws:iam::{_ACCOUNT}:user/auditor"),
    )
    yield (
        "a secret that names whom it likes",
        Request.of(auditor, "secretsmanager:PutResourcePolicy", secret, **ours),
    )
    yield "an end of the trail", Request.of(auditor, "cloudtrail:StopLogging", "*")
    if policies.template.parameters["BreakGlassMfa"] == "true":
        yield (
            "an outage without a second factor",
            Request.of(
                "BreakGlassPolicy",
                "lambda:InvokeFunction",
                alias,
                **{"aws:MultiFactorAuthPresent": "false"},
            ),
        )
    yield (
        "the key",
        Request.of("BreakGlassPolicy", "secretsmanager:GetSecretValue", secret, **ours),
    )
