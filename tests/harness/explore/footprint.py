"""What an outbound call reads and writes, to know which calls may change places unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Footprint:
    """The things that a call reads and writes.

    Attributes:
        reads: names of things.
        writes: names of things.
        everything: whether it may touch anything, as a jump of the clock does.
    """

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    everything: bool = False

    def conflicts(self, other: Footprint) -> bool:
        """Whether the order of the two calls can matter."""
        if self.everything or other.everything:
            return True
        return not (
            self.writes.isdisjoint(other.writes)
            and self.writes.isdisjoint(other.reads)
            and self.reads.isdisjoint(other.writes)
        )


EVERYTHING = Footprint(everything=True)
NOTHING = Footprint()


def union(footprints: Iterable[Footprint | None]) -> Footprint:
    """All of them together."""
    reads: set[str] = set()
    writes: set[str] = set()
    for one in footprints:
        if one is None:
            continue
        if one.everything:
            return EVERYTHING
        reads |= one.reads
        writes |= one.writes
    return Footprint(frozenset(reads), frozenset(writes))


def _of(reads: Iterable[str] = (), writes: Iterable[str] = ()) -> Footprint:
    return Footprint(frozenset(reads), frozenset(writes))


def of_call(
    name: str, subject: str, members: Mapping[str, Any] | None, resolve: Callable[[str], str]
) -> Footprint:
    """The footprint of a call to a service.

    The labels, tags and versions of a secret are one thing. Each value is another, for a value
    never changes; whether it can be read (deletion, KMS) is a third. A list of secrets reads what
    tags, rotation and deletion write.

    Args:
        name: the operation.
        subject: a key's id, or the name of an object.
        members: the members of a call to Secrets Manager.
        resolve: the ARN of the secret that a name or ARN stands for.
    """
    if members is not None and "SecretId" in members:
        return _of_secret(name, members, resolve(members["SecretId"]))
    make = _OTHERS.get(name)
    return EVERYTHING if make is None else make(subject)


def _of_secret(name: str, members: Mapping[str, Any], arn: str) -> Footprint:
    labels, access = f"{arn} labels", f"{arn} access"
    if name in {"DescribeSecret", "ListSecretVersionIds"}:
        return _of([labels])
    if name == "GetSecretValue":
        version = members.get("VersionId")
        return _of([access, f"{arn} {version}" if version else labels])
    if name == "PutSecretValue":
        return _of([access], [labels, f"{arn} {members.get('ClientRequestToken')}"])
    if name == "UpdateSecretVersionStage":
        return _of([access], [labels])
    if name in {"TagResource", "UntagResource", "RotateSecret", "CancelRotateSecret"}:
        return _of([access], [labels, "secrets"])
    return _of([], [labels, access, "secrets"])


_OTHERS: Mapping[str, Callable[[str], Footprint]] = {
    "ListSecrets": lambda _: _of(["secrets"]),
    "sign": lambda key: _of([f"key {key}"]),
    "list keys": lambda _: _of(["keys"]),
    "create key": lambda _: _of([], ["keys"]),
    "revoke key": lambda key: _of([], ["keys", f"key {key}"]),
    "create in the portal": lambda _: _of([], ["keys"]),
    "revoke in the portal": lambda key: _of([], ["keys", f"key {key}"]),
    "read journal": lambda arn: _of([f"journal {arn}"]),
    "write journal": lambda arn: _of([], [f"journal {arn}"]),
    "GET object": lambda name: _of([f"object {name}"]),
    "HEAD object": lambda name: _of([f"object {name}"]),
    "PUT object": lambda name: _of([], [f"object {name}", "objects"]),
    "LIST objects": lambda _: _of(["objects"]),
    "Invoke": lambda _: NOTHING,
    "Publish": lambda _: NOTHING,
    "seal begins": lambda _: NOTHING,
}
