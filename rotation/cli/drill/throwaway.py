"""The secrets that drills make: how one is found, made, given its first rotation, and deleted."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from rotation.cli.rotate import refuse_unrotatable
from rotation.cli.shared.account import AwsAccount
from rotation.credential import iso_utc
from rotation.errors import SecretStoreError, VersionStateError
from rotation.incident.drill import NAME_PREFIX
from rotation.secrets_manager.calls import call_secrets_manager
from rotation.secrets_manager.labels import DRILL_TAG
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions

#: The shortest recovery window that there is (API_DeleteSecret).
RECOVERY_DAYS: Final = 7
#: How often a secret is looked for that exists and does not show yet, a second apart: reads are
#: eventually consistent.
_MOST_LOOKS: Final = 10


@dataclass(frozen=True)
class ThrowawaySecrets:
    """The secrets of drills in one account and Region."""

    account: AwsAccount

    def all(self) -> list[Snapshot]:
        """Every secret that a drill has made, the oldest name first, those to be deleted too.

        API_ListSecrets finds a name by its beginning, and may lag by minutes. So the names of today
        are looked at besides: a drill that was cut off a moment ago is found again.

        Raises:
            SecretStoreError: AWS refused or failed.
        """
        names: set[str] = set()
        page: dict[str, Any] | None = {}
        while page is not None:
            more, page = call_secrets_manager(
                "ListSecrets", "the account", partial(self._page, page)
            )
            names |= more
        listed = [found for name in sorted(names) if (found := self._find(name)) is not None]
        every = {one.name: one for one in (*listed, *self._of_today())}
        return [every[name] for name in sorted(every) if DRILL_TAG in every[name].tags]

    def _page(self, page: dict[str, Any]) -> tuple[set[str], dict[str, Any] | None]:
        answer = self.account.secrets.list_secrets(
            Filters=[{"Key": "name", "Values": [NAME_PREFIX]}],
            IncludePlannedDeletion=True,
            MaxResults=100,
            **page,
        )
        names = {one["Name"] for one in answer["SecretList"]}
        found = {name for name in names if name.startswith(NAME_PREFIX)}
        return found, {"NextToken": answer["NextToken"]} if "NextToken" in answer else None

    def _of_today(self) -> list[Snapshot]:
        """The secrets whose names are of today, without a gap from the first on."""
        found: list[Snapshot] = []
        while (one := self._find(_name_of_today(len(found) + 1))) is not None:
            found.append(one)
        return found

    def _find(self, name: str) -> Snapshot | None:
        try:
            return SecretVersions(self.account.secrets, name).snapshot()
        except SecretStoreError as error:
            if error.aws_code != "ResourceNotFoundException":
                raise
            return None

    def make(self, pattern: str) -> Snapshot:
        """Make a secret for a drill. It has the day's name, so two who begin at once share one.

        Args:
            pattern: the secret whose encryption key and, later, rotation it gets.

        Raises:
            SecretStoreError: AWS refused or failed.
            click.ClickException: that secret has no rotation.
        """
        name = _name_of_today(len(self._of_today()) + 1)
        key = self._configuration(pattern).get("KmsKeyId")
        encrypted: Any = {"KmsKeyId": key} if key else {}
        try:
            call_secrets_manager(
                "CreateSecret",
                name,
                lambda: self.account.secrets.create_secret(
                    Name=name,
                    Description="Made by `rotation drill`, which throws it away. Do not use it.",
                    Tags=[{"Key": DRILL_TAG, "Value": iso_utc(datetime.now(UTC))}],
                    **encrypted,
                ),
            )
        except SecretStoreError as error:
            # Somebody else has made it just now, or botocore repeated a call whose answer was lost.
            if error.aws_code != "ResourceExistsException":
                raise
        for _ in range(_MOST_LOOKS):
            found = self._find(name)
            if found is not None:
                return found
            time.sleep(1)
        raise VersionStateError(f"{name} was made, and does not show yet. Run the command again.")

    def _configuration(self, pattern: str) -> dict[str, Any]:
        """What DescribeSecret says of the secret whose rotation is taken over."""
        described: dict[str, Any] = call_secrets_manager(
            "DescribeSecret",
            pattern,
            lambda: self.account.secrets.describe_secret(SecretId=pattern),
        )
        refuse_unrotatable(Snapshot.read(described))
        return described

    def begin_rotation(self, arn: str, pattern: str) -> str:
        """Give a secret the rotation of ``pattern``, and begin its first one; returns its token.

        Raises:
            SecretStoreError: AWS refused or failed.
            click.ClickException: ``pattern`` has no rotation.
        """
        like = self._configuration(pattern)
        token = str(uuid.uuid4())
        call_secrets_manager(
            "RotateSecret",
            arn,
            lambda: self.account.secrets.rotate_secret(
                SecretId=arn,
                ClientRequestToken=token,
                RotationLambdaARN=like["RotationLambdaARN"],
                RotationRules=_rules(like.get("RotationRules", {})),
                RotateImmediately=True,
            ),
        )
        return token

    def delete(self, arn: str) -> None:
        """Schedule a secret for deletion; until then it can be restored.

        Raises:
            SecretStoreError: AWS refused or failed.
        """
        self._delete(arn, RecoveryWindowInDays=RECOVERY_DAYS)

    def delete_unused(self, arn: str) -> None:
        """Delete a secret that never had a value, and has nothing to recover.

        Raises:
            SecretStoreError: AWS refused or failed.
        """
        self._delete(arn, ForceDeleteWithoutRecovery=True)

    def _delete(self, arn: str, **how: Any) -> None:
        call_secrets_manager(
            "DeleteSecret", arn, lambda: self.account.secrets.delete_secret(SecretId=arn, **how)
        )


def _name_of_today(number: int) -> str:
    day = f"{NAME_PREFIX}{datetime.now(UTC):%Y-%m-%d}"
    return day if number == 1 else f"{day}-{number}"


def _rules(rules: dict[str, Any]) -> Any:
    """The same rules as a request may have them.

    DescribeSecret may show AutomaticallyAfterDays beside the schedule expression from which AWS
    derived it; RotateSecret takes one of them (API_RotationRulesType).
    """
    schedule = "ScheduleExpression"
    kept = schedule if rules.get(schedule) else "AutomaticallyAfterDays"
    return {name: rules[name] for name in (kept, "Duration") if rules.get(name)}
