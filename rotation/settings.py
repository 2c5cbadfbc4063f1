"""The settings of the Lambda functions: the only reader of ``os.environ``.

Each function has a frozen dataclass; ``from_environment`` reads, checks and explains. Every
variable is listed in ``docs/settings.md``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from rotation.errors import ConfigurationError

_identifier = re.compile(r"[A-Za-z0-9._-]{1,64}")
_topic = re.compile(r"arn:aws[\w-]*:sns:[\w-]+:\d{12}:[\w-]{1,256}")
_function = re.compile(r"arn:aws[\w-]*:lambda:[\w-]+:\d{12}:function:[\w:-]+")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

#: The issuers: keys made over the administration interface, or by people and kept in a pool.
ADMIN_API = "admin-api"
KEY_POOL = "key-pool"


@dataclass(frozen=True)
class VendorSettings:
    """Where the vendor answers and what its signatures must be.

    Attributes:
        url: the origin, ``https://…``; plain http for a loopback address alone.
        sign_path: the path of the signing call.
        trust_anchors: PEM certificates that a signer must chain to, or None.
        organization: the organisation that a signer's certificate must name, or None.
        connect_timeout: how long to wait for a connection.
        read_timeout: how long to wait between two bytes of an answer.
    """

    url: str
    sign_path: str
    trust_anchors: bytes | None
    organization: str | None
    connect_timeout: timedelta
    read_timeout: timedelta

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the ``VENDOR_*`` and ``SIGNER_*`` variables."""
        env = _Environment(environ)
        return cls(
            url=env.url("VENDOR_URL", "https://api.trusted-signatures.com"),
            sign_path=env.path("VENDOR_SIGN_PATH", "/v1/sign"),
            trust_anchors=env.pem("SIGNER_TRUST_ANCHORS"),
            organization=env.text("SIGNER_ORGANIZATION") or None,
            connect_timeout=env.seconds("VENDOR_CONNECT_TIMEOUT_SECONDS", 3, least=0.1, most=30),
            read_timeout=env.seconds("VENDOR_READ_TIMEOUT_SECONDS", 15, least=0.1, most=120),
        )


@dataclass(frozen=True)
class RotationSettings:
    """The rotation function's settings.

    Attributes:
        installation: the id of this installation, written on every key it issues.
        key_lifetime: how long an issued key may live; a day less than the vendor's year at most,
            since the vendor's clock decides.
        grace: how long a displaced key goes on working; longer than any client's cache.
        propagation_limit: how long a new key may take to be accepted everywhere.
        admin_url: the origin of the key administration interface.
        admin_keys_path: its path for keys.
        key_issuer: where keys come from: ``ADMIN_API`` or ``KEY_POOL``.
        admin_secret: the name or ARN of the secret that holds the admin credential; the key pool
            needs none.
        pool_secret: the name or ARN of the secret that holds the key pool; the administration
            interface needs none.
        notification_topic: the ARN of the SNS topic for what a person has to do, or None.
        reconcile_function: the name of the function that is asked after a promotion, or None.
    """

    vendor: VendorSettings
    installation: str
    key_lifetime: timedelta
    grace: timedelta
    propagation_limit: timedelta
    admin_url: str
    admin_keys_path: str
    key_issuer: str
    admin_secret: str
    pool_secret: str
    notification_topic: str | None
    reconcile_function: str | None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read every variable of the rotation function."""
        env = _Environment(environ)
        vendor = VendorSettings.from_environment(environ)
        issuer = env.choice("KEY_ISSUER", (ADMIN_API, KEY_POOL))
        return cls(
            vendor=vendor,
            installation=env.identifier("INSTALLATION_ID"),
            key_lifetime=env.days("KEY_LIFETIME_DAYS", 180, least=1, most=364),
            grace=env.hours("GRACE_HOURS", 2, least=0, most=24 * 30),
            propagation_limit=env.seconds("PROPAGATION_LIMIT_SECONDS", 60, least=0, most=3600),
            admin_url=env.url("ADMIN_API_URL", vendor.url),
            admin_keys_path=env.path("ADMIN_API_KEYS_PATH", "/v1/keys"),
            key_issuer=issuer,
            admin_secret=env.required_if(issuer == ADMIN_API, "ADMIN_SECRET"),
            pool_secret=env.required_if(issuer == KEY_POOL, "POOL_SECRET"),
            notification_topic=env.topic("NOTIFICATION_TOPIC"),
            reconcile_function=env.text("RECONCILE_FUNCTION") or None,
        )


@dataclass(frozen=True)
class ReconcileSettings:
    """The reconcile function's settings.

    Attributes:
        rotation: those of the rotation function, which hold here too.
        rotation_function: the ARN of the rotation function; secrets that name it are reconciled.
        evidence_bucket: the bucket for records of incidents.
    """

    rotation: RotationSettings
    rotation_function: str
    evidence_bucket: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read every variable of the reconcile function."""
        env = _Environment(environ)
        rotation = RotationSettings.from_environment(environ)
        # A proof of death is spread over this limit, within one invocation of 15 minutes at most.
        if rotation.propagation_limit > timedelta(minutes=10):
            raise ConfigurationError("PROPAGATION_LIMIT_SECONDS must be 600 at most here.")
        return cls(
            rotation=rotation,
            rotation_function=env.function("ROTATION_FUNCTION"),
            evidence_bucket=env.required("EVIDENCE_BUCKET"),
        )


@dataclass(frozen=True)
class Location:
    """A bucket, and the prefix that keys in it must begin with (empty: any)."""

    bucket: str
    prefix: str

    def holds(self, bucket: str, key: str) -> bool:
        """Whether the object lies here."""
        return bucket == self.bucket and key.startswith(self.prefix)


@dataclass(frozen=True)
class SealingSettings:
    """The sealing function's settings.

    Attributes:
        sources: where documents may be read.
        destinations: where sealed documents may be written.
        max_document_bytes: the largest document accepted.
    """

    vendor: VendorSettings
    sources: tuple[Location, ...]
    destinations: tuple[Location, ...]
    max_document_bytes: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read every variable of the sealing function."""
        env = _Environment(environ)
        return cls(
            vendor=VendorSettings.from_environment(environ),
            sources=env.locations("SOURCE_LOCATIONS"),
            destinations=env.locations("DESTINATION_LOCATIONS"),
            max_document_bytes=env.integer(
                "MAX_DOCUMENT_BYTES", 16 * 1024 * 1024, least=1, most=16 * 1024 * 1024
            ),
        )


class _Environment:
    """Reads one variable at a time and names it in every complaint."""

    def __init__(self, environ: Mapping[str, str] | None) -> None:
        self._environ = os.environ if environ is None else environ

    def text(self, name: str, default: str = "") -> str:
        return self._environ.get(name, "").strip() or default

    def required(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise ConfigurationError(f"{name} is not set. Set it in the function's environment.")
        return value

    def required_if(self, needed: bool, name: str) -> str:
        return self.required(name) if needed else self.text(name)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of ``choices``; the first is the default."""
        value = self.text(name, choices[0])
        if value not in choices:
            raise ConfigurationError(f"{name} must be {' or '.join(choices)}.")
        return value

    def topic(self, name: str) -> str | None:
        value = self.text(name)
        if value and not _topic.fullmatch(value):
            raise ConfigurationError(f"{name} must be the ARN of an SNS topic.")
        return value or None

    def function(self, name: str) -> str:
        value = self.required(name)
        if not _function.fullmatch(value):
            raise ConfigurationError(f"{name} must be the ARN of a Lambda function.")
        return value

    def identifier(self, name: str) -> str:
        value = self.required(name)
        if not _identifier.fullmatch(value):
            raise ConfigurationError(f"{name} must be 1 to 64 letters, digits, dots, - or _.")
        return value

    def url(self, name: str, default: str) -> str:
        value = self.text(name, default).rstrip("/")
        parts = urlsplit(value)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if not secure or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigurationError(
                f"{name} must be an https:// URL without credentials, query or fragment "
                "(plain http:// is accepted for a loopback address alone)."
            )
        return value

    def path(self, name: str, default: str) -> str:
        value = self.text(name, default)
        if not value.startswith("/") or "?" in value or "#" in value:
            raise ConfigurationError(f"{name} must be a path that begins with / and has no query.")
        return value

    def pem(self, name: str) -> bytes | None:
        value = self.text(name)
        if not value:
            return None
        if value.startswith("-----BEGIN"):
            return value.encode()
        try:
            content = Path(value).read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"{name} is neither PEM text nor a file that can be read: {error.strerror}."
            ) from error
        if b"-----BEGIN CERTIFICATE" not in content:
            raise ConfigurationError(f"{name} names a file that holds no PEM certificate.")
        return content

    def seconds(self, name: str, default: float, *, least: float, most: float) -> timedelta:
        return timedelta(seconds=self._number(name, default, least, most))

    def hours(self, name: str, default: float, *, least: float, most: float) -> timedelta:
        return timedelta(hours=self._number(name, default, least, most))

    def days(self, name: str, default: float, *, least: float, most: float) -> timedelta:
        return timedelta(days=self._number(name, default, least, most))

    def integer(self, name: str, default: int, *, least: int, most: int) -> int:
        number = self._number(name, default, least, most)
        if number != int(number):
            raise ConfigurationError(f"{name} must be a whole number.")
        return int(number)

    def locations(self, name: str) -> tuple[Location, ...]:
        """``bucket/prefix`` entries, separated by commas."""
        entries = [entry.strip() for entry in self.required(name).split(",")]
        if not all(entry and not entry.startswith("/") for entry in entries):
            raise ConfigurationError(f"{name} must be bucket or bucket/prefix, comma-separated.")
        parts = (entry.partition("/") for entry in entries)
        return tuple(Location(bucket, prefix) for bucket, _, prefix in parts)

    def _number(self, name: str, default: float, least: float, most: float) -> float:
        value = self.text(name)
        try:
            number = float(value) if value else float(default)
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            raise ConfigurationError(f"{name} must be a number from {least:g} to {most:g}.")
        return number
