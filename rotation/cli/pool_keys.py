"""The work of ``rotation pool``: every change takes the compare-and-swap that rotations take."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import boto3
import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from rotation.credential import API_KEY, API_KEY_ID, EXPIRES_AT, ApiKey, Confidential, iso_utc
from rotation.errors import CredentialRejectedError, InvalidCredentialError, RotationError
from rotation.handlers.wiring import signer_policy, utc_now, vendor_http
from rotation.observability import logger
from rotation.settings import VendorSettings
from rotation.vendor.api import SigningApi
from rotation.vendor.key_pool import ENOUGH
from rotation.vendor.key_prover import TestSealProver
from rotation.vendor.pool_document import KeyState, Pool, PoolKey
from rotation.vendor.pool_secret import PoolSecret
from rotation.vendor.pool_stock import adding, removable, removing
from rotation.wire_logging import protect_process

#: A key, its id and a time are a few hundred bytes.
_LONGEST_INPUT: Final = 65_536


def add_key(name: str, expires: datetime | None, *, unproven: bool) -> None:
    """Read a key, prove it, add it, and say so."""
    with _failing_in_words():
        pool = _pool(name)
        # Before anybody types a key: is there such a secret, and may we read it?
        pool.read()
        key = _read_key(expires)
        proven = "not proven" if unproven else _prove(key, name)
        new = pool.change(adding(key, utc_now()))
        free = _free(pool.read())
    click.echo(
        f"Key {key.id} is in the pool {name} ({proven})."
        if new
        else f"Key {key.id} was in the pool {name} already; nothing was changed."
    )
    if new and key.expires_at is None:
        click.echo("Its expiry is not known, so it is leased last. Give --expires next time.")
    click.echo(_stock(free))


def list_keys(name: str, *, as_json: bool) -> None:
    """Print the pool without any key."""
    with _failing_in_words():
        pool = _pool(name).read()
    if as_json:
        keys = [_as_json(entry) for entry in pool.keys]
        click.echo(json.dumps({"pool": name, "free": _free(pool), "keys": keys}))
        return
    now = utc_now()
    rows: list[tuple[str, ...]] = [("KEY ID", "STATE", "AGE", "EXPIRES", "LEASED")]
    rows += [_row(entry, now) for entry in pool.keys]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    click.echo(_stock(_free(pool)))


def remove_key(name: str, key_id: str, *, apply_it: bool) -> None:
    """Print the plan, and carry it out if it is to be."""
    with _failing_in_words():
        pool = _pool(name)
        entry = removable(pool.read(), key_id, utc_now())
        click.echo(f"Take key {key_id} ({entry.state.value}) out of the pool {name}.")
        if not entry.key.expired(utc_now()):
            click.echo("It is not revoked by that: revoke it in the vendor's portal.")
        if not apply_it:
            click.echo("Nothing was changed. Add --apply to do it.")
            return
        pool.change(removing(key_id, utc_now()))
    click.echo("Done.")


@contextmanager
def _failing_in_words() -> Iterator[None]:
    """Our errors end the command with their message and exit code 1; the log stays silent."""
    protect_process()
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except RotationError as error:
        raise click.ClickException(str(error)) from None
    except BotoCoreError as error:
        raise click.ClickException(
            f"AWS cannot be asked ({type(error).__name__}). Set AWS_REGION and your credentials, "
            "as for the aws command line."
        ) from None
    finally:
        logger.setLevel(level)


def _pool(name: str) -> PoolSecret:
    patience = Config(
        connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4}
    )
    return PoolSecret(boto3.client("secretsmanager", config=patience), name, utc_now)


def _read_key(expires: datetime | None) -> ApiKey:
    """The key that a person types or pipes in.

    Raises:
        InvalidCredentialError: it is none; the message repeats nothing of it.
    """
    if sys.stdin.isatty():
        members = {API_KEY_ID: click.prompt("Key id")}
        members[API_KEY] = click.prompt("Key, in hexadecimal (not shown)", hide_input=True)
        text = Confidential(json.dumps(members))
        del members
    else:
        text = Confidential(sys.stdin.read(_LONGEST_INPUT))
    key = _key(text, expires)
    if isinstance(key, str):
        raise InvalidCredentialError(
            f"{key}. Give two lines, the key id and the key, or JSON with {API_KEY_ID} and "
            f"{API_KEY}."
        )
    if key.expired(utc_now()):
        raise InvalidCredentialError(f"Key {key.id} has expired. Make a new one in the portal.")
    return key


def _key(text: Confidential, expires: datetime | None) -> ApiKey | str:
    """The key, or why there is none. Raises nothing, so that no frame shows what was read."""
    members = _members(text.reveal().strip())
    if members is None:
        return "Standard input holds no API key"
    wanted = iso_utc(expires) if expires else members.get(EXPIRES_AT)
    try:
        return ApiKey.from_text(members.get(API_KEY_ID), members.get(API_KEY), expires_at=wanted)
    except InvalidCredentialError as error:
        return f"This is not an API key: {error}"


def _members(text: str) -> dict[str, Any] | None:
    lines = text.split()
    if len(lines) == 2 and not text.startswith("{"):
        return {API_KEY_ID: lines[0], API_KEY: lines[1]}
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def _prove(key: ApiKey, name: str) -> str:
    vendor = VendorSettings.from_environment()
    signing = SigningApi(vendor_http(vendor, vendor.url), vendor.sign_path)
    prover = TestSealProver(signing, signer_policy(vendor), utc_now)
    try:
        proof = prover.prove(key, f"rotation test seal for {name} {key.id}")
    except CredentialRejectedError as error:
        problem = error
    else:
        return f"proven; it signs as {proof.organization or proof.signer}"
    raise InvalidCredentialError(
        f"{problem}. The key was not added. Check the id and the key; a key made a moment ago may "
        "need a minute. Then add it again."
    )


def _free(pool: Pool) -> int:
    now = utc_now()
    return sum(entry.state is KeyState.FREE and not entry.key.expired(now) for entry in pool.keys)


def _stock(free: int) -> str:
    keys = "1 key is free" if free == 1 else f"{free} keys are free"
    advice = "" if free >= ENOUGH else " Make more in the vendor's portal: rotation pool add."
    return f"{keys}.{advice}"


def _as_json(entry: PoolKey) -> dict[str, Any]:
    lease = entry.lease
    asked = entry.notice
    return {
        "id": entry.key.id,
        "state": entry.state.value,
        "added_at": iso_utc(entry.added_at) if entry.added_at else None,
        "expires_at": iso_utc(entry.key.expires_at) if entry.key.expires_at else None,
        "lease": None
        if lease is None
        else {
            "installation": lease.label.installation,
            "secret_arn": lease.label.secret_arn,
            "token": lease.label.token,
            "at": iso_utc(lease.at),
        },
        "revocation_asked_at": iso_utc(asked.at) if asked else None,
    }


def _row(entry: PoolKey, now: datetime) -> tuple[str, ...]:
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
