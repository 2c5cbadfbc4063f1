"""What an answer of IAM Access Analyzer tells."""

from __future__ import annotations

from typing import Any

from rotation.exposure.findings import findings_of


def told(*details: dict[str, Any]) -> dict[str, Any]:
    return {"id": "f", "resource": "arn:secret", "findingDetails": [*details]}


def test_access_from_outside_and_from_within_are_told() -> None:
    """Of the public it is said that it is everybody, whatever the principal is."""
    external = {"principal": {"AWS": "9"}, "action": ["b", "a"], "condition": {"k": "v"}}
    public = {"isPublic": True, "principal": {"AWS": "*"}, "action": ["a"]}
    internal = {"principal": {"AWS": "arn:role"}, "action": ["a"], "condition": None}
    found = [
        *findings_of(
            "arn:analyzer",
            told(
                {"externalAccessDetails": external},
                {"externalAccessDetails": public},
                {"internalAccessDetails": internal},
            ),
        )
    ]
    assert [(one.principals, one.actions, one.conditions) for one in found] == [
        (("9",), ("a", "b"), ("k",)),
        (("*",), ("a",), ()),
        (("arn:role",), ("a",), ()),
    ]


def test_what_is_not_about_access_is_not_told() -> None:
    """Such as that nobody uses a permission."""
    assert [*findings_of("arn:analyzer", told({"unusedPermissionDetails": {}}))] == []
