"""Where the commands look: IAM, CloudTrail, the policies of secrets and keys, and the report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import boto3
import click

from rotation.aws.client_config import OPERATOR
from rotation.aws.event_history import KEPT, LOOKUPS_PER_SECOND, CloudTrailHistory
from rotation.aws.iam_account import IamPrincipals
from rotation.aws.secret_policies import SecretPolicies
from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.options import parse_time
from rotation.cli.shared.output import progress_shown
from rotation.errors import AccountReadError
from rotation.exposure.access import SecretFacts
from rotation.exposure.examination import Gap, Window
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
    """

    def __init__(self, account: AwsAccount, progress: Callable[[str], None]) -> None:
        make: Any = boto3.client
        self._account = account
        self.iam = IamPrincipals(make("iam", config=OPERATOR), RateLimiter(_IAM_PER_SECOND))
        self.history = CloudTrailHistory(
            make("cloudtrail", config=OPERATOR), RateLimiter(LOOKUPS_PER_SECOND), progress
        )
        self.policies = SecretPolicies(
            account.secrets,
            make("kms", config=OPERATOR),
            make("lambda", config=OPERATOR),
            RateLimiter(_SECRETS_PER_SECOND),
        )

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

    def trails(self) -> Gap:
        """Where calls of more than 90 days ago are, if anywhere."""
        try:
            found = self.history.trails()
        except AccountReadError as error:
            return Gap("older", f"Calls of more than {KEPT.days} days ago are not told. {error}")
        places = ", ".join(f"{name} in s3://{bucket}" for name, bucket in found)
        where = (
            f"These trails may keep more, and are not read here: {places}."
            if found
            else "This Region has no trail that would keep more."
        )
        return Gap("older", f"The event history has {KEPT.days} days. {where}")


def window_since(since: datetime | None) -> Window:
    """The time whose readings are told: since a time, or as long as CloudTrail remembers."""
    now = datetime.now(UTC)
    oldest = now - KEPT
    return Window(oldest if since is None else max(since, oldest), now)


def parse_since(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """Parse a time in the past."""
    if value is None:
        return None
    time = parse_time(value)
    if time > datetime.now(UTC):
        raise click.BadParameter(f"{value} is not in the past.")
    return time
