"""A pool secret beside a fixture's own secret, stocked with keys that the emulated vendor made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rotation.core.ports import KeyLabel
from rotation.credential import ApiKey, iso_utc
from rotation.errors import NotificationError
from rotation.key_pool.document import PoolDocument
from rotation.key_pool.issuer import KeyPoolIssuer
from rotation.key_pool.pool_secret import PoolSecret
from rotation.sandbox.vendor import PortalKey
from tests.rotation_fixture import RotationFixture, new_token

NAME = "trusted-signatures-pool"
LIFE = timedelta(days=90)


@dataclass
class Inbox:
    """Keeps what a person would be told; fails as often as it is asked to."""

    messages: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    failures: int = 0

    def notify(self, subject: str, facts: Mapping[str, str]) -> None:
        if self.failures:
            self.failures -= 1
            raise NotificationError("nobody is there")
        self.messages.append((subject, facts))

    def about(self, word: str) -> list[Mapping[str, str]]:
        """The facts of every message with ``word`` in its subject."""
        return [facts for subject, facts in self.messages if word in subject]


@dataclass
class PoolFixture:
    """The pool secret of a fixture, and a `KeyPoolIssuer` over it."""

    rotation: RotationFixture
    needed: timedelta = timedelta(days=31)
    inbox: Inbox = field(default_factory=Inbox)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rotation.client.create_secret(Name=NAME)
        self.secret = self.over(self.rotation.client)
        self.pool = self.issuer(self.secret)

    def over(self, client: Any) -> PoolSecret:
        """The pool secret as another process has it, with a client of its own."""
        return PoolSecret(client, NAME, self.rotation.now, self.pauses.append)

    def issuer(self, secret: PoolSecret) -> KeyPoolIssuer:
        return KeyPoolIssuer(secret, lambda _: self.needed, self.inbox, self.rotation.now)

    def fill(self, lives: Sequence[timedelta | None]) -> list[PortalKey]:
        """One free key for each of ``lives``, from now; None: nobody noted its expiry."""
        made = [
            self.rotation.vendor.keys.create(
                expires_at=None if life is None else self.rotation.vendor.now() + life
            )
            for life in lives
        ]
        dated = zip(made, lives, strict=True)
        self.put({"keys": [entry(key, life is not None) for key, life in dated]})
        return made

    def put(self, value: Any) -> None:
        """What a person does by hand."""
        text = value if isinstance(value, str) else json.dumps(value)
        self.rotation.client.put_secret_value(SecretId=NAME, SecretString=text)

    def lease(self, token: str | None = None) -> ApiKey:
        """Lease a key for the fixture's own secret."""
        return self.pool.issue(self.label(token), LIFE)

    def label(self, token: str | None = None) -> KeyLabel:
        return KeyLabel("fixture", self.rotation.arn, token or new_token())

    def read(self) -> PoolDocument:
        return self.secret.read()

    def states(self) -> dict[str, str]:
        return {held.key.id: held.state.value for held in self.read().keys}

    def value(self) -> dict[str, Any]:
        """The document as it is stored."""
        answer = self.rotation.client.get_secret_value(SecretId=NAME)
        held: dict[str, Any] = json.loads(answer["SecretString"])
        return held

    def labels(self) -> dict[str, set[str]]:
        """The staging labels of the pool secret's versions."""
        described = self.rotation.client.describe_secret(SecretId=NAME)
        versions = described.get("VersionIdsToStages", {})
        return {version: set(labels) for version, labels in versions.items()}

    def versions(self) -> int:
        """How many versions the pool secret has, deprecated ones too."""
        listed = self.rotation.client.list_secret_version_ids(
            SecretId=NAME, IncludeDeprecated=True, MaxResults=100
        )
        return len(listed["Versions"])

    def stages(self) -> list[str]:
        """The labels of changes that are under way, or were interrupted."""
        labels = [label for has in self.labels().values() for label in has]
        return [label for label in labels if label.startswith("rotation-pool-")]


def entry(key: PortalKey, dated: bool = True) -> dict[str, Any]:
    """A free key's entry as a person writes it."""
    made = {"apiKeyId": key.id, "apiKey": key.material, "state": "free", "lease": None}
    return made | ({"expiresAt": iso_utc(key.expires_at)} if dated else {})
