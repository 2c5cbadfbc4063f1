"""The name that the vendor signs under, as far as a process knows it.

A text that shows the signer is part of what is signed, so the name must be known before. It is
certain where the organisation of every signer is configured. Else it is the name of the last
signature that the process has seen, and a document that got another one is prepared again.
"""

from __future__ import annotations

from typing import Final

from rotation.vendor.signer import Signer

#: What is drawn until the first signature is seen. It has about the width of a name.
_UNKNOWN: Final = "(the signer)"


class SignerName:
    """Shared by all seals of a process.

    Args:
        certain: the organisation that every signer is checked against; None: it is not checked.
    """

    def __init__(self, certain: str | None = None) -> None:
        self.certain = certain
        self._last_seen: str | None = None

    @property
    def expected(self) -> str:
        """The name of the next signer, as far as it can be told."""
        return self.certain or self._last_seen or _UNKNOWN

    def of(self, signer: Signer) -> str:
        """The name of one who has signed, which is expected of the next one too."""
        self._last_seen = self.certain or signer.organization or signer.subject
        return self._last_seen
