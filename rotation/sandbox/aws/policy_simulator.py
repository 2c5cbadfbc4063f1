"""What IAM policies allow: the rules by which the sandbox answers SimulatePrincipalPolicy.

It follows "Policy evaluation logic" and "IAM JSON policy elements" of the IAM UserGuide for what a
secret's readers depend on: identity policies, a permissions boundary, a resource policy, explicit
and implicit denials, and conditions over strings, ARNs, booleans and missing keys. It does no IO.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any, Final

Policy = Mapping[str, Any]

ALLOWED: Final = "allowed"
EXPLICIT: Final = "explicitDeny"
IMPLICIT: Final = "implicitDeny"


@dataclass(frozen=True)
class Question:
    """May this caller do this?

    Attributes:
        caller: the ARN of the user or the role.
        action: such as ``secretsmanager:GetSecretValue``.
        resource: the ARN of the resource.
        context: the condition keys that are known, by their names in lower case.
    """

    caller: str
    action: str
    resource: str
    context: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Answer:
    """The decision of a simulation.

    Attributes:
        decision: ``allowed``, ``explicitDeny`` or ``implicitDeny``.
        boundary: whether the boundary allows it; None: there is no boundary.
        missing: the condition keys that a policy asks for and the question lacks.
    """

    decision: str
    boundary: bool | None
    missing: tuple[str, ...]


def simulate(
    question: Question,
    identity: Iterable[Policy],
    boundary: Policy | None,
    resource_policy: Policy | None,
) -> Answer:
    """Judge a request within one account.

    UserGuide access_policies_boundaries: an allowance of the resource's policy that names a user
    is not limited by an implicit denial of the boundary. One that names a role is.
    """
    missing: set[str] = set()
    own = [_judge(one, question, missing, of_resource=False) for one in identity]
    bound = None if boundary is None else _judge(boundary, question, missing, of_resource=False)
    attached = (
        IMPLICIT
        if resource_policy is None
        else _judge(resource_policy, question, missing, of_resource=True)
    )
    within = None if bound is None else bound == ALLOWED
    if EXPLICIT in (*own, bound, attached):
        decision = EXPLICIT
    elif (attached == ALLOWED and (":user/" in question.caller or within is not False)) or (
        ALLOWED in own and within is not False
    ):
        decision = ALLOWED
    else:
        decision = IMPLICIT
    return Answer(decision, within, tuple(sorted(missing)))


def _judge(policy: Policy, question: Question, missing: set[str], *, of_resource: bool) -> str:
    effects = {
        statement["Effect"]
        for statement in _listed(policy["Statement"])
        if _concerns(statement, question, of_resource=of_resource)
        and _conditions_hold(statement.get("Condition", {}), question, missing)
    }
    if "Deny" in effects:
        return EXPLICIT
    return ALLOWED if "Allow" in effects else IMPLICIT


def _concerns(statement: Mapping[str, Any], question: Question, *, of_resource: bool) -> bool:
    if of_resource and not _names(statement, question.caller):
        return False
    return _element(statement, "Action", question.action.lower(), lower=True) and (
        of_resource or _element(statement, "Resource", question.resource)
    )


def _element(statement: Mapping[str, Any], name: str, value: str, *, lower: bool = False) -> bool:
    inverted = f"Not{name}" in statement
    patterns = _listed(statement.get(f"Not{name}" if inverted else name, []))
    return inverted != any(_like(one.lower() if lower else one, value) for one in patterns)


def _names(statement: Mapping[str, Any], caller: str) -> bool:
    """Whether a statement of a resource's policy names the caller.

    UserGuide reference_policies_elements_principal: the account's root stands for the account,
    which allows nobody in it by itself, and denies everybody.
    """
    inverted = "NotPrincipal" in statement
    principal = statement.get("NotPrincipal" if inverted else "Principal", {})
    named = ["*"] if principal == "*" else _listed(principal.get("AWS", []))
    account = caller.split(":")[4]
    whole = {account, f"arn:aws:iam::{account}:root"} if statement["Effect"] == "Deny" else set()
    return inverted != any(one in {"*", caller} | whole for one in named)


def _conditions_hold(
    condition: Mapping[str, Mapping[str, Any]], question: Question, missing: set[str]
) -> bool:
    return all(
        _holds(operator, key, [str(one) for one in _listed(wanted)], question, missing)
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    )


def _holds(
    operator: str, key: str, wanted: Sequence[str], question: Question, missing: set[str]
) -> bool:
    values = question.context.get(key.lower())
    if operator == "Null":
        return (values is None) == (wanted[0].lower() == "true")
    optional = operator.endswith("IfExists")
    plain = operator.removesuffix("IfExists").rpartition(":")[2]
    negative = "Not" in plain
    if values is None:
        if not optional:
            missing.add(key)
        return optional or negative
    found = any(_equal(plain, one, value) for one in wanted for value in values)
    return found != negative


def _equal(operator: str, wanted: str, value: str) -> bool:
    if "Like" in operator or operator.startswith("Arn"):
        return _like(wanted, value)
    if operator == "Bool" or "IgnoreCase" in operator:
        return wanted.lower() == value.lower()
    return wanted == value


def _like(pattern: str, value: str) -> bool:
    return _compiled(pattern).match(value) is not None


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.replace("[", "[[]")))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def described(answers: Iterable[tuple[str, str, Answer]]) -> Iterator[dict[str, Any]]:
    """The member EvaluationResults of API_SimulatePrincipalPolicy.

    Args:
        answers: action, resource and answer of each question.
    """
    for action, resource, answer in answers:
        specific: dict[str, Any] = {
            "EvalResourceName": resource,
            "EvalResourceDecision": answer.decision,
            "MatchedStatements": [],
            "MissingContextValues": list(answer.missing),
        }
        if answer.boundary is not None:
            detail = {"AllowedByPermissionsBoundary": answer.boundary}
            specific["PermissionsBoundaryDecisionDetail"] = detail
        yield {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": answer.decision,
            "MatchedStatements": [],
            "MissingContextValues": [],
            "ResourceSpecificResults": [specific],
        }
