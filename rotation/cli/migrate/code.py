"""The change to an application's code, as a unified diff against a hard-coded key. Pure."""

from __future__ import annotations

import difflib
from string import Template
from typing import Final

#: The file that the diff speaks of; an application's own has another name, and more in it.
FILE: Final = "application.py"

_KEY: Final = """\
KEY_ID = "$key_id"
KEY = "…"
"""
_BEFORE_SEALING: Final = (
    """\
import json

import boto3

"""
    + _KEY
    + """

def seal(bucket, name, sealed_bucket):
    request = {
        "source": {"bucket": bucket, "key": name},
        "destination": {"bucket": sealed_bucket, "key": name},
        "credential": {"apiKeyId": KEY_ID, "apiKey": KEY},
    }
    answer = boto3.client("lambda").invoke(
        FunctionName="$function", Payload=json.dumps(request)
    )
    return json.loads(answer["Payload"].read())
"""
)
_AFTER_SEALING: Final = (
    """\
from rotation import ApiKey, CredentialCache, LambdaInvoker, ObjectLocation, SealingClient

"""
    + _KEY
    + """SECRET = "$secret"

credentials = CredentialCache(fallback={SECRET: ApiKey.from_text(KEY_ID, KEY)})
sealing = SealingClient(LambdaInvoker("$function"), credentials, SECRET)


def seal(bucket, name, sealed_bucket):
    return sealing.seal(ObjectLocation(bucket, name), ObjectLocation(sealed_bucket, name))
"""
)
_BEFORE_KEY: Final = (
    _KEY
    + """

def current_key():
    return KEY_ID, KEY
"""
)
_AFTER_KEY: Final = (
    """\
from rotation import ApiKey, CredentialCache

"""
    + _KEY
    + """SECRET = "$secret"

credentials = CredentialCache(fallback={SECRET: ApiKey.from_text(KEY_ID, KEY)})


def current_key():
    key = credentials.get(SECRET).key
    return key.id, key.material.reveal()
"""
)


def code_before(key_id: str, function: str | None) -> str:
    """An application with a hard-coded key, as the diff takes it to be."""
    text = _BEFORE_KEY if function is None else _BEFORE_SEALING
    return Template(text).substitute(key_id=key_id, function=function)


def code_after(key_id: str, secret: str, function: str | None) -> str:
    """The same application with the secret, and with the hard-coded key as its fallback."""
    text = _AFTER_KEY if function is None else _AFTER_SEALING
    return Template(text).substitute(key_id=key_id, secret=secret, function=function)


def code_diff(key_id: str, secret: str, function: str | None) -> str:
    """What to change: from `code_before` to `code_after`, as ``patch -p1`` takes it.

    Args:
        key_id: the id of the key; the key itself is not shown.
        secret: the secret, as the application names it.
        function: the sealing function that the application asks, or None.
    """
    lines = difflib.unified_diff(
        code_before(key_id, function).splitlines(keepends=True),
        code_after(key_id, secret, function).splitlines(keepends=True),
        f"a/{FILE}",
        f"b/{FILE}",
    )
    return "".join(lines)
