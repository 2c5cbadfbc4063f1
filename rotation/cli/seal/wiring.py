"""A sealing client, put together of its parts for a person at a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Final

from rotation.cli.seal.work import Document, Places
from rotation.client.contract import Seal
from rotation.client.credential_cache import CredentialCache
from rotation.client.in_process import InProcessInvoker
from rotation.client.lambda_invoker import LambdaInvoker
from rotation.client.sealing_client import Invoker, SealingClient
from rotation.handlers.wiring.vendor import signer_policy, utc_now, vendor_http
from rotation.sealing.request import SealOptions
from rotation.sealing.sealer import Sealer
from rotation.settings import Location, VendorSettings
from rotation.vendor.cms import verify_cms
from rotation.vendor.signing_api import SigningApi

#: Positions in a cross-reference table have ten digits (ISO 32000-2, 7.5.4).
_LARGEST: Final = 9_999_999_999
#: A person sees an outage and runs the command again when it is over.
_PATIENCE: Final = timedelta(0)


def through_function(name: str) -> Invoker:
    """Has the sealing function seal."""
    return LambdaInvoker(name)


def in_this_process(places: Places, *, overwrite: bool) -> Invoker:
    """Seals here. All of the places may be used: a person has named them."""
    vendor = VendorSettings.from_environment()
    policy = signer_policy(vendor)
    signing = SigningApi(vendor_http(vendor, vendor.url), vendor.sign_path)
    source, destination = places.buckets
    sealer = Sealer(
        places.port(overwrite=overwrite),
        signing.sign,
        lambda cms, digest, at: verify_cms(cms, digest, policy, at),
        utc_now,
        sources=(Location(source, ""),),
        destinations=(Location(destination, ""),),
        max_document_bytes=_LARGEST,
    )
    return InProcessInvoker(sealer)


def sealing(
    invoker: Invoker, secret: str, options: SealOptions, stop: Event
) -> Callable[[Document], Seal]:
    """What seals one document with the key in ``secret``.

    Args:
        invoker: who does it.
        secret: the secret's name or ARN.
        options: how each is sealed.
        stop: when set, nobody waits between two attempts any more.

    Raises:
        SecretStoreError, InvalidCredentialError: there is no key to be had.
    """
    _tell_what_nobody_foresaw()
    credentials = CredentialCache()
    # Told once, and not for each document.
    credentials.get(secret)

    def pause(seconds: float) -> None:
        stop.wait(seconds)

    client = SealingClient(invoker, credentials, secret, patience=_PATIENCE, sleep=pause)

    def seal(document: Document) -> Seal:
        return client.seal(document.source, document.destination, options)

    return seal


def _tell_what_nobody_foresaw() -> None:
    """An error with the code ``internal`` says that the log has more: here it is the terminal."""
    log = logging.getLogger("rotation.client")
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.ERROR)
        log.addHandler(handler)
