"""A pool secret that many may change at once: compare-and-swap over Secrets Manager.

PutSecretValue knows no condition, UpdateSecretVersionStage does: it moves a label only away from
the version that it is told (API_UpdateSecretVersionStage, RemoveFromVersionId). So a change reads
the current version, stores the changed document under a staging label of its own, which nobody
reads, and then moves AWSCURRENT from the version that it read. If somebody else was faster the move
is refused; then the label is dropped and everything is done again with what is current now.

Every put costs a version, a refused change too, and a secret has 100 of which AWS removes none that
is younger than 24 hours (UserGuide reference_limits). So a change first claims the version that it
read: it moves the label `CLAIM` there, from the version that bears it. That is a compare-and-swap
without a version, so one of many wins, and the others wait without a put. The claim ends by itself
when AWSCURRENT moves on: a claim on a version that is not current is none. It only saves versions:
what keeps two changes apart is the move of AWSCURRENT. A claim that a crash left on the current
version is waited for, and then ignored. What threads of one process ask for at the same time is
stored in one version.

What a crash leaves:

- after the claim: the claim; the next change waits for it some seconds and then goes ahead;
- after the put: also a version that nobody reads, and its label; a later change sweeps the label;
- after the move: the change took effect; a later change sweeps the label.

A lost reply looks like a refusal or like an error, and says nothing about the move. So an edit has
to find out by itself that it was made already, and then it changes nothing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from rotation.credential import TRUSTED_SIGNATURES, Confidential, KeyFormat
from rotation.deadline import Deadline
from rotation.errors import KeyPoolError, RotationError, SecretStoreError
from rotation.key_pool.change_waits import ChangeWaits
from rotation.key_pool.document import EditResult, PoolDocument, PoolEdit
from rotation.key_pool.edit_batch import EditRequest, apply_all
from rotation.key_pool.version_list import (
    MOST_LABELS,
    MOST_VERSIONS,
    VERSIONS_FOR_LEASES,
    VersionList,
    quota_message,
)
from rotation.privacy.observability import logger
from rotation.secrets_manager.calls import call_secrets_manager, value_of
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.versions import move_label

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

#: Staging label of a version that is being made; the version's id follows.
STAGE: Final = "rotation-pool-"
#: Staging label that says, on the current version, that somebody is changing the pool.
CLAIM: Final = "rotation-claim"
#: So many changes may be refused although each was claimed; every one costs a version.
_MOST_REFUSALS: Final = 5
#: The label of a change that is under way is gone at the next look; what then still fills up the
#: labels stays.
_MOST_FULL: Final = 2
#: Nobody takes this long between a put and its move: a step's calls are over within two minutes.
_ABANDONED: Final = timedelta(minutes=5)
# API_UpdateSecretVersionStage, "Errors": the label is elsewhere, or the version is gone. Not so
# InvalidRequestException: the secret is a replica, or scheduled for deletion.
_REFUSED: Final = frozenset({"InvalidParameterException", "ResourceNotFoundException"})
_QUOTA: Final = "LimitExceededException"


class _Outcome(Enum):
    """What came of an attempt to store a document."""

    STORED = "stored"
    BUSY = "somebody else is changing the pool; nothing was written"
    NO_ROOM = "all labels of the secret are in use; nothing was written"
    REFUSED = "somebody else was faster; a version was written in vain"


class PoolSecret:
    """One pool secret. Threads may share it.

    Args:
        client: a boto3 Secrets Manager client.
        secret_id: the secret's name or ARN.
        clock: our clock, aware UTC; it only decides how old a label left behind is, and when AWS
            removes a version.
        sleep: how to wait, in seconds, before another attempt.
        deadline: when the waits of a change must have ended; each ends after two minutes anyway.
        key_format: how the pool holds its keys.
    """

    def __init__(
        self,
        client: SecretsManagerClient,
        secret_id: str,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
        *,
        deadline: Deadline | None = None,
        key_format: KeyFormat = TRUSTED_SIGNATURES,
    ) -> None:
        self._client = client
        self.name = secret_id
        self.key_format = key_format
        self._clock = clock
        self._sleep = sleep
        self._deadline = deadline
        self._requests: list[EditRequest[Any]] = []
        self._requesting = Lock()
        self._changing = Lock()

    def read(self) -> PoolDocument:
        """The current pool; empty where the secret has no value yet.

        Raises:
            InvalidCredentialError: the value is not a key pool.
            SecretStoreError: AWS refused or failed, or there is no such secret.
        """
        return self._read().pool

    def change(self, edit: PoolEdit[EditResult], *, can_wait: bool = False) -> EditResult:
        """Apply ``edit`` to the current pool and make the result current, whoever else changes it.

        Args:
            edit: what it raises ends the change, and nothing is stored.
            can_wait: whether it is refused while few versions of the day are left, so that leases
                and incidents have them.

        Returns:
            the edit's result.

        Raises:
            InvalidCredentialError: the value is not a key pool.
            KeyPoolError: the changed document is too large, or a quota of Secrets Manager is used
                up; nothing was stored. The message says which quota, and until when.
            SecretStoreError: AWS refused or failed. Where it is retryable, the change may have been
                made all the same: make it again. Where it is not, nothing was changed.
        """
        request = EditRequest(edit, can_wait)
        with self._requesting:
            self._requests.append(request)
        with self._changing:
            if not request.done:
                with self._requesting:
                    batch, self._requests = self._requests, []
                self._carry_out(batch)
        if request.error is not None:
            raise request.error
        return cast("EditResult", request.result)

    def _carry_out(self, batch: Sequence[EditRequest[Any]]) -> None:
        """Make the edits of a batch, in one version; each has its result or its error then."""
        try:
            self._store(batch)
        except BaseException as error:
            for request in batch:
                request.error = request.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for request in batch:
                request.done = True

    def _store(self, batch: Sequence[EditRequest[Any]]) -> None:
        waiting = ChangeWaits(self._sleep, self._deadline)
        refusals = full = 0
        outcome = _Outcome.BUSY
        while True:
            read = self._read()
            if apply_all(batch, read.pool, self.name) is read.pool:
                return
            if read.claimed and not waiting.over(read.version):
                waiting.pause(read.version)
            else:
                versions = self._list_versions()
                self._spare_versions(batch, versions)
                changed = apply_all(batch, read.pool, self.name)
                if changed is read.pool:
                    return
                if versions is not None and refusals == 0:
                    self._sweep(versions)
                outcome = self._swap(read, changed, versions)
                if outcome is _Outcome.STORED:
                    return
                refusals += outcome is _Outcome.REFUSED
                full += outcome is _Outcome.NO_ROOM
                waiting.pause(None)
            if refusals == _MOST_REFUSALS or full == _MOST_FULL or waiting.given_up:
                raise self._given_up(outcome, refusals)

    def _given_up(self, outcome: _Outcome, refusals: int) -> RotationError:
        if outcome is _Outcome.NO_ROOM:
            return KeyPoolError(
                f"All {MOST_LABELS} staging labels that Secrets Manager allows on the versions of "
                f"{self.name} are in use. Remove labels that others have put there, with "
                "UpdateSecretVersionStage. Nothing was changed."
            )
        return SecretStoreError(
            f"UpdateSecretVersionStage on {self.name} was refused {refusals} times, after waiting "
            "for others who change the pool, or AWSCURRENT may not be moved. Try again.",
            operation="UpdateSecretVersionStage",
            aws_code="InvalidParameterException",
            retryable=True,
        )

    def _read(self) -> _Current:
        """The current version and what it holds.

        Reads are eventually consistent: what is read may be outdated. Then the move is refused.
        """
        try:
            version, labels, value = self._call(
                "GetSecretValue",
                lambda: _held(
                    self._client.get_secret_value(SecretId=self.name, VersionStage=AWSCURRENT)
                ),
            )
        except SecretStoreError as error:
            if error.aws_code != "ResourceNotFoundException":
                raise
        else:
            pool = PoolDocument.parse(value, of=self.name, key_format=self.key_format)
            return _Current(version, CLAIM in labels, pool)
        # The same code says that there is no such secret; then this call fails.
        self._call("DescribeSecret", lambda: self._client.describe_secret(SecretId=self.name))
        return _Current(None, claimed=False, pool=PoolDocument())

    def _swap(
        self, read: _Current, changed: PoolDocument, versions: VersionList | None
    ) -> _Outcome:
        """Claim the version that was read, and make ``changed`` current if that still is."""
        if read.version is None or read.claimed or versions is None:
            # Nothing can be claimed, or the claim's owner is dead, or nobody knows where it is.
            return self._put_and_move(read.version, changed)
        claimed_before = versions.labels.get(CLAIM)
        if claimed_before == read.version:
            return _Outcome.BUSY
        parked = claimed_before or versions.another_than(read.version)
        if parked is None:
            # The first change of a pool: there is no version to move a claim from.
            return self._put_and_move(read.version, changed)
        try:
            if claimed_before is None:
                self._move(CLAIM, None, parked)
            self._move(CLAIM, parked, read.version)
        except SecretStoreError as error:
            if error.aws_code == _QUOTA:
                return _Outcome.NO_ROOM
            if error.aws_code not in _REFUSED:
                raise
            return _Outcome.BUSY
        try:
            outcome = self._put_and_move(read.version, changed)
        except RotationError:
            self._quietly(CLAIM, read.version, parked)
            raise
        if outcome is not _Outcome.STORED:
            self._quietly(CLAIM, read.version, parked)
        return outcome

    def _put_and_move(self, version: str | None, changed: PoolDocument) -> _Outcome:
        value, token = changed.serialize(), str(uuid.uuid4())
        try:
            self._call(
                "PutSecretValue",
                lambda: self._client.put_secret_value(
                    SecretId=self.name,
                    ClientRequestToken=token,
                    SecretString=value.reveal(),
                    VersionStages=[STAGE + token],
                ),
            )
        except SecretStoreError as error:
            if error.aws_code != _QUOTA and error.retryable:
                # It may have been stored all the same.
                self._quietly(STAGE + token, token, None)
            if error.aws_code != _QUOTA:
                raise
            refusal = self._quota_refusal()
        else:
            return self._promote(version, token)
        if refusal is None:
            return _Outcome.NO_ROOM
        raise refusal

    def _promote(self, version: str | None, token: str) -> _Outcome:
        try:
            self._move(AWSCURRENT, version, token)
        except SecretStoreError as error:
            self._quietly(STAGE + token, token, None)
            if error.aws_code not in _REFUSED:
                raise
            logger.debug("the pool was changed by somebody else meanwhile", pool=self.name)
            return _Outcome.REFUSED
        self._quietly(STAGE + token, token, None)
        return _Outcome.STORED

    def _spare_versions(
        self, batch: Sequence[EditRequest[Any]], versions: VersionList | None
    ) -> None:
        """Refuse what can wait, if few versions are left of those that a day has."""
        if versions is None or not any(request.can_wait for request in batch):
            return
        left = MOST_VERSIONS - versions.recent(self._clock())
        if left >= VERSIONS_FOR_LEASES:
            return
        for request in batch:
            if request.can_wait:
                request.edit = partial(_refuse, quota_message(self.name, versions, left))

    def _quota_refusal(self) -> KeyPoolError | None:
        """The error of a put over a quota; None if it is that of labels, which empties soon."""
        versions = self._list_versions()
        if versions is not None and len(versions.created) < MOST_VERSIONS:
            return None
        return KeyPoolError(quota_message(self.name, versions, 0))

    def _sweep(self, versions: VersionList) -> None:
        """Drop labels that a crash left behind: a secret may have 20 in all.

        Source: UserGuide reference_limits. A version without a label is deprecated, and AWS
        deletes it when it likes. A slow writer whose label was swept loses nothing: its move
        succeeds, or is refused and done again.
        """
        for label, version in versions.labels.items():
            age = self._clock() - versions.created[version]
            if label.startswith(STAGE) and age > _ABANDONED:
                self._quietly(label, version, None)
                logger.info("label of an interrupted change swept", pool=self.name, version=version)

    def _list_versions(self) -> VersionList | None:
        """The versions; None: they could not be listed, and the change goes on without."""
        created: dict[str, datetime] = {}
        labels: dict[str, str] = {}
        page: dict[str, Any] | None = {}
        try:
            while page is not None:
                listed, page = self._call(
                    "ListSecretVersionIds", partial(self._versions_page, page)
                )
                for version, at, stages in listed:
                    created[version] = at
                    labels |= dict.fromkeys(stages, version)
        except SecretStoreError as error:
            logger.warning("old labels were not swept", pool=self.name, reason=error.aws_code)
            return None
        return VersionList(created, labels)

    def _versions_page(self, page: Mapping[str, Any]) -> Any:
        answer = self._client.list_secret_version_ids(
            SecretId=self.name, IncludeDeprecated=True, MaxResults=100, **page
        )
        listed = [
            (version["VersionId"], version["CreatedDate"], version.get("VersionStages", ()))
            for version in answer["Versions"]
        ]
        return listed, {"NextToken": answer["NextToken"]} if "NextToken" in answer else None

    def _quietly(self, label: str, remove_from: str, move_to: str | None) -> None:
        """Take a label off, or move it back; if that fails, a later change makes it good."""
        try:
            self._move(label, remove_from, move_to)
        except SecretStoreError as error:
            if error.aws_code not in _REFUSED:
                logger.warning("a label was left behind", pool=self.name, reason=error.aws_code)

    def _move(self, label: str, remove_from: str | None, move_to: str | None) -> None:
        move_label(self._client, self.name, label, remove_from=remove_from, move_to=move_to)

    def _call(self, operation: str, call: Callable[[], Any]) -> Any:
        return call_secrets_manager(operation, self.name, call)


@dataclass(frozen=True)
class _Current:
    """What is current.

    Attributes:
        version: its id; None: the secret has no value yet.
        claimed: whether somebody has claimed it.
    """

    version: str | None
    claimed: bool
    pool: PoolDocument


def _refuse(message: str, _: PoolDocument) -> tuple[None, None]:
    raise KeyPoolError(message)


def _held(answer: Mapping[str, Any]) -> tuple[str, Sequence[str], Confidential]:
    """The version's id, its labels and its value; a binary value reads as no JSON."""
    return answer["VersionId"], answer["VersionStages"], value_of(answer) or Confidential("")
