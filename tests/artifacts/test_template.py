"""What the template promises, read from the template itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.client.lambda_invoker import FUNCTION_TIMEOUT
from rotation.core.policy import RECONCILIATION_INTERVAL
from rotation.errors import ConfigurationError
from rotation.handlers.reconcile_events import REVOKE_FIRST
from rotation.secrets_manager.former_labels import FORMER_TAGS
from rotation.secrets_manager.labels import AWSPENDING, HOLD_TAG, INCIDENT_TAG
from rotation.settings.environment import Location
from rotation.settings.rotation import ReconcileSettings, RotationSettings
from rotation.settings.sealing import SealingSettings
from tests.artifacts.template import PSEUDO, Template, actions
from tests.artifacts.toolchain import succeed
from tests.paths import ROOT

_KEY = "arn:aws:kms:eu-central-1:012345678912:key/0f1e2d3c"
_FUNCTIONS = {
    "RotationFunction": "rotation",
    "ReconcileFunction": "rotation",
    "SealingFunction": "sealing",
    "SealEventsFunction": "sealing",
    "SealBatchFunction": "sealing",
}
_SECRETS = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:*"
_SECRET = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:Secret-AbCdEf"
_ADMIN_SECRET = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:AdminSecret-AbCdEf"


@pytest.fixture(scope="module")
def template() -> Template:
    """The template with its defaults, and keys from the administration interface."""
    return Template.read(KeyIssuer="admin-api")


@pytest.mark.parametrize(("function", "artifact"), _FUNCTIONS.items())
def test_a_function_is_the_artifact_that_was_built_for_it(
    template: Template, built: Path, function: str, artifact: str
) -> None:
    """CodeUri is what `make package` writes, the handler is in it, and SAM leaves it alone."""
    resource = template.resource(function)
    assert resource["Metadata"]["SkipBuild"] is True
    assert resource["Properties"]["CodeUri"] == f"build/{artifact}"
    *module, attribute = resource["Properties"]["Handler"].split(".")
    source = (built / artifact).joinpath(*module).with_suffix(".py").read_text()
    assert f"def {attribute}(" in source


def test_the_artifacts_are_built_for_the_templates_runtime(template: Template) -> None:
    """`make package` without arguments builds for the runtime and architecture deployed to."""
    variables = succeed("make", "--print-data-base", "--dry-run", "help")
    defaults = dict(re.findall(r"^(ARCH|PYTHON_VERSION) :?= (\S+)$", variables, re.MULTILINE))
    for function in _FUNCTIONS:
        properties = template.properties(function)
        assert properties["Runtime"] == f"python{defaults['PYTHON_VERSION']}"
        assert properties["Architectures"] == [defaults["ARCH"]]


def test_the_rotation_function_gets_settings_that_it_accepts(template: Template) -> None:
    """The template's names and defaults are those that the code reads."""
    settings = RotationSettings.from_environment(template.environment("RotationFunction"))
    assert settings.installation == PSEUDO["AWS::StackName"]
    assert settings.admin_secret == _ADMIN_SECRET
    assert settings.admin_url == settings.vendor.url == "https://api.trusted-signatures.com"
    assert settings.evidence_bucket == "EvidenceBucket"
    assert settings.key_lifetime == timedelta(days=180)
    assert settings.grace == timedelta(hours=2)
    assert settings.vendor.trust_anchors is None


@pytest.mark.parametrize("issuer", ["admin-api", "key-pool"])
def test_the_reconcile_function_agrees_with_the_rotation_function(issuer: str) -> None:
    """Installation, issuer, grace, vendor and signer are the same; each names the other."""
    template = Template.read(KeyIssuer=issuer)
    environment = template.environment("ReconcileFunction")
    arn = "arn:aws:lambda:eu-central-1:012345678912:function:rotate"
    # A GetAtt stands for an ARN that only a deployment has.
    settings = ReconcileSettings.from_environment(environment | {"ROTATION_FUNCTION": arn})
    assert environment["ROTATION_FUNCTION"] == "RotationFunction.Arn"
    rotating = RotationSettings.from_environment(template.environment("RotationFunction"))
    assert replace(rotating, reconcile_function=None) == settings.rotation
    name = template.properties("ReconcileFunction")["FunctionName"]
    assert rotating.reconcile_function == name == "signatures-reconcile"


def test_no_secret_is_rotated_but_those_that_the_template_names() -> None:
    """The functions and every policy have the same list: the stack's secret, and further ones."""
    further = [f"{_SECRETS[:-1]}team/*", f"{_SECRETS[:-1]}archive-AbCdEf"]
    alone, more = Template.read(), Template.read(FurtherSecretArns=",".join(further))
    for template, listed in ((alone, [_SECRET]), (more, [_SECRET, *further])):
        for function in ("RotationFunction", "ReconcileFunction"):
            assert template.environment(function)["ROTATED_SECRETS"] == ",".join(listed)
        granted = [
            *template.statements("RotationRole"),
            *template.statements("ReconcileRole"),
            *template.properties("ResponderPolicy")["PolicyDocument"]["Statement"],
        ]
        naming = [one for one in granted if "AllowRotationLambdaArn" in str(one)]
        assert len(naming) == 7
        assert all(one["Resource"] == listed for one in naming)
    for refused in ("archive", f"{further[0]},archive", "arn:aws:s3:::archive"):
        with pytest.raises(AssertionError, match="FurtherSecretArns"):
            Template.read(FurtherSecretArns=refused)


def test_both_functions_know_the_names_of_the_stacks_that_this_one_replaces() -> None:
    """What FormerInstallations names is what the code reads, up to the code's limit."""
    names = [f"stack-{number}" for number in range(10)]
    template = Template.read(FormerInstallations=", ".join(names))
    for function in ("RotationFunction", "ReconcileFunction"):
        settings = RotationSettings.from_environment(template.environment(function))
        assert settings.former_installations == tuple(names)
    for refused in (",".join([*names, "stack-10"]), "old,", "a|b"):
        with pytest.raises(AssertionError, match="FormerInstallations"):
            Template.read(FormerInstallations=refused)


def test_the_sealing_function_gets_settings_that_it_accepts() -> None:
    """Buckets and prefixes arrive as the locations that the code allows."""
    template = Template.read(SourcePrefix="incoming/", DestinationPrefix="")
    settings = SealingSettings.from_environment(template.environment("SealingFunction"))
    assert settings.sources == (Location("inbox", "incoming/"),)
    assert settings.destinations == (Location("outbox", ""),)
    assert (settings.copy_metadata, settings.copy_tags) == (False, False)
    assert settings.destination_kms_key is None
    assert settings.profile == "auto"
    encrypted = Template.read(DocumentsKmsKeyArn=_KEY, CopyMetadata="true", SealProfile="pades")
    settings = SealingSettings.from_environment(encrypted.environment("SealingFunction"))
    assert (settings.destination_kms_key, settings.copy_metadata) == (_KEY, True)
    assert settings.profile == "pades"


def test_clients_wait_longer_than_the_sealing_function_may_take(template: Template) -> None:
    """The client's idea of the function's timeout is the template's."""
    timeout = template.properties("SealingFunction")["Timeout"]
    assert timedelta(seconds=timeout) == FUNCTION_TIMEOUT


@pytest.mark.parametrize(
    ("parameter", "variable", "function", "read"),
    [
        ("KeyLifetimeDays", "KEY_LIFETIME_DAYS", "RotationFunction", RotationSettings),
        ("GraceHours", "GRACE_HOURS", "RotationFunction", RotationSettings),
        ("MaxDocumentBytes", "MAX_DOCUMENT_BYTES", "SealingFunction", SealingSettings),
    ],
)
def test_the_templates_limits_are_the_codes(
    template: Template,
    parameter: str,
    variable: str,
    function: str,
    read: type[RotationSettings | SealingSettings],
) -> None:
    """What CloudFormation accepts the function accepts; one more or less neither would."""
    environment = template.environment(function)
    declared = template.document["Parameters"][parameter]
    for accepted in (declared["MinValue"], declared["MaxValue"]):
        read.from_environment(environment | {variable: str(accepted)})
    for refused in (declared["MinValue"] - 1, declared["MaxValue"] + 1):
        with pytest.raises(ConfigurationError, match=variable):
            read.from_environment(environment | {variable: str(refused)})


def test_every_variable_is_one_that_the_code_reads(template: Template) -> None:
    """No variable is set for nobody."""
    source = "".join(path.read_text() for path in (ROOT / "rotation" / "settings").glob("*.py"))
    for function in _FUNCTIONS:
        for variable in template.environment(function):
            assert f'"{variable}"' in source


@pytest.mark.parametrize("name", ["Secret", "AdminSecret"])
def test_a_secret_is_created_empty_and_outlives_the_stack(template: Template, name: str) -> None:
    """No key material passes through CloudFormation, and deleting the stack deletes no key."""
    secret = template.resource(name)
    assert secret["DeletionPolicy"] == "RetainExceptOnCreate"
    assert secret["UpdateReplacePolicy"] == "Retain"
    assert secret["Properties"].keys() == {"Name", "Description"}


def test_an_existing_secret_is_rotated_instead_of_a_new_one() -> None:
    """With ExistingSecretArn none is created, and the schedule and the output name that one."""
    arn = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:ours-AbCdEf"
    template = Template.read(ExistingSecretArn=arn)
    assert template.resource("Secret")["Condition"] == "CreatesSecret"
    assert template.resolve(template.document["Conditions"]["CreatesSecret"]) is False
    assert template.properties("RotationSchedule")["SecretId"] == arn
    assert template.resolve(template.document["Outputs"]["SecretArn"]["Value"]) == arn


def test_deploying_does_not_rotate(template: Template) -> None:
    """The first rotation waits for the admin credential; the schedule waits for the permission."""
    schedule = template.resource("RotationSchedule")
    assert schedule["Properties"]["RotateImmediatelyOnUpdate"] is False
    assert schedule["Properties"]["RotationRules"] == {"AutomaticallyAfterDays": "30"}
    assert set(schedule["DependsOn"]) == {"RotationPermission", "RotatedSecretsPolicy"}


def test_only_secrets_manager_of_this_account_may_invoke_rotation(template: Template) -> None:
    """SourceAccount, and no SourceArn, which would tie the function to one secret."""
    assert template.properties("RotationPermission") == {
        "Action": "lambda:InvokeFunction",
        "FunctionName": "RotationFunction",
        "Principal": "secretsmanager.amazonaws.com",
        "SourceAccount": PSEUDO["AWS::AccountId"],
    }


def test_rotation_may_touch_secrets_that_name_it_and_read_the_admin_credential(
    template: Template,
) -> None:
    """Four actions on secrets that name the function, one on the admin secret, log and journal."""
    by_sid = {statement["Sid"]: statement for statement in template.statements("RotationRole")}
    assert by_sid.keys() == {
        "RotateSecretsThatNameThisFunction",
        "ReadAdminCredential",
        "AskForReconciliation",
        "WriteOwnLog",
        "ReadJournal",
        "TellAnAbsentJournal",
        "AskPeopleThroughAlarmTopic",
        "EncryptForAlarmTopic",
    }
    rotating = by_sid["RotateSecretsThatNameThisFunction"]
    assert rotating["Resource"] == [_SECRET]
    assert rotating["Condition"] == {
        "StringEquals": {"secretsmanager:resource/AllowRotationLambdaArn": "RotationFunction.Arn"}
    }
    assert actions([rotating]) == {
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
    }
    reading = by_sid["ReadAdminCredential"]
    assert actions([reading]) == {"secretsmanager:GetSecretValue"}
    assert reading["Resource"] == _ADMIN_SECRET
    assert reading["Condition"] == {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}
    assert by_sid["WriteOwnLog"]["Resource"] == "RotationLogGroup.Arn"


def test_sealing_reaches_no_secret(template: Template) -> None:
    """The sealing role is denied Secrets Manager outright and allowed nothing of it."""
    statements = template.statements("SealingRole")
    denied = [one for one in statements if one["Effect"] == "Deny"]
    allowed = [one for one in statements if one["Effect"] == "Allow"]
    assert [(one["Action"], one["Resource"]) for one in denied] == [("secretsmanager:*", "*")]
    assert not any(action.startswith("secretsmanager") for action in actions(allowed))


def test_sealing_reads_sources_and_writes_destinations_only() -> None:
    """Reading and writing are granted for one prefix each; no object is listed or deleted."""
    template = Template.read(SourcePrefix="incoming/", DestinationPrefix="sealed/")
    by_sid = {statement["Sid"]: statement for statement in template.statements("SealingRole")}
    reading, writing = by_sid["ReadSources"], by_sid["WriteDestinations"]
    assert reading["Resource"] == "arn:aws:s3:::inbox/incoming/*"
    assert actions([reading]) == {"s3:GetObject", "s3:GetObjectVersion"}
    assert writing["Resource"] == "arn:aws:s3:::outbox/sealed/*"
    assert actions([writing]) == {"s3:PutObject", "s3:AbortMultipartUpload"}
    finding = by_sid["FindOwnUploads"]
    assert finding["Resource"] == "arn:aws:s3:::outbox"
    assert actions([finding]) == {"s3:ListBucketMultipartUploads"}
    assert {"ReadSources", "WriteDestinations", "FindOwnUploads"} == {
        sid for sid, one in by_sid.items() if any(a.startswith("s3:") for a in actions([one]))
    }


def test_tags_are_granted_only_where_they_are_copied() -> None:
    """Reading them at the source, writing them at the destination, and no more."""
    without = Template.read().statements("SealingRole")
    template = Template.read(CopyTags="true", SourcePrefix="in/", DestinationPrefix="out/")
    by_sid = {statement["Sid"]: statement for statement in template.statements("SealingRole")}
    assert not any("Tagging" in action for action in actions(without))
    reading, writing = by_sid["ReadTags"], by_sid["WriteTags"]
    assert reading["Resource"] == "arn:aws:s3:::inbox/in/*"
    assert actions([reading]) == {"s3:GetObjectTagging", "s3:GetObjectVersionTagging"}
    assert writing["Resource"] == "arn:aws:s3:::outbox/out/*"
    assert actions([writing]) == {"s3:PutObjectTagging"}
    environment = template.environment("SealingFunction")
    assert SealingSettings.from_environment(environment).copy_tags


_RECONCILED = {
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:UpdateSecretVersionStage",
}


def test_reconciliation_writes_no_value(template: Template) -> None:
    """It reads values and moves labels of secrets that name the rotation function; no more."""
    by_sid = {statement["Sid"]: statement for statement in template.statements("ReconcileRole")}
    assert by_sid.keys() == {
        *("WriteOwnLog", "FindSecrets", "ReconcileSecretsThatNameTheRotationFunction"),
        *("RotateInIncidents", "RotateThroughTheFunction", "ShowIncidents", "KeepEvidence"),
        *("ReadEvidenceAndJournal", "FindEvidence", "ReadAdminCredential"),
        *("AskPeopleThroughAlarmTopic", "EncryptForAlarmTopic"),
    }
    ours = {"secretsmanager:resource/AllowRotationLambdaArn": "RotationFunction.Arn"}
    reconciling = by_sid["ReconcileSecretsThatNameTheRotationFunction"]
    assert actions([reconciling]) == _RECONCILED
    assert reconciling["Resource"] == [_SECRET]
    assert reconciling["Condition"] == {"StringEquals": ours}
    showing = by_sid["ShowIncidents"]
    assert actions([showing]) == {"secretsmanager:TagResource", "secretsmanager:UntagResource"}
    assert showing["Condition"] == {
        "StringEquals": ours,
        "ForAllValues:StringEquals": {"aws:TagKeys": [INCIDENT_TAG, *FORMER_TAGS]},
    }
    finishing = by_sid["RotateInIncidents"]
    assert actions([finishing]) == {"secretsmanager:RotateSecret"}
    assert finishing["Condition"] == {
        "StringEquals": ours,
        # To rotate, and not to set a schedule or another function.
        "BoolIfExists": {"secretsmanager:ModifyRotationRules": "false"},
        "Null": {"secretsmanager:RotationLambdaARN": "true"},
    }
    invoking = by_sid["RotateThroughTheFunction"]
    assert actions([invoking]) == {"lambda:InvokeFunction"}
    assert invoking["Resource"] == "RotationFunction.Arn"
    assert (by_sid["FindSecrets"]["Action"], by_sid["FindSecrets"]["Resource"]) == (
        "secretsmanager:ListSecrets",
        "*",
    )
    keeping = by_sid["KeepEvidence"]
    assert actions([keeping]) == {"s3:PutObject"}
    assert keeping["Resource"] == [
        *("EvidenceBucket.Arn/incidents/*", "EvidenceBucket.Arn/rollbacks/*"),
        *("EvidenceBucket.Arn/pools/*", "EvidenceBucket.Arn/drills/*"),
        "EvidenceBucket.Arn/journal/*",
    ]
    showing = by_sid["ReadEvidenceAndJournal"]
    assert actions([showing]) == {"s3:GetObject"}
    assert showing["Resource"] == [
        "EvidenceBucket.Arn/incidents/*",
        "EvidenceBucket.Arn/journal/*",
    ]
    assert finds_absent_objects(by_sid["FindEvidence"])
    assert "secretsmanager:PutSecretValue" not in actions([*by_sid.values()])


def finds_absent_objects(statement: dict[str, Any]) -> bool:
    """Whether S3 answers 404, and not 403, for an object that does not exist (API_GetObject)."""
    return (
        actions([statement]) == {"s3:ListBucket"}
        and statement["Resource"] == "EvidenceBucket.Arn"
        # A condition on s3:prefix would never hold: a GetObject has no prefix.
        and "Condition" not in statement
    )


def test_a_rotation_reads_the_journal_and_writes_nothing_there(template: Template) -> None:
    """It tells a journal that does not exist from one that it may not read."""
    by_sid = {statement["Sid"]: statement for statement in template.statements("RotationRole")}
    reading = by_sid["ReadJournal"]
    assert actions([reading]) == {"s3:GetObject"}
    assert reading["Resource"] == "EvidenceBucket.Arn/journal/*"
    assert finds_absent_objects(by_sid["TellAnAbsentJournal"])
    assert {"s3:GetObject", "s3:ListBucket"} == {
        action for action in actions([*by_sid.values()]) if action.startswith("s3:")
    }


@pytest.mark.parametrize("role", ["RotationRole", "ReconcileRole"])
def test_no_function_deletes_evidence(template: Template, role: str) -> None:
    """Nor does any lift a lock: the journal's former states are the auditor's."""
    granted = actions(template.statements(role))
    for action in ("Delete", "Bypass", "Retention", "Versioning", "LegalHold", "Lifecycle"):
        assert not any(one.startswith("s3:") and action in one for one in granted)


def test_a_responder_may_ask_the_reconcile_function_and_read_no_value(template: Template) -> None:
    """It resolves names, takes AWSPENDING off and sets a hold; the function does the rest.

    It moves no other label: whoever moves AWSCURRENT decides which key seals.

    Where rights follow from tags, whoever may set any tag could give themselves the value.
    """
    document = template.properties("ResponderPolicy")["PolicyDocument"]
    by_sid = {statement["Sid"]: statement for statement in document["Statement"]}
    ours = {"secretsmanager:resource/AllowRotationLambdaArn": "RotationFunction.Arn"}
    assert by_sid["ResolveNames"]["Condition"] == {"StringEquals": ours}
    assert by_sid["Unstick"]["Action"] == "secretsmanager:UpdateSecretVersionStage"
    assert by_sid["Unstick"]["Condition"] == {
        "StringEquals": ours | {"secretsmanager:VersionStage": AWSPENDING}
    }
    assert by_sid["Hold"]["Condition"] == {
        "StringEquals": ours,
        "ForAllValues:StringEquals": {"aws:TagKeys": [HOLD_TAG]},
    }
    assert actions([*by_sid.values()]) == {
        "secretsmanager:ListSecrets",
        "secretsmanager:DescribeSecret",
        "secretsmanager:UpdateSecretVersionStage",
        "secretsmanager:TagResource",
        "secretsmanager:UntagResource",
        "lambda:InvokeFunction",
    }
    assert by_sid["AskTheReconcileFunction"]["Resource"] == "ReconcileFunction.Arn"


def test_only_the_break_glass_policy_names_the_alias(template: Template) -> None:
    """The alias is the one that the function asks for, and nothing else may invoke it."""
    assert template.properties("RevokeFirstAlias")["Name"] == REVOKE_FIRST
    [statement] = template.properties("BreakGlassPolicy")["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == (
        "lambda:InvokeFunction",
        "RevokeFirstAlias",
    )
    assert statement["Condition"] == {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    lenient = Template.read(BreakGlassMfa="false").properties("BreakGlassPolicy")
    assert "Condition" not in lenient["PolicyDocument"]["Statement"][0]
    others = {
        name: one for name, one in template.document["Resources"].items() if "Alias" not in name
    }
    naming = [name for name, one in others.items() if "RevokeFirstAlias" in json.dumps(one)]
    assert naming == ["BreakGlassPolicy"]


def test_rotation_may_ask_for_reconciliation_and_invoke_nothing_else(template: Template) -> None:
    """One action on one function, by the name that the template gives it."""
    by_sid = {statement["Sid"]: statement for statement in template.statements("RotationRole")}
    asking = by_sid["AskForReconciliation"]
    assert actions([asking]) == {"lambda:InvokeFunction"}
    assert asking["Resource"] == (
        "arn:aws:lambda:eu-central-1:012345678912:function:signatures-reconcile"
    )


def test_reconciliation_runs_every_hour(template: Template) -> None:
    """The interval is the one that the code counts with."""
    [event] = template.properties("ReconcileFunction")["Events"].values()
    assert (event["Type"], event["Properties"]["Schedule"]) == ("Schedule", "rate(1 hour)")
    assert timedelta(hours=1) == RECONCILIATION_INTERVAL


def test_a_proof_of_death_fits_into_an_invocation(template: Template) -> None:
    """The longest propagation limit that is accepted leaves time for reading and for labels."""
    timeout = timedelta(seconds=template.properties("ReconcileFunction")["Timeout"])
    environment = template.environment("ReconcileFunction") | {
        "ROTATION_FUNCTION": "arn:aws:lambda:eu-central-1:012345678912:function:rotate",
        "PROPAGATION_LIMIT_SECONDS": "600",
    }
    limit = ReconcileSettings.from_environment(environment).rotation.propagation_limit
    assert limit + timedelta(minutes=4) <= timeout


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_evidence_is_locked(mode: str) -> None:
    """A default retention, versions, no public access; and it outlives the stack."""
    template = Template.read(EvidenceLockMode=mode, EvidenceRetentionDays="30")
    bucket = template.resource("EvidenceBucket")
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["UpdateReplacePolicy"] == "Retain"
    properties = bucket["Properties"]
    assert properties["ObjectLockEnabled"] is True
    assert properties["ObjectLockConfiguration"]["Rule"] == {
        "DefaultRetention": {"Mode": mode, "Days": "30"}
    }
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}


@pytest.mark.parametrize("role", ["RotationRole", "ReconcileRole", "SealingRole"])
def test_no_role_has_more_than_is_written_here(template: Template, role: str) -> None:
    """No managed policy, no allowed wildcard action, no X-Ray."""
    assert "ManagedPolicyArns" not in template.properties(role)
    allowed = actions([one for one in template.statements(role) if one["Effect"] == "Allow"])
    assert not any("*" in action or action.startswith("xray") for action in allowed)


@pytest.mark.parametrize(
    ("role", "parameter", "service"),
    [
        ("RotationRole", "KmsKeyArn", "secretsmanager"),
        ("ReconcileRole", "KmsKeyArn", "secretsmanager"),
        ("SealingRole", "DocumentsKmsKeyArn", "s3"),
    ],
)
def test_a_customer_managed_key_is_usable_through_its_service_alone(
    role: str, parameter: str, service: str
) -> None:
    """A role gets its one key, and only by way of the service that stores what it encrypts."""
    # The topic of a stack without one of its own has no key of ours either.
    topic = "arn:aws:sns:eu-central-1:012345678912:on-call"
    without = Template.read(AlarmTopicArn=topic).statements(role)
    with_key = Template.read(AlarmTopicArn=topic, **{parameter: _KEY}).statements(role)
    assert not any(action.startswith("kms") for action in actions(without))
    [added] = [one for one in with_key if one not in without]
    assert added["Resource"] == _KEY
    # The reconcile function writes values of a pool alone.
    reads_alone = Template.read(**{parameter: _KEY}).parameters["KeyIssuer"] == "admin-api"
    reads_alone = reads_alone and role == "ReconcileRole"
    assert actions([added]) == {"kms:Decrypt", *(() if reads_alone else ("kms:GenerateDataKey",))}
    conditions = added["Condition"]
    assert conditions["StringEquals"]["kms:ViaService"] == f"{service}.eu-central-1.amazonaws.com"
    if service == "secretsmanager":
        assert conditions["StringLike"] == {"kms:EncryptionContext:SecretARN": _SECRETS}


@pytest.mark.parametrize(
    ("role", "parameter", "uses"),
    [
        ("RotationRole", "EvidenceKmsKeyArn", {"kms:Decrypt"}),
        ("ReconcileRole", "EvidenceKmsKeyArn", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("ReconcileRole", "LedgerKmsKeyArn", {"kms:Decrypt"}),
        ("SealingRole", "LedgerKmsKeyArn", {"kms:GenerateDataKey"}),
        ("SealEventsRole", "LedgerKmsKeyArn", {"kms:GenerateDataKey"}),
        ("SealBatchRole", "LedgerKmsKeyArn", {"kms:GenerateDataKey"}),
    ],
)
def test_who_reads_or_writes_a_bucket_may_use_its_key(
    role: str, parameter: str, uses: set[str]
) -> None:
    """Of the evidence and of the ledger, each role as it needs it, and through S3 alone."""
    ledger = {"UnattendedSealing": "events", "LedgerBucketName": "ledger"}
    without = Template.read(**ledger).statements(role)
    template = Template.read(**ledger, **{parameter: _KEY})
    [added] = [one for one in template.statements(role) if one not in without]
    assert (actions([added]), added["Resource"]) == (uses, _KEY)
    via = {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}
    assert added["Condition"] == {"StringEquals": via}
    if parameter == "EvidenceKmsKeyArn":
        encryption = template.properties("EvidenceBucket")["BucketEncryption"]
        [rule] = encryption["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"] == _KEY


def test_lambda_does_not_keep_the_sealing_request(template: Template) -> None:
    """An asynchronous event is not retried, ages out within a minute, and goes nowhere else."""
    properties = template.properties("SealingFunction")
    assert properties["EventInvokeConfig"] == {
        "MaximumRetryAttempts": 0,
        "MaximumEventAgeInSeconds": 60,
    }
    assert "DeadLetterQueue" not in properties
    assert properties["Tracing"] == "PassThrough"


@pytest.mark.parametrize(
    ("function", "log_group"),
    [
        ("RotationFunction", "RotationLogGroup"),
        ("ReconcileFunction", "ReconcileLogGroup"),
        ("SealingFunction", "SealingLogGroup"),
    ],
)
def test_logs_are_kept_for_a_chosen_time(template: Template, function: str, log_group: str) -> None:
    """Each function logs to a group of the stack, which forgets after LogRetentionDays."""
    assert template.properties(function)["LoggingConfig"] == {"LogGroup": log_group}
    assert template.properties(log_group) == {"RetentionInDays": "365"}


def test_the_propagation_limit_fits_into_an_invocation(template: Template) -> None:
    """The rotation function lives long enough to wait for a new key and still to promote it."""
    settings = RotationSettings.from_environment(template.environment("RotationFunction"))
    timeout = timedelta(seconds=template.properties("RotationFunction")["Timeout"])
    assert settings.propagation_limit + timedelta(minutes=2) <= timeout


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("VendorUrl", "http://api.trusted-signatures.com"),
        ("VendorUrl", "https://user@api.trusted-signatures.com"),
        ("SourcePrefix", "/incoming"),
        ("SourcePrefix", "incoming*"),
        ("DestinationPrefix", "a,b"),
        ("ExistingSecretArn", "trusted-signatures-api"),
    ],
)
def test_a_value_that_the_functions_would_refuse_is_refused_at_deployment(
    parameter: str, value: str
) -> None:
    """A pattern stops what the settings or a policy could not mean."""
    with pytest.raises(AssertionError, match=parameter):
        Template.read(**{parameter: value})
