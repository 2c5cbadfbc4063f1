"""No error carries a key, and no label, tag or library's debugging does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config

from rotation.core.steps import STEPS, create_secret, finish_secret
from rotation.credential import ApiKey, Confidential, SecretDocument
from rotation.errors import RotationError
from rotation.privacy.library_logs import protect_process
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sandbox.vendor import VendorFault
from rotation.secrets_manager.versions import SecretVersions
from tests.privacy.canary import Canary, debug_log, everything_said
from tests.rotation_fixture import RotationFixture, new_token

MATERIAL = "5d41402abc4b2a76b9719d911017c592ae25f1c0d3b94e6a8f7c1e2d3b4a5968"


def failing_acts(rotation_fixture: RotationFixture) -> Iterator[tuple[str, Callable[[], None]]]:
    """Everything that can go wrong where a key is at hand."""

    def step(name: str, token: str) -> Callable[[], None]:
        return lambda: STEPS[name](rotation_fixture.rotation(token))

    token = rotation_fixture.stage()
    for fault in (
        VendorFault.TRUNCATED_JSON,
        VendorFault.HTML,
        VendorFault.CUT_BODY,
        VendorFault.LOSE_REPLY,
    ):
        rotation_fixture.vendor.faults.next("create", fault)
        yield f"create: {fault.name}", step("createSecret", token)
    for failure in (AwsError("AccessDeniedException"), AwsError("InternalServiceError"), Dropped()):
        rotation_fixture.cloud.faults.before("PutSecretValue", failure, times=20)
        yield f"put: {failure}", step("createSecret", token)
        rotation_fixture.cloud.faults.clear()
        # The keys of the failures so far are strays by now, which makes room for more.
        rotation_fixture.later(timedelta(minutes=31))
    create_secret(rotation_fixture.rotation(token))
    for fault in (
        VendorFault.UNAUTHORIZED,
        VendorFault.HTML,
        VendorFault.STRANGER,
        VendorFault.OTHER_DIGEST,
    ):
        rotation_fixture.vendor.faults.next("sign", fault)
        if fault is VendorFault.UNAUTHORIZED:
            rotation_fixture.time_left = timedelta(0)
        yield f"sign: {fault.name}", step("finishSecret", token)
    rotation_fixture.cloud.faults.before("GetSecretValue", Dropped(), times=20)
    yield "get: dropped", step("finishSecret", token)
    rotation_fixture.cloud.faults.clear()
    for value in (f'{{"apiKey": "{MATERIAL}"', f'{{"apiKey": "{MATERIAL}", "apiKeyId": "x"}}'):
        yield "parse", partial(_parse, Confidential(value))
    bad_token = SecretVersions(rotation_fixture.client, rotation_fixture.arn)
    yield "parameter validation", lambda: bad_token.put_pending("short", _document())


def _document() -> SecretDocument:
    return SecretDocument.empty(ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", MATERIAL))


def _parse(value: Confidential) -> None:
    SecretDocument.parse(value, of="it")


def test_no_error_carries_a_key(rotation_fixture: RotationFixture) -> None:
    """Message, args, attributes, causes, contexts, locals of every frame: no piece of a key."""
    canary = Canary()
    canary.plant(MATERIAL, "the planted key")
    rotation_fixture.put({"apiKey": MATERIAL, "apiKeyId": "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"})
    failed: list[str] = []
    for what, act in failing_acts(rotation_fixture):
        try:
            act()
        except RotationError as error:
            caught = error
        else:
            pytest.fail(f"{what} should have failed")
        for key in rotation_fixture.vendor.keys.all():
            canary.plant(key.material, f"key {key.id}")
        found = canary.find(everything_said(caught))
        assert found is None, f"{what}: {found}"
        failed.append(what)
    assert len(failed) >= 14


def test_this_process_keeps_botocore_s_debugging_clean(rotation_fixture: RotationFixture) -> None:
    """What botocore logs of a put and a get, at DEBUG, holds no value once it is protected."""
    protect_process()
    canary = Canary()
    canary.plant(MATERIAL, "the planted key")
    with debug_log() as text:
        client = boto3.client(
            "secretsmanager",
            endpoint_url=rotation_fixture.cloud.url,
            region_name=rotation_fixture.cloud.region,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
            config=Config(proxies={}),
        )
        versions = SecretVersions(client, rotation_fixture.arn, Confidential("r" * 40))
        token = new_token()
        versions.put_pending(token, _document())
        versions.read(token)
    assert "Response body" in text.getvalue()
    assert canary.find(text.getvalue().encode()) is None
    assert "rrrrrrrrrrrr" not in text.getvalue()


def test_a_finished_rotation_leaves_nothing_in_labels_or_tags(
    rotation_fixture: RotationFixture,
) -> None:
    """What anybody with DescribeSecret may read holds no key."""
    canary = Canary()
    rotation_fixture.store()
    token = rotation_fixture.stage()
    for step in STEPS.values():
        step(rotation_fixture.rotation(token))
    finish_secret(rotation_fixture.rotation(token))
    for key in rotation_fixture.vendor.keys.all():
        canary.plant(key.material, f"key {key.id}")
    described = json.dumps(
        rotation_fixture.client.describe_secret(SecretId=rotation_fixture.arn), default=str
    )
    listed: Any = rotation_fixture.client.list_secret_version_ids(
        SecretId=rotation_fixture.arn, IncludeDeprecated=True
    )
    assert canary.find(described.encode()) is None
    assert canary.find(json.dumps(listed, default=str).encode()) is None
