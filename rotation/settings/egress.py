"""The settings of the way to services outside of AWS: a proxy, and private certificates."""

from __future__ import annotations

from collections.abc import Mapping

from rotation.egress import Egress
from rotation.errors import ConfigurationError
from rotation.settings.environment import Environment


def egress(environ: Mapping[str, str] | None = None) -> Egress:
    """The way that ``EGRESS_PROXY`` and ``EGRESS_CA`` describe.

    Raises:
        ConfigurationError: one of them is wrong.
    """
    env = Environment(environ)
    way = Egress(env.service_url("EGRESS_PROXY"), env.pem("EGRESS_CA"))
    try:
        way.tls_context()
    except (ValueError, OSError) as error:
        raise ConfigurationError("EGRESS_CA holds no certificate, or a malformed one.") from error
    return way
