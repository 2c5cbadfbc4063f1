"""``docs/admin-api.yaml`` and the emulator say the same."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
import yaml

from rotation.sandbox.vendor import VendorFault
from rotation.sandbox.vendor.faults import Operation
from rotation.sandbox.vendor.request_auth import (
    ALGORITHM_HEADER,
    KEY_HEADER,
    MAC_HEADER,
    TIME_HEADER,
)
from tests.paths import ROOT
from tests.sandbox.vendor.caller import Answer, Caller, iso

SPEC: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "admin-api.yaml").read_text())
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("post", "/v1/keys"): "create",
    ("get", "/v1/keys"): "list",
    ("delete", "/v1/keys/{id}"): "delete",
    ("get", "/v1/keys/{id}/signatures"): "signatures",
}
DOCUMENTED = [
    (method, path, int(status))
    for path, methods in SPEC["paths"].items()
    for method, operation in methods.items()
    for status in operation["responses"]
]
FAULTS = {429: VendorFault.THROTTLED, 500: VendorFault.SERVER_ERROR, 503: VendorFault.UNAVAILABLE}


def test_the_document_says_first_that_it_is_our_assumption() -> None:
    """Nobody reads two lines of it and believes it to be the vendor's."""
    first = SPEC["info"]["description"].split("\n\n")[0].replace("\n", " ")
    assert "our assumption" in first
    assert "Trusted Signatures has published no API to create, list or revoke API keys" in first


@pytest.mark.parametrize(("method", "path", "status"), DOCUMENTED)
def test_every_documented_answer_is_given_as_documented(
    admin: Caller, signer: Caller, method: str, path: str, status: int
) -> None:
    """Each status of each call can be had from the emulator, and its answer fits the schema."""
    answer = provoke(OPERATIONS[method, path], status, admin, signer)
    assert answer.status == status
    documented = resolve(SPEC["paths"][path][method]["responses"][str(status)])
    for name, header in documented["headers"].items():
        text = answer.headers[name]
        schema = resolve(header)["schema"]
        conform(int(text) if schema["type"] == "integer" else text, schema)
    if "content" not in documented:
        assert answer.body == b""
        return
    (media,) = documented["content"].values()
    assert answer.headers["Content-Type"] == "application/json"
    conform(answer.json(), media["schema"])
    if "error" in media["example"]:
        assert answer.json()["error"]["code"] == media["example"]["error"]["code"]


def provoke(operation: Operation, status: int, admin: Caller, signer: Caller) -> Answer:
    """Make one request of ``operation`` that has to be answered with ``status``."""
    caller = admin
    target = signer.key.id
    body = b""
    if status in FAULTS:
        admin.emulator.faults.next(operation, FAULTS[status])
    elif status == 401:
        admin.emulator.keys.revoke(admin.key.id)
    elif status == 403:
        caller = Caller(admin.emulator, admin.emulator.keys.create(), admin.clock)
    elif status == 409:
        fill_the_quota(admin)
    elif status == 404:
        target = str(uuid.UUID(int=0))
    elif status == 400:
        body = b"[]"
    calls: Mapping[Operation, Callable[[], Answer]] = {
        "create": lambda: caller.call("POST", "/v1/keys", body) if body else caller.create(),
        "list": lambda: caller.call("GET", "/v1/keys", body),
        "delete": lambda: caller.call("DELETE", f"/v1/keys/{target}", body),
        "signatures": lambda: caller.call("GET", f"/v1/keys/{target}/signatures", body),
    }
    return calls[operation]()


def fill_the_quota(admin: Caller) -> None:
    keys = admin.emulator.keys
    keys.quota = len(keys.page("", None, 1000).keys)


def test_every_example_fits_its_schema() -> None:
    """The examples are answers and requests that could be."""
    examples = list(find_examples(SPEC["paths"])) + list(find_examples(SPEC["components"]))
    assert len(examples) > 8
    for example, schema in examples:
        conform(example, schema)


def test_the_documented_request_is_accepted(admin: Caller) -> None:
    """The example of a new key, with an expiry that still lies ahead, makes one."""
    request = SPEC["paths"]["/v1/keys"]["post"]["requestBody"]["content"]["application/json"]
    example = request["example"] | {"expiresAt": iso(admin.clock() + timedelta(days=180))}
    conform(example, request["schema"])
    answer = admin.create(example["label"], example["expiresAt"])
    assert (answer.status, answer.json()["label"]) == (201, example["label"])


def test_the_documented_limits_are_the_emulators(admin: Caller) -> None:
    """A label as long as the schema allows passes, and one character more does not."""
    longest = SPEC["components"]["schemas"]["Label"]["maxLength"]
    assert [admin.create("x" * size).status for size in (longest, longest + 1)] == [201, 400]


def test_the_documented_headers_sign_a_request() -> None:
    """The four security schemes are the four headers, and all are needed together."""
    schemes = SPEC["components"]["securitySchemes"]
    assert {scheme["name"] for scheme in schemes.values()} == {
        ALGORITHM_HEADER,
        TIME_HEADER,
        KEY_HEADER,
        MAC_HEADER,
    }
    assert [set(requirement) for requirement in SPEC["security"]] == [set(schemes)]


def test_the_judge_of_schemas_refuses_what_does_not_fit() -> None:
    """The small validator below finds what these tests rely on it to find."""
    listed = {"$ref": "#/components/schemas/ListedKey"}
    good = SPEC["paths"]["/v1/keys"]["get"]["responses"]["200"]["content"]["application/json"][
        "example"
    ]["keys"][0]
    conform(good, listed)
    for spoilt in (
        good | {"key": "00"},
        good | {"id": 7},
        good | {"id": "x"},
        good | {"status": "asleep"},
        good | {"label": "x" * 513},
        good | {"createdAt": "2025-04-13"},
        {name: value for name, value in good.items() if name != "expiresAt"},
        [good],
    ):
        with pytest.raises(AssertionError):
            conform(spoilt, listed)


TYPES = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None)}
KEYWORDS = {
    *("$ref", "type", "required", "properties", "additionalProperties", "unevaluatedProperties"),
    *("items", "maxItems", "enum", "pattern", "format", "minLength", "maxLength", "minimum"),
    *("description",),
}


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    found: Any = SPEC
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def conform(value: Any, schema: dict[str, Any]) -> set[str]:
    """Assert that ``value`` fits; the result is the members that the schema knows of."""
    assert schema.keys() <= KEYWORDS
    known = conform(value, resolve(schema)) if "$ref" in schema else set()
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert isinstance(value, tuple(TYPES[name] for name in types))
    if isinstance(value, dict):
        known |= conform_object(value, schema, known)
    if isinstance(value, list):
        assert len(value) <= schema.get("maxItems", len(value))
        for item in value:
            conform(item, schema.get("items", {}))
    if isinstance(value, str):
        conform_text(value, schema)
    if isinstance(value, int):
        assert value >= schema.get("minimum", value)
    assert value in schema.get("enum", [value])
    return known


def conform_object(value: dict[str, Any], schema: dict[str, Any], known: set[str]) -> set[str]:
    properties = schema.get("properties", {})
    assert set(schema.get("required", [])) <= value.keys()
    for name, described in properties.items():
        if name in value:
            conform(value[name], described)
    if schema.get("additionalProperties") is False:
        assert value.keys() <= properties.keys()
    if schema.get("unevaluatedProperties") is False:
        assert value.keys() <= known.union(properties)
    return set(properties)


def conform_text(value: str, schema: dict[str, Any]) -> None:
    assert schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    assert re.search(schema.get("pattern", ""), value)
    match schema.get("format"):
        case "uuid":
            assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value)
        case "date-time":
            assert datetime.fromisoformat(value).tzinfo is not None
        case other:
            assert other is None


def find_examples(node: Any) -> list[tuple[Any, dict[str, Any]]]:
    found = []
    if isinstance(node, dict):
        if "example" in node and "schema" in node:
            found.append((node["example"], node["schema"]))
        for child in node.values():
            found += find_examples(child)
    if isinstance(node, list):
        for child in node:
            found += find_examples(child)
    return found
