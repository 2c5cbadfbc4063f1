"""The command ``rotation cost``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

import click

from rotation.cli.cost.model import Architecture, Cost, Unattended, Usage, monthly_cost
from rotation.cli.cost.prices import COLLECTED, PRICES, REGION
from rotation.cli.shared.options import json_option


def _given_prices(
    _context: click.Context, _parameter: click.Parameter, given: Sequence[str]
) -> dict[str, float]:
    """The prices of ``--price NAME=USD``."""
    prices: dict[str, float] = {}
    for one in given:
        name, _, usd = one.partition("=")
        try:
            price = float(usd)
        except ValueError:
            raise click.BadParameter(f"{one} is not NAME=USD.") from None
        if name not in PRICES or not 0 <= price < float("inf"):
            raise click.BadParameter(f"{one}: the names are {', '.join(PRICES)}.")
        prices[name] = price
    return prices


_count = click.IntRange(min=0)
_at_least_one = click.IntRange(min=1)


@click.command()
@click.option("--seals", type=_count, required=True, help="Documents that are sealed in a month.")
@click.option("--secrets", type=_at_least_one, default=1, show_default=True, help="Keys rotated.")
@click.option(
    "--rotation-days",
    type=click.IntRange(1, 335),
    default=30,
    show_default=True,
    help="Days between rotations, as the template's RotationDays.",
)
@click.option(
    "--seal-seconds",
    type=click.FloatRange(0, 300),
    default=0.5,
    show_default=True,
    help="How long the function is billed for one document: most of it waits for the vendor.",
)
@click.option(
    "--architecture",
    type=click.Choice(["arm64", "x86_64"]),
    default="arm64",
    show_default=True,
    help="As the template's Architecture.",
)
@click.option(
    "--unattended",
    type=click.Choice(["none", "bulk", "events"]),
    default="none",
    show_default=True,
    help="As the template's UnattendedSealing; then all documents take that way.",
)
@click.option(
    "--customer-keys",
    type=_count,
    default=0,
    show_default=True,
    help="Customer managed KMS keys for secrets and documents.",
)
@click.option(
    "--endpoints",
    type=_count,
    default=0,
    show_default=True,
    help="Interface endpoints of the VPC; those of S3 can be gateway endpoints, which are free.",
)
@click.option(
    "--zones", type=_at_least_one, default=2, show_default=True, help="Zones of each endpoint."
)
@click.option(
    "--signature-price",
    type=click.FloatRange(min=0),
    help="What the vendor charges you for a signature, in dollars; it publishes no price.",
)
@click.option(
    "--price",
    "prices",
    multiple=True,
    metavar="NAME=USD",
    callback=_given_prices,
    help="Your Region's price, in place of the built-in one. May be repeated.",
)
@json_option
def cost(
    *,
    seals: int,
    secrets: int,
    rotation_days: int,
    seal_seconds: float,
    architecture: str,
    unattended: str,
    customer_keys: int,
    endpoints: int,
    zones: int,
    signature_price: float | None,
    prices: dict[str, float],
    as_json: bool,
) -> None:
    """Estimate what a deployment costs in a month.

    Asks nobody and needs no account. The prices are built in, dated, and of one Region; give
    yours with --price. Free tiers, storage of documents and data transfer are left out.

    It also counts the signatures that are bought: beside those of documents, some prove that a
    new key works and that an old one is dead. A shorter interval costs more of them.
    """
    usage = Usage(
        seals=seals,
        secrets=secrets,
        rotation_days=rotation_days,
        seal_seconds=seal_seconds,
        architecture=cast("Architecture", architecture),
        unattended=cast("Unattended", unattended),
        customer_keys=customer_keys,
        endpoints=endpoints,
        zones=zones,
        signature_usd=signature_price,
    )
    result = monthly_cost(usage, prices)
    if as_json:
        click.echo(json.dumps(_facts(result, prices)))
    else:
        _print(result, prices)


def _facts(result: Cost, given: dict[str, float]) -> dict[str, Any]:
    return {
        "currency": "USD",
        "prices": {"region": REGION, "collected": COLLECTED, "given": given},
        "lines": [asdict(line) for line in result.lines],
        "usd": result.usd,
        "signatures": {**result.signatures, "all": sum(result.signatures.values())},
    }


def _print(result: Cost, given: dict[str, float]) -> None:
    widths = [max(len(line.service) for line in result.lines), 0, 0]
    widths[1] = max(len(line.what) for line in result.lines)
    for line in result.lines:
        click.echo(
            f"{line.service:<{widths[0]}}  {line.what:<{widths[1]}}  "
            f"{_number(line.quantity):>14}  {line.usd:>10.2f}"
        )
    click.echo(f"{'US dollars in a month':<{widths[0] + widths[1] + 18}}  {result.usd:>10.2f}")
    click.echo()
    bought = ", ".join(f"{_number(n)} for {what}" for what, n in result.signatures.items())
    click.echo(f"Signatures: {_number(sum(result.signatures.values()))}, of them {bought}.")
    own = f", but for {', '.join(given)}, which you gave" if given else ""
    click.echo(f"Prices of {REGION}, collected {COLLECTED}{own}. Free tiers are not deducted.")


def _number(quantity: float) -> str:
    """Whole and with commas; small ones with two places."""
    return f"{quantity:,.2f}" if 0 < quantity < 10 and quantity % 1 else f"{quantity:,.0f}"
