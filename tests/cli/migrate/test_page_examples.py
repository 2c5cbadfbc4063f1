"""docs/migrating.md shows the rights and the code that an application needs."""

from __future__ import annotations

import json
from typing import Any

from rotation.sandbox.vendor import PortalKey
from tests.docs.test_docs import blocks, page
from tests.rotation_fixture import RotationFixture

PAGE = page("migrating.md")
#: The places of the page's programs: before and after, and after for a key used directly.
BEFORE, AFTER, DIRECT = range(3)
KEY_ID = "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"


def code_with_key(which: int, key: PortalKey) -> str:
    """One of the page's programs, with a real key hard-coded."""
    return blocks(PAGE, "python")[which].replace(KEY_ID, key.id).replace("…", key.material)


def test_the_rights_are_those_on_the_client_s_page() -> None:
    """docs/client.md shows the same policy; KMS is allowed for this secret alone."""
    policy, decrypt = map(json.loads, blocks(PAGE, "json"))
    [shown] = [block for block in blocks(page("client.md"), "json") if '"Statement"' in block]
    assert json.loads(shown) == policy
    condition = decrypt["Condition"]["StringEquals"]
    assert condition["kms:EncryptionContext:SecretARN"] == policy["Statement"][0]["Resource"]
    assert condition["kms:ViaService"] == "secretsmanager.eu-central-1.amazonaws.com"


def test_the_old_key_stays_as_the_fallback_alone() -> None:
    """Every program is whole; only after the change does it name the secret."""
    programs = blocks(PAGE, "python")
    for program in programs:
        compile(program, "program", "exec")
    assert ["fallback={SECRET: ApiKey.from_text(KEY_ID, KEY)}" in one for one in programs] == [
        *(False, True, True),
    ]


def test_the_changed_application_uses_the_secret(
    rotation_fixture: RotationFixture, environment: dict[str, str]
) -> None:
    """Before the secret has a value the fallback is used, and from then on the secret's key."""
    old, new = rotation_fixture.vendor.keys.create(), rotation_fixture.vendor.keys.create()
    code = code_with_key(DIRECT, old)
    assert started(code)["current_key"]() == (old.id, old.material)
    rotation_fixture.put({"apiKey": new.material, "apiKeyId": new.id})
    assert started(code)["current_key"]() == (new.id, new.material)


def started(code: str) -> dict[str, Any]:
    """The names of an application that was just started."""
    application: dict[str, Any] = {}
    exec(code, application)
    return application
