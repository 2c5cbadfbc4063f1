"""What Secrets Manager promises of values and labels. Each test names the AWS page."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud
from tests.sandbox.aws.rotating import NEW, OLD, ROTATE, Clock, bearer, refused, stages

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient as Client


@pytest.fixture(autouse=True)
def secret(secrets: "Client") -> str:
    """A secret ``s`` with the value ``old`` in the version OLD; its ARN."""
    return secrets.create_secret(Name="s", SecretString="old", ClientRequestToken=OLD)["ARN"]


def put(secrets: "Client", token: str, value: str, *labels: str) -> None:
    """PutSecretValue, with VersionStages only where labels are given."""
    given: Any = {"VersionStages": list(labels)} if labels else {}
    secrets.put_secret_value(SecretId="s", ClientRequestToken=token, SecretString=value, **given)


class TestPutSecretValue:
    def test_without_stages_moves_current(self, secrets: "Client") -> None:
        """API_PutSecretValue: no VersionStages moves AWSCURRENT, and AWSPREVIOUS behind it."""
        put(secrets, NEW, "new")
        assert stages(secrets) == {OLD: ["AWSPREVIOUS"], NEW: ["AWSCURRENT"]}

    def test_with_stages_moves_exactly_those(self, secrets: "Client") -> None:
        """API_PutSecretValue: given labels move, AWSCURRENT stays, and a read still gives it."""
        put(secrets, NEW, "new", "AWSPENDING", "mine")
        assert stages(secrets) == {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING", "mine"]}
        assert secrets.get_secret_value(SecretId="s")["SecretString"] == "old"

    def test_label_sits_on_one_version(self, secrets: "Client") -> None:
        """API_PutSecretValue: a label on another version is removed from there."""
        put(secrets, NEW, "new", "AWSPENDING")
        put(secrets, "newer-" + "0" * 26, "newer", "AWSPENDING")
        assert stages(secrets) == {OLD: ["AWSCURRENT"], "newer-" + "0" * 26: ["AWSPENDING"]}

    def test_same_token_same_value_does_nothing(self, secrets: "Client") -> None:
        """API_PutSecretValue: a repeat succeeds and moves no label."""
        put(secrets, NEW, "new", "AWSPENDING")
        put(secrets, NEW, "new")
        assert stages(secrets) == {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]}

    def test_same_token_other_value_is_refused(self, secrets: "Client") -> None:
        """API_PutSecretValue: a version cannot be changed, AWSPENDING included."""
        put(secrets, NEW, "new", "AWSPENDING")
        with refused("ResourceExistsException"):
            put(secrets, NEW, "other", "AWSPENDING")
        kept = secrets.get_secret_value(SecretId="s", VersionStage="AWSPENDING")
        assert kept["SecretString"] == "new"

    def test_value_of_65536_bytes_is_the_largest(self, secrets: "Client") -> None:
        """API_PutSecretValue, SecretString: 65,536 at most, counted in bytes."""
        put(secrets, NEW, "é" * 32_768)
        with refused("ValidationException"):
            put(secrets, "newer-" + "0" * 26, "é" * 32_768 + "x")
        with refused("ValidationException"):
            secrets.put_secret_value(SecretId="s", SecretBinary=b"x" * 65_537)

    def test_rotation_token(self, secrets: "Client") -> None:
        """API_PutSecretValue, RotationToken: 36 to 256 letters, digits and hyphens."""
        given: Any = {"SecretId": "s", "ClientRequestToken": NEW, "SecretString": "new"}
        with refused("ValidationException"):
            secrets.put_secret_value(RotationToken="{" + "0" * 36 + "}", **given)
        assert stages(secrets) == {OLD: ["AWSCURRENT"]}
        secrets.put_secret_value(RotationToken="0" * 36, **given)
        assert bearer(secrets, "AWSCURRENT") == NEW

    def test_deleted_secret_is_not_written(self, secrets: "Client") -> None:
        """API_PutSecretValue, InvalidRequestException: the secret is scheduled for deletion."""
        secrets.delete_secret(SecretId="s")
        with refused("InvalidRequestException"):
            put(secrets, NEW, "new")
        secrets.restore_secret(SecretId="s")
        assert stages(secrets) == {OLD: ["AWSCURRENT"]}

    def test_twenty_labels_on_a_secret(self, secrets: "Client") -> None:
        """User Guide reference_limits: 20 labels across all versions of a secret."""
        put(secrets, NEW, "new", *(f"label-{n}" for n in range(19)))
        with refused("LimitExceededException"):
            put(secrets, "newer-" + "0" * 26, "newer", "one-more")
        with refused("LimitExceededException"):
            put(secrets, "newer-" + "0" * 26, "newer")
        assert set(stages(secrets)) == {OLD, NEW}

    def test_a_hundred_versions_of_a_day(self, secrets: "Client", clock: Clock) -> None:
        """User Guide reference_limits: versions under 24 hours old are not removed."""
        for number in range(99):
            put(secrets, f"{number:036}", "new", "label")
        with refused("LimitExceededException"):
            put(secrets, NEW, "one more", "label")
        clock.now += timedelta(hours=24)
        put(secrets, NEW, "one more", "label")
        listed = secrets.list_secret_version_ids(SecretId="s", IncludeDeprecated=True)
        ids = {version["VersionId"] for version in listed["Versions"]}
        assert ids == {OLD, NEW, *(f"{number:036}" for number in range(1, 99))}

    def test_replica_is_not_written(self, cloud: Cloud, secrets: "Client", secret: str) -> None:
        """User Guide create-manage-multi-region-secrets: a replica is written at its primary."""
        secrets.replicate_secret_to_regions(
            SecretId="s", AddReplicaRegions=[{"Region": "eu-west-1"}]
        )
        there = cloud.client("secretsmanager", "eu-west-1")
        assert there.get_secret_value(SecretId="s")["SecretString"] == "old"
        with refused("InvalidParameterException"):
            there.put_secret_value(SecretId="s", SecretString="new")
        with refused("InvalidParameterException"):
            there.rotate_secret(SecretId="s", RotationLambdaARN=ROTATE)
        described = there.describe_secret(SecretId=secret.replace("us-east-1", "eu-west-1"))
        assert described["PrimaryRegion"] == "us-east-1"


class TestGetSecretValue:
    def test_default_is_current(self, secrets: "Client") -> None:
        """API_GetSecretValue: without version and stage it is AWSCURRENT, after a rollback too."""
        put(secrets, NEW, "new")
        secrets.update_secret_version_stage(
            SecretId="s",
            VersionStage="AWSCURRENT",
            RemoveFromVersionId=NEW,
            MoveToVersionId=OLD,
        )
        got = secrets.get_secret_value(SecretId="s")
        assert (got["SecretString"], got["VersionId"]) == ("old", OLD)

    def test_unknown_label_or_version(self, secrets: "Client") -> None:
        """API_GetSecretValue, ResourceNotFoundException."""
        with refused("ResourceNotFoundException"):
            secrets.get_secret_value(SecretId="s", VersionStage="AWSPENDING")
        with refused("ResourceNotFoundException"):
            secrets.get_secret_value(SecretId="s", VersionId=NEW)
        with refused("ResourceNotFoundException"):
            secrets.get_secret_value(SecretId="nobody")

    def test_version_and_stage_must_agree(self, secrets: "Client") -> None:
        """API_GetSecretValue: VersionId and VersionStage must name the same version."""
        with refused("InvalidRequestException"):
            secrets.get_secret_value(SecretId="s", VersionId=OLD, VersionStage="AWSPENDING")

    def test_secret_without_a_value(self, secrets: "Client") -> None:
        """API_CreateSecret: a secret may have no value; reading it finds nothing."""
        secrets.create_secret(Name="empty")
        with refused("ResourceNotFoundException"):
            secrets.get_secret_value(SecretId="empty")
        assert "VersionIdsToStages" not in secrets.describe_secret(SecretId="empty")

    def test_deleted_secret_is_not_read(self, secrets: "Client") -> None:
        """API_GetSecretValue refuses a secret scheduled for deletion; DescribeSecret tells when."""
        secrets.delete_secret(SecretId="s")
        with refused("InvalidRequestException"):
            secrets.get_secret_value(SecretId="s")
        assert secrets.describe_secret(SecretId="s")["DeletedDate"] > datetime.now(UTC)


class TestUpdateSecretVersionStage:
    def move(
        self, secrets: "Client", stage: str, *, source: str | None, target: str | None
    ) -> None:
        given: Any = {"RemoveFromVersionId": source, "MoveToVersionId": target}
        secrets.update_secret_version_stage(
            SecretId="s",
            VersionStage=stage,
            **{name: version for name, version in given.items() if version},
        )

    def test_moving_current_moves_previous(self, secrets: "Client") -> None:
        """API_UpdateSecretVersionStage: AWSPREVIOUS goes where AWSCURRENT was."""
        put(secrets, NEW, "new", "AWSPENDING")
        self.move(secrets, "AWSCURRENT", source=OLD, target=NEW)
        assert stages(secrets) == {OLD: ["AWSPREVIOUS"], NEW: ["AWSCURRENT", "AWSPENDING"]}
        self.move(secrets, "AWSCURRENT", source=NEW, target=OLD)
        assert stages(secrets) == {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING", "AWSPREVIOUS"]}

    @pytest.mark.parametrize("source", [None, NEW, "nobody-" + "0" * 25])
    def test_source_must_bear_the_label(self, secrets: "Client", source: str | None) -> None:
        """API_UpdateSecretVersionStage: a missing or wrong RemoveFromVersionId fails the call."""
        put(secrets, NEW, "new", "AWSPENDING")
        with refused("InvalidParameterException"):
            self.move(secrets, "AWSCURRENT", source=source, target=NEW)
        assert stages(secrets) == {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]}

    def test_unknown_target(self, secrets: "Client") -> None:
        """API_UpdateSecretVersionStage, ResourceNotFoundException; the label stays."""
        with refused("ResourceNotFoundException"):
            self.move(secrets, "AWSCURRENT", source=OLD, target=NEW)
        assert stages(secrets) == {OLD: ["AWSCURRENT"]}

    def test_current_is_never_removed(self, secrets: "Client") -> None:
        """User Guide whats-in-a-secret: a secret always has a version labelled AWSCURRENT."""
        with refused("InvalidParameterException"):
            self.move(secrets, "AWSCURRENT", source=OLD, target=None)
        assert bearer(secrets, "AWSCURRENT") == OLD

    def test_label_of_nobody_cannot_be_removed(self, secrets: "Client") -> None:
        """API_UpdateSecretVersionStage: RemoveFromVersionId must bear the label."""
        with refused("InvalidParameterException"):
            self.move(secrets, "AWSPENDING", source=OLD, target=None)

    def test_free_label_is_attached(self, secrets: "Client") -> None:
        """API_UpdateSecretVersionStage: a label that sits nowhere needs no RemoveFromVersionId."""
        self.move(secrets, "mine", source=None, target=OLD)
        self.move(secrets, "mine", source=None, target=OLD)
        assert stages(secrets) == {OLD: ["AWSCURRENT", "mine"]}

    def test_twenty_labels_on_a_secret(self, secrets: "Client") -> None:
        """User Guide reference_limits: 20 labels across all versions of a secret."""
        for number in range(19):
            self.move(secrets, f"label-{number}", source=None, target=OLD)
        with refused("LimitExceededException"):
            self.move(secrets, "one-more", source=None, target=OLD)
        self.move(secrets, "label-0", source=OLD, target=None)
        self.move(secrets, "one-more", source=None, target=OLD)
        assert len(stages(secrets)[OLD]) == 20

    def test_deleted_secret(self, secrets: "Client") -> None:
        """API_UpdateSecretVersionStage, InvalidRequestException."""
        secrets.delete_secret(SecretId="s")
        with refused("InvalidRequestException"):
            self.move(secrets, "mine", source=None, target=OLD)

    def test_of_many_at_once_one_wins(self, cloud: Cloud, secrets: "Client") -> None:
        """API_UpdateSecretVersionStage: a compare-and-swap, whoever asks at the same moment."""
        rivals = [f"rival-{number}-" + "0" * 24 for number in range(6)]
        for rival in rivals:
            put(secrets, rival, rival, rival)
        together = Barrier(len(rivals))

        def attempt(rival: str) -> bool:
            together.wait()
            try:
                self.move(secrets, "AWSCURRENT", source=OLD, target=rival)
            except ClientError:
                return False
            return True

        with ThreadPoolExecutor(len(rivals)) as pool:
            won = list(pool.map(attempt, rivals))
        assert won.count(True) == 1
        assert bearer(secrets, "AWSCURRENT") == rivals[won.index(True)]
        assert bearer(secrets, "AWSPREVIOUS") == OLD


class TestDeprecatedVersions:
    def test_version_without_labels(self, secrets: "Client", secret: str) -> None:
        """API_ListSecretVersionIds: unlabelled versions only with IncludeDeprecated, yet readable.

        DescribeSecret shows only versions that bear a label (API_DescribeSecret).
        """
        put(secrets, NEW, "new", "AWSPENDING")
        secrets.update_secret_version_stage(
            SecretId="s", VersionStage="AWSPENDING", RemoveFromVersionId=NEW
        )
        assert stages(secrets) == {OLD: ["AWSCURRENT"]}
        listed = secrets.list_secret_version_ids(SecretId="s")
        assert (listed["ARN"], listed["Name"]) == (secret, "s")
        assert [v["VersionId"] for v in listed["Versions"]] == [OLD]
        everything = secrets.list_secret_version_ids(SecretId="s", IncludeDeprecated=True)
        assert {v["VersionId"]: v["VersionStages"] for v in everything["Versions"]} == {
            OLD: ["AWSCURRENT"],
            NEW: [],
        }
        assert secrets.get_secret_value(SecretId="s", VersionId=NEW)["SecretString"] == "new"

    def test_created_dates_are_those_of_the_versions(self, secrets: "Client", clock: Clock) -> None:
        """SecretVersionsListEntry, CreatedDate: when the version was created, not now."""
        first = clock.now
        clock.now += timedelta(days=1)
        put(secrets, NEW, "new")
        clock.now += timedelta(days=1)
        listed = secrets.list_secret_version_ids(SecretId="s")["Versions"]
        assert [v["CreatedDate"] for v in listed] == [first, first + timedelta(days=1)]

    def test_pages(self, secrets: "Client") -> None:
        """API_ListSecretVersionIds: MaxResults and NextToken."""
        put(secrets, NEW, "new")
        first = secrets.list_secret_version_ids(SecretId="s", MaxResults=1)
        assert [v["VersionId"] for v in first["Versions"]] == [OLD]
        rest = secrets.list_secret_version_ids(SecretId="s", NextToken=first["NextToken"])
        assert [v["VersionId"] for v in rest["Versions"]] == [NEW]
        assert "NextToken" not in rest
        with refused("InvalidNextTokenException"):
            secrets.list_secret_version_ids(SecretId="s", NextToken="next")


class TestCreateAndUpdate:
    def test_create_is_idempotent_by_token(self, secrets: "Client", secret: str) -> None:
        """API_CreateSecret: the same token and value again succeeds; anything else exists."""
        again = secrets.create_secret(Name="s", SecretString="old", ClientRequestToken=OLD)
        assert again["ARN"] == secret
        with refused("ResourceExistsException"):
            secrets.create_secret(Name="s", SecretString="other", ClientRequestToken=OLD)
        with refused("ResourceExistsException"):
            secrets.create_secret(Name="s", SecretString="old")

    def test_name_of_a_deleted_secret(self, secrets: "Client") -> None:
        """API_CreateSecret, InvalidRequestException: the name is scheduled for deletion."""
        secrets.delete_secret(SecretId="s")
        with refused("InvalidRequestException"):
            secrets.create_secret(Name="s", SecretString="new")

    def test_update_makes_a_current_version(self, secrets: "Client") -> None:
        """API_UpdateSecret: a value becomes AWSCURRENT; a description alone makes no version."""
        secrets.update_secret(SecretId="s", Description="what it is")
        assert stages(secrets) == {OLD: ["AWSCURRENT"]}
        secrets.update_secret(SecretId="s", SecretString="new", ClientRequestToken=NEW)
        assert stages(secrets) == {OLD: ["AWSPREVIOUS"], NEW: ["AWSCURRENT"]}
        assert secrets.describe_secret(SecretId="s")["Description"] == "what it is"
        with refused("ResourceExistsException"):
            secrets.update_secret(SecretId="s", SecretString="other", ClientRequestToken=NEW)

    def test_list_secrets_shows_labelled_versions(self, secrets: "Client") -> None:
        """SecretListEntry, SecretVersionsToStages: versions with a label."""
        put(secrets, NEW, "new")
        put(secrets, "newer-" + "0" * 26, "newer")
        (entry,) = secrets.list_secrets()["SecretList"]
        assert entry["SecretVersionsToStages"] == {
            NEW: ["AWSPREVIOUS"],
            "newer-" + "0" * 26: ["AWSCURRENT"],
        }

    def test_last_accessed_is_a_date(self, secrets: "Client") -> None:
        """API_DescribeSecret, LastAccessedDate: absent until read, and then without a time."""
        assert "LastAccessedDate" not in secrets.describe_secret(SecretId="s")
        secrets.get_secret_value(SecretId="s")
        accessed = secrets.describe_secret(SecretId="s")["LastAccessedDate"].astimezone(UTC)
        assert (accessed.hour, accessed.minute, accessed.second) == (0, 0, 0)
