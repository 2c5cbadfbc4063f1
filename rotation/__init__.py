"""Rotate a Trusted Signatures API key in AWS Secrets Manager, and seal PDFs with it.

What an application imports, each name loaded when it is first used (PEP 562)::

    from rotation import CredentialCache, LambdaInvoker, ObjectLocation, SealingClient

The types are in ``__init__.pyi``: an import written here, be it for type checkers alone, would
count as one of every function's, and be packed into every artifact.
"""

import importlib

__version__ = "0.2.0"

_WHERE = {
    "ApiKey": "rotation.credential",
    "CacheMetrics": "rotation.client.metrics",
    "CachedCredential": "rotation.client.credential_cache",
    "CredentialCache": "rotation.client.credential_cache",
    "LambdaInvoker": "rotation.client.lambda_invoker",
    "ObjectLocation": "rotation.sealing.request",
    "RotationError": "rotation.errors",
    "SealOptions": "rotation.sealing.request",
    "SealingClient": "rotation.client.sealing_client",
    "SecretsManager": "rotation.client.secret_source",
}

__all__ = [*_WHERE]  # noqa: PLE0604 - the keys are texts


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_WHERE, "__version__"])
