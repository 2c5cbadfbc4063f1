"""Puts our staging labels on versions and takes them off, in an order that a crash cannot hurt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rotation.reconciliation.plan import Label
from rotation.secrets_manager.labels import (
    COMPROMISED_PREFIX,
    DEAD_PREFIX,
    RETIRE_AFTER_PREFIX,
    retirement_label,
)
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions


class Relabelling:
    """The labels of one secret.

    Args:
        secret: the secret.
        rate_limiter: waits until the next write may be sent; UpdateSecretVersionStage shares 50
            writes a second with the rest of the account (UserGuide reference_limits).
    """

    def __init__(self, secret: SecretVersions, rate_limiter: Callable[[], None]) -> None:
        self._secret = secret
        self._wait_for_turn = rate_limiter

    def add_label(self, label: Label) -> None:
        """Put a label on its version."""
        self._wait_for_turn()
        self._secret.add_label(label.label, label.version)

    def remove_label(self, label: Label) -> None:
        """Take a label off its version; nothing happens if it is not there."""
        self._wait_for_turn()
        self._secret.remove_label(label.label, label.version)

    def bury(self, version: str, seen: Snapshot) -> None:
        """Replace our labels on ``version`` by one that says that its key is dead.

        First the new label, then the old ones go: a crash in between leaves both, and the next
        run finishes. A version that bears no other label needs none: AWS may delete it.
        """
        ours = [
            *_ours(version, seen, RETIRE_AFTER_PREFIX),
            *_ours(version, seen, COMPROMISED_PREFIX),
        ]
        if seen.labels.get(version, frozenset()) - set(ours) and not _ours(
            version, seen, DEAD_PREFIX
        ):
            self.add_label(Label(version, DEAD_PREFIX + version))
        for label in ours:
            self.remove_label(Label(version, label))

    def postpone(self, version: str, seen: Snapshot, until: datetime) -> None:
        """Replace the retirement mark of ``version`` by a later one."""
        later = retirement_label(version, until)
        self.add_label(Label(version, later))
        for label in _ours(version, seen, RETIRE_AFTER_PREFIX):
            if label != later:
                self.remove_label(Label(version, label))


def _ours(version: str, seen: Snapshot, prefix: str) -> list[str]:
    labels = seen.labels.get(version, frozenset())
    return sorted(label for label in labels if label.startswith(prefix))
