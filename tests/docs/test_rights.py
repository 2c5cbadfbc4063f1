"""docs/rights.md names every action that the template allows, and nothing else."""

from __future__ import annotations

import pytest

from tests.artifacts.parameter_sets import FULLEST, GIVEN, SHORTEST
from tests.artifacts.template import Template, actions
from tests.docs.test_docs import named, page, rows, section

TEXT = page("rights.md")
#: Together they have every statement.
TEMPLATES = [
    Template.read(**{**chosen, "KeyIssuer": issuer})
    for chosen in (SHORTEST, FULLEST, GIVEN)
    for issuer in ("key-pool", "admin-api")
]


def holders() -> set[str]:
    """The roles of the stack, and the policies for people."""
    roles = {role for template in TEMPLATES for role in template.created("AWS::IAM::Role")}
    return roles | {"AuditorPolicy", "ResponderPolicy", "BreakGlassPolicy"}


def allowed(holder: str) -> set[str]:
    """The actions that any choice of parameters gives."""
    statements = [
        one
        for template in TEMPLATES
        if template.exists(holder)
        for one in (
            template.statements(holder)
            if holder.endswith("Role")
            else template.properties(holder)["PolicyDocument"]["Statement"]
        )
    ]
    return actions([one for one in statements if one["Effect"] == "Allow"])


def listed(title: str) -> dict[str, list[str]]:
    return {named(row[0])[0]: row[1:] for row in rows(section(TEXT, title)) if named(row[0])}


def test_every_role_and_policy_has_a_row() -> None:
    """In the table of what each may and may not, and in that of its actions."""
    assert {named(row[0])[0] for row in rows(TEXT.partition("\n## ")[0]) if named(row[0])} == (
        holders()
    )
    assert listed("The actions of each").keys() == holders()


@pytest.mark.parametrize("holder", sorted(holders()))
def test_the_actions_are_those_of_the_template(holder: str) -> None:
    """Of all choices of parameters together; what is not in the row is not allowed."""
    [row] = listed("The actions of each")[holder]
    written = {
        f"{service}:{action}"
        for service, _, names in (part.partition(": ") for part in row.replace("`", "").split("; "))
        for action in names.split(", ")
    }
    assert written == allowed(holder)
