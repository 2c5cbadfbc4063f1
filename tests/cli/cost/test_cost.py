"""What ``rotation cost`` calculates with is what the template and the code do."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner, Result

from rotation.cli.commands import rotation
from rotation.cli.cost.model import (
    ALARMS,
    MEMORY_GB,
    OF_A_DAY,
    OF_A_RETIREMENT,
    OF_A_ROTATION,
    STACK_KEYS,
    Unattended,
    Usage,
    monthly_cost,
)
from rotation.cli.cost.prices import COLLECTED, PRICES, REGION
from tests.artifacts.template import Template
from tests.cli.json_answers import answer_of
from tests.docs.test_docs import blocks, page, rows, section


def cost(*arguments: str) -> Result:
    return CliRunner().invoke(rotation, ["cost", *arguments])


def test_the_signatures_are_those_that_are_bought() -> None:
    """docs/operating.md has them, and a test there counts them at the vendor."""
    table = rows(section(page("operating.md"), "What it costs in signatures"))[1:]
    said = {row[0]: int(row[1]) for row in table}
    assert said == {
        "a rotation": OF_A_ROTATION,
        "the retirement of its old key": OF_A_RETIREMENT,
        "a day on which nothing is due": OF_A_DAY,
        "a forced rotation": OF_A_ROTATION + OF_A_RETIREMENT,
    }


@pytest.mark.parametrize("unattended", ["none", "bulk", "events"])
def test_what_stands_all_month_is_what_the_template_creates(unattended: Unattended) -> None:
    """The shortest deployment: its alarms, its keys, one secret more than it rotates."""
    template = Template.read(UnattendedSealing=unattended)
    assert len(template.created("AWS::CloudWatch::Alarm")) == ALARMS[unattended]
    assert len(template.created("AWS::KMS::Key")) == STACK_KEYS
    assert len(template.created("AWS::SecretsManager::Secret")) == 2
    assert len(template.created("AWS::CloudWatch::Dashboard")) == 1


def test_the_memory_is_the_template_s() -> None:
    """The functions that seal have as much as each other, and so have the other two."""
    created = Template.read(UnattendedSealing="events").created("AWS::Serverless::Function")
    memory = {name: one["MemorySize"] / 1024 for name, one in created.items()}
    assert {memory["RotationFunction"], memory["ReconcileFunction"]} == {MEMORY_GB["rotation"]}
    seals = {memory[name] for name in memory if name.startswith("Seal")}
    assert seals == {MEMORY_GB["sealing"]}


def test_what_is_not_used_has_no_line() -> None:
    """Without documents, endpoints and keys only what stands all month is left."""
    lines = {line.what for line in monthly_cost(Usage(seals=0)).lines}
    assert "sealing" not in lines
    assert "interface endpoints" not in lines
    assert "signatures" not in lines
    assert "alarms" in lines


def test_a_month_costs_what_its_parts_cost() -> None:
    """Twice the documents add what the first added; a shorter interval buys more signatures."""
    none, some, twice = (monthly_cost(Usage(seals=n)).usd for n in (0, 10_000, 20_000))
    # The two metrics of sealing come with the first document.
    assert twice - some == pytest.approx(some - none - 2 * PRICES["metric"].usd)
    monthly, weekly = (
        monthly_cost(Usage(seals=0, secrets=2, rotation_days=days)).signatures for days in (30, 7)
    )
    assert weekly["rotations"] == pytest.approx(monthly["rotations"] * 30 / 7)
    assert weekly["daily checks"] == monthly["daily checks"]
    endpoints = monthly_cost(Usage(seals=0, endpoints=6, zones=3)).usd
    assert endpoints - none == pytest.approx(6 * 3 * 730 * PRICES["endpoint-hour"].usd)


def test_the_vendor_s_price_is_counted_only_if_it_is_given() -> None:
    """It publishes none, so the sum is AWS's alone."""
    aws = monthly_cost(Usage(seals=100, secrets=1))
    both = monthly_cost(Usage(seals=100, secrets=1, signature_usd=2.0))
    assert both.usd - aws.usd == pytest.approx(2 * sum(aws.signatures.values()))


def test_a_price_of_another_region_takes_the_place_of_ours() -> None:
    """As JSON: the lines add up to the sum, and the prices that were given are named."""
    said = answer_of("cost", cost("--seals", "9", "--json", "--price", "alarm=0.2").output)
    assert said["usd"] == pytest.approx(sum(line["usd"] for line in said["lines"]))
    [alarms] = [line["usd"] for line in said["lines"] if line["what"] == "alarms"]
    assert alarms == pytest.approx(0.2 * ALARMS["none"])
    assert said["prices"] == {"region": REGION, "collected": COLLECTED, "given": {"alarm": 0.2}}
    assert said["signatures"]["documents"] == 9


@pytest.mark.parametrize("given", ["alarm", "alarm=dear", "alarm=-1", "alarm=nan", "alarms=1"])
def test_a_price_that_cannot_be_meant_is_refused(given: str) -> None:
    """Exit code 2, and what it can be."""
    refused = cost("--seals", "1", "--price", given)
    assert refused.exit_code == 2
    assert "NAME=USD" in refused.output or "endpoint-hour" in refused.output


def test_the_page_shows_what_the_command_prints() -> None:
    """Each example of docs/cost.md is the command's own output."""
    examples = blocks(page("cost.md"), "console")
    assert len(examples) == 2
    for example in examples:
        command, _, printed = example.partition("\n")
        arguments = command.removeprefix("$ rotation cost ").split()
        assert cost(*arguments).output.strip() == printed.strip()


def test_the_page_has_the_prices() -> None:
    """Each with its unit, AWS's page, and where the figure was read."""
    text = section(page("cost.md"), "The prices")
    assert REGION in text
    assert COLLECTED in text
    table = {row[0].strip("`"): row[1:] for row in rows(text)[1:]}
    assert table.keys() == PRICES.keys()
    for name, (usd, unit, where, read) in table.items():
        price = PRICES[name]
        assert float(re.sub(r"[^\d.e-]", "", usd)) == pytest.approx(price.usd)
        assert (unit, read) == (price.unit, price.read)
        assert f"https://aws.amazon.com/{price.page}/" in where
