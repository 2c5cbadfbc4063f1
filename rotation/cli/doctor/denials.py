"""Whose policy refuses a call: what AWS's access denied messages tell. Pure.

The wordings are those of the IAM user guide, troubleshoot_access-denied: «because no … policy
allows the … action» for a right that nobody gives, «with an explicit deny in a … policy» for one
that somebody takes away; since 2026 the ARN of that policy may follow. Where several kinds of
policy refuse, AWS names one of them. KMS says «no resource-based policies allow access» of a key
policy. Secrets Manager says «Access to KMS is not allowed», and no more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rotation.cli.doctor.model import Check, Diagnosis

#: The codes of a caller without a right. Lambda has others, such as KMSAccessDeniedException, that
#: speak of the function's own rights (API_Invoke, "Errors").
DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException"})

_ASKED: Final = re.compile(
    r"User: (?P<who>\S+) is not authorized to perform: (?P<action>[\w:-]+)"
    r"(?: on resource: (?P<resource>\S+))?"
)
_KIND: Final = (
    r"(identity-based|resource-based|service control|resource control|session|VPC endpoint)"
    r" polic(?:y|ies)|(permissions boundary)"
)
_MISSING: Final = re.compile(rf"\bno (?:{_KIND}) allows?\b", re.IGNORECASE)
_EXPLICIT: Final = re.compile(
    rf"explicit deny in (?:an? |the )?(?:{_KIND})(?::? ?(?P<arn>arn:\S+))?", re.IGNORECASE
)
_KMS: Final = re.compile(r"access to kms is not allowed|perform: kms:", re.IGNORECASE)


@dataclass(frozen=True)
class Denial:
    """What an access denied message tells.

    Attributes:
        who: the ARN of whoever asked, or None.
        action: the action that is refused, or None.
        resource: on what, as AWS names it: an ARN where such a thing exists, else what was asked
            for; or None.
        policy: the kind of policy that refuses, as AWS calls it, or None.
        explicit: whether a statement denies it, rather than none allowing it.
        policy_arn: the policy itself, where AWS names it.
        kms: whether it is the use of a KMS key that is refused.
    """

    who: str | None
    action: str | None
    resource: str | None
    policy: str | None
    explicit: bool
    policy_arn: str | None
    kms: bool

    @property
    def code(self) -> str:
        """The code of its diagnosis."""
        if self.kms:
            return "kms_denied"
        if self.policy is None:
            return "access_denied"
        return _code(self.policy, explicit=self.explicit)

    @property
    def whose(self) -> str:
        """Whose policy refuses, as a clause."""
        if self.policy is None:
            return "AWS does not say whose policy refuses it"
        if self.explicit:
            named = f" ({self.policy_arn})" if self.policy_arn else ""
            return f"{_article(self.policy)} {self.policy}{named} denies it explicitly"
        return f"no {self.policy} allows it"


def read_denial(message: str) -> Denial:
    """What AWS's message tells; whatever it does not tell is None."""
    asked = _ASKED.search(message)
    explicit = _EXPLICIT.search(message)
    told = explicit or _MISSING.search(message)
    kind = next((group for group in told.groups()[:2] if group), None) if told else None
    return Denial(
        who=asked and asked["who"],
        action=asked and asked["action"],
        resource=asked and asked["resource"],
        policy=_name(kind),
        explicit="explicit deny" in message,
        policy_arn=explicit["arn"].rstrip(".,") if explicit and explicit["arn"] else None,
        kms=_KMS.search(message) is not None,
    )


def _name(kind: str | None) -> str | None:
    if kind is None:
        return None
    return next(one for one in _WHERE if one.lower().startswith(kind.lower()))


def _article(policy: str) -> str:
    return "an" if policy.startswith("i") else "a"


def _code(policy: str, *, explicit: bool) -> str:
    slug = policy.lower().replace("-based", "").replace(" ", "_")
    return f"{'denied' if explicit else 'not_allowed'}_by_{slug}"


#: Where each kind of policy is found: how to add an Allow, and who can take a Deny away.
_WHERE: Final[Mapping[str, tuple[str, str]]] = {
    "identity-based policy": (
        (
            "Allow {action} on the secret's ARN in a policy of that role; `rotation migrate` "
            "prints it. If the resource above is a bare name and no ARN, there may be no such "
            "secret in {region}: AWS looks at rights first."
        ),
        (
            "Find the Deny in the policies of that role or of its group: a condition there, such "
            "as on tags, addresses or the VPC endpoint, may not hold here."
        ),
    ),
    "resource-based policy": (
        (
            "Name the role in the secret's resource policy. From another account AWS says this "
            "also where the role's own policy lacks the right: check both."
        ),
        (
            "Look at the secret's resource policy (aws secretsmanager get-resource-policy): "
            "exempt the role from its Deny, or meet its condition, such as a VPC endpoint."
        ),
    ),
    "service control policy": (
        (
            "Ask whoever administers the AWS organisation to allow {action} for this account and "
            "Region; no policy in the account can."
        ),
        (
            "Ask whoever administers the AWS organisation: its service control policy denies "
            "{action} in this account or Region, and no policy in the account can lift that."
        ),
    ),
    "resource control policy": (
        (
            "Ask whoever administers the AWS organisation to let the role use secrets of the "
            "secret's account."
        ),
        (
            "Ask whoever administers the AWS organisation: its resource control policy denies "
            "{action} on secrets of that account."
        ),
    ),
    "permissions boundary": (
        (
            "Add {action} on the secret to the role's permissions boundary: a right must be in "
            "both, the boundary and a policy of the role."
        ),
        "Take the Deny out of the role's permissions boundary, or exempt this secret from it.",
    ),
    "session policy": (
        "Give the session that right: whoever assumes the role passes a session policy without it.",
        "Whoever assumes the role passes a session policy that denies it: change that.",
    ),
    "VPC endpoint policy": (
        (
            "Allow {action} on the secret to the role in the policy of the Secrets Manager VPC "
            "endpoint through which this network goes."
        ),
        "Take the Deny out of the policy of the Secrets Manager VPC endpoint, or exempt the role.",
    ),
}

DENIALS: Final[Mapping[str, Diagnosis]] = {
    _code(policy, explicit=explicit): Diagnosis(
        Check.SECRET,
        f"{_article(policy).capitalize()} {policy} denies {{action}} on {{resource}} to {{who}}."
        if explicit
        else f"No {policy} allows {{action}} on {{resource}} to {{who}}.",
        deny if explicit else allow,
    )
    for policy, (allow, deny) in _WHERE.items()
    for explicit in (False, True)
}
