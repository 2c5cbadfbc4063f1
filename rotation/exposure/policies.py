"""What a policy of a secret, of a KMS key, or the trust policy of a role says of one principal.

IAM's simulator takes no resource policy for a role (API_SimulatePrincipalPolicy, ResourcePolicy),
so these policies are judged here, by the rules of the IAM UserGuide (reference_policies_elements).
What depends on something that is not known, such as an address, is neither yes nor no, but perhaps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

Policy = Mapping[str, Any]

_ROOT: Final = re.compile(r"arn:[\w-]+:iam::(\d{12}):root")
_OPERATOR: Final = re.compile(
    r"(?:ForAnyValue:)?(?:String|Arn)(Not)?(?:Equals|Like)(IgnoreCase)?(IfExists)?"
)


class Certainty(IntEnum):
    """Yes, no, or depending on something that is not known. The greater allows more."""

    NO = 0
    PERHAPS = 1
    YES = 2


@dataclass(frozen=True)
class Principal:
    """A user or a role of the account.

    Attributes:
        arn: its ARN.
        id: its unique id, which a policy shows where a principal was deleted and made anew.
    """

    arn: str
    id: str

    @property
    def account(self) -> str:
        """The account's id."""
        return self.arn.split(":")[4]

    @property
    def is_role(self) -> bool:
        """Whether it is a role."""
        return ":role/" in self.arn


@dataclass(frozen=True)
class PolicyAnswer:
    """What one policy says of a principal's request.

    Attributes:
        named: whether it allows it to this principal by itself.
        account: whether it allows it to the account, so that the principal's own policies count.
        denied: whether it denies it.
    """

    named: Certainty = Certainty.NO
    account: Certainty = Certainty.NO
    denied: Certainty = Certainty.NO


def judge(
    policy: Policy | None,
    principal: Principal,
    action: str,
    resource: str,
    context: Mapping[str, str],
) -> PolicyAnswer:
    """Judge one request by one policy.

    Args:
        policy: the policy; None: there is none.
        principal: who asks.
        action: such as ``secretsmanager:GetSecretValue``.
        resource: the ARN of what the policy belongs to.
        context: the condition keys that are known, and their values.
    """
    named = account = denied = Certainty.NO
    known = {key.lower(): value for key, value in context.items()}
    for statement in statements(policy):
        answer = min(
            _element(statement, "Action", action, any_case=True),
            _element(statement, "Resource", resource),
            _conditions(statement.get("Condition", {}), known),
        )
        direct, whole = _mentions(statement, principal)
        if statement.get("Effect") == "Deny":
            denied = max(denied, answer if direct or whole else Certainty.NO)
        else:
            named = max(named, answer if direct else Certainty.NO)
            account = max(account, answer if direct or whole else Certainty.NO)
    return PolicyAnswer(named, account, denied)


def outsiders(policy: Policy | None, account: str, action: str) -> Iterator[str]:
    """Whom a policy allows an action besides the users and roles of the account.

    Other accounts and their principals by ARN or id, services and federations by their names, and
    ``*`` for everybody. Conditions may keep some of them out.
    """
    for statement in statements(policy):
        if statement.get("Effect") != "Allow":
            continue
        if _element(statement, "Action", action, any_case=True) is Certainty.NO:
            continue
        principal = statement.get("Principal", {})
        if principal == "*":
            yield "*"
            continue
        for kind, names in principal.items():
            for name in listed(names):
                parts = name.split(":")
                if kind != "AWS" or not (account in parts or name.startswith(("AI", "AR"))):
                    yield name


def is_about(statement: Mapping[str, Any], action: str) -> bool:
    """Whether a statement is about an action, or may be, whoever asks for it."""
    return _element(statement, "Action", action, any_case=True) is not Certainty.NO


def statements(policy: Policy | None) -> list[Mapping[str, Any]]:
    """The statements of a policy; none where there is none."""
    return [] if policy is None else listed(policy.get("Statement", []))


def listed(value: Any) -> list[Any]:
    """The elements of a policy's list, which may be written as one alone."""
    return value if isinstance(value, list) else [value]


def _mentions(statement: Mapping[str, Any], principal: Principal) -> tuple[bool, bool]:
    """Whether a statement is about the principal by name, and whether about its account."""
    inverted = "NotPrincipal" in statement
    element = statement.get("NotPrincipal" if inverted else "Principal", {})
    names = ["*"] if element == "*" else listed(element.get("AWS", []))
    named = any(one in {"*", principal.arn, principal.id} for one in names)
    account = any(
        one == principal.account
        or ((root := _ROOT.fullmatch(one)) and root[1] == principal.account)
        for one in names
    )
    return (not named, False) if inverted else (named, account)


def _element(
    statement: Mapping[str, Any], name: str, value: str, *, any_case: bool = False
) -> Certainty:
    """Whether an element such as Action or NotAction covers a value; one that is left out does."""
    if name not in statement and f"Not{name}" not in statement:
        return Certainty.YES
    inverted = f"Not{name}" in statement
    patterns = listed(statement[f"Not{name}" if inverted else name])
    answer = max((_like(one, value, any_case=any_case) for one in patterns), default=Certainty.NO)
    return Certainty(Certainty.YES - answer) if inverted else answer


def _conditions(condition: Mapping[str, Mapping[str, Any]], known: Mapping[str, str]) -> Certainty:
    return min(
        (
            _condition(operator, known.get(key.lower()), listed(wanted))
            for operator, keys in condition.items()
            for key, wanted in keys.items()
        ),
        default=Certainty.YES,
    )


def _condition(operator: str, value: str | None, wanted: Sequence[Any]) -> Certainty:
    texts = [str(one) for one in wanted]
    if operator in ("Bool", "BoolIfExists") and value is not None:
        return Certainty.YES if value in [one.lower() for one in texts] else Certainty.NO
    match = _OPERATOR.fullmatch(operator)
    if match is None or value is None:
        return Certainty.PERHAPS
    like = "Like" in operator or "Arn" in operator
    answer = max(
        _like(one, value, any_case=bool(match[2]))
        if like
        else _equal(one, value, any_case=bool(match[2]))
        for one in texts
    )
    return Certainty(Certainty.YES - answer) if match[1] else answer


def _equal(text: str, value: str, *, any_case: bool) -> Certainty:
    if "${" in text:
        return Certainty.PERHAPS
    same = text.lower() == value.lower() if any_case else text == value
    return Certainty.YES if same else Certainty.NO


def _like(pattern: str, value: str, *, any_case: bool = False) -> Certainty:
    # A policy variable stands for something of the request (reference_policies_variables).
    if "${" in pattern:
        return Certainty.PERHAPS
    if any_case:
        pattern, value = pattern.lower(), value.lower()
    return Certainty.YES if _compiled(pattern).fullmatch(value) else Certainty.NO


@lru_cache(maxsize=2000)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = ({"*": ".*", "?": "."}.get(one) or re.escape(one) for one in pattern)
    return re.compile("".join(parts), re.DOTALL)
