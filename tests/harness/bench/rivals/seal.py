"""A document from S3, its digest signed by the vendor, both put into S3 one after the other."""

from __future__ import annotations

import hashlib
from typing import Any

import boto3
from vendor import sign  # type: ignore[import-not-found]

_s3 = boto3.client("s3")


def handler(event: dict[str, Any], _: object) -> dict[str, str]:
    """Make something of the size of a sealed document, with all that is bought and sent for one."""
    source, destination, key = event["source"], event["destination"], event["credential"]
    document = _s3.get_object(Bucket=source["bucket"], Key=source["key"])["Body"].read()
    signature = sign(hashlib.sha256(document).digest(), key["apiKeyId"], key["apiKey"])
    _s3.put_object(
        Bucket=destination["bucket"],
        Key=destination["key"],
        Body=document + signature.ljust(16 * 1024, b"\0").hex().encode(),
        ContentType="application/pdf",
    )
    return {"status": "sealed"}
