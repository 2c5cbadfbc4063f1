"""What somebody knew who leaves: every secret that they could read, or did since a date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rotation.credential import iso_utc
from rotation.errors import AccountReadError
from rotation.exposure.access import Access, Member, Progress, Readers, SecretFacts, members
from rotation.exposure.examination import (
    ALWAYS_UNKNOWN,
    Gap,
    Window,
    all_readings,
    found_sessions,
    matches,
)
from rotation.exposure.policies import Certainty
from rotation.exposure.ports import CallHistory, IamAccount
from rotation.exposure.readings import CallerIdentity, Reader, SecretRead, readers


@dataclass
class Knowledge:
    """What the principals knew of one secret.

    Attributes:
        secret: the secret.
        could: how each of them may read it.
        did: their readings.
    """

    secret: SecretFacts
    could: list[Access] = field(default_factory=list)
    did: list[Reader] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "could": [
                {
                    "principal": one.member.arn,
                    "answer": "yes" if one.answer is Certainty.YES else "perhaps",
                    "through": list(one.through),
                }
                for one in self.could
            ],
            "did": [
                {
                    "principal": one.arn,
                    "through": list(one.through),
                    "reads": one.reads,
                    "lastAt": iso_utc(one.last),
                }
                for one in self.did
            ],
        }


@dataclass
class Departure:
    """What the principals knew of all secrets.

    Attributes:
        arns: the principals that were found, and the roles that they may assume.
        known: what they knew, by secret; secrets of which they knew nothing are left out.
        gaps: what is not known.
    """

    arns: list[str] = field(default_factory=list)
    known: list[Knowledge] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def departure(
    names: Sequence[str],
    secrets: Sequence[SecretFacts],
    iam: IamAccount,
    history: CallHistory,
    *,
    window: Window,
    progress: Progress,
) -> Departure:
    """Find out what somebody could read, now, and did read in the window.

    For each principal and each role that it may assume, it sends one request for each fifty
    secrets, and one more for each secret whose answer depends on a condition; and one for each 50
    events of the account.

    Args:
        names: the principals; see `rotation.exposure.examination.matches`.
        secrets: every secret of the account's Region.
        iam: the account.
        history: the history of calls.
        window: the time whose readings count.
        progress: is told what is being done.
    """
    found = Departure(gaps=[*ALWAYS_UNKNOWN])
    by_arn = {one.arn: Knowledge(one) for one in secrets}
    leavers: list[Member] = []
    try:
        everybody = members(iam.details())
        leavers = [one for one in everybody if any(matches(name, one) for name in names)]
        for name in names:
            if not any(matches(name, one) for one in everybody):
                found.gaps.append(
                    Gap(
                        "gone",
                        f"{name} is no user or role of the account any more, so what it could read "
                        "is not known; what it did read is.",
                    )
                )
        finder = Readers(iam, everybody, progress)
        _could(finder, leavers, secrets, found=found, by_arn=by_arn)
    except AccountReadError as error:
        found.gaps.append(Gap("could", f"What they could read is not known. {error}"))
    try:
        read = [one for one in all_readings(history, window) if one.error is None]
        sessions = found_sessions(read, history, window, found.gaps)
        _did(names, {one.arn for one in leavers}, by_arn, read, sessions)
    except AccountReadError as error:
        found.gaps.append(Gap("did", f"What they did read is not known. {error}"))
    found.known = [one for one in by_arn.values() if one.could or one.did]
    return found


def _could(
    finder: Readers,
    leavers: Sequence[Member],
    secrets: Sequence[SecretFacts],
    *,
    found: Departure,
    by_arn: dict[str, Knowledge],
) -> None:
    for leaver in leavers:
        for member, way in [(leaver, ()), *finder.roles_within_reach(leaver)]:
            found.arns.append(member.arn)
            for secret, access in finder.secrets_of(member, secrets):
                known = by_arn[secret.arn].could
                if not any(one.member == leaver for one in known):
                    known.append(Access(leaver, access.answer, access.by, way, access.conditions))


def _did(
    names: Sequence[str],
    arns: set[str],
    by_arn: dict[str, Knowledge],
    read: Sequence[SecretRead],
    sessions: Mapping[str, CallerIdentity],
) -> None:
    by_name: dict[str, list[SecretRead]] = {}
    for reading in read:
        by_name.setdefault(reading.secret, []).append(reading)
    for known in by_arn.values():
        of_it = [one for name in known.secret.names for one in by_name.get(name, ())]
        known.did = [
            one
            for one in readers(of_it, sessions, ())
            if any(_is_leaver(arn, names, arns) for arn in (one.arn, *one.through))
        ]


def _is_leaver(arn: str, names: Sequence[str], arns: set[str]) -> bool:
    """Whether an ARN is a leaver's, also of one whose user or role is deleted."""
    kind = arn.rpartition(":")[2].partition("/")[0]
    return arn in arns or arn in names or f"{kind}/{arn.rpartition('/')[2]}" in names
