"""The exposure of one secret: who could read it, who did, and what of that cannot be known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rotation.credential import iso_utc
from rotation.errors import AccountReadError
from rotation.exposure.access import (
    Access,
    Member,
    Progress,
    Readers,
    SecretFacts,
    members,
    strangers,
)
from rotation.exposure.findings import AnalyzerFinding, findings_of
from rotation.exposure.policies import Certainty
from rotation.exposure.ports import AccessFindings, CallHistory, IamAccount
from rotation.exposure.readings import (
    CallerIdentity,
    Reader,
    SecretRead,
    VersionLife,
    is_of,
    readers,
    reading,
    sessions_of,
    versions_read,
)

SCHEMA: Final = "trusted-signatures-rotation/exposure/1"
READ_EVENT: Final = "GetSecretValue"
ASSUME_EVENT: Final = "AssumeRole"


@dataclass(frozen=True)
class Gap:
    """Something that is not known, and why.

    Attributes:
        code: stable; ``docs/exposure.md`` lists them.
        message: a sentence for people, with what to do where something can be done.
    """

    code: str
    message: str

    def as_json(self) -> dict[str, str]:
        """As JSON members."""
        return {"code": self.code, "message": self.message}


#: What nothing that is asked here can tell, of any secret.
ALWAYS_UNKNOWN: Final = (
    Gap(
        "copies",
        "Who got the key from somebody who had read it, from a cache, a file or a message, is not "
        "recorded anywhere.",
    ),
    Gap(
        "policies",
        "Resource control policies, policies of sessions and of VPC endpoints, and grants of the "
        "KMS key are not judged. The account's root may read every secret, and whoever may change "
        "policies or the code of a function can give themselves the right.",
    ),
    Gap(
        "latency",
        "CloudTrail shows a call after about five minutes, and does not promise it: the newest "
        "may be missing.",
    ),
)


@dataclass(frozen=True)
class Window:
    """The time whose readings are told. Both are aware UTC."""

    since: datetime
    until: datetime


@dataclass
class Exposure:
    """What was found of one secret.

    Attributes:
        secret: the secret.
        window: the time whose readings are told.
        known: the ARNs of principals that are meant to read it.
        principals: how many users and roles were looked at; None: they could not be listed.
        could: who may read it; None: that could not be found out.
        outsiders: whom policies let in besides the account's users and roles, and by which role.
        findings: what IAM Access Analyzer found of the secret and of its KMS key.
        did: who read it; None: that could not be found out.
        gaps: what is not known.
    """

    secret: SecretFacts
    window: Window
    known: Collection[str]
    principals: int | None = None
    could: list[Access] | None = None
    outsiders: list[tuple[str, str | None]] = field(default_factory=list)
    findings: list[AnalyzerFinding] = field(default_factory=list)
    did: list[Reader] | None = None
    gaps: list[Gap] = field(default_factory=list)

    def as_evidence(self) -> dict[str, Any]:
        """Who read, and what is not known, as the reconcile function keeps it."""
        members = self.as_json()
        return {
            "since": members["since"],
            "until": members["until"],
            "readers": members["did"] or [],
            "gaps": members["gaps"],
        }

    def as_json(self) -> dict[str, Any]:
        """As JSON members; ``docs/command-line.schema.json`` describes them."""
        could = None
        if self.could is not None:
            could = {
                "principals": self.principals,
                "readers": [self._access(one) for one in self.could],
                "outsiders": [{"name": name, "through": role} for name, role in self.outsiders],
            }
        return {
            "schema": SCHEMA,
            "secret": self.secret.arn,
            "name": self.secret.name,
            "since": iso_utc(self.window.since),
            "until": iso_utc(self.window.until),
            "could": could,
            "findings": [one.as_json() for one in self.findings],
            "did": None if self.did is None else [self._reader(one) for one in self.did],
            "gaps": [one.as_json() for one in self.gaps],
        }

    def _access(self, one: Access) -> dict[str, Any]:
        return {
            "principal": one.member.arn,
            "permissionSet": one.member.permission_set,
            "answer": "yes" if one.answer is Certainty.YES else "perhaps",
            "by": one.by,
            "through": list(one.through),
            "conditions": list(one.conditions),
            "known": one.member.arn in self.known,
        }

    def _reader(self, one: Reader) -> dict[str, Any]:
        return reader_members(one) | {"known": one.arn in self.known}


def reader_members(one: Reader) -> dict[str, Any]:
    """A reader as JSON members. Nothing in them is a value of the secret."""
    return {
        "principal": one.arn,
        "kind": one.kind,
        "through": list(one.through),
        "reads": one.reads,
        "refused": one.refused,
        "firstAt": iso_utc(one.first),
        "lastAt": iso_utc(one.last),
        "sessions": sorted(one.sessions),
        "addresses": sorted(one.addresses),
        "keys": [
            {"keyId": key, "versionId": version, "how": how, "reads": number}
            for (key, version, how), number in sorted(one.keys.items(), key=str)
        ],
    }


def examine(
    secret: SecretFacts,
    iam: IamAccount,
    history: CallHistory,
    analyzer: AccessFindings,
    *,
    lives: Sequence[VersionLife],
    window: Window,
    known: Collection[str],
    progress: Progress,
    suspects: Collection[str] | None = None,
) -> Exposure:
    """Find out who could read a secret, and who did. What cannot be asked becomes a gap.

    It sends one request for each page of principals, one or two for each principal, as many again
    for each role in a row that is assumed, one for each 50 events, and a few to Access Analyzer.

    Args:
        secret: the secret.
        iam: the account.
        history: the history of calls.
        analyzer: IAM Access Analyzer.
        lives: the lives of the secret's versions; none: they are not known.
        window: the time whose readings are told.
        known: names or ARNs of principals that are meant to read it; see `matches`.
        progress: is told what is being done.
        suspects: the keys whose readers are told; None: all keys. A reading of which it is not
            known which key it got counts.
    """
    found = Exposure(secret, window, set())
    found.gaps += ALWAYS_UNKNOWN
    if secret.replicas:
        found.gaps.append(
            Gap(
                "replicas",
                f"It has replicas in {', '.join(secret.replicas)}. Who reads one there is told "
                "there: run the command in each of these Regions.",
            )
        )
    everybody: list[Member] = []
    try:
        everybody = members(iam.details())
        found.principals = len(everybody)
        found.known = known_arns(known, everybody)
        found.could = Readers(iam, everybody, progress).of(secret)
        found.outsiders = strangers(secret, found.could)
    except AccountReadError as error:
        found.gaps.append(Gap("could", f"Who may read it is not known. {error}"))
        found.known = {*found.known, *known}
    found.findings = _findings(secret, analyzer, found.gaps)
    try:
        read = [
            one
            for one in all_readings(history, window)
            if is_of(one, secret) and (suspects is None or _may_be_of(one, suspects, lives))
        ]
        found.did = readers(read, found_sessions(read, history, window, found.gaps), lives)
    except AccountReadError as error:
        found.gaps.append(Gap("did", f"Who read it is not known. {error}"))
    return found


def _findings(
    secret: SecretFacts, analyzer: AccessFindings, gaps: list[Gap]
) -> list[AnalyzerFinding]:
    """What Access Analyzer found; a gap is added where it is off, or does not tell."""
    found: list[AnalyzerFinding] = []
    try:
        analyzers = analyzer.analyzers()
        if not analyzers:
            message = "IAM Access Analyzer is off in this Region, so its findings are not told."
            gaps.append(Gap("analyzer", message))
        for one in analyzers:
            for resource in filter(None, (secret.arn, secret.key)):
                for told in analyzer.findings(one, resource):
                    found += findings_of(one, told)
    except AccountReadError as error:
        gaps.append(Gap("analyzer", f"Findings of IAM Access Analyzer are not known. {error}"))
    return found


def _may_be_of(one: SecretRead, suspects: Collection[str], lives: Sequence[VersionLife]) -> bool:
    """Whether a reading was answered with one of the keys, as far as is known."""
    keys = [key for key, _, _ in versions_read(one, lives)]
    return one.error is None and any(key is None or key in suspects for key in keys)


def all_readings(history: CallHistory, window: Window) -> list[SecretRead]:
    """Every reading of every secret in the window.

    Raises:
        AccountReadError: CloudTrail did not tell.
    """
    events = history.events(READ_EVENT, window.since, window.until)
    return [found for one in events if (found := reading(one)) is not None]


def found_sessions(
    read: Sequence[SecretRead], history: CallHistory, window: Window, gaps: list[Gap]
) -> dict[str, CallerIdentity]:
    """Who assumed the roles whose sessions read; a gap is added where that is not told."""
    if not any(one.caller.session is not None for one in read):
        return {}
    try:
        return sessions_of(history.events(ASSUME_EVENT, window.since, window.until))
    except AccountReadError as error:
        gaps.append(Gap("sessions", f"Who assumed the roles that read is not known. {error}"))
        return {}


def known_arns(known: Collection[str], everybody: Sequence[Member]) -> set[str]:
    """The ARNs of the principals that are named."""
    return {one.arn for one in everybody if any(matches(name, one) for name in known)}


def matches(name: str, member: Member) -> bool:
    """Whether a name is a principal's.

    It is so if it is its ARN, ``user/NAME``, ``role/NAME``, or ``permission-set/NAME``.
    """
    kind, _, rest = name.partition("/")
    if kind == "permission-set":
        return member.permission_set == rest
    own_kind = "role" if member.trust is not None else "user"
    return name == member.arn or (kind == own_kind and rest == member.name)


def lives_of(report: dict[str, Any]) -> list[VersionLife]:
    """The lives of a secret's versions, from its part of the reconcile function's report."""
    displaced = {one["keyId"]: one["displacedAt"] for one in report["keys"]}
    return [
        VersionLife(
            one["versionId"],
            one["keyId"],
            _time(one["createdAt"]),
            _time(displaced.get(one["keyId"])),
        )
        for one in report["versions"]
    ]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
