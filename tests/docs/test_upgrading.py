"""docs/upgrading.md and docs/accounts.md say what the template and AWS's schemas say."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from tests.artifacts.template import Template
from tests.artifacts.updates import replaced, switched
from tests.docs.test_docs import named, page, rows, section

PAGE = page("upgrading.md")
# What may be replaced and then stays.
SECRETS = {
    name + part for name in ("Secret", "AdminSecret", "PoolSecret") for part in ("", "Policy")
}


@cache
def document() -> dict[str, Any]:
    """What CloudFormation creates."""
    return dict(Template.read().transformed().document)


def table(title: str) -> dict[str, str]:
    """The second cell of each row, by the parameter in the first."""
    return {named(row[0])[0]: row[1] for row in rows(section(PAGE, title))[1:]}


def outliving() -> set[str]:
    """The resources that stay when they are replaced or the stack is deleted."""
    return {
        name
        for name, one in document()["Resources"].items()
        if one.get("UpdateReplacePolicy") == "Retain"
    }


def test_the_page_names_what_a_parameter_replaces() -> None:
    """Every resource that CloudFormation makes anew, and no other."""
    said = {name: set(named(cell)) for name, cell in table("What is replaced").items()}
    assert said == replaced(document())


def test_the_page_names_what_makes_resources_come_or_go() -> None:
    """Every parameter on which a resource depends as a whole."""
    told = rows(section(PAGE, "What comes or goes"))[1:]
    assert {name for row in told for name in named(row[0])} == switched(document()).keys()


def test_the_page_names_what_never_is_replaced() -> None:
    """What is evidence: it outlives the stack, and no parameter makes it anew."""
    said = set(named(section(PAGE, "What never is"))) & document()["Resources"].keys()
    assert said == outliving() - SECRETS
    changed = set().union(*replaced(document()).values())
    assert said.isdisjoint(changed)
    functions = {
        name
        for name, one in document()["Resources"].items()
        if one["Type"] in {"AWS::Lambda::Function", "AWS::IAM::Role", "AWS::Lambda::Alias"}
    }
    assert functions.isdisjoint(changed)


def test_no_key_is_lost_by_a_replacement() -> None:
    """Whatever holds keys or evidence and is replaced stays beside what takes its place."""
    assert SECRETS | {"EvidenceBucket"} <= outliving()


def test_every_arn_names_the_partition() -> None:
    """No ARN that the template builds is of one partition; AWS's own policies have none."""
    text = json.dumps([document()[part] for part in ("Resources", "Outputs", "Conditions")])
    assert re.findall(r"arn:aws[^\s\"]*", text) == []
    assert "arn:${AWS::Partition}:" in text
    for name, one in document()["Parameters"].items():
        pattern = one.get("AllowedPattern", "")
        if "arn:aws" in pattern:
            assert "arn:aws[a-z-]*:" in pattern, name


def test_the_page_names_the_principals_and_the_services() -> None:
    """Those of the policies, whatever the partition."""
    text = json.dumps(document()["Resources"])
    principals = set(re.findall(r'"(?:Service|Principal)": "([a-z0-9.]+\.amazonaws\.com)"', text))
    via = set(re.findall(r'"([a-z0-9]+)\.\$\{AWS::Region\}\.amazonaws\.com"', text))
    said = {row[0]: set(named(row[1])) for row in rows(section(page("accounts.md"), "Partitions"))}
    assert said["service principals"] == principals
    assert said["`kms:ViaService`, and the principal of CloudWatch Logs"] == {
        f"{one}.REGION.amazonaws.com" for one in via
    }
