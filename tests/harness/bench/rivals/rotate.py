"""testSecret: is the token staged, what is its key, and does the vendor sign with it?"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import boto3
from vendor import sign  # type: ignore[import-not-found]

_secrets = boto3.client("secretsmanager")


def handler(event: dict[str, Any], _: object) -> None:
    """Test the pending key; raises if it does not sign."""
    secret, token = event["SecretId"], event["ClientRequestToken"]
    described = _secrets.describe_secret(SecretId=secret)
    if "AWSPENDING" not in described["VersionIdsToStages"][token]:
        raise ValueError(f"{token} is not staged")
    value = _secrets.get_secret_value(SecretId=secret, VersionId=token)["SecretString"]
    held = json.loads(value)
    sign(hashlib.sha256(token.encode()).digest(), held["apiKeyId"], held["apiKey"])
