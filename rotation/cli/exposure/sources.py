"""Where the commands look: IAM, CloudTrail, the policies of secrets and keys, and the report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import boto3
import click

from rotation.aws.access_analyzer import AccessAnalyzer
from rotation.aws.client_config import OPERATOR
from rotation.aws.event_data_store import EventDataStore, event_data_stores
from rotation.aws.event_history import KEPT, LOOKUPS_PER_SECOND, CloudTrailHistory
from rotation.aws.iam_account import IamPrincipals
from rotation.aws.secret_policies import SecretPolicies
from rotation.aws.trail_bucket import TrailBucket
from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.options import parse_time
from rotation.cli.shared.output import progress_shown
from rotation.errors import AccountReadError
from rotation.exposure.access import SecretFacts
from rotation.exposure.examination import Gap, Window
from rotation.exposure.older_calls import LongHistory, OlderCalls, keeps_reads
from rotation.reconciliation.rate_limiter import RateLimiter

#: IAM publishes no rate of its API; a few calls a second leave room for others, and botocore
#: repeats what is throttled.
_IAM_PER_SECOND: Final = 10.0
#: Secrets Manager takes 50 GetResourcePolicy a second, with other calls (reference_limits).
_SECRETS_PER_SECOND: Final = 20.0


@contextmanager
def progress_told() -> Iterator[Callable[[str], None]]:
    """Shows on a terminal what is being done; gives what tells it."""
    with progress_shown("{task.description}") as progress:
        task = progress.add_task("", total=None)
        yield lambda text: progress.update(task, description=text)


class Sources:
    """The clients of an account, each at its pace.

    Args:
        account: the account, and its reconcile function.
        progress: is told what is being done.
        since: since when calls are told; None: since CloudTrail's event history has them.

    Attributes:
        window: the time whose calls are told.
        history: the calls.
    """

    def __init__(
        self, account: AwsAccount, progress: Callable[[str], None], since: datetime | None
    ) -> None:
        make: Any = boto3.client
        self._account = account
        self._progress = progress
        self.iam = IamPrincipals(make("iam", config=OPERATOR), RateLimiter(_IAM_PER_SECOND))
        self.analyzer = AccessAnalyzer(
            make("accessanalyzer", config=OPERATOR), RateLimiter(_IAM_PER_SECOND)
        )
        self._cloudtrail = make("cloudtrail", config=OPERATOR)
        self._recent = CloudTrailHistory(
            self._cloudtrail, RateLimiter(LOOKUPS_PER_SECOND), progress
        )
        self.policies = SecretPolicies(
            account.secrets,
            make("kms", config=OPERATOR),
            make("lambda", config=OPERATOR),
            RateLimiter(_SECRETS_PER_SECOND),
        )
        now = datetime.now(UTC)
        oldest = now - KEPT
        self._unfound = ""
        older = self._older_calls() if since is not None and since < oldest else None
        self.window = Window(
            since if since is not None and older else max(since or oldest, oldest), now
        )
        self.history = LongHistory(self._recent, older, oldest)

    def secret(self, name: str) -> tuple[SecretFacts, list[Gap]]:
        """A secret with its policies, and what of them could not be read.

        Raises:
            AccountReadError: the secret could not be described.
        """
        return self.facts(self.policies.describe(name))

    def facts(self, described: Mapping[str, Any]) -> tuple[SecretFacts, list[Gap]]:
        """A secret as DescribeSecret or ListSecrets describes it, with its policies."""
        gaps: list[Gap] = []
        policy = key = key_policy = None
        try:
            policy = self.policies.policy(described["ARN"])
        except AccountReadError as error:
            gaps.append(Gap("resource_policy", f"Its resource policy is not known. {error}"))
        key_id = described.get("KmsKeyId")
        try:
            key, key_policy = self.policies.key(key_id)
        except AccountReadError as error:
            key = key_id
            gaps.append(Gap("key_policy", f"The policy of its KMS key is not known. {error}"))
        facts = SecretFacts(
            arn=described["ARN"],
            name=described["Name"],
            policy=policy,
            key=key,
            key_policy=key_policy,
            tags={one["Key"]: one["Value"] for one in described.get("Tags", ())},
            rotation_function=described.get("RotationLambdaARN"),
            replicas=tuple(one["Region"] for one in described.get("ReplicationStatus", ())),
        )
        return facts, gaps

    def report(self, arn: str) -> tuple[dict[str, Any] | None, list[Gap]]:
        """What the reconcile function reports of a secret: the lives of its keys, its incidents."""
        try:
            [report] = self._account.ask("report", [arn])["secrets"]
            if "versions" in report:
                return report, []
            problem = "; ".join(one["message"] for one in report["failures"])
        except click.ClickException as error:
            problem = error.message
        gap = Gap("lives", f"Which key a reading got is told only where it named one. {problem}")
        return None, [gap]

    def functions_roles(self, functions: Collection[str]) -> tuple[set[str], list[Gap]]:
        """The roles of the stack's functions."""
        roles: set[str] = set()
        gaps: list[Gap] = []
        for function in functions:
            try:
                roles.add(self.policies.role_of(function))
            except AccountReadError as error:
                gaps.append(
                    Gap("functions", f"The role of the function {function} is not known. {error}")
                )
        return roles, gaps

    def older(self) -> Gap:
        """What is not known of the calls that the event history has no more."""
        begun = f"{self.history.boundary:%Y-%m-%d}"
        if self.history.older is not None:
            told = [f"Calls of before {begun} are told by {self.history.older.name}."]
            told += self.history.missing()
            told.append("What was deleted there, or never came there, cannot be told.")
            return Gap("older", " ".join(told))
        if self._unfound:
            return Gap("older", f"Calls of before {begun} are not told. {self._unfound}")
        try:
            found = self._recent.trails()
        except AccountReadError as error:
            return Gap("older", f"Calls of before {begun} are not told. {error}")
        places = ", ".join(f"{one.name} in s3://{one.bucket}" for one in found)
        where = (
            f"These trails may have more: {places}. Name an earlier day with --since to have them "
            "read."
            if found
            else "This Region has no trail that would keep more."
        )
        return Gap("older", f"The event history has {KEPT.days} days. {where}")

    def _older_calls(self) -> OlderCalls | None:
        """Who has the calls that the event history has no more: CloudTrail Lake, or a trail.

        None where nobody has, or where that could not be found out; `older` says which.
        """
        _, _, number = self._account.actor().partition("::")
        place = number.partition(":")[0], self._cloudtrail.meta.region_name
        if not number:
            self._unfound = "sts:GetCallerIdentity did not tell which account this is."
            return None
        problems: list[str] = []
        try:
            for store in event_data_stores(self._cloudtrail):
                if keeps_reads(store.selectors):
                    return EventDataStore(self._cloudtrail, store, *place, self._progress)
        except AccountReadError as error:
            problems.append(str(error))
        try:
            for trail in self._recent.trails():
                if keeps_reads(self._recent.selectors(trail)):
                    s3: Any = boto3.client("s3", config=OPERATOR)
                    return TrailBucket(s3, trail, *place, self._progress)
        except AccountReadError as error:
            problems.append(str(error))
        nobody = "No event data store and no trail of this Region keeps calls that read."
        self._unfound = " ".join(problems) or nobody
        return None


def parse_since(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """Parse a time in the past."""
    if value is None:
        return None
    time = parse_time(value)
    if time > datetime.now(UTC):
        raise click.BadParameter(f"{value} is not in the past.")
    return time
