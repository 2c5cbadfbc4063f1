"""Which secrets may be rotated. Naming the rotation function is not enough: anybody may do that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rotation.errors import VersionStateError


@dataclass(frozen=True)
class AllowedSecrets:
    """The secrets that may be rotated.

    Whoever may invoke the rotation function can have a secret of their own name it, and would get a
    key of the vendor in a secret that they can read.

    Attributes:
        patterns: ARNs, in which ``*`` stands for any characters and ``?`` for one, as in an IAM
            policy (IAM UserGuide, reference_policies_elements_resource).
    """

    patterns: tuple[str, ...]

    def allow(self, arn: str) -> bool:
        """Whether the secret with this full ARN may be rotated."""
        return any(_matches(pattern, arn) for pattern in self.patterns)

    def require(self, arn: str) -> None:
        """Refuse a secret that may not be rotated.

        Raises:
            VersionStateError: no pattern names it.
        """
        if not self.allow(arn):
            raise VersionStateError(
                f"{arn} may not be rotated here. Name it in ROTATED_SECRETS (template parameter "
                "FurtherSecretArns) if it should be."
            )


#: For who decides by other means which secrets may be rotated.
ANY_SECRET: Final = AllowedSecrets(("*",))


def _matches(pattern: str, arn: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, arn, re.DOTALL) is not None
