"""The settings of the rotation function and of the reconcile function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from rotation.errors import ConfigurationError
from rotation.settings.environment import Environment, Location
from rotation.settings.vendor import VendorSettings

#: The issuers: the key administration interface, or a pool of keys that people make.
ADMIN_API = "admin-api"
KEY_POOL = "key-pool"
#: Each former id costs a request to the issuer for each secret and run.
_MOST_FORMER_INSTALLATIONS: Final = 10


@dataclass(frozen=True)
class RotationSettings:
    """The rotation function's settings.

    Attributes:
        installation: the id of this installation, written on every key it issues.
        key_lifetime: how long an issued key may live. The vendor allows a year by its own clock, so
            it is a day less at most.
        grace: how long a displaced key goes on working; it must be longer than any client's cache.
        propagation_limit: how long a new key may take to be accepted everywhere.
        admin_url: the origin of the key administration interface.
        admin_keys_path: its path for keys.
        key_issuer: where keys come from: ``ADMIN_API`` or ``KEY_POOL``.
        admin_secret: the name or ARN of the secret with the admin credential; empty with a pool.
        pool_secret: the name or ARN of the secret with the key pool; empty without one.
        rotated_secrets: the ARNs of the secrets that may be rotated, or patterns of them.
        evidence_bucket: the bucket with the journal and the records of incidents.
        notification_topic: the ARN of the SNS topic for messages to people, or None.
        reconcile_function: the name of the function to invoke after a promotion, or None.
        former_installations: the ids under which the stack was deployed before; keys that bear one
            of them are retired like this installation's own.
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
    rotated_secrets: tuple[str, ...]
    evidence_bucket: str
    notification_topic: str | None
    reconcile_function: str | None
    former_installations: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read every variable of the rotation function."""
        env = Environment(environ)
        vendor = VendorSettings.from_environment(environ)
        # The first is the default here and in the template: it works with the vendor as published.
        issuer = env.choice("KEY_ISSUER", (KEY_POOL, ADMIN_API))
        installation = env.identifier("INSTALLATION_ID")
        former = env.identifiers("FORMER_INSTALLATIONS", _MOST_FORMER_INSTALLATIONS)
        if installation in former:
            raise ConfigurationError("FORMER_INSTALLATIONS must not name INSTALLATION_ID itself.")
        lifetime = env.days("KEY_LIFETIME_DAYS", 180, least=2, most=364)
        grace = env.hours("GRACE_HOURS", 2, least=0, most=24 * 30)
        # The time between two rotations comes on top of it; each secret has its own.
        if issuer == ADMIN_API and lifetime <= grace + timedelta(days=1):
            raise ConfigurationError(
                "KEY_LIFETIME_DAYS must exceed the days between two rotations and GRACE_HOURS "
                "together by more than a day; it does not even exceed GRACE_HOURS by one."
            )
        return cls(
            vendor=vendor,
            installation=installation,
            key_lifetime=lifetime,
            grace=grace,
            propagation_limit=env.seconds("PROPAGATION_LIMIT_SECONDS", 60, least=0, most=3600),
            admin_url=env.url("ADMIN_API_URL", vendor.url),
            admin_keys_path=env.path("ADMIN_API_KEYS_PATH", "/v1/keys"),
            key_issuer=issuer,
            admin_secret=env.required_if(issuer == ADMIN_API, "ADMIN_SECRET"),
            pool_secret=env.required_if(issuer == KEY_POOL, "POOL_SECRET"),
            rotated_secrets=env.secret_patterns("ROTATED_SECRETS"),
            evidence_bucket=env.required("EVIDENCE_BUCKET"),
            notification_topic=env.topic("NOTIFICATION_TOPIC"),
            reconcile_function=env.text("RECONCILE_FUNCTION") or None,
            former_installations=former,
        )


@dataclass(frozen=True)
class ReconcileSettings:
    """The reconcile function's settings.

    Attributes:
        rotation: those of the rotation function, which hold here too.
        rotation_function: the ARN of the rotation function; secrets that name it are reconciled.
        ledger: the ledger of seals, in which those of suspect keys are counted; None: there is
            none.
        phase_events_bus: the name or ARN of the event bus on which the phases of keys are
            announced; None: they are not.
        used_key_grace: how much later than its grace was to end a displaced key dies at most, as
            long as the ledger shows that it still seals.
    """

    rotation: RotationSettings
    rotation_function: str
    ledger: Location | None = None
    phase_events_bus: str | None = None
    used_key_grace: timedelta = timedelta(0)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read every variable of the reconcile function."""
        env = Environment(environ)
        rotation = RotationSettings.from_environment(environ)
        # A proof of death is spread over this limit, within one invocation of 15 minutes at most.
        if rotation.propagation_limit > timedelta(minutes=10):
            raise ConfigurationError("PROPAGATION_LIMIT_SECONDS must be 600 at most here.")
        return cls(
            rotation=rotation,
            rotation_function=env.function("ROTATION_FUNCTION"),
            ledger=env.ledger("SEAL_LEDGER"),
            phase_events_bus=env.event_bus("PHASE_EVENTS_BUS"),
            used_key_grace=env.hours("USED_KEY_GRACE_HOURS", 0, least=0, most=24 * 7),
        )
