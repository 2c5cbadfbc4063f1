"""Builds the sealing client of ``rotation seal``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from math import inf
from threading import Event
from time import monotonic
from typing import Final

from rotation.cli.seal.run import DocumentToSeal, SealLocations
from rotation.client.contract import Seal
from rotation.client.credential_cache import CredentialCache
from rotation.client.in_process import InProcessInvoker
from rotation.client.sealing_client import Invoker, SealingClient
from rotation.handlers.wiring.ledger import seal_ledger
from rotation.handlers.wiring.levels import seal_raiser
from rotation.handlers.wiring.vendor import signer_policy, utc_now, vendor_http
from rotation.sealing.pdf import Limits, prepare
from rotation.sealing.profile import ProfileChoice, SealProfile
from rotation.sealing.request import SealOptions
from rotation.sealing.sealer import Sealer
from rotation.sealing.signer_name import SignerName
from rotation.settings.environment import Environment, Location
from rotation.settings.levels import LevelSettings
from rotation.settings.sealing import seal_profile
from rotation.settings.vendor import VendorSettings
from rotation.vendor.cms import verify_cms
from rotation.vendor.signing_api import SigningApi

#: Positions in a cross-reference table have ten digits (ISO 32000-2, 7.5.4).
_LARGEST: Final = 9_999_999_999
#: In an outage the command ends; a person runs it again when the outage is over.
_PATIENCE: Final = timedelta(0)


def local_invoker(locations: SealLocations, *, overwrite: bool) -> Invoker:
    """Seals in this process. The sealer may use both locations: a person has named them."""
    vendor = VendorSettings.from_environment()
    policy = signer_policy(vendor)
    signing = SigningApi(vendor_http(vendor, vendor.url), vendor.sign_path)
    source, destination = locations.buckets
    sealer = Sealer(
        locations.port(overwrite=overwrite),
        signing.sign,
        lambda cms, digest, at: verify_cms(cms, digest, policy, at),
        utc_now,
        sources=(Location(source, ""),),
        destinations=(Location(destination, ""),),
        max_document_bytes=_LARGEST,
        profile=ProfileChoice(SealProfile(seal_profile())),
        signer_name=SignerName(vendor.organization),
        ledger=seal_ledger(Environment(None).ledger("SEAL_LEDGER")),
        raise_seal=seal_raiser(LevelSettings.from_environment(), vendor.trust_anchors, Limits()),
    )
    return InProcessInvoker(sealer)


def document_check(
    locations: SealLocations, options: SealOptions
) -> Callable[[DocumentToSeal], None]:
    """A function that opens and prepares one document as a seal does, and has nothing signed.

    It raises a RotationError for a document that cannot be sealed so.
    """
    documents = locations.port(overwrite=False)

    def check(document: DocumentToSeal) -> None:
        with documents.open(document.source, most=_LARGEST) as source:
            prepare(source.content, options, utc_now())

    return check


def document_sealer(
    invoker: Invoker, secret: str, options: SealOptions, stop: Event
) -> Callable[[DocumentToSeal], Seal]:
    """A function that seals one document with the key in ``secret``.

    Args:
        invoker: what carries out the sealing request.
        secret: the secret's name or ARN.
        options: how each document is sealed.
        stop: once it is set, a pause ends at once, and no document is tried again.

    Raises:
        SecretStoreError, InvalidCredentialError: there is no usable key in the secret.
    """
    _print_unexpected_errors()
    credentials = CredentialCache()
    # A secret without a key is one error of the run, and not an error of each document.
    credentials.get(secret)

    def pause(seconds: float) -> None:
        stop.wait(seconds)

    def time_until_stopped() -> float:
        return inf if stop.is_set() else monotonic()

    client = SealingClient(
        invoker, credentials, secret, patience=_PATIENCE, clock=time_until_stopped, sleep=pause
    )

    def seal(document: DocumentToSeal) -> Seal:
        return client.seal(document.source, document.destination, options)

    return seal


def _print_unexpected_errors() -> None:
    """Log unexpected errors to the terminal: the code ``internal`` says that the log has more."""
    log = logging.getLogger("rotation.client")
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.ERROR)
        log.addHandler(handler)
