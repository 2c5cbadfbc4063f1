"""Adds, lists and removes keys of the pool, by the compare-and-swap that rotations use."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import boto3
import click

from rotation.aws.client_config import SECRET_WRITES
from rotation.cli.shared.account import refuse_unknown_region
from rotation.cli.shared.errors import readable_errors
from rotation.cli.shared.typed_key import prove, read_key
from rotation.core.policy import POOL_RESERVE
from rotation.credential import iso_utc
from rotation.handlers.wiring.vendor import utc_now
from rotation.key_pool import document
from rotation.key_pool.document import PoolDocument, PoolEntry, removable_entry
from rotation.key_pool.pool_secret import PoolSecret


def add_key(name: str, expires: datetime | None, *, unproven: bool, as_json: bool) -> None:
    """Read a key, prove it and add it."""
    with readable_errors():
        pool = _pool(name)
        # The pool is read first: without the right to read it, nobody should type a key.
        pool.read()
        key = read_key(expires)
        proof = "not proven" if unproven else prove(key, name, otherwise="The key was not added.")
        new = pool.change(partial(document.add_key, key=key, now=utc_now()))
        free = _free(pool.read(), utc_now())
    if as_json:
        facts = {"pool": name, "keyId": key.id, "added": new, "proof": proof, "free": free}
        click.echo(json.dumps(facts))
        return
    click.echo(
        f"Key {key.id} is in the pool {name} ({proof})."
        if new
        else f"Key {key.id} was in the pool {name} already; nothing was changed."
    )
    if new and key.expires_at is None:
        click.echo("Its expiry is not known, so it is leased last. Give --expires next time.")
    click.echo(_stock(free))


def list_keys(name: str, *, as_json: bool) -> None:
    """Print the pool without any key."""
    with readable_errors():
        pool = _pool(name).read()
    if as_json:
        keys = [_as_json(entry) for entry in pool.keys]
        unreadable = list(map(str, pool.unreadable))
        report = {
            "pool": name,
            "free": _free(pool, utc_now()),
            "keys": keys,
            "unreadable": unreadable,
        }
        click.echo(json.dumps(report))
        return
    print_pool(pool, utc_now())


def print_pool(pool: PoolDocument, now: datetime) -> None:
    """Print a pool for people, without any key."""
    rows: list[tuple[str, ...]] = [("KEY ID", "STATE", "AGE", "EXPIRES", "LEASED")]
    rows += [_row(entry, now) for entry in pool.keys]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    for one in pool.unreadable:
        click.echo(f"{one}. It is set aside: mend it, or take it out and revoke its key.")
    click.echo(_stock(_free(pool, now)))


def remove_key(name: str, key_id: str, *, apply_it: bool, as_json: bool) -> None:
    """Print the plan; remove the key if ``apply_it``."""
    with readable_errors():
        pool = _pool(name)
        entry = removable_entry(pool.read(), key_id, utc_now())
        if apply_it:
            pool.change(partial(document.remove_key, key_id=key_id, now=utc_now()))
    expired = entry.key.expired(utc_now())
    if as_json:
        facts = {"pool": name, "keyId": key_id, "state": entry.state.value, "applied": apply_it}
        click.echo(json.dumps(facts))
        return
    click.echo(f"Take key {key_id} ({entry.state.value}) out of the pool {name}.")
    if not expired:
        click.echo("It is not revoked by that: revoke it in the vendor's portal.")
    click.echo("Done." if apply_it else "Nothing was changed. Add --apply to do it.")


def _pool(name: str) -> PoolSecret:
    client = boto3.client("secretsmanager", config=SECRET_WRITES)
    refuse_unknown_region(client.meta.region_name)
    return PoolSecret(client, name, utc_now)


def _free(pool: PoolDocument, now: datetime) -> int:
    return sum(not entry.key.expired(now) for entry in pool.leasable)


def _stock(free: int) -> str:
    keys = "1 key is free" if free == 1 else f"{free} keys are free"
    advice = "" if free >= POOL_RESERVE else " Make more in the vendor's portal: rotation pool add."
    return f"{keys}.{advice}"


def _as_json(entry: PoolEntry) -> dict[str, Any]:
    lease = entry.lease
    asked = entry.notice
    return {
        "keyId": entry.key.id,
        "state": entry.state.value,
        "addedAt": iso_utc(entry.added_at) if entry.added_at else None,
        "expiresAt": iso_utc(entry.key.expires_at) if entry.key.expires_at else None,
        "lease": None
        if lease is None
        else {
            "installation": lease.label.installation,
            "secretArn": lease.label.secret_arn,
            "token": lease.label.token,
            "at": iso_utc(lease.at),
        },
        "revocationAskedAt": iso_utc(asked.at) if asked else None,
    }


def _row(entry: PoolEntry, now: datetime) -> tuple[str, ...]:
    age = "unknown" if entry.added_at is None else f"{(now - entry.added_at).days} d"
    expires = entry.key.expires_at
    left = "" if expires is None else f" (in {(expires - now) / timedelta(days=1):.0f} d)"
    until = "unknown" if expires is None else f"{expires:%Y-%m-%d}"
    leased = ""
    if entry.lease is not None:
        secret = entry.lease.label.secret_arn.rpartition(":secret:")[2]
        leased = f"{entry.lease.at:%Y-%m-%d} to {secret}"
    over = expires is not None and expires <= now
    until += " (over)" if over else left
    return (entry.key.id, entry.state.value, age, until, leased)
