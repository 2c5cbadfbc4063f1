"""Against the deployment on this machine: rotations between seals, and the page's examples."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files

import pytest

from rotation import CredentialCache, LambdaInvoker, ObjectLocation, SealingClient, SecretsManager
from rotation.client.metrics import CacheMetrics
from rotation.sandbox.deployment import (
    DESTINATION_BUCKET,
    SEAL,
    SECRET,
    SOURCE_BUCKET,
    Deployment,
)
from rotation.sealing.verify import verify
from tests.client.fixtures import client_of
from tests.paths import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "client.md").read_text()
DOCUMENT = "inspection.pdf"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A key, a schedule and a document to seal."""
    with Deployment(tmp_path_factory.mktemp("deployment")) as running:
        running.store_first_key()
        running.turn_on_rotation()
        content = (files("rotation.sandbox") / "documents" / DOCUMENT).read_bytes()
        running.cloud.client("s3").put_object(Bucket=SOURCE_BUCKET, Key=DOCUMENT, Body=content)
        yield running


def rotate(deployment: Deployment) -> None:
    answer = deployment.cloud.client("secretsmanager").rotate_secret(SecretId=SECRET)
    assert deployment.cloud.wait_for_rotation(SECRET, answer["VersionId"]).succeeded


def sealing_client(deployment: Deployment) -> SealingClient:
    cloud = deployment.cloud
    cache = CredentialCache(SecretsManager(lambda: client_of(cloud, "secretsmanager")))
    invoker = LambdaInvoker(SEAL, lambda: client_of(cloud, "lambda"))
    return SealingClient(invoker, cache, SECRET)


def test_no_seal_fails_through_rotation_and_revocation(deployment: Deployment) -> None:
    """Sealed, rotated, the old key revoked, sealed again with one fetch more: zero failures."""
    client = sealing_client(deployment)
    keys = []
    for name in ("1.pdf", "2.pdf", "3.pdf"):
        source = ObjectLocation(SOURCE_BUCKET, DOCUMENT)
        seal = client.seal(source, ObjectLocation(DESTINATION_BUCKET, name))
        assert seal.key_id == deployment.key_id("AWSCURRENT")
        keys.append(seal.key_id)
        stored = deployment.cloud.client("s3").get_object(Bucket=DESTINATION_BUCKET, Key=name)
        assert stored["VersionId"] == seal.destination.location.version_id
        [report] = verify(stored["Body"].read(), deployment.trust_root.read_bytes())
        assert (report.problem, report.trusted) == (None, True)
        rotate(deployment)
        assert deployment.vendor.keys.revoke(seal.key_id)
    assert len(set(keys)) == 3


def test_the_examples_of_the_page_run(deployment: Deployment) -> None:
    """One after the other in one process, with nothing but AWS's own variables set."""
    examples = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(examples) >= 8
    uses = """
assert with_key(lambda key: key.id) == asyncio.run(current_key()).id
tried = []
def rejecting(key):
    tried.append(key.id)
    raise CredentialRejectedError("sign", "no")
try:
    with_key(rejecting, patience=0.5)
except CredentialRejectedError:
    print("rejected", len(tried))
print(asyncio.run(seal_document("inspection.pdf")).destination.location)
places = ObjectLocation("in", "a.pdf"), ObjectLocation("out", "b.pdf")
print(test_client().seal(*places).destination.location)
"""
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join([*examples, uses])],
        cwd=ROOT,
        env=deployment.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    sealed, alone, rejected, in_a_loop, in_a_test = ended.stdout.splitlines()
    assert sealed.startswith(f"s3://{DESTINATION_BUCKET}/{DOCUMENT} (version ")
    assert alone.startswith(deployment.key_id("AWSCURRENT"))
    assert rejected == "rejected 2"
    assert in_a_loop.startswith(f"s3://{DESTINATION_BUCKET}/{DOCUMENT} (version ")
    assert in_a_test == "s3://out/b.pdf"


def test_the_page_s_json_is_json() -> None:
    """The event pattern and the policy can be pasted; the policy grants two actions."""
    pattern, policy = (json.loads(one) for one in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    assert pattern["detail-type"] == ["Secret Label Updated"]
    actions = [statement["Action"] for statement in policy["Statement"]]
    assert actions == ["secretsmanager:GetSecretValue", "lambda:InvokeFunction"]


def test_the_page_s_hooks_and_calls_are_the_code_s() -> None:
    """Every hook and every public call has a row, and no row is invented."""
    rows = re.findall(r"^\| `(\w+)(?:\(.*?\))?` \|", PAGE, re.MULTILINE)
    hooks = {name for name in vars(CacheMetrics) if not name.startswith("_")}
    calls = {name for name in vars(CredentialCache) if not name.startswith("_")}
    assert sorted(rows) == sorted(hooks | calls)
