"""What Secrets Manager promises of a rotation. Each test names the AWS page."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.rotations import RotationOutcome
from tests.sandbox.aws.rotating import (
    NEW,
    OLD,
    ROTATE,
    Clock,
    InProcess,
    StepEvent,
    bearer,
    describe,
    refused,
    stages,
)

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient as Client

STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]
MONTHLY: Any = {"AutomaticallyAfterDays": 30}
LIMIT = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def secret(secrets: "Client", rotator: InProcess) -> str:
    """A secret ``s`` with the value ``old`` in the version OLD; its ARN."""
    return secrets.create_secret(Name="s", SecretString="old", ClientRequestToken=OLD)["ARN"]


@pytest.fixture
def rotate(cloud: Cloud, secrets: "Client") -> Callable[..., RotationOutcome]:
    """Start a rotation with the token NEW and wait for its end."""

    def start_and_wait(token: str = NEW, **given: Any) -> RotationOutcome:
        asked = {"RotationLambdaARN": ROTATE, "RotationRules": MONTHLY} | given
        secrets.rotate_secret(SecretId="s", ClientRequestToken=token, **asked)
        return cloud.wait_for_rotation("s", token, LIMIT)

    return start_and_wait


def failing(rotator: InProcess, step: str, times: int) -> None:
    """Make ``step`` raise the first ``times`` times."""
    correct, left = rotator.handle, [times]

    def handle(event: StepEvent) -> Any:
        if event["Step"] == step and left[0]:
            left[0] -= 1
            raise ValueError(f"{step} failed")
        return correct(event)

    rotator.handle = handle


def waiting(rotator: InProcess, step: str) -> tuple[Event, Event]:
    """Make ``step`` wait: (set once it is reached, to be set to let it go on)."""
    correct, reached, go_on = rotator.handle, Event(), Event()

    def handle(event: StepEvent) -> Any:
        if event["Step"] == step:
            reached.set()
            assert go_on.wait(LIMIT.total_seconds())
        return correct(event)

    rotator.handle = handle
    return reached, go_on


class TestTheFourSteps:
    def test_events(
        self, rotate: Callable[..., RotationOutcome], rotator: InProcess, secret: str
    ) -> None:
        """User Guide rotate-secrets_lambda-functions: the event of each step, and their order."""
        assert rotate().succeeded
        assert [event["Step"] for event in rotator.events] == STEPS
        for event in rotator.events:
            assert set(event) == {"Step", "SecretId", "ClientRequestToken", "RotationToken"}
            assert (event["SecretId"], event["ClientRequestToken"]) == (secret, NEW)
            assert str(uuid.UUID(event["RotationToken"])) == event["RotationToken"]
        assert len({event["RotationToken"] for event in rotator.events}) == 4

    def test_success(
        self,
        rotate: Callable[..., RotationOutcome],
        secrets: "Client",
        clock: Clock,
    ) -> None:
        """API_RotateSecret, API_DescribeSecret: the state and the dates after a success."""
        outcome = rotate()
        assert outcome.succeeded
        assert outcome.error is None
        assert [(run.step, run.attempt, run.started) for run in outcome.steps] == [
            (step, 1, clock.now) for step in STEPS
        ]
        assert stages(secrets) == {OLD: ["AWSPREVIOUS"], NEW: ["AWSCURRENT"]}
        described = describe(secrets)
        assert described["LastRotatedDate"] == clock.now
        # RotationRulesType: the window is the whole UTC day, and ends with it.
        assert described["NextRotationDate"].isoformat() == "2026-02-09T23:59:59+00:00"
        assert described["RotationEnabled"] is True
        assert described["RotationLambdaARN"] == ROTATE
        assert described["RotationRules"] == MONTHLY

    def test_rotate_answers_before_any_step_is_over(
        self, cloud: Cloud, secrets: "Client", rotator: InProcess
    ) -> None:
        """API_RotateSecret: an asynchronous process; its answer proves nothing."""
        reached, go_on = waiting(rotator, "createSecret")
        answer = secrets.rotate_secret(
            SecretId="s", ClientRequestToken=NEW, RotationLambdaARN=ROTATE
        )
        assert answer["VersionId"] == NEW
        assert reached.wait(LIMIT.total_seconds())
        assert stages(secrets) == {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]}
        assert "LastRotatedDate" not in describe(secrets)
        with pytest.raises(TimeoutError):
            cloud.wait_for_rotation("s", NEW, timedelta(milliseconds=1))
        go_on.set()
        assert cloud.wait_for_rotation("s", NEW, LIMIT).succeeded

    def test_pending_version_exists_before_it_has_a_value(
        self, cloud: Cloud, secrets: "Client", rotator: InProcess
    ) -> None:
        """API_DescribeSecret: AWSPENDING is there first; a read of it finds no value.

        API_ListSecretVersionIds leaves versions without a value out.
        """
        reached, go_on = waiting(rotator, "createSecret")
        secrets.rotate_secret(SecretId="s", ClientRequestToken=NEW, RotationLambdaARN=ROTATE)
        assert reached.wait(LIMIT.total_seconds())
        assert bearer(secrets, "AWSPENDING") == NEW
        with refused("ResourceNotFoundException"):
            secrets.get_secret_value(SecretId="s", VersionStage="AWSPENDING")
        with refused("ResourceNotFoundException"):
            secrets.get_secret_value(SecretId="s", VersionId=NEW)
        listed = secrets.list_secret_version_ids(SecretId="s", IncludeDeprecated=True)
        assert [v["VersionId"] for v in listed["Versions"]] == [OLD]
        go_on.set()
        assert cloud.wait_for_rotation("s", NEW, LIMIT).succeeded
        assert secrets.get_secret_value(SecretId="s")["SecretString"] == f"value of {NEW}"

    def test_service_does_not_promote(
        self,
        rotate: Callable[..., RotationOutcome],
        secrets: "Client",
        rotator: InProcess,
    ) -> None:
        """User Guide rotate-secrets_lambda-functions: finishSecret moves AWSCURRENT, or nobody."""
        rotator.handle = lambda event: None
        outcome = rotate()
        assert not outcome.succeeded
        assert len(outcome.steps) == 4
        assert stages(secrets) == {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]}
        assert "LastRotatedDate" not in describe(secrets)

    def test_secret_without_a_value(
        self, cloud: Cloud, secrets: "Client", rotator: InProcess
    ) -> None:
        """API_RotateSecret needs no value; API_PutSecretValue: the first one gets AWSCURRENT."""
        secrets.create_secret(Name="empty")
        secrets.rotate_secret(SecretId="empty", ClientRequestToken=NEW, RotationLambdaARN=ROTATE)
        assert cloud.wait_for_rotation("empty", NEW, LIMIT).succeeded
        assert stages(secrets, "empty") == {NEW: ["AWSCURRENT"]}

    def test_pending_on_the_current_version_does_not_block(
        self, rotate: Callable[..., RotationOutcome], secrets: "Client"
    ) -> None:
        """API_RotateSecret: AWSPENDING may be left on the AWSCURRENT version."""
        secrets.update_secret_version_stage(
            SecretId="s", VersionStage="AWSPENDING", MoveToVersionId=OLD
        )
        assert rotate().succeeded
        assert stages(secrets) == {OLD: ["AWSPREVIOUS"], NEW: ["AWSCURRENT"]}


class TestFailures:
    def test_whole_process_is_retried_with_the_same_token(
        self, rotate: Callable[..., RotationOutcome], secrets: "Client", rotator: InProcess
    ) -> None:
        """User Guide rotate-secrets_lambda: a failed step repeats the entire process."""
        failing(rotator, "testSecret", times=2)
        outcome = rotate()
        assert outcome.succeeded
        assert [event["Step"] for event in rotator.events] == [*STEPS[:3], *STEPS[:3], *STEPS]
        assert {event["ClientRequestToken"] for event in rotator.events} == {NEW}
        assert [(run.attempt, run.step) for run in outcome.steps if run.error] == [
            (1, "testSecret"),
            (2, "testSecret"),
        ]
        assert outcome.steps[2].error == "ValueError: testSecret failed"
        assert bearer(secrets, "AWSCURRENT") == NEW

    def test_failure_leaves_pending_which_blocks_the_next(
        self, rotate: Callable[..., RotationOutcome], secrets: "Client", rotator: InProcess
    ) -> None:
        """API_RotateSecret: AWSPENDING on another version than AWSCURRENT refuses a rotation."""
        failing(rotator, "finishSecret", times=3)
        outcome = rotate()
        assert (outcome.succeeded, len(outcome.steps)) == (False, 12)
        assert outcome.error == "finishSecret: ValueError: finishSecret failed"
        assert stages(secrets) == {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]}
        assert "LastRotatedDate" not in describe(secrets)
        with refused("InvalidRequestException"):
            rotate("newer-" + "0" * 26)
        secrets.update_secret_version_stage(
            SecretId="s", VersionStage="AWSPENDING", RemoveFromVersionId=NEW
        )
        assert rotate("newer-" + "0" * 26).succeeded

    def test_token_that_lost_its_label_still_runs(
        self, cloud: Cloud, secrets: "Client", rotator: InProcess
    ) -> None:
        """User Guide rotate-secrets_lambda: retries go on, whoever took AWSPENDING away meanwhile.

        The function must therefore refuse a token that is not staged.
        """
        reached, go_on = waiting(rotator, "setSecret")
        secrets.rotate_secret(SecretId="s", ClientRequestToken=NEW, RotationLambdaARN=ROTATE)
        assert reached.wait(LIMIT.total_seconds())
        secrets.update_secret_version_stage(
            SecretId="s", VersionStage="AWSPENDING", RemoveFromVersionId=NEW
        )
        go_on.set()
        assert len(cloud.wait_for_rotation("s", NEW, LIMIT).steps) == 4
        assert bearer(secrets, "AWSCURRENT") == NEW

    def test_secret_deleted_meanwhile(
        self, cloud: Cloud, secrets: "Client", rotator: InProcess
    ) -> None:
        """API_DeleteSecret: without recovery the secret is gone at once, rotating or not."""
        reached, go_on = waiting(rotator, "createSecret")
        arn = describe(secrets)["ARN"]
        secrets.rotate_secret(SecretId="s", ClientRequestToken=NEW, RotationLambdaARN=ROTATE)
        assert reached.wait(LIMIT.total_seconds())
        secrets.delete_secret(SecretId="s", ForceDeleteWithoutRecovery=True)
        go_on.set()
        outcome = cloud.wait_for_rotation(arn, NEW, LIMIT)
        assert outcome.error is not None
        assert "ResourceNotFoundException" in outcome.error


class TestTokens:
    def test_repeat_while_it_runs_and_after(
        self, cloud: Cloud, secrets: "Client", rotator: InProcess
    ) -> None:
        """API_RotateSecret, ClientRequestToken: a caller's retry starts no second rotation."""
        reached, go_on = waiting(rotator, "testSecret")
        given: Any = {"SecretId": "s", "ClientRequestToken": NEW, "RotationLambdaARN": ROTATE}
        secrets.rotate_secret(**given)
        assert reached.wait(LIMIT.total_seconds())
        assert secrets.rotate_secret(**given)["VersionId"] == NEW
        go_on.set()
        cloud.wait_for_rotation("s", NEW, LIMIT)
        assert secrets.rotate_secret(**given)["VersionId"] == NEW
        assert [event["Step"] for event in rotator.events] == STEPS

    def test_token_of_another_version(self, secrets: "Client") -> None:
        """API_RotateSecret: the token becomes the id of a new version, so it must be a new one."""
        with refused("InvalidRequestException"):
            secrets.rotate_secret(SecretId="s", ClientRequestToken=OLD, RotationLambdaARN=ROTATE)

    def test_unknown_rotation(self, cloud: Cloud) -> None:
        """Waiting for a rotation that nobody started is a mistake, not a timeout."""
        with pytest.raises(LookupError):
            cloud.wait_for_rotation("s", NEW)


class TestConfiguration:
    def test_function_is_remembered(
        self, rotate: Callable[..., RotationOutcome], cloud: Cloud, secrets: "Client"
    ) -> None:
        """API_RotateSecret: without parameters it uses the values already stored."""
        assert rotate().succeeded
        token = secrets.rotate_secret(SecretId="s")["VersionId"]
        assert cloud.wait_for_rotation("s", token, LIMIT).succeeded
        described = describe(secrets)
        assert (described["RotationLambdaARN"], described["RotationRules"]) == (ROTATE, MONTHLY)

    def test_no_function(self, secrets: "Client") -> None:
        """API_RotateSecret, InvalidRequestException: no function configured and none given."""
        with refused("InvalidRequestException"):
            secrets.rotate_secret(SecretId="s", RotationRules=MONTHLY)

    def test_missing_function(self, secrets: "Client") -> None:
        """API_RotateSecret: the function must exist; nothing is staged or configured."""
        with refused("ResourceNotFoundException"):
            secrets.rotate_secret(SecretId="s", RotationLambdaARN=ROTATE + "-not")
        assert stages(secrets) == {OLD: ["AWSCURRENT"]}
        assert "RotationEnabled" not in describe(secrets)

    @pytest.mark.parametrize(
        "rules",
        [
            {"AutomaticallyAfterDays": 30, "ScheduleExpression": "rate(30 days)"},
            {"ScheduleExpression": "rate(3 hours)"},
            {"ScheduleExpression": "every now and then"},
            {"AutomaticallyAfterDays": 30, "Duration": "25h"},
            {"Duration": "3h"},
        ],
    )
    def test_bad_rules(self, secrets: "Client", rules: Any) -> None:
        """RotationRulesType: refused before anything is staged."""
        with refused("InvalidParameterException"):
            secrets.rotate_secret(SecretId="s", RotationLambdaARN=ROTATE, RotationRules=rules)
        assert stages(secrets) == {OLD: ["AWSCURRENT"]}

    def test_deleted_secret(self, secrets: "Client") -> None:
        """API_RotateSecret, InvalidRequestException: scheduled for deletion."""
        secrets.delete_secret(SecretId="s")
        with refused("InvalidRequestException"):
            secrets.rotate_secret(SecretId="s", RotationLambdaARN=ROTATE)

    def test_value_put_by_hand_moves_the_schedule(
        self, rotate: Callable[..., RotationOutcome], secrets: "Client", clock: Clock
    ) -> None:
        """RotationRulesType: a value put by hand counts as a rotation for the next date alone."""
        rotate()
        rotated = clock.now
        clock.now += timedelta(days=10)
        secrets.put_secret_value(SecretId="s", SecretString="by hand")
        described = describe(secrets)
        assert described["NextRotationDate"].isoformat() == "2026-02-19T23:59:59+00:00"
        assert described["LastRotatedDate"] == rotated


class TestWithoutImmediateRotation:
    def test_test_secret_alone(
        self,
        cloud: Cloud,
        secrets: "Client",
        rotator: InProcess,
    ) -> None:
        """API_RotateSecret, RotateImmediately: testSecret on an AWSPENDING that is then removed."""
        reached, go_on = waiting(rotator, "testSecret")
        secrets.rotate_secret(
            SecretId="s",
            ClientRequestToken=NEW,
            RotationLambdaARN=ROTATE,
            RotationRules=MONTHLY,
            RotateImmediately=False,
        )
        assert reached.wait(LIMIT.total_seconds())
        assert stages(secrets) == {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]}
        with refused("ResourceNotFoundException"):
            secrets.get_secret_value(SecretId="s", VersionId=NEW)
        go_on.set()
        assert cloud.wait_for_rotation("s", NEW, LIMIT).succeeded
        assert [event["Step"] for event in rotator.events] == ["testSecret"]
        assert stages(secrets) == {OLD: ["AWSCURRENT"]}
        described = describe(secrets)
        assert "LastRotatedDate" not in described
        assert described["RotationEnabled"] is True

    def test_failed_test(
        self, rotate: Callable[..., RotationOutcome], secrets: "Client", rotator: InProcess
    ) -> None:
        """API_RotateSecret: the test's version is removed whatever the test said."""
        failing(rotator, "testSecret", times=1)
        outcome = rotate(RotateImmediately=False)
        assert (outcome.succeeded, len(outcome.steps)) == (False, 1)
        assert stages(secrets) == {OLD: ["AWSCURRENT"]}
        assert rotate("newer-" + "0" * 26).succeeded


class TestCancel:
    def test_running_rotation_ends_before_its_next_step(
        self, cloud: Cloud, secrets: "Client", rotator: InProcess
    ) -> None:
        """API_CancelRotateSecret: rotation is off, and AWSPENDING is left behind and blocks."""
        reached, go_on = waiting(rotator, "setSecret")
        secrets.rotate_secret(
            SecretId="s",
            ClientRequestToken=NEW,
            RotationLambdaARN=ROTATE,
            RotationRules=MONTHLY,
        )
        assert reached.wait(LIMIT.total_seconds())
        assert secrets.cancel_rotate_secret(SecretId="s")["VersionId"] == NEW
        go_on.set()
        outcome = cloud.wait_for_rotation("s", NEW, LIMIT)
        assert not outcome.succeeded
        assert [event["Step"] for event in rotator.events] == STEPS[:2]
        assert stages(secrets) == {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]}
        described = describe(secrets)
        assert described["RotationEnabled"] is False
        assert described["RotationRules"] == MONTHLY
        assert "NextRotationDate" not in described
        with refused("InvalidRequestException"):
            secrets.rotate_secret(SecretId="s")

    def test_retries_end_too(self, secrets: "Client", cloud: Cloud, rotator: InProcess) -> None:
        """API_CancelRotateSecret: a failed attempt is not tried again."""
        reached, go_on = waiting(rotator, "testSecret")
        failing(rotator, "finishSecret", times=9)
        secrets.rotate_secret(SecretId="s", ClientRequestToken=NEW, RotationLambdaARN=ROTATE)
        assert reached.wait(LIMIT.total_seconds())
        secrets.cancel_rotate_secret(SecretId="s")
        go_on.set()
        assert len(cloud.wait_for_rotation("s", NEW, LIMIT).steps) == 3

    def test_rotation_never_configured(self, secrets: "Client") -> None:
        """API_CancelRotateSecret, InvalidRequestException."""
        with refused("InvalidRequestException"):
            secrets.cancel_rotate_secret(SecretId="s")

    def test_rotating_again_turns_it_on(
        self, rotate: Callable[..., RotationOutcome], cloud: Cloud, secrets: "Client"
    ) -> None:
        """API_CancelRotateSecret: to turn rotation on again, call RotateSecret."""
        rotate()
        secrets.cancel_rotate_secret(SecretId="s")
        assert describe(secrets)["RotationEnabled"] is False
        token = secrets.rotate_secret(SecretId="s")["VersionId"]
        assert cloud.wait_for_rotation("s", token, LIMIT).succeeded
        assert describe(secrets)["RotationEnabled"] is True


class TestHistory:
    def test_nothing_confidential_in_it(
        self, rotate: Callable[..., RotationOutcome], cloud: Cloud, rotator: InProcess
    ) -> None:
        """API_PutSecretValue marks value and RotationToken as sensitive: neither is kept."""
        rotate()
        seen = repr((cloud.rotations, cloud.calls))
        assert [run.step for run in cloud.rotations] == STEPS
        assert f"value of {NEW}" not in seen
        assert not any(event["RotationToken"] in seen for event in rotator.events)

    def test_reset_ends_what_runs(
        self, cloud: Cloud, secrets: "Client", rotator: InProcess
    ) -> None:
        """After a reset no step of an earlier rotation runs, and nothing of it is remembered."""
        reached, go_on = waiting(rotator, "createSecret")
        secrets.rotate_secret(SecretId="s", ClientRequestToken=NEW, RotationLambdaARN=ROTATE)
        assert reached.wait(LIMIT.total_seconds())
        cloud.reset()
        assert (cloud.rotations, cloud.calls) == ([], [])
        secrets.create_secret(Name="s", SecretString="another", ClientRequestToken=OLD)
        go_on.set()
        secrets.rotate_secret(
            SecretId="s", ClientRequestToken="newer-" + "0" * 26, RotationLambdaARN=ROTATE
        )
        assert cloud.wait_for_rotation("s", "newer-" + "0" * 26, LIMIT).succeeded
        of_the_first = [e["Step"] for e in rotator.events if e["ClientRequestToken"] == NEW]
        assert of_the_first == ["createSecret"]
        assert {run.token for run in cloud.rotations} == {"newer-" + "0" * 26}
