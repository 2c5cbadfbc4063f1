"""Reads a key that a person types or pipes in, and proves it. It is never an argument."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any, Final

import click

from rotation.core.statements import of_a_typed_key
from rotation.credential import (
    API_KEY,
    API_KEY_ID,
    EXPIRES_AT,
    ApiKey,
    Confidential,
    iso_utc,
    json_object,
)
from rotation.errors import CredentialRejectedError, InvalidCredentialError
from rotation.handlers.wiring.vendor import signer_policy, utc_now, vendor_http
from rotation.settings.vendor import VendorSettings
from rotation.vendor.key_prover import TestSealProver
from rotation.vendor.signing_api import SigningApi

#: A key, its id and a time are a few hundred bytes.
_LONGEST_INPUT: Final = 65_536


def read_key(expires: datetime | None) -> ApiKey:
    """Read the key id and the key from the terminal or from standard input.

    Raises:
        InvalidCredentialError: the input is not a key; the message repeats nothing of it.
    """
    if sys.stdin.isatty():
        members = {API_KEY_ID: click.prompt("Key id", err=True)}
        members[API_KEY] = click.prompt(
            "Key, in hexadecimal (not shown)", hide_input=True, err=True
        )
        text = Confidential(json.dumps(members))
        del members
    else:
        text = Confidential(_piped())
    key = _key(text, expires)
    if isinstance(key, str):
        raise InvalidCredentialError(
            f"{key}. Give two lines, the key id and the key, or JSON with {API_KEY_ID} and "
            f"{API_KEY}."
        )
    if key.expired(utc_now()):
        raise InvalidCredentialError(f"Key {key.id} has expired. Make a new one in the portal.")
    return key


def prove(key: ApiKey, name: str, *, otherwise: str) -> str:
    """Have ``key`` sign a test seal for the secret ``name``; returns the result in words.

    Args:
        key: the key.
        name: the secret that it is meant for; the test seal's sentence names it.
        otherwise: a sentence for the error if the vendor rejects the key, which says what was not
            done with it.

    Raises:
        InvalidCredentialError: the vendor rejects the key.
        RotationError: the key could not be tested.
    """
    vendor = VendorSettings.from_environment()
    signing = SigningApi(vendor_http(vendor, vendor.url), vendor.sign_path)
    prover = TestSealProver(signing, signer_policy(vendor), utc_now)
    try:
        proof = prover.prove(key, of_a_typed_key(name, key.id))
    except CredentialRejectedError as error:
        problem = error
    else:
        return f"proven; it signs as {proof.organization or proof.identity}"
    raise InvalidCredentialError(
        f"{problem}. {otherwise} Check the id and the key; a key made a moment ago may need a "
        "minute. Then run this again."
    )


def _piped() -> str:
    """Standard input; nothing if it is not text, since the exception would show what it holds."""
    try:
        return sys.stdin.read(_LONGEST_INPUT).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return ""


def _key(text: Confidential, expires: datetime | None) -> ApiKey | str:
    """Parse the key; returns the problem as text, so that no traceback shows what was read."""
    members = _members(text.reveal().strip())
    if members is None:
        return "Standard input holds no API key as UTF-8 text"
    wanted = iso_utc(expires) if expires else members.get(EXPIRES_AT)
    try:
        return ApiKey.from_text(members.get(API_KEY_ID), members.get(API_KEY), expires_at=wanted)
    except InvalidCredentialError as error:
        return f"This is not an API key: {error}"


def _members(text: str) -> dict[str, Any] | None:
    lines = text.split()
    if len(lines) == 2 and not text.startswith("{"):
        return {API_KEY_ID: lines[0], API_KEY: lines[1]}
    return json_object(text)
