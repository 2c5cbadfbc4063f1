"""One secret's versions and staging labels, with the rules of AWS.

Every rule names the AWS page that it is from; `secrets_manager` calls this, and moto's own secret
carries everything else (tags, policy, replicas). Times are POSIX seconds, as on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from moto.secretsmanager.exceptions import (
    InvalidParameterException,
    ResourceExistsException,
    ResourceNotFoundException,
    SecretsManagerClientError,
    ValidationException,
)
from moto.secretsmanager.models import FakeSecret

from rotation.sandbox.aws.schedule import Schedule

# AWS's own names, written here again: the sandbox must not share what it judges.
AWSCURRENT: Final = "AWSCURRENT"
AWSPENDING: Final = "AWSPENDING"
AWSPREVIOUS: Final = "AWSPREVIOUS"

MOST_LABELS: Final = 20
MOST_VERSIONS: Final = 100
KEPT_FOR_SECONDS: Final = 24 * 60 * 60
MOST_VALUE_BYTES: Final = 65_536

# secret_string or secret_binary (base64 text), as moto keeps them on a version.
Value = Mapping[str, str]


class LimitExceededError(SecretsManagerClientError):  # type: ignore[misc]
    """A Secrets Manager quota is reached."""

    def __init__(self, message: str) -> None:
        super().__init__("LimitExceededException", message)


def checked_value(string: str | None, binary: str | None) -> Value:
    """What a request brings as a value; empty where it brings none.

    Raises:
        InvalidParameterException: both kinds (API_PutSecretValue: one, not both).
        ValidationException: over 65,536 bytes (API_PutSecretValue, Length Constraints; User
            Guide reference_limits: the size of a secret value).
    """
    if string is not None and binary is not None:
        raise InvalidParameterException("Give SecretString or SecretBinary, not both.")
    if string is not None:
        size, value = len(string.encode()), {"secret_string": string}
    elif binary is not None:
        size, value = len(binary) * 3 // 4 - binary[-2:].count("="), {"secret_binary": binary}
    else:
        return {}
    if size > MOST_VALUE_BYTES:
        raise ValidationException(f"The secret value is {size} bytes; {MOST_VALUE_BYTES} at most.")
    return value


def value_of(version: Mapping[str, Any]) -> Value:
    """The value that a version holds; empty for one that has none yet."""
    return {name: version[name] for name in ("secret_string", "secret_binary") if name in version}


class FaithfulSecret(FakeSecret):  # type: ignore[misc]
    """moto's secret, with versions and labels that behave as AWS's do.

    A version is moto's dict: ``version_id``, ``createdate``, ``version_stages``, and
    ``secret_string`` or ``secret_binary`` once it has a value. A version without labels is
    deprecated: it stays readable by its id, and appears only where deprecated ones are asked for.
    """

    __module__ = "moto.secretsmanager.models"

    def __init__(self, **members: Any) -> None:
        super().__init__(secret_version={}, version_id="", **members)
        self.schedule: Schedule | None = None
        self.last_accessed: float | None = None

    @property
    def default_version_id(self) -> str | None:
        """The version that bears AWSCURRENT: what a read without a version means."""
        current = self.labelled(AWSCURRENT)
        return None if current is None else str(current["version_id"])

    def set_default_version_id(self, version_id: str | None) -> None:
        """Nothing: the default follows the label AWSCURRENT, and nothing else."""

    def labelled(self, stage: str) -> dict[str, Any] | None:
        """The one version that bears ``stage``, or None."""
        return next((v for v in self.versions.values() if stage in v["version_stages"]), None)

    def stage_empty(self, version_id: str, now: float) -> None:
        """Create a version without a value and give it AWSPENDING, as RotateSecret does."""
        self._refuse_too_many_labels([AWSPENDING])
        self._refuse_too_many_versions(now)
        self._create(version_id, now)
        self._attach(AWSPENDING, version_id)

    def put(self, version_id: str, value: Value, stages: Sequence[str], now: float) -> None:
        """Store a value under ``version_id`` and move ``stages`` there (API_PutSecretValue).

        The same value again is a no-op, labels included. A version that exists without a value
        gets it. The first value of a secret gets AWSCURRENT besides.

        Raises:
            ResourceExistsException: the version holds another value; values are immutable.
            LimitExceededError: more than 20 labels on the secret, or more than 100 versions.
        """
        held = value_of(self.versions.get(version_id, {}))
        if held:
            if held == value:
                return
            raise ResourceExistsException(
                f"Version {version_id} of {self.arn} already holds another value."
            )
        wanted = list(stages)
        if AWSCURRENT not in wanted and not any(map(value_of, self.versions.values())):
            wanted.append(AWSCURRENT)
        self._refuse_too_many_labels(wanted)
        if version_id not in self.versions:
            self._refuse_too_many_versions(now)
            self._create(version_id, now)
        self.versions[version_id].update(value)
        for stage in wanted:
            self._attach(stage, version_id)
        self.last_changed_date = now

    def move_label(self, stage: str, remove_from: str | None, move_to: str | None) -> None:
        """Move, attach or remove one label: a compare-and-swap (API_UpdateSecretVersionStage).

        Raises:
            InvalidParameterException: ``remove_from`` is not the version that bears the label, is
                missing though another version bears it, or AWSCURRENT would be on no version
                (User Guide whats-in-a-secret: a secret always has a version labelled AWSCURRENT).
            ResourceNotFoundException: no version ``move_to``.
            LimitExceededError: more than 20 labels on the secret.
        """
        holder = self.labelled(stage)
        bearer = None if holder is None else holder["version_id"]
        if remove_from is None and move_to is None:
            raise InvalidParameterException("Give RemoveFromVersionId, MoveToVersionId, or both.")
        if remove_from is not None and remove_from != bearer:
            raise InvalidParameterException(
                f"RemoveFromVersionId must be the version that {stage} is attached to."
            )
        if move_to is None:
            if stage == AWSCURRENT:
                raise InvalidParameterException("AWSCURRENT can be moved, but not removed.")
            self.versions[bearer]["version_stages"].remove(stage)
            return
        if move_to not in self.versions:
            raise ResourceNotFoundException(f"Secrets Manager can't find version {move_to}.")
        if remove_from is None and bearer not in {None, move_to}:
            raise InvalidParameterException(
                f"{stage} is attached to version {bearer}: RemoveFromVersionId must say so."
            )
        self._refuse_too_many_labels([stage])
        self._attach(stage, move_to)

    def drop_version(self, version_id: str) -> None:
        """Delete a version that bears no label but AWSPENDING; leave any other one alone."""
        version = self.versions.get(version_id)
        if version is not None and set(version["version_stages"]) <= {AWSPENDING}:
            del self.versions[version_id]

    def to_dict(self) -> dict[str, Any]:
        """What DescribeSecret answers: labelled versions only, and only members with a value.

        API_DescribeSecret: the rotation dates are null where rotation is off; RotationRules and
        the function stay visible; RotationEnabled is absent where rotation was never configured.
        """
        labelled = {
            version_id: list(version["version_stages"])
            for version_id, version in self.versions.items()
            if version["version_stages"]
        }
        described = super().to_dict() | {
            "VersionIdsToStages": labelled or None,
            "SecretVersionsToStages": labelled or None,
            "LastAccessedDate": self.last_accessed,
            "RotationEnabled": self.rotation_enabled if self.rotation_requested else None,
            "RotationLambdaARN": self.rotation_lambda_arn or None,
            "RotationRules": None if self.schedule is None else dict(self.schedule.rules),
            "LastRotatedDate": self.last_rotation_date if self.rotation_enabled else None,
            "NextRotationDate": self.next_rotation_date if self.rotation_enabled else None,
            "PrimaryRegion": self.region if self.replicas else None,
        }
        return {name: value for name, value in described.items() if value is not None}

    def _create(self, version_id: str, now: float) -> None:
        self.versions[version_id] = {
            "version_id": version_id,
            "createdate": now,
            "version_stages": [],
        }

    def _attach(self, stage: str, version_id: str) -> None:
        """Put ``stage`` on one version alone; AWSPREVIOUS follows where AWSCURRENT was."""
        holder = self.labelled(stage)
        target = self.versions[version_id]
        if holder is target:
            return
        if holder is not None:
            holder["version_stages"].remove(stage)
        target["version_stages"].append(stage)
        if stage == AWSCURRENT and holder is not None:
            self._attach(AWSPREVIOUS, holder["version_id"])

    def _refuse_too_many_versions(self, now: float) -> None:
        """Remove the oldest versions that may go, and refuse another one where none may.

        User Guide reference_limits, API_PutSecretValue: Secrets Manager removes unlabeled versions
        when there are more than 100, but none that was created less than 24 hours ago.
        """
        removable = sorted(
            (
                version
                for version in self.versions.values()
                if not version["version_stages"] and now - version["createdate"] >= KEPT_FOR_SECONDS
            ),
            key=lambda version: version["createdate"],
        )
        while len(self.versions) >= MOST_VERSIONS and removable:
            del self.versions[removable.pop(0)["version_id"]]
        if len(self.versions) >= MOST_VERSIONS:
            raise LimitExceededError(f"A secret has {MOST_VERSIONS} versions at most.")

    def _refuse_too_many_labels(self, added: Sequence[str]) -> None:
        # User Guide reference_limits: labels attached across all versions of a secret.
        labels = {stage for v in self.versions.values() for stage in v["version_stages"]}
        if AWSCURRENT in added and AWSCURRENT in labels:
            labels.add(AWSPREVIOUS)
        if len(labels | set(added)) > MOST_LABELS:
            raise LimitExceededError(
                f"A secret has {MOST_LABELS} staging labels at most on all its versions."
            )
