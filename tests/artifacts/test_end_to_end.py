"""The built artifacts under AWS's runtime interface emulator, against the whole sandbox.

What runs here is what is deployed: the directories that `make package` writes, the handlers and
variables that the template names, boto3 from beside the artifact as on Lambda. Only AWS and the
vendor are emulated.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from rotation.sandbox.aws.rotations import RotationOutcome
from rotation.sandbox.deployment import (
    DESTINATION_BUCKET,
    EVIDENCE_BUCKET,
    ROTATE,
    SECRET,
    SOURCE_BUCKET,
    Deployment,
)
from rotation.sandbox.vendor import Outage
from rotation.sealing.storage.s3 import IN_MEMORY
from rotation.sealing.verify import verify
from tests.artifacts.template import Template, actions
from tests.paths import ROOT
from tests.sealing.pdfs import large, pdf


def _rotate(deployment: Deployment) -> RotationOutcome:
    token = deployment.cloud.client("secretsmanager").rotate_secret(SecretId=SECRET)["VersionId"]
    return deployment.cloud.wait_for_rotation(SECRET, token, timedelta(minutes=5))


def test_a_key_is_rotated_and_documents_are_sealed_before_and_after(
    deployment: Deployment,
) -> None:
    """From a hand-made key to a rotated one: two sealed documents, two keys, both trusted."""
    s3 = deployment.cloud.client("s3")
    document = (ROOT / "rotation" / "sandbox" / "documents" / "inspection.pdf").read_bytes()
    s3.put_object(Bucket=SOURCE_BUCKET, Key="inspection.pdf", Body=document)
    first = deployment.store_first_key()
    deployment.turn_on_rotation()
    before = deployment.seal("inspection.pdf", "before.pdf")
    outcome = _rotate(deployment)
    after = deployment.seal("inspection.pdf", "after.pdf")

    assert outcome.succeeded, outcome.error
    assert [run.step for run in outcome.steps] == [
        *("createSecret", "setSecret", "testSecret", "finishSecret"),
    ]
    assert before["keyId"] == first.id
    assert after["keyId"] == deployment.key_id("AWSCURRENT") != first.id
    assert deployment.key_id("AWSPREVIOUS") == first.id
    anchor = deployment.trust_root.read_bytes()
    for name in ("before.pdf", "after.pdf"):
        sealed = s3.get_object(Bucket=DESTINATION_BUCKET, Key=name)["Body"].read()
        [report] = verify(sealed, trust_anchors=anchor)
        assert (report.intact, report.trusted, report.covers_whole_file) == (True, True, True)
        assert report.problem is None


def test_a_large_document_is_sealed_by_the_deployed_code(deployment: Deployment) -> None:
    """Read in ranges and copied within S3, with nothing left unfinished."""
    s3 = deployment.cloud.client("s3")
    source = large(IN_MEMORY)
    s3.put_object(Bucket=SOURCE_BUCKET, Key="large.pdf", Body=source)
    deployment.store_first_key()
    answer = deployment.seal("large.pdf", "sealed.pdf")
    assert answer["status"] == "sealed", answer
    sealed = s3.get_object(Bucket=DESTINATION_BUCKET, Key="sealed.pdf")["Body"].read()
    [report] = verify(sealed, trust_anchors=deployment.trust_root.read_bytes())
    assert sealed.startswith(source)
    assert (report.problem, report.covers_whole_file) == (None, True)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=DESTINATION_BUCKET)


def test_a_visible_seal_brings_its_own_letters(deployment: Deployment) -> None:
    """The deployed code draws text: the typeface lies beside it."""
    s3 = deployment.cloud.client("s3")
    s3.put_object(Bucket=SOURCE_BUCKET, Key="a.pdf", Body=pdf())
    deployment.store_first_key()
    visible = {"page": 1, "box": [10, 10, 190, 60], "text": "Geprüft"}
    answer = deployment.seal("a.pdf", "sealed.pdf", visible=visible)
    assert answer["status"] == "sealed", answer
    sealed = s3.get_object(Bucket=DESTINATION_BUCKET, Key="sealed.pdf")["Body"].read()
    [report] = verify(sealed, trust_anchors=deployment.trust_root.read_bytes())
    assert (report.problem, report.covers_whole_file) == (None, True)


@pytest.mark.parametrize("artifacts", ["built_with_repair"], indirect=True)
def test_an_artifact_with_pikepdf_repairs(deployment: Deployment) -> None:
    """What only a repair can read is sealed where it is asked for, and the answer says so."""
    s3 = deployment.cloud.client("s3")
    s3.put_object(Bucket=SOURCE_BUCKET, Key="headless.pdf", Body=pdf().replace(b"%PDF-", b"%QDF-"))
    deployment.store_first_key()
    refused = deployment.seal("headless.pdf", "sealed.pdf")
    repaired = deployment.seal("headless.pdf", "sealed.pdf", repair=True)
    assert refused["error"]["code"] == "damaged_pdf"
    assert repaired["repaired"] is True
    sealed = s3.get_object(Bucket=DESTINATION_BUCKET, Key="sealed.pdf")["Body"].read()
    [report] = verify(sealed, trust_anchors=deployment.trust_root.read_bytes())
    assert (report.problem, report.covers_whole_file) == (None, True)


def test_a_leaked_key_dies_by_the_deployed_code(deployment: Deployment) -> None:
    """Declared compromised, rotated away, revoked, proven dead and on record."""
    leaked = deployment.store_first_key()
    deployment.turn_on_rotation()
    secrets = deployment.cloud.client("secretsmanager")
    version = secrets.get_secret_value(SecretId=SECRET)["VersionId"]
    secrets.update_secret_version_stage(
        SecretId=SECRET, VersionStage=f"rotation-compromised-{version}", MoveToVersionId=version
    )
    assert _rotate(deployment).succeeded
    deployment.cloud.wait_for_events(timedelta(seconds=90))
    assert deployment.vendor.keys.accepted(leaked.id) is None
    s3 = deployment.cloud.client("s3")
    kept = s3.list_objects_v2(Bucket=EVIDENCE_BUCKET, Prefix="incidents/")
    assert kept["KeyCount"] == 1


def test_the_first_rotation_issues_the_first_key(deployment: Deployment) -> None:
    """A secret that was created empty, as the template does, has a working key after rotating."""
    deployment.turn_on_rotation()
    outcome = _rotate(deployment)
    assert outcome.succeeded, outcome.error
    key = deployment.vendor.keys.accepted(deployment.key_id("AWSCURRENT"))
    assert key is not None
    # Two clocks: ours asks for 180 days from its now, the vendor's says when it was made.
    life = key.expires_at - key.created_at
    assert abs(life - timedelta(days=180)) < timedelta(minutes=5)


def test_turning_rotation_on_tests_the_configuration_and_rotates_nothing(
    deployment: Deployment,
) -> None:
    """What the stack's RotationSchedule sets off: testSecret alone, on a secret without a value."""
    deployment.turn_on_rotation()
    [run] = deployment.cloud.rotations
    assert (run.step, run.error) == ("testSecret", None)
    described = deployment.cloud.client("secretsmanager").describe_secret(SecretId=SECRET)
    assert "VersionIdsToStages" not in described


def test_a_failed_step_fails_the_invocation_and_the_next_rotation_heals(
    deployment: Deployment,
) -> None:
    """Through the emulator's HTTP 200 the service sees the failure, and retries later succeed."""
    deployment.store_first_key()
    deployment.turn_on_rotation()
    deployment.vendor.outage = Outage.UNAVAILABLE
    failed = _rotate(deployment)
    deployment.vendor.outage = None
    assert not failed.succeeded
    assert failed.steps[0].error is not None
    assert failed.steps[0].error.startswith("VendorUnavailableError")
    secrets = deployment.cloud.client("secretsmanager")
    stuck = secrets.cancel_rotate_secret(SecretId=SECRET)["VersionId"]
    secrets.update_secret_version_stage(
        SecretId=SECRET, VersionStage="AWSPENDING", RemoveFromVersionId=stuck
    )
    deployment.turn_on_rotation()
    assert _rotate(deployment).succeeded


def _action(operation: str) -> str:
    """The right that a call needs; the sandbox names a call of S3 by its method and path."""
    methods = {"GET": "s3:GetObject", "PUT": "s3:PutObject"}
    method = operation.partition(" ")[0]
    return methods.get(method, f"secretsmanager:{operation}")


def test_the_functions_need_no_right_that_the_template_does_not_give(
    deployment: Deployment,
) -> None:
    """Every call that the functions make to AWS is one that their roles allow."""
    template = Template.read(KeyIssuer="admin-api")
    deployment.turn_on_rotation()
    began = len(deployment.cloud.calls)
    assert _rotate(deployment).succeeded
    deployment.cloud.wait_for_events()
    called = {call.operation for call in deployment.cloud.calls[began:]} - {"RotateSecret"}
    rotating = actions(template.statements("RotationRole"))
    reconciling = actions(template.statements("ReconcileRole"))
    assert "Invoke" in called, "the rotation asked for reconciliation"
    assert "lambda:InvokeFunction" in rotating
    assert "ListSecretVersionIds" in called, "the reconcile function was at work"
    assert {_action(operation) for operation in called - {"Invoke"}} <= rotating | reconciling

    began = len(deployment.cloud.calls)
    report = deployment.reconcile()
    assert report["secrets"][0]["failures"] == []
    called = {call.operation for call in deployment.cloud.calls[began:]} - {"Invoke"}
    assert {_action(operation) for operation in called} <= reconciling

    began = len(deployment.cloud.calls)
    deployment.cloud.client("s3").put_object(Bucket=SOURCE_BUCKET, Key="a.pdf", Body=b"%PDF-1.7")
    deployment.seal("a.pdf", "b.pdf")
    called = {call.operation for call in deployment.cloud.calls[began:]}
    ours = {"GetSecretValue", "Invoke", f"PUT /{SOURCE_BUCKET}/a.pdf"}
    assert called - ours == {f"GET /{SOURCE_BUCKET}/a.pdf"}


def test_no_key_is_printed_by_a_function(deployment: Deployment, tmp_path: Path) -> None:
    """The logs of a rotation and of a seal name key ids and no key material."""
    first = deployment.store_first_key()
    deployment.turn_on_rotation()
    assert _rotate(deployment).succeeded
    current = deployment.vendor.keys.get(deployment.key_id("AWSCURRENT"))
    assert current is not None
    deployment.seal("missing.pdf", "sealed.pdf")
    logged = "".join(path.read_text() for path in (tmp_path / "logs").glob("*.log"))
    assert current.id in logged
    for key in (first, current):
        assert key.material not in logged
        assert key.material.upper() not in logged


def test_the_artifacts_code_is_what_ran(deployment: Deployment) -> None:
    """A traceback of deployed code leads through the artifact, never through the checkout."""
    result = deployment.cloud.client("lambda").invoke(FunctionName=ROTATE, Payload=b"{}")
    reported = json.loads(result["Payload"].read())
    assert reported["errorType"] == "InvalidEventError"
    assert any("/rotation/rotation/handlers/rotate.py" in line for line in reported["stackTrace"])
    assert str(ROOT / "rotation") not in json.dumps(reported)
