"""Which policy refuses a call: what AWS's messages about a denied access say.

The wordings are those of the IAM user guide, troubleshoot_access-denied: «because no … policy
allows the … action» if no statement allows the action, «with an explicit deny in a … policy» if a
statement denies it. Since 2026 the ARN of that policy may follow. If several kinds of policy
refuse, AWS names one of them. KMS says «no resource-based policies allow access» about a key
policy. Secrets Manager says «Access to KMS is not allowed», and no more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: The codes of a caller without a right. Lambda has others, such as KMSAccessDeniedException, that
#: are about the function's own rights (API_Invoke, "Errors").
DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException"})

POLICIES: Final = (
    "identity-based policy",
    "resource-based policy",
    "service control policy",
    "resource control policy",
    "permissions boundary",
    "session policy",
    "VPC endpoint policy",
)
_REQUEST: Final = re.compile(
    r"User: (?P<caller>\S+) is not authorized to perform: (?P<action>[\w:-]+)"
    r"(?: on resource: (?P<resource>\S+))?"
)
_POLICY: Final = (
    r"(?P<policy>identity-based|resource-based|service control|resource control|session"
    r"|VPC endpoint|permissions)(?: polic(?:y|ies)| boundary)"
)
_MISSING: Final = re.compile(rf"\bno {_POLICY} allows?\b", re.IGNORECASE)
_EXPLICIT: Final = re.compile(
    rf"explicit deny in (?:an? |the )?{_POLICY}(?::? ?(?P<arn>arn:\S+))?", re.IGNORECASE
)
_KMS: Final = re.compile(r"access to kms is not allowed|perform: kms:", re.IGNORECASE)


@dataclass(frozen=True)
class Denial:
    """What a message about a denied access says; None where it says nothing.

    Attributes:
        caller: the caller's ARN.
        action: the action that is denied.
        resource: the resource: an ARN if it exists, else the name that was asked for.
        policy: the kind of policy that refuses, one of `POLICIES`.
        explicit: whether a statement denies the action, rather than no statement allowing it.
        policy_arn: the ARN of the policy.
        kms: whether it is the use of a KMS key that is denied.
    """

    caller: str | None
    action: str | None
    resource: str | None
    policy: str | None
    explicit: bool
    policy_arn: str | None
    kms: bool

    @property
    def code(self) -> str:
        """The code of this problem in the catalogue."""
        if self.kms:
            return "kms_denied"
        if self.policy is None:
            return "access_denied"
        return denial_code(self.policy, explicit=self.explicit)

    @property
    def reason(self) -> str:
        """Which policy refuses, as a clause."""
        if self.policy is None:
            return "AWS does not say which policy refuses it"
        if not self.explicit:
            return f"no {self.policy} allows it"
        named = f" ({self.policy_arn})" if self.policy_arn else ""
        return f"{with_article(self.policy)}{named} denies it explicitly"


def read_denial(message: str) -> Denial:
    """Read AWS's message."""
    request = _REQUEST.search(message)
    explicit = _EXPLICIT.search(message)
    refusal = explicit or _MISSING.search(message)
    kind = refusal["policy"].lower() if refusal else None
    return Denial(
        caller=request and request["caller"],
        action=request and request["action"],
        resource=request and request["resource"],
        policy=kind and next(one for one in POLICIES if one.lower().startswith(kind)),
        explicit="explicit deny" in message,
        policy_arn=explicit["arn"].rstrip(".,") if explicit and explicit["arn"] else None,
        kms=_KMS.search(message) is not None,
    )


def denial_code(policy: str, *, explicit: bool) -> str:
    """The code of a refusal by a kind of policy, such as ``denied_by_session_policy``."""
    name = policy.lower().replace("-based", "").replace(" ", "_")
    return f"{'denied' if explicit else 'not_allowed'}_by_{name}"


def with_article(policy: str, *, capital: bool = False) -> str:
    """``an identity-based policy``, ``A session policy``."""
    article = "an" if policy.startswith("i") else "a"
    return f"{article.capitalize() if capital else article} {policy}"
