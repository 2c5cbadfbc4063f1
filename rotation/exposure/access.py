"""Who could read secrets: the verdict on each principal, by its policies and by the resources'.

Reading takes secretsmanager:GetSecretValue, and kms:Decrypt where the secret has a key of the
account's own (UserGuide security-encryption). The key that AWS manages allows it to everybody who
may read the secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rotation.exposure.policies import (
    Certainty,
    Policy,
    PolicyAnswer,
    Principal,
    judge,
    outsiders,
)
from rotation.exposure.ports import IamAccount
from rotation.secrets_manager.labels import AWSCURRENT

READ: Final = "secretsmanager:GetSecretValue"
DECRYPT: Final = "kms:Decrypt"
ASSUME: Final = "sts:AssumeRole"
#: How many resources one simulation asks about. A page of its answer has 100 results at least
#: (API_SimulatePrincipalPolicy, MaxItems).
RESOURCES_AT_ONCE: Final = 50
#: How many roles in a row somebody may assume to reach a secret; longer ways are not followed.
MOST_HOPS: Final = 4
#: How IAM Identity Center names the roles of a permission set (its UserGuide,
#: referencingpermissionsets).
_PERMISSION_SET: Final = "AWSReservedSSO_"

Progress = Callable[[str], object]


@dataclass(frozen=True)
class Member:
    """A user or a role of the account.

    Attributes:
        principal: its ARN and id.
        trust: who may assume it; None: it is a user.
    """

    principal: Principal
    trust: Policy | None = None

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.principal.arn

    @property
    def name(self) -> str:
        """Its name, without its path."""
        return self.arn.rpartition("/")[2]

    @property
    def permission_set(self) -> str | None:
        """The permission set of IAM Identity Center that made the role; None: none did."""
        if not self.name.startswith(_PERMISSION_SET):
            return None
        return self.name.removeprefix(_PERMISSION_SET).rpartition("_")[0]


@dataclass(frozen=True)
class SecretFacts:
    """A secret, without its value.

    Attributes:
        arn: its full ARN.
        name: its name.
        policy: its resource policy; None: it has none, or it could not be read.
        key: the ARN of its KMS key; None: the key that AWS manages.
        key_policy: the policy of that key; None: it could not be read, or there is no such key.
        tags: its tags.
        rotation_function: the function that rotates it, or None.
        replicas: the Regions of its replicas.
    """

    arn: str
    name: str
    policy: Policy | None = None
    key: str | None = None
    key_policy: Policy | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    rotation_function: str | None = None
    replicas: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        """The account's id."""
        return self.arn.split(":")[4]

    @property
    def names(self) -> tuple[str, str, str]:
        """How a caller may name it: its name, its ARN, and the ARN without its suffix."""
        return self.name, self.arn, self.arn[:-7]


@dataclass(frozen=True)
class Simulated:
    """IAM's decision on one action and one resource, by a principal's own policies.

    Attributes:
        allowed: whether they allow it, within the boundary.
        denied: whether something denies it explicitly.
        boundary: whether the permissions boundary allows it; None: there is none.
        organization: whether the service control policies allow it; None: it is not told.
        missing: condition keys on which it depends, and which were not known.
    """

    allowed: bool = False
    denied: bool = False
    boundary: bool | None = None
    organization: bool | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Access:
    """That somebody may read a secret.

    Attributes:
        member: who.
        answer: yes, or perhaps.
        by: ``identity`` or ``resource-policy``, whichever gives the right; ``role`` where it is a
            role that is assumed.
        through: the roles to be assumed, in their order; none: it reads itself.
        conditions: the condition keys on which it depends, as far as IAM names them.
    """

    member: Member
    answer: Certainty
    by: str
    through: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()


def members(pages: Iterable[Mapping[str, Any]]) -> list[Member]:
    """The users and the roles in the pages of GetAccountAuthorizationDetails."""
    return [
        *(
            Member(Principal(one["Arn"], one[f"{kind}Id"]), one.get("AssumeRolePolicyDocument"))
            for page in pages
            for kind in ("User", "Role")
            for one in page[f"{kind}DetailList"]
        )
    ]


class Readers:
    """Finds who may read secrets.

    Args:
        iam: the account.
        everybody: its users and roles.
        progress: is told what is being done.
    """

    def __init__(self, iam: IamAccount, everybody: Sequence[Member], progress: Progress) -> None:
        self._iam = iam
        self._everybody = everybody
        self._progress = progress

    def of(self, secret: SecretFacts) -> list[Access]:
        """Everybody in the account who may read the secret, directly or by assuming roles.

        Raises:
            AccountReadError: IAM did not simulate.
        """
        direct: dict[str, Access] = {}
        for number, member in enumerate(self._everybody, start=1):
            self._progress(f"principal {number} of {len(self._everybody)}")
            for _, access in self.secrets_of(member, [secret]):
                direct[member.arn] = access
        return [*direct.values(), *self._through(direct)]

    def secrets_of(
        self, member: Member, secrets: Sequence[SecretFacts]
    ) -> Iterator[tuple[SecretFacts, Access]]:
        """Those of the secrets that a principal may read itself.

        What depends on a condition is asked once more for the secret alone, with its tags.

        Raises:
            AccountReadError: IAM did not simulate.
        """
        keys = sorted({one.key for one in secrets if one.key is not None})
        reads = self._simulated(member, READ, [one.arn for one in secrets], secrets)
        decrypts = self._simulated(member, DECRYPT, keys, secrets) if keys else {}
        for secret in secrets:
            access = _verdict(member, secret, reads[secret.arn], decrypts.get(secret.key or ""))
            if access is None:
                continue
            if access.answer is Certainty.PERHAPS and len(secrets) > 1:
                yield from self.secrets_of(member, [secret])
            else:
                yield secret, access

    def roles_within_reach(self, start: Member) -> list[tuple[Member, tuple[str, ...]]]:
        """The roles that somebody may assume, one after the other, each with the way to it.

        Raises:
            AccountReadError: IAM did not simulate.
        """
        found: dict[str, tuple[Member, tuple[str, ...]]] = {}
        frontier: list[tuple[Member, tuple[str, ...]]] = [(start, ())]
        roles = [one for one in self._everybody if one.trust is not None]
        for _ in range(MOST_HOPS):
            reached: list[tuple[Member, tuple[str, ...]]] = []
            for member, way in frontier:
                left = [one for one in roles if one.arn not in {*found, start.arn}]
                for role in self._assumable(member, left):
                    found[role.arn] = role, (*way, role.arn)
                    reached.append(found[role.arn])
            frontier = reached
        return [*found.values()]

    def _through(self, direct: Mapping[str, Access]) -> list[Access]:
        """Who reads by assuming roles, the shortest way of each."""
        found: dict[str, Access] = {}
        frontier = [one for one in direct.values() if one.member.trust is not None]
        for _ in range(MOST_HOPS):
            if not frontier:
                break
            roles = {one.member.arn: one for one in frontier}
            frontier = []
            targets = [one.member for one in roles.values()]
            for number, member in enumerate(self._everybody, start=1):
                if member.arn in direct or member.arn in found:
                    continue
                self._progress(
                    f"roles to be assumed by principal {number} of {len(self._everybody)}"
                )
                for role in self._assumable(member, [one for one in targets if one != member]):
                    behind = roles[role.arn]
                    way = (role.arn, *behind.through)
                    access = Access(member, behind.answer, "role", way, behind.conditions)
                    found[member.arn] = access
                    if member.trust is not None:
                        frontier.append(access)
                    break
        return [*found.values()]

    def _assumable(self, member: Member, roles: Sequence[Member]) -> list[Member]:
        """Those of the roles that a principal may assume."""
        trusts = {
            role.arn: judge(role.trust, member.principal, ASSUME, role.arn, {}) for role in roles
        }
        asked = [role for role in roles if max(trusts[role.arn].named, trusts[role.arn].account)]
        if not asked:
            return []
        simulated = self._simulated(member, ASSUME, [one.arn for one in asked], ())
        return [
            role
            for role in asked
            if _answer(member, simulated[role.arn], trusts[role.arn], delegated=False)[0]
        ]

    def _simulated(
        self,
        member: Member,
        action: str,
        resources: Sequence[str],
        secrets: Sequence[SecretFacts],
    ) -> dict[str, Simulated]:
        found = dict.fromkeys(resources, Simulated())
        for start in range(0, len(resources), RESOURCES_AT_ONCE):
            if len(resources) > RESOURCES_AT_ONCE:
                self._progress(f"what {member.name} may do: {start} of {len(resources)}")
            part = resources[start : start + RESOURCES_AT_ONCE]
            context = _context(action, secrets)
            for result in self._iam.simulate(member.arn, [action], part, context):
                for one in result["ResourceSpecificResults"]:
                    found[one["EvalResourceName"]] = _read(result, one)
        return found


def strangers(secret: SecretFacts, readers: Iterable[Access]) -> list[tuple[str, str | None]]:
    """Whom policies let in besides the account's users and roles, and by which role, if any.

    Args:
        secret: the secret.
        readers: who may read it.
    """
    found: dict[tuple[str, str | None], None] = dict.fromkeys(
        (name, None) for name in outsiders(secret.policy, secret.account, READ)
    )
    for one in readers:
        if one.member.trust is not None:
            names = _assumers(one.member.trust, secret.account)
            found |= dict.fromkeys((name, one.member.arn) for name in names)
    return [*found]


def _assumers(trust: Policy, account: str) -> Iterator[str]:
    for action in (ASSUME, "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"):
        yield from outsiders(trust, account, action)


def _context(action: str, secrets: Sequence[SecretFacts]) -> dict[str, str]:
    """The condition keys whose values are known.

    The tags and the ARN are those of one secret, so they are left out where several are asked for.
    """
    if action == ASSUME or not secrets:
        return {}
    region = secrets[0].arn.split(":")[3]
    if action == DECRYPT:
        context = {
            "kms:ViaService": f"secretsmanager.{region}.amazonaws.com",
            "kms:CallerAccount": secrets[0].account,
        }
        own = {"kms:EncryptionContext:SecretARN": secrets[0].arn}
    else:
        context = {"secretsmanager:VersionStage": AWSCURRENT, "aws:SecureTransport": "true"}
        own = {"secretsmanager:SecretId": secrets[0].arn} | {
            f"{prefix}:ResourceTag/{key}": value
            for key, value in secrets[0].tags.items()
            for prefix in ("aws", "secretsmanager")
        }
    return context | own if len(secrets) == 1 else context


def _verdict(
    member: Member, secret: SecretFacts, read: Simulated, decrypt: Simulated | None
) -> Access | None:
    policy = judge(secret.policy, member.principal, READ, secret.arn, _context(READ, [secret]))
    answer, by = _answer(member, read, policy, delegated=True)
    conditions = read.missing
    if secret.key is not None and answer:
        allowed = decrypt or Simulated()
        conditions = (*conditions, *allowed.missing)
        if secret.key_policy is None:
            answer = Certainty.PERHAPS
        else:
            context = _context(DECRYPT, [secret])
            of_key = judge(secret.key_policy, member.principal, DECRYPT, secret.key, context)
            # KMS developer guide, key-policies: identity policies count only where the key's
            # policy lets the account decide.
            answer = min(answer, _answer(member, allowed, of_key, delegated=False)[0])
    return Access(member, answer, by, (), tuple(dict.fromkeys(conditions))) if answer else None


def _answer(
    member: Member, own: Simulated, policy: PolicyAnswer, *, delegated: bool
) -> tuple[Certainty, str]:
    """The answer of a principal's own policies and of the resource's together, in one account.

    Args:
        member: the principal.
        own: what its own policies say.
        policy: what the resource's policy says.
        delegated: whether the resource leaves access to the account's policies whatever its own
            policy says.
    """
    if own.denied or own.organization is False or policy.denied is Certainty.YES:
        return Certainty.NO, ""
    identity = Certainty.YES if own.allowed else Certainty.PERHAPS if own.missing else Certainty.NO
    if not delegated:
        identity = min(identity, policy.account)
    # access_policies_boundaries: a boundary limits what names a role, and not what names a user.
    bounded = member.principal.is_role and own.boundary is False
    named = Certainty.NO if bounded else policy.named
    answer = max(identity, named)
    if policy.denied is Certainty.PERHAPS:
        answer = min(answer, Certainty.PERHAPS)
    return answer, "identity" if identity >= named else "resource-policy"


def _read(result: Mapping[str, Any], specific: Mapping[str, Any]) -> Simulated:
    decision = specific["EvalResourceDecision"]
    boundary = specific.get("PermissionsBoundaryDecisionDetail", {})
    organization = result.get("OrganizationsDecisionDetail", {})
    return Simulated(
        allowed=decision == "allowed",
        denied=decision == "explicitDeny",
        boundary=boundary.get("AllowedByPermissionsBoundary"),
        organization=organization.get("AllowedByOrganizations"),
        missing=tuple(specific.get("MissingContextValues", ())),
    )
