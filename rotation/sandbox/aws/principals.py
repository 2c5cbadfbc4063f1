"""IAM's principals: what moto lacks to tell who may read a secret.

moto has no policy simulator and no permissions boundary of users, and its
GetAccountAuthorizationDetails gives everything in one page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from moto.core.responses import ActionResult, EmptyResult
from moto.iam.exceptions import InvalidInput, NotFoundException
from moto.iam.responses import IamResponse

from rotation.sandbox.aws.policy_simulator import Answer, Policy, Question, described, simulate

#: API_GetAccountAuthorizationDetails and API_SimulatePrincipalPolicy, MaxItems.
_PAGE: Final = 100
_LISTS: Final = {
    "UserDetailList": "User",
    "GroupDetailList": "Group",
    "RoleDetailList": "Role",
    "Policies": "LocalManagedPolicy",
}


class PrincipalsResponse(IamResponse):  # type: ignore[misc]
    """The wire side of IAM."""

    def put_user_permissions_boundary(self) -> Any:
        """API_PutUserPermissionsBoundary."""
        user = self.backend.get_user(self._get_param("UserName"))
        boundary = self._get_param("PermissionsBoundary")
        self.backend.get_policy(boundary)
        user.permissions_boundary = {
            "PermissionsBoundaryType": "PermissionsBoundaryPolicy",
            "PermissionsBoundaryArn": boundary,
        }
        return EmptyResult()

    def get_account_authorization_details(self) -> Any:
        """API_GetAccountAuthorizationDetails: in pages of MaxItems, over all kinds together."""
        wanted = self._get_param("Filter", []) or list(_LISTS.values())
        found = self.backend.get_account_authorization_details(wanted)
        whole = [
            *(("UserDetailList", one) for one in found["users"]),
            *(("GroupDetailList", one) for one in found["groups"]),
            *(("RoleDetailList", one) for one in found["roles"]),
            *(("Policies", one) for one in found["managed_policies"]),
        ]
        start, end = self._page()
        page: dict[str, Any] = {name: [] for name in _LISTS}
        for name, one in whole[start:end]:
            page[name].append(one)
        return ActionResult(page | _more(end, len(whole)))

    def simulate_principal_policy(self) -> Any:
        """API_SimulatePrincipalPolicy, for one entity and every pair of action and resource."""
        source = self._get_param("PolicySourceArn")
        entity = self._entity(source)
        resource_policy = self._get_param("ResourcePolicy")
        if resource_policy and ":role/" in source:
            raise InvalidInput("Simulation of resource policies isn't supported for roles.")
        context = {
            entry["ContextKeyName"].lower(): entry["ContextKeyValues"]
            for entry in self._get_param("ContextEntries", [])
        }
        policies = [*self._policies_of(entity)]
        bound = getattr(entity, "permissions_boundary", None)
        boundary = None if bound is None else self._managed(bound["PermissionsBoundaryArn"])
        attached = json.loads(resource_policy) if resource_policy else None
        answers: list[tuple[str, str, Answer]] = []
        for action in self._get_param("ActionNames"):
            for resource in self._get_param("ResourceArns", ["*"]):
                question = Question(source, action, resource, context)
                answer = simulate(question, policies, boundary, attached)
                answers.append((action, resource, answer))
        start, end = self._page()
        page = {"EvaluationResults": [*described(answers[start:end])]}
        return ActionResult(page | _more(end, len(answers)))

    def _page(self) -> tuple[int, int]:
        start = int(self._get_param("Marker") or 0)
        return start, start + int(self._get_param("MaxItems") or _PAGE)

    def _entity(self, arn: str) -> Any:
        backend = self.backend
        entities = (*backend.users.values(), *backend.roles.values(), *backend.groups.values())
        for one in entities:
            if one.arn == arn:
                return one
        raise NotFoundException(f"{arn} does not exist.")

    def _policies_of(self, entity: Any) -> Iterator[Policy]:
        groups = (
            [one for one in self.backend.groups.values() if entity in one.users]
            if ":user/" in entity.arn
            else []
        )
        for holder in (entity, *groups):
            yield from (json.loads(text) for text in holder.policies.values())
            yield from (self._managed(arn) for arn in holder.managed_policies)

    def _managed(self, arn: str) -> Policy:
        policy = self.backend.get_policy(arn)
        text = next(one.document for one in policy.versions if one.is_default)
        document: Mapping[str, Any] = json.loads(text)
        return document


def _more(end: int, total: int) -> dict[str, Any]:
    truncated = end < total
    return {"IsTruncated": truncated, **({"Marker": str(end)} if truncated else {})}
