"""The four steps, one at a time: what each does, and what it leaves when it is repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotation.core import steps
from rotation.core.steps import STEPS, create_secret, finish_secret, set_secret
from rotation.credential import SecretDocument
from rotation.deadline import Deadline
from rotation.errors import (
    ClockSkewError,
    CompromisedKeyError,
    ConfigurationError,
    CredentialRejectedError,
    InvalidCredentialError,
    JournalError,
    KeyQuotaError,
    RotationError,
    SealVerificationError,
    SecretStoreError,
    VendorUnavailableError,
    VersionStateError,
)
from rotation.incident.declaration import declare
from rotation.journal.model import Declaration, Journal, VersionRecord
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sandbox.vendor import Outage, VendorFault
from rotation.secrets_manager.allowed import AllowedSecrets
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.versions import SecretVersions
from tests.rotation_fixture import RotationFixture, new_token

prove_secret = steps.test_secret


def run_all(rotation_fixture: RotationFixture, token: str) -> None:
    for step in STEPS.values():
        step(rotation_fixture.rotation(token))


def test_a_rotation_replaces_the_key_and_keeps_the_old_one_alive(
    rotation_fixture: RotationFixture,
) -> None:
    """Four steps: a new key is current, the old one is AWSPREVIOUS and still signs."""
    old = rotation_fixture.store(team="archive")
    before = rotation_fixture.version("AWSCURRENT")
    token = rotation_fixture.stage()
    run_all(rotation_fixture, token)
    assert rotation_fixture.labels() == {token: {"AWSCURRENT"}, before: {"AWSPREVIOUS"}}
    value = rotation_fixture.value("AWSCURRENT")
    assert value["apiKeyId"] in rotation_fixture.active_keys()
    assert value["team"] == "archive"
    assert set(value) == {"apiKey", "apiKeyId", "issuedAt", "expiresAt", "team"}
    assert rotation_fixture.value("AWSPREVIOUS")["apiKeyId"] == old.id
    assert rotation_fixture.vendor.keys.accepted(old.id)


def test_what_stands_beside_the_current_key_survives_a_rotation_to_the_letter(
    rotation_fixture: RotationFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """A number that no float holds, and a date in `expiresAt`, neither stop nor change anything."""
    key = rotation_fixture.vendor.keys.create()
    rotation_fixture.put(
        '\ufeff{"beyond": 1e400, "price": 1.10, "half": "\\ud800", "expiresAt": "2027-01-01", '
        f'"apiKey": "{key.material}", "apiKeyId": "{key.id}"}}'
    )
    token = rotation_fixture.stage()
    run_all(rotation_fixture, token)
    assert rotation_fixture.labels()[token] == {"AWSCURRENT"}
    stored = rotation_fixture.client.get_secret_value(SecretId=rotation_fixture.arn)["SecretString"]
    assert stored.startswith('{"beyond":1e400,"price":1.10,"half":"\\ud800","apiKey":')
    assert "expiresAt" in json.loads(stored)
    assert "a date without a time of day" in str([record.__dict__ for record in caplog.records])


def test_an_empty_secret_gets_its_first_key_by_rotation(rotation_fixture: RotationFixture) -> None:
    """Without any current version the first rotation issues, proves and promotes."""
    token = rotation_fixture.stage()
    run_all(rotation_fixture, token)
    assert rotation_fixture.labels() == {token: {"AWSCURRENT"}}


def test_a_current_value_that_cannot_be_read_yet_is_not_taken_for_none(
    rotation_fixture: RotationFixture,
) -> None:
    """Reads are eventually consistent: what the organisation keeps beside the key is not lost."""
    rotation_fixture.store(team="archive")
    current = rotation_fixture.version(AWSCURRENT)
    token = rotation_fixture.stage()

    class Lagging(SecretVersions):
        def read(self, version: str) -> SecretDocument | None:
            return None if version == current else super().read(version)

    with pytest.raises(VersionStateError, match="cannot be read yet"):
        create_secret(
            rotation_fixture.rotation(
                token, secret=Lagging(rotation_fixture.client, rotation_fixture.arn)
            )
        )
    assert rotation_fixture.active_keys() == set()
    for step in STEPS.values():
        step(rotation_fixture.rotation(token))
    assert rotation_fixture.value(AWSCURRENT)["team"] == "archive"


def test_the_first_key_of_an_empty_secret_is_proven_before_it_is_stored(
    rotation_fixture: RotationFixture,
) -> None:
    """The first version is current at once, so an unproven key never gets that far."""
    token = rotation_fixture.stage()
    rotation_fixture.vendor.faults.next("sign", VendorFault.STRANGER)
    with pytest.raises(SealVerificationError):
        create_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.version("AWSCURRENT") is None
    run_all(rotation_fixture, token)
    assert rotation_fixture.active_keys() == {rotation_fixture.value("AWSCURRENT")["apiKeyId"]}


@pytest.mark.parametrize("times", [2, 3])
def test_every_step_may_run_again(rotation_fixture: RotationFixture, times: int) -> None:
    """Each step repeated, and the whole process repeated, leaves one key and one promotion."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    for step in STEPS.values():
        for _ in range(times):
            step(rotation_fixture.rotation(token))
    labels = rotation_fixture.labels()
    run_all(rotation_fixture, token)
    assert rotation_fixture.labels() == labels
    assert len(rotation_fixture.active_keys()) == 1


@pytest.mark.parametrize("step", STEPS)
def test_no_step_acts_on_a_token_that_is_not_staged(
    rotation_fixture: RotationFixture, step: str
) -> None:
    """A foreign token, or one whose AWSPENDING was taken away, is refused; nothing is issued."""
    rotation_fixture.store()
    staged = rotation_fixture.stage()
    rotation_fixture.rotation(staged).secret.unstage_pending(staged)
    before = rotation_fixture.labels()
    for token in (new_token(), staged):
        with pytest.raises(VersionStateError, match="not staged"):
            STEPS[step](rotation_fixture.rotation(token))
    assert rotation_fixture.labels() == before
    assert rotation_fixture.active_keys() == set()


@pytest.mark.parametrize("step", STEPS)
def test_a_replay_never_promotes_a_retired_key(
    rotation_fixture: RotationFixture, step: str
) -> None:
    """The token of a rotation before the last is AWSPREVIOUS: late retries of it change nothing."""
    rotation_fixture.store()
    first = rotation_fixture.stage()
    run_all(rotation_fixture, first)
    second = rotation_fixture.stage()
    run_all(rotation_fixture, second)
    before = rotation_fixture.labels()
    assert before[first] == {"AWSPREVIOUS"}
    with pytest.raises(VersionStateError, match="not staged"):
        STEPS[step](rotation_fixture.rotation(first))
    assert rotation_fixture.labels() == before


def leave_pending(rotation_fixture: RotationFixture, token: str) -> None:
    """AWSPENDING stays on the promoted version, as AWS leaves it at times."""
    rotation_fixture.client.update_secret_version_stage(
        SecretId=rotation_fixture.arn, VersionStage="AWSPENDING", MoveToVersionId=token
    )


def roll_back(rotation_fixture: RotationFixture, token: str) -> None:
    """Somebody moves AWSCURRENT back to the version before."""
    rotation_fixture.client.update_secret_version_stage(
        SecretId=rotation_fixture.arn,
        VersionStage="AWSCURRENT",
        RemoveFromVersionId=token,
        MoveToVersionId=str(rotation_fixture.version("AWSPREVIOUS")),
    )


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how", ["a rollback", "a manual PutSecretValue"])
def test_a_leftover_on_a_version_that_was_current_is_taken_off(
    rotation_fixture: RotationFixture, how: str, step: str
) -> None:
    """A replay of the steps promotes nothing that was current before; the next rotation is free."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    run_all(rotation_fixture, token)
    leave_pending(rotation_fixture, token)
    if how == "a rollback":
        roll_back(rotation_fixture, token)
    else:
        rotation_fixture.store()
    current = rotation_fixture.version("AWSCURRENT")
    assert rotation_fixture.labels()[token] == {"AWSPREVIOUS", "AWSPENDING"}
    with pytest.raises(VersionStateError, match="was current before"):
        STEPS[step](rotation_fixture.rotation(token))
    assert rotation_fixture.labels()[token] == {"AWSPREVIOUS"}
    assert rotation_fixture.version("AWSCURRENT") == current
    run_all(rotation_fixture, rotation_fixture.stage())
    rotation_fixture.promoted()


@pytest.mark.parametrize("step", ["createSecret", "finishSecret"])
def test_a_leftover_is_known_by_the_journal(rotation_fixture: RotationFixture, step: str) -> None:
    """A version may have lost AWSPREVIOUS to a later one: the journal knows it."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    rotation_fixture.stage_key(token)
    rotation_fixture.journals.change(
        rotation_fixture.journals.read(rotation_fixture.arn),
        lambda found: replace(found, versions={token: VersionRecord(was_current=True)}),
    )
    with pytest.raises(VersionStateError, match="was current before"):
        STEPS[step](rotation_fixture.rotation(token))
    assert rotation_fixture.version("AWSPENDING") is None


def test_a_leftover_older_than_what_is_current_is_not_promoted(
    rotation_fixture: RotationFixture,
) -> None:
    """Two values were stored by hand since it was current, so it has not even AWSPREVIOUS."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    rotation_fixture.stage_key(token, issued_at="2020-01-01T00:00:00Z")
    rotation_fixture.store()
    current = rotation_fixture.version("AWSCURRENT")
    with pytest.raises(VersionStateError, match="Somebody stored another value"):
        finish_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.version("AWSPENDING") is None
    assert rotation_fixture.version("AWSCURRENT") == current


@pytest.mark.parametrize("when", ["before the put", "after createSecret", "during the last proof"])
@pytest.mark.parametrize("change", ["changed", "added", "removed"])
def test_members_that_somebody_changes_meanwhile_are_not_undone(
    rotation_fixture: RotationFixture, change: str, when: str
) -> None:
    """The rotation is abandoned, and the next one carries the change over."""
    key = rotation_fixture.store(team="archive")
    held = {"apiKey": key.material, "apiKeyId": key.id}
    members: dict[str, dict[str, Any]] = {
        "changed": {"team": "sealing"},
        "added": {"team": "archive", "more": 1.10},
    }
    edited = members.get(change, {})
    token = rotation_fixture.stage()

    class Editing:
        """Lets somebody store the other members before the call goes on."""

        def __init__(self, port: object, method: str) -> None:
            self._port, self._method = port, method

        def __getattr__(self, name: str) -> object:
            if name == self._method:
                rotation_fixture.put(held | edited)
            return getattr(self._port, name)

    issuer = Editing(rotation_fixture.issuer, "issue" if when == "before the put" else "")
    create_secret(rotation_fixture.rotation(token, issuer=issuer))
    if when == "after createSecret":
        rotation_fixture.put(held | edited)
    prover = Editing(rotation_fixture.prover, "prove" if when == "during the last proof" else "")
    with pytest.raises(VersionStateError, match="it carries the change over"):
        finish_secret(rotation_fixture.rotation(token, prover=prover))
    assert rotation_fixture.version("AWSPENDING") is None
    assert rotation_fixture.value(AWSCURRENT) == held | edited
    run_all(rotation_fixture, rotation_fixture.stage())
    after = rotation_fixture.value(AWSCURRENT)
    assert after["apiKeyId"] != key.id
    assert {name: after[name] for name in after.keys() - {*held, "issuedAt", "expiresAt"}} == edited


def test_junk_that_somebody_stores_meanwhile_is_replaced(rotation_fixture: RotationFixture) -> None:
    """No application can use it and nothing in it could be carried over; it stays AWSPREVIOUS."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    rotation_fixture.put("junk")
    junk = rotation_fixture.version(AWSCURRENT)
    finish_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.labels() == {token: {"AWSCURRENT"}, junk: {"AWSPREVIOUS"}}


def test_a_secret_that_may_not_be_rotated_gets_no_key(rotation_fixture: RotationFixture) -> None:
    """Whoever may invoke the function can have a secret of their own name it; that is no right."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    allowed = AllowedSecrets((rotation_fixture.arn + "x",))
    policy = replace(rotation_fixture.policy, rotated_secrets=allowed)
    for step in STEPS.values():
        with pytest.raises(VersionStateError, match="may not be rotated here"):
            step(rotation_fixture.rotation(token, policy=policy))
    assert rotation_fixture.active_keys() == set()


@pytest.mark.parametrize("step", STEPS)
def test_a_secret_of_another_function_is_left_alone(
    rotation_fixture: RotationFixture, step: str
) -> None:
    """The event is hostile: the secret itself must name this function."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    elsewhere = rotation_fixture.function_arn.replace("rotate", "other")
    with pytest.raises(VersionStateError, match="not rotated by this function"):
        STEPS[step](rotation_fixture.rotation(token, function_arn=elsewhere))
    assert rotation_fixture.active_keys() == set()


def test_a_version_or_alias_in_the_function_s_arn_does_not_matter(
    rotation_fixture: RotationFixture,
) -> None:
    """Secrets Manager may name an alias; the function is the same."""
    token = rotation_fixture.stage()
    create_secret(
        rotation_fixture.rotation(token, function_arn=rotation_fixture.function_arn + ":live")
    )
    assert len(rotation_fixture.active_keys()) == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_deleted_secret_is_refused(rotation_fixture: RotationFixture, step: str) -> None:
    """DescribeSecret still answers for it; no key is issued for what is about to vanish."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    rotation_fixture.client.delete_secret(SecretId=rotation_fixture.arn)
    with pytest.raises(VersionStateError, match="Restore it"):
        STEPS[step](rotation_fixture.rotation(token))
    assert rotation_fixture.active_keys() == set()


@pytest.mark.parametrize("step", STEPS)
def test_a_cancelled_rotation_is_refused(rotation_fixture: RotationFixture, step: str) -> None:
    """CancelRotateSecret turns rotation off: no step goes on."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    rotation_fixture.client.cancel_rotate_secret(SecretId=rotation_fixture.arn)
    with pytest.raises(VersionStateError, match="turned off"):
        STEPS[step](rotation_fixture.rotation(token))
    assert rotation_fixture.active_keys() == set()


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
    rotation_fixture: RotationFixture, value: str
) -> None:
    """Its other members could not be carried over, so it is left as it is, and named."""
    rotation_fixture.put(value)
    token = rotation_fixture.stage()
    with pytest.raises(InvalidCredentialError, match="trusted-signatures-api"):
        create_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.active_keys() == set()
    current = rotation_fixture.client.get_secret_value(
        SecretId=rotation_fixture.arn, VersionStage="AWSCURRENT"
    )
    assert current["SecretString"] == value


def test_a_lost_answer_of_the_issuer_leaves_no_stray(rotation_fixture: RotationFixture) -> None:
    """The key of the lost answer is revoked once the next attempt's key is stored."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    rotation_fixture.vendor.faults.next("create", VendorFault.LOSE_REPLY)
    with pytest.raises(VendorUnavailableError):
        create_secret(rotation_fixture.rotation(token))
    assert len(rotation_fixture.active_keys()) == 1
    create_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.active_keys() == {rotation_fixture.value("AWSPENDING")["apiKeyId"]}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", [AwsError("InternalServiceError", status=500), Dropped()])
def test_a_lost_put_is_made_good_by_the_retry(
    rotation_fixture: RotationFixture, when: str, fault: AwsError | Dropped
) -> None:
    """Whether the put took effect or not, the retry ends with one key, the stored one."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    getattr(rotation_fixture.cloud.faults, when)("PutSecretValue", fault, times=20)
    with pytest.raises(SecretStoreError) as failed:
        create_secret(rotation_fixture.rotation(token))
    assert failed.value.retryable
    rotation_fixture.cloud.faults.clear()
    create_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.active_keys() == {rotation_fixture.value("AWSPENDING")["apiKeyId"]}


REFUSALS = (
    "AccessDeniedException",
    "EncryptionFailure",
    "InvalidParameterException",
    "InvalidRequestException",
    "LimitExceededException",
    "ResourceNotFoundException",
    "ValidationException",
)


@pytest.mark.parametrize("code", REFUSALS)
def test_a_put_that_is_refused_leaves_no_key(rotation_fixture: RotationFixture, code: str) -> None:
    """No retry would store that key, and each would leave one more: it is revoked at once."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    rotation_fixture.cloud.faults.before("PutSecretValue", AwsError(code), times=100)
    for _ in range(2):
        with pytest.raises(SecretStoreError, match=code) as refused:
            create_secret(rotation_fixture.rotation(token))
        assert not refused.value.retryable
        assert rotation_fixture.active_keys() == set()
    rotation_fixture.cloud.faults.clear()
    run_all(rotation_fixture, token)
    assert rotation_fixture.active_keys() == {rotation_fixture.value(AWSCURRENT)["apiKeyId"]}


def test_a_refused_put_is_told_although_the_vendor_cannot_be_asked(
    rotation_fixture: RotationFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is left to reconciliation, and the error is that of the put."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    rotation_fixture.cloud.faults.before("PutSecretValue", AwsError("AccessDeniedException"))
    rotation_fixture.vendor.faults.next("delete", VendorFault.SERVER_ERROR, times=20)
    with pytest.raises(SecretStoreError, match="AccessDeniedException"):
        create_secret(rotation_fixture.rotation(token))
    assert len(rotation_fixture.active_keys()) == 1
    assert "a new key is left to reconciliation" in caplog.messages


@pytest.mark.parametrize("lag", [0, 2])
def test_a_key_that_was_stored_before_the_refusal_stays(
    rotation_fixture: RotationFixture, lag: int
) -> None:
    """The AWS client repeats a put whose answer was lost; only the repeat may be refused."""
    rotation_fixture.store()
    token = rotation_fixture.stage()

    class StoredAndRefused(SecretVersions):
        reads = 0

        def put_pending(self, token: str, document: SecretDocument) -> None:
            super().put_pending(token, document)
            StoredAndRefused.reads = lag
            raise SecretStoreError("refused", operation="PutSecretValue", aws_code="AccessDenied")

        def read(self, version: str) -> SecretDocument | None:
            StoredAndRefused.reads -= 1
            return None if StoredAndRefused.reads >= 0 else super().read(version)

    secret = StoredAndRefused(rotation_fixture.client, rotation_fixture.arn)
    with pytest.raises(SecretStoreError):
        create_secret(rotation_fixture.rotation(token, secret=secret))
    run_all(rotation_fixture, token)
    assert rotation_fixture.active_keys() == {rotation_fixture.value(AWSCURRENT)["apiKeyId"]}


@pytest.mark.parametrize("fault", ["a lost put", "a lost key"])
def test_a_sick_secret_does_not_use_up_the_vendor_s_quota(
    rotation_fixture: RotationFixture, fault: str
) -> None:
    """Every attempt may leave a key: after three, none is issued until they are gone."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    if fault == "a lost put":
        rotation_fixture.cloud.faults.before("PutSecretValue", Dropped(), times=1000)
    else:
        rotation_fixture.vendor.faults.next("create", VendorFault.LOSE_REPLY, times=None)
    for attempt in range(12):
        with pytest.raises(RotationError) as failed:
            create_secret(rotation_fixture.rotation(token))
        assert isinstance(failed.value, KeyQuotaError) is (attempt >= 3)
        assert len(rotation_fixture.active_keys()) == min(attempt + 1, 3)
    rotation_fixture.later(timedelta(minutes=31))
    rotation_fixture.cloud.faults.clear()
    rotation_fixture.vendor.faults.clear()
    run_all(rotation_fixture, token)
    assert rotation_fixture.active_keys() == {rotation_fixture.value(AWSCURRENT)["apiKeyId"]}


def test_a_value_without_room_for_a_new_key_is_refused_before_issuing(
    rotation_fixture: RotationFixture,
) -> None:
    """API_PutSecretValue: 65,536 bytes. A value that leaves just enough room rotates."""
    key = rotation_fixture.vendor.keys.create()
    held = {"apiKey": key.material, "apiKeyId": key.id}
    rotation_fixture.put(json.dumps(held | {"note": "ü" * 32_600}, ensure_ascii=False))
    token = rotation_fixture.stage()
    with pytest.raises(InvalidCredentialError, match="65536 at most"):
        create_secret(rotation_fixture.rotation(token))
    requests = {record.operation for record in rotation_fixture.vendor.requests}
    assert "create" not in requests
    rotation_fixture.put(json.dumps(held | {"note": "ü" * 32_400}, ensure_ascii=False))
    run_all(rotation_fixture, token)
    rotation_fixture.promoted()


def test_the_loser_of_a_race_adopts_the_winner_s_key(rotation_fixture: RotationFixture) -> None:
    """Two invocations with one token: the value stored first stays, the other's key is revoked."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    winner: list[str] = []

    class SlowIssuer:
        """Lets the winner store its key between our issue and our put."""

        def issue(self, *args: object) -> object:
            key = rotation_fixture.issuer.issue(*args)  # type: ignore[arg-type]
            if not winner:
                winner.append(rotation_fixture.stage_key(token).id)
            return key

        def __getattr__(self, name: str) -> object:
            return getattr(rotation_fixture.issuer, name)

    create_secret(rotation_fixture.rotation(token, issuer=SlowIssuer()))
    assert rotation_fixture.value("AWSPENDING")["apiKeyId"] == winner[0]
    assert rotation_fixture.active_keys() == set(winner)


def test_a_token_unstaged_while_its_key_was_made_is_given_up(
    rotation_fixture: RotationFixture,
) -> None:
    """A forced rotation took the label away: the new key is revoked, nothing is stored."""
    rotation_fixture.store()
    token = rotation_fixture.stage()

    class Interrupted:
        def issue(self, *args: object) -> object:
            key = rotation_fixture.issuer.issue(*args)  # type: ignore[arg-type]
            rotation_fixture.rotation(token).secret.unstage_pending(token)
            return key

        def __getattr__(self, name: str) -> object:
            return getattr(rotation_fixture.issuer, name)

    with pytest.raises(VersionStateError, match="unstaged while"):
        create_secret(rotation_fixture.rotation(token, issuer=Interrupted()))
    assert rotation_fixture.active_keys() == set()
    assert rotation_fixture.version("AWSPENDING") is None


def test_a_full_quota_is_cleared_of_this_token_s_old_strays_only(
    rotation_fixture: RotationFixture,
) -> None:
    """Its own strays over half an hour old make room; every other key stays, labelled or not."""
    rotation_fixture.store()
    for _ in range(3):
        run_all(rotation_fixture, rotation_fixture.stage())
    rotated = rotation_fixture.active_keys()
    assert len(rotated) == 3
    token = rotation_fixture.stage()
    rotation_fixture.vendor.faults.next("create", VendorFault.LOSE_REPLY)
    with pytest.raises(VendorUnavailableError):
        create_secret(rotation_fixture.rotation(token))
    (stray,) = rotation_fixture.active_keys() - rotated
    other = rotation_fixture.vendor.keys.create(
        label=f"fixture|{rotation_fixture.arn}|{new_token()}"
    ).id
    rotation_fixture.vendor.keys.quota = 6
    with pytest.raises(KeyQuotaError):
        create_secret(rotation_fixture.rotation(token))
    assert stray in rotation_fixture.active_keys()
    rotation_fixture.later(timedelta(minutes=31))
    create_secret(rotation_fixture.rotation(token))
    kept = rotation_fixture.active_keys()
    assert stray not in kept
    assert kept == rotated | {other, rotation_fixture.value("AWSPENDING")["apiKeyId"]}


def test_a_first_key_that_cannot_be_proven_does_not_pile_up(
    rotation_fixture: RotationFixture,
) -> None:
    """A wrong setting on the first day: attempts leave no key, and the mended one succeeds."""
    token = rotation_fixture.stage()
    rotation_fixture.vendor.keys.quota = 2
    rotation_fixture.vendor.faults.next("sign", VendorFault.NEIGHBOUR, times=5)
    for _ in range(5):
        with pytest.raises(SealVerificationError):
            create_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.active_keys() == set()
    run_all(rotation_fixture, token)
    assert rotation_fixture.version("AWSCURRENT") == token


def test_a_life_shorter_than_the_schedule_is_refused_before_issuing(
    rotation_fixture: RotationFixture,
) -> None:
    """A key that expires before its successor comes would be an outage with a date."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    short = replace(
        rotation_fixture.policy, key_lifetime=timedelta(days=30), propagation_limit=timedelta(0)
    )
    with pytest.raises(ConfigurationError, match=r"Rotate more often or let keys\s+live longer"):
        create_secret(rotation_fixture.rotation(token, policy=short))
    assert rotation_fixture.active_keys() == set()


def test_a_pending_key_that_was_revoked_is_abandoned(rotation_fixture: RotationFixture) -> None:
    """A dead pending key would fail for ever: its token is unstaged, the next rotation is free."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    rotation_fixture.vendor.keys.revoke(rotation_fixture.value("AWSPENDING")["apiKeyId"])
    with pytest.raises(VersionStateError, match="revoked or has expired"):
        set_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.version("AWSPENDING") is None
    run_all(rotation_fixture, rotation_fixture.stage())
    rotation_fixture.promoted()


def test_a_new_key_may_take_its_time(rotation_fixture: RotationFixture) -> None:
    """Rejected at first and accepted later: the step waits with growing pauses."""
    rotation_fixture.store()
    rotation_fixture.later(timedelta(hours=1))
    rotation_fixture.vendor.keys.propagation_delay = timedelta(seconds=20)
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    prove_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.pauses
    assert sum(rotation_fixture.pauses) >= 20
    assert rotation_fixture.pauses[:3] == [0.25, 0.5, 1.0]


def test_waiting_ends_while_the_function_still_has_time_to_answer(
    rotation_fixture: RotationFixture,
) -> None:
    """Out of time, inside the limit: the step fails and is retried; nothing is abandoned."""
    rotation_fixture.store()
    rotation_fixture.later(timedelta(hours=1))
    rotation_fixture.vendor.keys.propagation_delay = timedelta(seconds=50)
    rotation_fixture.time_left = timedelta(seconds=20)
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    with pytest.raises(CredentialRejectedError):
        prove_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.time_left >= timedelta(seconds=9)
    assert rotation_fixture.version("AWSPENDING") == token
    rotation_fixture.time_left = timedelta(minutes=5)
    prove_secret(rotation_fixture.rotation(token))
    finish_secret(rotation_fixture.rotation(token))
    rotation_fixture.promoted()


def test_a_key_that_never_works_is_abandoned_if_the_current_one_does(
    rotation_fixture: RotationFixture,
) -> None:
    """Past the propagation limit, and with a live current key as control, it is hopeless."""
    key = rotation_fixture.store()
    rotation_fixture.vendor.keys.propagation_delay = timedelta(hours=1)
    rotation_fixture.later(timedelta(hours=2))
    assert rotation_fixture.vendor.keys.accepted(key.id)
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    with pytest.raises(CredentialRejectedError):
        prove_secret(rotation_fixture.rotation(token, deadline=Deadline.after(timedelta(hours=1))))
    assert rotation_fixture.version("AWSPENDING") is None


def test_a_key_is_not_abandoned_while_the_current_one_is_rejected_too(
    rotation_fixture: RotationFixture,
) -> None:
    """Without a live control the fault may be the vendor's: the pending key keeps its label."""
    current = rotation_fixture.store()
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    rotation_fixture.later(timedelta(minutes=2))
    rotation_fixture.vendor.keys.revoke(current.id)
    rotation_fixture.vendor.keys.revoke(rotation_fixture.value("AWSPENDING")["apiKeyId"])
    with pytest.raises(CredentialRejectedError):
        prove_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.version("AWSPENDING") == token


@pytest.mark.parametrize(
    "fault",
    [
        VendorFault.SERVER_ERROR,
        VendorFault.THROTTLED,
        VendorFault.HTML,
        VendorFault.TRUNCATED_JSON,
        VendorFault.OTHER_DIGEST,
        VendorFault.STRANGER,
        VendorFault.NEIGHBOUR,
        VendorFault.FORBIDDEN,
    ],
)
@pytest.mark.parametrize("step", ["testSecret", "finishSecret"])
def test_a_vendor_that_misbehaves_promotes_nothing(
    rotation_fixture: RotationFixture, step: str, fault: VendorFault
) -> None:
    """Whatever it answers instead of a good seal: the current key stays, a retry succeeds."""
    rotation_fixture.store()
    before = rotation_fixture.version("AWSCURRENT")
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    rotation_fixture.vendor.faults.next("sign", fault, times=None)
    with pytest.raises(RotationError):
        STEPS[step](rotation_fixture.rotation(token))
    assert rotation_fixture.version("AWSCURRENT") == before
    assert rotation_fixture.version("AWSPENDING") == token
    rotation_fixture.vendor.faults.clear()
    run_all(rotation_fixture, token)
    assert rotation_fixture.version("AWSCURRENT") == token


def test_an_unreachable_vendor_promotes_nothing(rotation_fixture: RotationFixture) -> None:
    """An outage is not a verdict on the key."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    rotation_fixture.vendor.outage = Outage.REFUSED
    with pytest.raises(VendorUnavailableError):
        finish_secret(rotation_fixture.rotation(token))
    rotation_fixture.vendor.outage = None
    assert rotation_fixture.version("AWSPENDING") == token


def test_a_clock_that_is_wrong_is_not_the_key_s_fault(rotation_fixture: RotationFixture) -> None:
    """Two minutes off: a typed error at once, no waiting, nothing abandoned."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    rotation_fixture.vendor.clock_offset = timedelta(minutes=2)
    with pytest.raises(ClockSkewError, match="clock"):
        prove_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.pauses == []
    assert rotation_fixture.version("AWSPENDING") == token


def test_finishing_proves_the_key_in_the_same_act(rotation_fixture: RotationFixture) -> None:
    """Called on its own, without testSecret, finishSecret still promotes no unproven key."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    rotation_fixture.vendor.faults.next("sign", VendorFault.STRANGER)
    with pytest.raises(SealVerificationError):
        finish_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.version("AWSPENDING") == token


def test_finishing_refuses_a_version_without_a_value(rotation_fixture: RotationFixture) -> None:
    """An empty version is never promoted."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    with pytest.raises(VersionStateError, match="no value yet"):
        finish_secret(rotation_fixture.rotation(token))


def declare_compromised(fixture: RotationFixture, *versions: str, keys: Iterable[str] = ()) -> None:
    """Declare keys compromised in the journal, by their ids or by the versions that hold them."""
    declaration = Declaration(new_token(), fixture.now(), "key-compromise", "ada")
    fixture.journals.change(
        fixture.journals.read(fixture.arn),
        lambda found: declare(found, declaration, keys=dict.fromkeys(keys, ()), versions=versions),
    )


def label_compromised(fixture: RotationFixture, version: str) -> None:
    """Declare a version compromised as version 0.2 did, by a label."""
    fixture.client.update_secret_version_stage(
        SecretId=fixture.arn,
        VersionStage=f"rotation-compromised-{version}",
        MoveToVersionId=version,
    )


@pytest.mark.parametrize("how", [declare_compromised, label_compromised])
def test_a_version_declared_compromised_before_the_put_is_given_up(
    rotation_fixture: RotationFixture, how: Callable[[RotationFixture, str], None]
) -> None:
    """It comes while the key is made: the key is revoked, the token unstaged, for good."""
    rotation_fixture.store()
    token = rotation_fixture.stage()

    class Declared:
        def issue(self, *args: object) -> object:
            key = rotation_fixture.issuer.issue(*args)  # type: ignore[arg-type]
            how(rotation_fixture, token)
            return key

        def __getattr__(self, name: str) -> object:
            return getattr(rotation_fixture.issuer, name)

    for _ in range(2):
        with pytest.raises(RotationError):
            create_secret(rotation_fixture.rotation(token, issuer=Declared()))
        assert rotation_fixture.version("AWSPENDING") is None
        assert rotation_fixture.active_keys() == set()


@pytest.mark.parametrize("how", [declare_compromised, label_compromised])
@pytest.mark.parametrize("step", ["createSecret", "finishSecret"])
def test_a_compromised_pending_key_is_abandoned(
    rotation_fixture: RotationFixture, step: str, how: Callable[[RotationFixture, str], None]
) -> None:
    """A version that was declared compromised loses AWSPENDING and is never promoted."""
    rotation_fixture.store()
    before = rotation_fixture.version("AWSCURRENT")
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    how(rotation_fixture, token)
    with pytest.raises(RotationError) as refused:
        STEPS[step](rotation_fixture.rotation(token))
    assert refused.value.code == "compromised_key"
    assert rotation_fixture.version("AWSPENDING") is None
    assert rotation_fixture.version("AWSCURRENT") == before


def test_a_pending_version_that_holds_a_suspect_key_is_abandoned(
    rotation_fixture: RotationFixture,
) -> None:
    """The key is the subject: a version that came after the declaration may hold it once more."""
    rotation_fixture.store()
    before = rotation_fixture.version("AWSCURRENT")
    token = rotation_fixture.stage()
    key = rotation_fixture.stage_key(token)
    declare_compromised(rotation_fixture, keys=[key.id])
    with pytest.raises(CompromisedKeyError, match=key.id):
        finish_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.version("AWSCURRENT") == before


@pytest.mark.parametrize("step", ["createSecret", "finishSecret"])
def test_a_step_that_cannot_read_the_journal_fails(
    rotation_fixture: RotationFixture, step: str
) -> None:
    """Nothing is concluded from a journal that is not there: the step is repeated later."""
    rotation_fixture.store()
    before = rotation_fixture.version("AWSCURRENT")
    token = rotation_fixture.stage()
    if step == "finishSecret":
        create_secret(rotation_fixture.rotation(token))
    keys = rotation_fixture.active_keys()

    class Unreadable:
        def read(self, secret_arn: str) -> Journal:
            raise JournalError(f"The journal of {secret_arn} cannot be read.")

    with pytest.raises(JournalError) as failed:
        STEPS[step](rotation_fixture.rotation(token, journal=Unreadable()))
    assert failed.value.retryable
    assert rotation_fixture.active_keys() == keys
    assert rotation_fixture.version("AWSCURRENT") == before
    assert rotation_fixture.version("AWSPENDING") == token


def test_a_lost_reply_of_the_promotion_is_a_success(rotation_fixture: RotationFixture) -> None:
    """AWSCURRENT had moved, whatever the answer was: the step says so; a retry tidies up."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    rotation_fixture.cloud.faults.after("UpdateSecretVersionStage", Dropped(), times=1)
    rotation_fixture.cloud.faults.before("UpdateSecretVersionStage", Dropped(), times=20)
    finish_secret(rotation_fixture.rotation(token))
    rotation_fixture.cloud.faults.clear()
    assert rotation_fixture.labels()[token] == {"AWSCURRENT", "AWSPENDING"}
    finish_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.labels()[token] == {"AWSCURRENT"}


def test_a_promotion_that_did_not_happen_is_an_error(rotation_fixture: RotationFixture) -> None:
    """No answer and no move: the step fails, and the retry promotes."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    rotation_fixture.cloud.faults.before("UpdateSecretVersionStage", Dropped(), times=20)
    with pytest.raises(SecretStoreError) as failed:
        finish_secret(rotation_fixture.rotation(token))
    assert failed.value.retryable
    rotation_fixture.cloud.faults.clear()
    finish_secret(rotation_fixture.rotation(token))
    assert rotation_fixture.labels()[token] == {"AWSCURRENT"}


def test_promotion_only_moves_the_label_from_the_version_that_was_looked_at(
    rotation_fixture: RotationFixture,
) -> None:
    """Somebody else moved AWSCURRENT meanwhile: the swap is refused, nothing is overwritten."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    create_secret(rotation_fixture.rotation(token))
    looked_at = rotation_fixture.version("AWSCURRENT")
    rotation_fixture.store()
    meanwhile = rotation_fixture.version("AWSCURRENT")
    with pytest.raises(SecretStoreError):
        rotation_fixture.rotation(token).secret.promote(token, looked_at)
    assert rotation_fixture.version("AWSCURRENT") == meanwhile


def test_the_configuration_can_be_tested_without_rotating(
    rotation_fixture: RotationFixture,
) -> None:
    """RotateImmediately=false: testSecret alone, without a value, proves what it can."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    prove_secret(rotation_fixture.rotation(token))
    operations = {record.operation for record in rotation_fixture.vendor.requests}
    assert operations == {"list", "sign"}
    assert rotation_fixture.active_keys() == set()


def test_testing_the_configuration_finds_a_life_that_is_too_short(
    rotation_fixture: RotationFixture,
) -> None:
    """Whoever deploys hears of it when the schedule is created, and not a month later."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    policy = replace(rotation_fixture.policy, key_lifetime=timedelta(days=31))
    with pytest.raises(ConfigurationError, match="Rotate more often or let keys live longer"):
        prove_secret(rotation_fixture.rotation(token, policy=policy))
    assert "sign" not in {record.operation for record in rotation_fixture.vendor.requests}


def test_testing_the_configuration_finds_a_dead_current_key(
    rotation_fixture: RotationFixture,
) -> None:
    """The test is worth something: with a revoked current key it fails."""
    key = rotation_fixture.store()
    rotation_fixture.vendor.keys.revoke(key.id)
    token = rotation_fixture.stage()
    with pytest.raises(CredentialRejectedError):
        prove_secret(rotation_fixture.rotation(token))
