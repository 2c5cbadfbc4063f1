"""The four steps, one at a time: what each does, and what it leaves when it is repeated."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from rotation.core import steps
from rotation.core.steps import STEPS, create_secret, finish_secret, set_secret
from rotation.credential import SecretDocument
from rotation.errors import (
    ConfigurationError,
    CredentialRejectedError,
    InvalidCredentialError,
    KeyQuotaError,
    RotationError,
    SealVerificationError,
    SecretStoreError,
    VendorUnavailableError,
    VersionStateError,
)
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sandbox.vendor import Fault, Outage
from rotation.secrets_manager.versions import AWSCURRENT, SecretVersions
from tests.rotation_fixture import House, new_token

prove_secret = steps.test_secret


def run_all(house: House, token: str) -> None:
    for step in STEPS.values():
        step(house.rotation(token))


def test_a_rotation_replaces_the_key_and_keeps_the_old_one_alive(house: House) -> None:
    """Four steps: a new key is current, the old one is AWSPREVIOUS and still signs."""
    old = house.store(team="archive")
    before = house.version("AWSCURRENT")
    token = house.stage()
    run_all(house, token)
    assert house.labels() == {token: {"AWSCURRENT"}, before: {"AWSPREVIOUS"}}
    value = house.value("AWSCURRENT")
    assert value["apiKeyId"] in house.active_keys()
    assert value["team"] == "archive"
    assert set(value) == {"apiKey", "apiKeyId", "issuedAt", "expiresAt", "team"}
    assert house.value("AWSPREVIOUS")["apiKeyId"] == old.id
    assert house.vendor.keys.accepted(old.id)


def test_an_empty_secret_gets_its_first_key_by_rotation(house: House) -> None:
    """Without any current version the first rotation issues, proves and promotes."""
    token = house.stage()
    run_all(house, token)
    assert house.labels() == {token: {"AWSCURRENT"}}


def test_a_current_value_that_cannot_be_read_yet_is_not_taken_for_none(house: House) -> None:
    """Reads are eventually consistent: what the organisation keeps beside the key is not lost."""
    house.store(team="archive")
    current = house.version(AWSCURRENT)
    token = house.stage()

    class Lagging(SecretVersions):
        def read(self, version: str) -> SecretDocument | None:
            return None if version == current else super().read(version)

    with pytest.raises(VersionStateError, match="cannot be read yet"):
        create_secret(house.rotation(token, secret=Lagging(house.client, house.arn)))
    assert house.active_keys() == set()
    for step in STEPS.values():
        step(house.rotation(token))
    assert house.value(AWSCURRENT)["team"] == "archive"


def test_the_first_key_of_an_empty_secret_is_proven_before_it_is_stored(house: House) -> None:
    """The first version is current at once, so an unproven key never gets that far."""
    token = house.stage()
    house.vendor.faults.next("sign", Fault.STRANGER)
    with pytest.raises(SealVerificationError):
        create_secret(house.rotation(token))
    assert house.version("AWSCURRENT") is None
    run_all(house, token)
    assert house.active_keys() == {house.value("AWSCURRENT")["apiKeyId"]}


@pytest.mark.parametrize("times", [2, 3])
def test_every_step_may_run_again(house: House, times: int) -> None:
    """Each step repeated, and the whole process repeated, leaves one key and one promotion."""
    house.store()
    token = house.stage()
    for step in STEPS.values():
        for _ in range(times):
            step(house.rotation(token))
    labels = house.labels()
    run_all(house, token)
    assert house.labels() == labels
    assert len(house.active_keys()) == 1


@pytest.mark.parametrize("step", STEPS)
def test_no_step_acts_on_a_token_that_is_not_staged(house: House, step: str) -> None:
    """A foreign token, or one whose AWSPENDING was taken away, is refused; nothing is issued."""
    house.store()
    staged = house.stage()
    house.rotation(staged).secret.unstage_pending(staged)
    before = house.labels()
    for token in (new_token(), staged):
        with pytest.raises(VersionStateError, match="not staged"):
            STEPS[step](house.rotation(token))
    assert house.labels() == before
    assert house.active_keys() == set()


@pytest.mark.parametrize("step", STEPS)
def test_a_replay_never_promotes_a_retired_key(house: House, step: str) -> None:
    """The token of a rotation before the last is AWSPREVIOUS: late retries of it change nothing."""
    house.store()
    first = house.stage()
    run_all(house, first)
    second = house.stage()
    run_all(house, second)
    before = house.labels()
    assert before[first] == {"AWSPREVIOUS"}
    with pytest.raises(VersionStateError, match="not staged"):
        STEPS[step](house.rotation(first))
    assert house.labels() == before


@pytest.mark.parametrize("step", STEPS)
def test_a_secret_of_another_function_is_left_alone(house: House, step: str) -> None:
    """The event is hostile: the secret itself must name this function."""
    house.store()
    token = house.stage()
    elsewhere = house.function_arn.replace("rotate", "other")
    with pytest.raises(VersionStateError, match="not rotated by this function"):
        STEPS[step](house.rotation(token, function_arn=elsewhere))
    assert house.active_keys() == set()


def test_a_version_or_alias_in_the_function_s_arn_does_not_matter(house: House) -> None:
    """Secrets Manager may name an alias; the function is the same."""
    token = house.stage()
    create_secret(house.rotation(token, function_arn=house.function_arn + ":live"))
    assert len(house.active_keys()) == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_deleted_secret_is_refused(house: House, step: str) -> None:
    """DescribeSecret still answers for it; no key is issued for what is about to vanish."""
    house.store()
    token = house.stage()
    house.client.delete_secret(SecretId=house.arn)
    with pytest.raises(VersionStateError, match="Restore it"):
        STEPS[step](house.rotation(token))
    assert house.active_keys() == set()


@pytest.mark.parametrize("step", STEPS)
def test_a_cancelled_rotation_is_refused(house: House, step: str) -> None:
    """CancelRotateSecret turns rotation off: no step goes on."""
    house.store()
    token = house.stage()
    house.client.cancel_rotate_secret(SecretId=house.arn)
    with pytest.raises(VersionStateError, match="turned off"):
        STEPS[step](house.rotation(token))
    assert house.active_keys() == set()


@pytest.mark.parametrize(
    "value",
    [
        "not json",
        json.dumps(["apiKey"]),
        json.dumps({"apiKeyId": "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"}),
        json.dumps({"apiKey": "ab" * 32}),
        json.dumps({"apiKey": "xy" * 32, "apiKeyId": "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"}),
        json.dumps({"apiKey": "ab" * 32 + "a", "apiKeyId": "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"}),
    ],
)
def test_a_current_value_that_is_no_key_stops_before_anything_is_issued(
    house: House, value: str
) -> None:
    """Its other members could not be carried over, so it is left as it is, and named."""
    house.put(value)
    token = house.stage()
    with pytest.raises(InvalidCredentialError, match="trusted-signatures-api"):
        create_secret(house.rotation(token))
    assert house.active_keys() == set()
    current = house.client.get_secret_value(SecretId=house.arn, VersionStage="AWSCURRENT")
    assert current["SecretString"] == value


def test_a_lost_answer_of_the_issuer_leaves_no_stray(house: House) -> None:
    """The key of the lost answer is revoked once the next attempt's key is stored."""
    house.store()
    token = house.stage()
    house.vendor.faults.next("create", Fault.LOSE_REPLY)
    with pytest.raises(VendorUnavailableError):
        create_secret(house.rotation(token))
    assert len(house.active_keys()) == 1
    create_secret(house.rotation(token))
    assert house.active_keys() == {house.value("AWSPENDING")["apiKeyId"]}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", [AwsError("InternalServiceError", status=500), Dropped()])
def test_a_lost_put_is_made_good_by_the_retry(
    house: House, when: str, fault: AwsError | Dropped
) -> None:
    """Whether the put took effect or not, the retry ends with one key, the stored one."""
    house.store()
    token = house.stage()
    getattr(house.cloud.faults, when)("PutSecretValue", fault, times=20)
    with pytest.raises(SecretStoreError) as failed:
        create_secret(house.rotation(token))
    assert failed.value.retryable
    house.cloud.faults.clear()
    create_secret(house.rotation(token))
    assert house.active_keys() == {house.value("AWSPENDING")["apiKeyId"]}


def test_the_loser_of_a_race_adopts_the_winner_s_key(house: House) -> None:
    """Two invocations with one token: the value stored first stays, the other's key is revoked."""
    house.store()
    token = house.stage()
    winner: list[str] = []

    class SlowIssuer:
        """Lets the winner store its key between our issue and our put."""

        def issue(self, *args: object) -> object:
            key = house.issuer.issue(*args)  # type: ignore[arg-type]
            if not winner:
                winner.append(house.stage_key(token).id)
            return key

        def __getattr__(self, name: str) -> object:
            return getattr(house.issuer, name)

    create_secret(house.rotation(token, issuer=SlowIssuer()))
    assert house.value("AWSPENDING")["apiKeyId"] == winner[0]
    assert house.active_keys() == set(winner)


def test_a_token_unstaged_while_its_key_was_made_is_given_up(house: House) -> None:
    """A forced rotation took the label away: the new key is revoked, nothing is stored."""
    house.store()
    token = house.stage()

    class Interrupted:
        def issue(self, *args: object) -> object:
            key = house.issuer.issue(*args)  # type: ignore[arg-type]
            house.rotation(token).secret.unstage_pending(token)
            return key

        def __getattr__(self, name: str) -> object:
            return getattr(house.issuer, name)

    with pytest.raises(VersionStateError, match="unstaged while"):
        create_secret(house.rotation(token, issuer=Interrupted()))
    assert house.active_keys() == set()
    assert house.version("AWSPENDING") is None


def test_a_full_quota_is_cleared_of_this_token_s_old_strays_only(house: House) -> None:
    """Its own strays over half an hour old make room; every other key stays, labelled or not."""
    house.store()
    for _ in range(3):
        run_all(house, house.stage())
    rotated = house.active_keys()
    assert len(rotated) == 3
    token = house.stage()
    house.vendor.faults.next("create", Fault.LOSE_REPLY)
    with pytest.raises(VendorUnavailableError):
        create_secret(house.rotation(token))
    (stray,) = house.active_keys() - rotated
    other = house.vendor.keys.create(label=f"house|{house.arn}|{new_token()}").id
    house.vendor.keys.quota = 6
    with pytest.raises(KeyQuotaError):
        create_secret(house.rotation(token))
    assert stray in house.active_keys()
    house.later(timedelta(minutes=31))
    create_secret(house.rotation(token))
    kept = house.active_keys()
    assert stray not in kept
    assert kept == rotated | {other, house.value("AWSPENDING")["apiKeyId"]}


def test_a_first_key_that_cannot_be_proven_does_not_pile_up(house: House) -> None:
    """A wrong setting on the first day: attempts leave no key, and the mended one succeeds."""
    token = house.stage()
    house.vendor.keys.quota = 2
    house.vendor.faults.next("sign", Fault.NEIGHBOUR, times=5)
    for _ in range(5):
        with pytest.raises(SealVerificationError):
            create_secret(house.rotation(token))
    assert house.active_keys() == set()
    run_all(house, token)
    assert house.version("AWSCURRENT") == token


def test_a_life_shorter_than_the_schedule_is_refused_before_issuing(house: House) -> None:
    """A key that expires before its successor comes would be an outage with a date."""
    house.store()
    token = house.stage()
    short = type(house.policy)("house", timedelta(days=30), timedelta(hours=2), timedelta(0))
    with pytest.raises(ConfigurationError, match=r"Rotate more often or let keys\s+live longer"):
        create_secret(house.rotation(token, policy=short))
    assert house.active_keys() == set()


def test_a_pending_key_that_was_revoked_is_abandoned(house: House) -> None:
    """A dead pending key would fail for ever: its token is unstaged, the next rotation is free."""
    house.store()
    token = house.stage()
    create_secret(house.rotation(token))
    house.vendor.keys.revoke(house.value("AWSPENDING")["apiKeyId"])
    with pytest.raises(VersionStateError, match="revoked or has expired"):
        set_secret(house.rotation(token))
    assert house.version("AWSPENDING") is None
    run_all(house, house.stage())
    house.promoted()


def test_a_new_key_may_take_its_time(house: House) -> None:
    """Rejected at first and accepted later: the step waits with growing pauses."""
    house.store()
    house.later(timedelta(hours=1))
    house.vendor.keys.propagation_delay = timedelta(seconds=20)
    token = house.stage()
    create_secret(house.rotation(token))
    prove_secret(house.rotation(token))
    assert house.pauses
    assert sum(house.pauses) >= 20
    assert house.pauses[:3] == [0.25, 0.5, 1.0]


def test_waiting_ends_while_the_function_still_has_time_to_answer(house: House) -> None:
    """Out of time, inside the limit: the step fails and is retried; nothing is abandoned."""
    house.store()
    house.later(timedelta(hours=1))
    house.vendor.keys.propagation_delay = timedelta(seconds=50)
    house.time_left = timedelta(seconds=20)
    token = house.stage()
    create_secret(house.rotation(token))
    with pytest.raises(CredentialRejectedError):
        prove_secret(house.rotation(token))
    assert house.time_left >= timedelta(seconds=9)
    assert house.version("AWSPENDING") == token
    house.time_left = timedelta(minutes=5)
    prove_secret(house.rotation(token))
    finish_secret(house.rotation(token))
    house.promoted()


def test_a_key_that_never_works_is_abandoned_if_the_current_one_does(house: House) -> None:
    """Past the propagation limit, and with a live current key as control, it is hopeless."""
    key = house.store()
    house.vendor.keys.propagation_delay = timedelta(hours=1)
    house.later(timedelta(hours=2))
    assert house.vendor.keys.accepted(key.id)
    token = house.stage()
    create_secret(house.rotation(token))
    with pytest.raises(CredentialRejectedError):
        prove_secret(house.rotation(token, time_left=lambda: timedelta(hours=1)))
    assert house.version("AWSPENDING") is None


def test_a_key_is_not_abandoned_while_the_current_one_is_rejected_too(house: House) -> None:
    """Without a live control the fault may be the vendor's: the pending key keeps its label."""
    current = house.store()
    token = house.stage()
    create_secret(house.rotation(token))
    house.later(timedelta(minutes=2))
    house.vendor.keys.revoke(current.id)
    house.vendor.keys.revoke(house.value("AWSPENDING")["apiKeyId"])
    with pytest.raises(CredentialRejectedError):
        prove_secret(house.rotation(token))
    assert house.version("AWSPENDING") == token


@pytest.mark.parametrize(
    "fault",
    [
        Fault.SERVER_ERROR,
        Fault.THROTTLED,
        Fault.HTML,
        Fault.TRUNCATED_JSON,
        Fault.OTHER_DIGEST,
        Fault.STRANGER,
        Fault.NEIGHBOUR,
        Fault.FORBIDDEN,
    ],
)
@pytest.mark.parametrize("step", ["testSecret", "finishSecret"])
def test_a_vendor_that_misbehaves_promotes_nothing(house: House, step: str, fault: Fault) -> None:
    """Whatever it answers instead of a good seal: the current key stays, a retry succeeds."""
    house.store()
    before = house.version("AWSCURRENT")
    token = house.stage()
    create_secret(house.rotation(token))
    house.vendor.faults.next("sign", fault, times=None)
    with pytest.raises(RotationError):
        STEPS[step](house.rotation(token))
    assert house.version("AWSCURRENT") == before
    assert house.version("AWSPENDING") == token
    house.vendor.faults.clear()
    run_all(house, token)
    assert house.version("AWSCURRENT") == token


def test_an_unreachable_vendor_promotes_nothing(house: House) -> None:
    """An outage is not a verdict on the key."""
    house.store()
    token = house.stage()
    create_secret(house.rotation(token))
    house.vendor.outage = Outage.REFUSED
    with pytest.raises(VendorUnavailableError):
        finish_secret(house.rotation(token))
    house.vendor.outage = None
    assert house.version("AWSPENDING") == token


def test_a_clock_that_is_wrong_is_not_the_key_s_fault(house: House) -> None:
    """Two minutes off: a typed error at once, no waiting, nothing abandoned."""
    house.store()
    token = house.stage()
    create_secret(house.rotation(token))
    house.vendor.clock_offset = timedelta(minutes=2)
    with pytest.raises(CredentialRejectedError, match="clock"):
        prove_secret(house.rotation(token))
    assert house.pauses == []
    assert house.version("AWSPENDING") == token


def test_finishing_proves_the_key_in_the_same_act(house: House) -> None:
    """Called on its own, without testSecret, finishSecret still promotes no unproven key."""
    house.store()
    token = house.stage()
    create_secret(house.rotation(token))
    house.vendor.faults.next("sign", Fault.STRANGER)
    with pytest.raises(SealVerificationError):
        finish_secret(house.rotation(token))
    assert house.version("AWSPENDING") == token


def test_finishing_refuses_a_version_without_a_value(house: House) -> None:
    """An empty version is never promoted."""
    house.store()
    token = house.stage()
    with pytest.raises(VersionStateError, match="no value yet"):
        finish_secret(house.rotation(token))


def test_a_version_declared_compromised_before_the_put_is_given_up(house: House) -> None:
    """The mark comes while the key is made: the key is revoked, the token unstaged, for good."""
    house.store()
    token = house.stage()

    class Marked:
        def issue(self, *args: object) -> object:
            key = house.issuer.issue(*args)  # type: ignore[arg-type]
            house.client.update_secret_version_stage(
                SecretId=house.arn,
                VersionStage=f"rotation-compromised-{token}",
                MoveToVersionId=token,
            )
            return key

        def __getattr__(self, name: str) -> object:
            return getattr(house.issuer, name)

    for _ in range(2):
        with pytest.raises(RotationError):
            create_secret(house.rotation(token, issuer=Marked()))
        assert house.version("AWSPENDING") is None
        assert house.active_keys() == set()


@pytest.mark.parametrize("step", ["createSecret", "setSecret", "testSecret", "finishSecret"])
def test_a_compromised_pending_key_is_abandoned(house: House, step: str) -> None:
    """A version that was declared compromised loses AWSPENDING and is never promoted."""
    house.store()
    before = house.version("AWSCURRENT")
    token = house.stage()
    create_secret(house.rotation(token))
    house.client.update_secret_version_stage(
        SecretId=house.arn, VersionStage=f"rotation-compromised-{token}", MoveToVersionId=token
    )
    with pytest.raises(RotationError) as refused:
        STEPS[step](house.rotation(token))
    assert refused.value.code == "compromised_key"
    assert house.version("AWSPENDING") is None
    assert house.version("AWSCURRENT") == before


def test_a_lost_reply_of_the_promotion_is_a_success(house: House) -> None:
    """AWSCURRENT had moved, whatever the answer was: the step says so; a retry tidies up."""
    house.store()
    token = house.stage()
    create_secret(house.rotation(token))
    house.cloud.faults.after("UpdateSecretVersionStage", Dropped(), times=1)
    house.cloud.faults.before("UpdateSecretVersionStage", Dropped(), times=20)
    finish_secret(house.rotation(token))
    house.cloud.faults.clear()
    assert house.labels()[token] == {"AWSCURRENT", "AWSPENDING"}
    finish_secret(house.rotation(token))
    assert house.labels()[token] == {"AWSCURRENT"}


def test_a_promotion_that_did_not_happen_is_an_error(house: House) -> None:
    """No answer and no move: the step fails, and the retry promotes."""
    house.store()
    token = house.stage()
    create_secret(house.rotation(token))
    house.cloud.faults.before("UpdateSecretVersionStage", Dropped(), times=20)
    with pytest.raises(SecretStoreError) as failed:
        finish_secret(house.rotation(token))
    assert failed.value.retryable
    house.cloud.faults.clear()
    finish_secret(house.rotation(token))
    assert house.labels()[token] == {"AWSCURRENT"}


def test_promotion_only_moves_the_label_from_the_version_that_was_looked_at(house: House) -> None:
    """Somebody else moved AWSCURRENT meanwhile: the swap is refused, nothing is overwritten."""
    house.store()
    token = house.stage()
    create_secret(house.rotation(token))
    looked_at = house.version("AWSCURRENT")
    house.store()
    meanwhile = house.version("AWSCURRENT")
    with pytest.raises(SecretStoreError):
        house.rotation(token).secret.promote(token, looked_at)
    assert house.version("AWSCURRENT") == meanwhile


def test_the_configuration_can_be_tested_without_rotating(house: House) -> None:
    """RotateImmediately=false: testSecret alone, without a value, proves what it can."""
    house.store()
    token = house.stage()
    prove_secret(house.rotation(token))
    operations = {record.operation for record in house.vendor.requests}
    assert operations == {"list", "sign"}
    assert house.active_keys() == set()


def test_testing_the_configuration_finds_a_dead_current_key(house: House) -> None:
    """The test is worth something: with a revoked current key it fails."""
    key = house.store()
    house.vendor.keys.revoke(key.id)
    token = house.stage()
    with pytest.raises(CredentialRejectedError):
        prove_secret(house.rotation(token))
