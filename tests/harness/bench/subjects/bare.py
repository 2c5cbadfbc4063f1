"""The least that there is to do: read it all, and hash it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import boto3

CHUNK = 1024 * 1024


def hashing(source: str) -> Callable[[], object]:
    """The SHA-256 of a file, read in pieces of 1 MiB."""

    def run() -> bytes:
        digest = hashlib.sha256()
        with Path(source).open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.digest()

    return run


def getting_and_hashing(bucket: str, key: str) -> Callable[[], object]:
    """The SHA-256 of an S3 object: one GET, its body read in pieces of 1 MiB."""
    s3 = boto3.client("s3")

    def run() -> bytes:
        digest = hashlib.sha256()
        for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK):
            digest.update(chunk)
        return digest.digest()

    return run
