"""Reads environment variables one at a time, and checks them; errors name the variable."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from rotation.errors import ConfigurationError

_identifier = re.compile(r"[A-Za-z0-9._-]{1,64}")
_topic = re.compile(r"arn:aws[\w-]*:sns:[\w-]+:\d{12}:[\w-]{1,256}")
# API_PutEvents, EventBusName: the name or the ARN.
_event_bus = re.compile(r"(arn:aws[\w-]*:events:[\w-]+:\d{12}:event-bus/)?[\w./-]{1,256}")
_function = re.compile(r"arn:aws[\w-]*:lambda:[\w-]+:\d{12}:function:[\w:-]+")
_secret_pattern = re.compile(r"arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:[\w/+=.@!*?-]+")
_kms_key = re.compile(r"arn:aws[\w-]*:kms:[\w-]+:\d{12}:(key|alias)/[\w/-]+")
# UserGuide bucketnamingrules: 3 to 63 lower-case letters, digits, dots and hyphens.
_bucket = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_host = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Location:
    """The objects in one bucket whose keys begin with a prefix; an empty prefix means all."""

    bucket: str
    prefix: str

    def holds(self, bucket: str, key: str) -> bool:
        """Whether the object is one of these."""
        return bucket == self.bucket and key.startswith(self.prefix)


def ledger_location(address: str) -> Location | None:
    """The objects of a ledger at ``s3://bucket/prefix``; None if it is no such address."""
    scheme, _, place = address.partition("://")
    bucket, _, prefix = place.partition("/")
    if scheme != "s3" or not _bucket.fullmatch(bucket):
        return None
    folder = prefix.strip("/")
    return Location(bucket, f"{folder}/" if folder else "")


class Environment:
    """The environment. Each method reads one variable, and raises ConfigurationError with its name.

    Args:
        environ: the variables; None: those of this process.
    """

    def __init__(self, environ: Mapping[str, str] | None) -> None:
        self._environ = os.environ if environ is None else environ

    def text(self, name: str, default: str = "") -> str:
        """The value without blanks around it, or ``default``."""
        return self._environ.get(name, "").strip() or default

    def required(self, name: str) -> str:
        """A value that must be set."""
        value = self.text(name)
        if not value:
            raise ConfigurationError(f"{name} is not set. Set it in the function's environment.")
        return value

    def required_if(self, needed: bool, name: str) -> str:
        """A value that must be set if it is ``needed``."""
        return self.required(name) if needed else self.text(name)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of ``choices``; the first is the default."""
        value = self.text(name, choices[0])
        if value not in choices:
            raise ConfigurationError(f"{name} must be {' or '.join(choices)}.")
        return value

    def flag(self, name: str) -> bool:
        """A switch, which is off unless it is set to ``true``."""
        return self.choice(name, ("false", "true")) == "true"

    def key(self, name: str) -> str | None:
        """The ARN of a KMS key or alias, or None."""
        value = self.text(name)
        if value and not _kms_key.fullmatch(value):
            raise ConfigurationError(f"{name} must be the ARN of a KMS key or of an alias.")
        return value or None

    def topic(self, name: str) -> str | None:
        """The ARN of an SNS topic, or None."""
        value = self.text(name)
        if value and not _topic.fullmatch(value):
            raise ConfigurationError(f"{name} must be the ARN of an SNS topic.")
        return value or None

    def event_bus(self, name: str) -> str | None:
        """The name or the ARN of an event bus of EventBridge, or None."""
        value = self.text(name)
        if value and not _event_bus.fullmatch(value):
            raise ConfigurationError(f"{name} must be the name or the ARN of an event bus.")
        return value or None

    def function(self, name: str) -> str:
        """The ARN of a Lambda function."""
        value = self.required(name)
        if not _function.fullmatch(value):
            raise ConfigurationError(f"{name} must be the ARN of a Lambda function.")
        return value

    def identifier(self, name: str) -> str:
        """1 to 64 characters that need no escaping in a label or a path."""
        value = self.required(name)
        if not _identifier.fullmatch(value):
            raise ConfigurationError(f"{name} must be 1 to 64 letters, digits, dots, - or _.")
        return value

    def identifiers(self, name: str, most: int) -> tuple[str, ...]:
        """``most`` different identifiers at most, comma-separated; none where nothing is set."""
        entries = [entry.strip() for entry in self.text(name).split(",")] if self.text(name) else []
        if not all(map(_identifier.fullmatch, entries)):
            raise ConfigurationError(
                f"{name} must be ids of 1 to 64 letters, digits, dots, - or _, comma-separated."
            )
        if len(set(entries)) != len(entries) or len(entries) > most:
            raise ConfigurationError(f"{name} must name {most} ids at most, each of them once.")
        return tuple(entries)

    def secret_patterns(self, name: str) -> tuple[str, ...]:
        """The ARNs of secrets, at least one; ``*`` and ``?`` stand for other characters."""
        entries = tuple(entry.strip() for entry in self.required(name).split(","))
        if not all(map(_secret_pattern.fullmatch, entries)):
            raise ConfigurationError(
                f"{name} must be full ARNs of secrets, comma-separated; in the name of a secret * "
                "stands for any characters, and ? for one."
            )
        return entries

    def url(self, name: str, default: str) -> str:
        """The origin of a URL: https, or http for a loopback address."""
        value = self.text(name, default).rstrip("/")
        parts = urlsplit(value)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if not secure or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigurationError(
                f"{name} must be an https:// URL without credentials, query or fragment "
                "(plain http:// is accepted for a loopback address alone)."
            )
        return value

    def service_url(self, name: str) -> str | None:
        """The URL of a service whose answers are signed, or of a proxy: https or http; or None."""
        value = self.text(name)
        try:
            parts = urlsplit(value)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if value and (not usable or "@" in parts.netloc or parts.fragment):
            raise ConfigurationError(
                f"{name} must be an https:// or http:// URL without credentials and fragment."
            )
        return value or None

    def hosts(self, name: str) -> frozenset[str]:
        """Names of hosts, with a port or without, comma-separated; none where nothing is set."""
        entries = [entry.strip().lower() for entry in self.text(name).split(",")]
        entries = entries if self.text(name) else []
        if not all(map(_host.fullmatch, entries)):
            raise ConfigurationError(
                f"{name} must be host or host:port, comma-separated, without scheme and path."
            )
        return frozenset(entries)

    def path(self, name: str, default: str) -> str:
        """The path of a URL."""
        value = self.text(name, default)
        if not value.startswith("/") or "?" in value or "#" in value:
            raise ConfigurationError(f"{name} must be a path that begins with / and has no query.")
        return value

    def pem(self, name: str) -> bytes | None:
        """PEM certificates, from the variable or from the file that it names, or None."""
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
        """A duration; both limits are included."""
        return timedelta(seconds=self._number(name, default, least, most))

    def hours(self, name: str, default: float, *, least: float, most: float) -> timedelta:
        """As `seconds`."""
        return timedelta(hours=self._number(name, default, least, most))

    def days(self, name: str, default: float, *, least: float, most: float) -> timedelta:
        """As `seconds`."""
        return timedelta(days=self._number(name, default, least, most))

    def integer(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number; both limits are included."""
        number = self._number(name, default, least, most)
        if number != int(number):
            raise ConfigurationError(f"{name} must be a whole number.")
        return int(number)

    def optional_integer(self, name: str, least: int, most: int) -> int | None:
        """As `integer`, or None."""
        return self.integer(name, 0, least=least, most=most) if self.text(name) else None

    def numbers(self, name: str, count: int, form: str) -> tuple[float, ...] | None:
        """``count`` numbers, separated by commas, or None; ``form`` names them in errors."""
        value = self.text(name)
        if not value:
            return None
        try:
            numbers = tuple(float(number) for number in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != count:
            raise ConfigurationError(f"{name} must be {count} numbers: {form}.")
        return numbers

    def content(self, name: str, most: int) -> bytes | None:
        """The bytes of the file that is named, ``most`` of them at most, or None."""
        path = self.text(name)
        if not path:
            return None
        try:
            with Path(path).open("rb") as file:
                content = file.read(most + 1)
        except OSError as error:
            raise ConfigurationError(
                f"{name} names a file that cannot be read: {error.strerror}."
            ) from error
        if not 0 < len(content) <= most:
            raise ConfigurationError(f"{name} names a file that is empty or over {most} bytes.")
        return content

    def locations(self, name: str) -> tuple[Location, ...]:
        """Entries of the form ``bucket`` or ``bucket/prefix``, separated by commas."""
        entries = [entry.strip() for entry in self.required(name).split(",")]
        if not all(entry and not entry.startswith("/") for entry in entries):
            raise ConfigurationError(f"{name} must be bucket or bucket/prefix, comma-separated.")
        parts = (entry.partition("/") for entry in entries)
        return tuple(Location(bucket, prefix) for bucket, _, prefix in parts)

    def ledger(self, name: str) -> Location | None:
        """An address ``s3://bucket/prefix``, whose prefix ends with a slash; None if it is not set.

        The prefix may be missing.
        """
        value = self.text(name)
        if not value:
            return None
        found = ledger_location(value)
        if found is None:
            raise ConfigurationError(f"{name} must be s3://bucket or s3://bucket/prefix.")
        return found

    def _number(self, name: str, default: float, least: float, most: float) -> float:
        value = self.text(name)
        try:
            number = float(value) if value else float(default)
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            raise ConfigurationError(f"{name} must be a number from {least:g} to {most:g}.")
        return number
