"""Faults of rotation, of the vendor and of the sealing function, each planted for real."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotation.cli.doctor.facts import Signature
from rotation.cli.doctor.judge_use import judge_description
from rotation.cli.doctor.model import Check
from rotation.cli.doctor.probe_vendor import contact_vendor
from rotation.credential import ApiKey
from rotation.incident.declaration import Declaration
from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sandbox.vendor import Fault, Outage, Role
from rotation.sandbox.vendor.listener import _Handler
from rotation.secrets_manager.labels import COMPROMISED, INCIDENT_TAG
from rotation.secrets_manager.versions import AWSCURRENT, SecretVersions
from rotation.settings import VendorSettings
from tests.cli.doctor.clinic import SECRET, Clinic
from tests.cli.doctor.places import closed_port, hanging_up_port, self_signed, silent_port

Place = Callable[[], AbstractContextManager[int]]


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


@pytest.mark.parametrize(("days", "code"), [(-1, "key_expired"), (20.5, "key_expiring")])
def test_a_key_that_expires(clinic: Clinic, days: float, code: str) -> None:
    """Over, or soon; a key that has expired is not tried."""
    key = clinic.healthy(expiresAt=in_days(days))
    found = clinic.diagnosis()
    assert found["code"] == code
    assert key.id in found["says"]
    assert f"rotation rotate {SECRET}" in found["fix"]
    assert bool(clinic.rotation_fixture.vendor.signatures[key.id]) == (days > 0)


def test_an_expiry_that_nobody_noted(clinic: Clinic) -> None:
    """A key stored by hand need not say when it expires; that is not known, and not wrong."""
    clinic.rotation_fixture.store()
    clinic.turn_on_rotation()
    check = clinic.examine()["expiry"]
    assert check["verdict"] == "not checked"
    assert "expiresAt" in check["says"]


def test_rotation_is_off(clinic: Clinic) -> None:
    """Nobody would replace the key."""
    clinic.rotation_fixture.store(expiresAt=in_days(300))
    found = clinic.diagnosis()
    assert found["code"] == "rotation_off"
    assert "rotate-secret" in found["fix"]


def test_a_rotation_that_is_off_is_not_overdue_as_well(clinic: Clinic) -> None:
    """A date left from when it was on says nothing."""
    clinic.rotation_fixture.store(expiresAt=in_days(300))
    snapshot = SecretVersions(
        clinic.rotation_fixture.client, clinic.rotation_fixture.arn
    ).snapshot()
    now = datetime.now(UTC)
    left = replace(snapshot, rotation_enabled=False, next_rotation=now - timedelta(days=9))
    found = [
        result.finding.code for result in judge_description(SECRET, left, now) if result.finding
    ]
    assert found == ["rotation_off"]


def test_a_rotation_that_did_not_take_place(clinic: Clinic) -> None:
    """The date by which AWS meant to rotate has passed by more than a day."""
    clinic.clock.offset = timedelta(days=-40)
    clinic.healthy()
    assert clinic.diagnosis()["code"] == "rotation_overdue"


def test_a_rotation_that_failed_for_good(clinic: Clinic) -> None:
    """AWSPENDING stays behind; for an hour it may be one that is under way."""
    clinic.clock.offset = timedelta(hours=-2)
    clinic.rotation_fixture.store(expiresAt=in_days(300))
    token = clinic.rotation_fixture.stage()
    found = clinic.diagnosis()
    assert found["code"] == "pending_stuck"
    assert token in found["says"]
    assert f"rotation unstick {SECRET} --apply" in found["fix"]
    clinic.clock.offset = timedelta(0)
    clinic.rotation_fixture.client.update_secret(SecretId=SECRET, Description="touched just now")
    assert "under way" in clinic.examine()["rotation"]["says"]


def test_an_incident_that_is_open(clinic: Clinic) -> None:
    """A tag or a label says so: somebody declared the keys compromised."""
    clinic.healthy()
    declared = Declaration(datetime.now(UTC), "key-compromise", "somebody")
    secrets = clinic.rotation_fixture.client
    secrets.tag_resource(SecretId=SECRET, Tags=[{"Key": INCIDENT_TAG, "Value": declared.tag()}])
    assert clinic.diagnosis()["code"] == "incident_open"
    secrets.untag_resource(SecretId=SECRET, TagKeys=[INCIDENT_TAG])
    assert "incident" in clinic.examine()
    version = clinic.rotation_fixture.version(AWSCURRENT)
    assert version is not None
    SecretVersions(secrets, clinic.rotation_fixture.arn).attach(f"{COMPROMISED}{version}", version)
    assert clinic.diagnosis()["code"] == "incident_open"


def test_what_describes_a_secret_and_fails_is_named(clinic: Clinic) -> None:
    """Throttled or cut off: not checked, for that reason, and not for want of the secret."""
    clinic.healthy()
    for fault in (AwsError("ThrottlingException", "Rate exceeded"), Dropped()):
        clinic.rotation_fixture.cloud.faults.before("DescribeSecret", fault, times=2)
        check = clinic.examine()["rotation"]
        assert check["verdict"] == "not checked"
        assert check["says"].startswith("DescribeSecret failed")
        clinic.rotation_fixture.cloud.faults.clear()


def test_replicas(clinic: Clinic) -> None:
    """In sync is well; one that failed hands out an older key, or none."""
    clinic.healthy()
    elsewhere = clinic.rotation_fixture.cloud.client("secretsmanager", "eu-west-1")
    elsewhere.create_secret(Name=SECRET, SecretString="{}")
    secrets = clinic.rotation_fixture.client
    secrets.replicate_secret_to_regions(
        SecretId=SECRET, AddReplicaRegions=[{"Region": "eu-west-2"}]
    )
    assert clinic.examine()["replicas"]["says"] == "eu-west-2 is in sync"
    secrets.replicate_secret_to_regions(
        SecretId=SECRET, AddReplicaRegions=[{"Region": "eu-west-1"}]
    )
    found = clinic.diagnosis()
    assert found["code"] == "replica_failed"
    assert "eu-west-1" in found["says"]


def test_a_replica_that_lags(clinic: Clinic) -> None:
    """AWS says InProgress for minutes, which the sandbox never does: judged from that word."""
    clinic.healthy()
    snapshot = SecretVersions(
        clinic.rotation_fixture.client, clinic.rotation_fixture.arn
    ).snapshot()
    lagging = replace(snapshot, replication={"eu-west-1": "InProgress"})
    results = judge_description(SECRET, lagging, datetime.now(UTC))
    [found] = [result.finding for result in results if result.check is Check.REPLICAS]
    assert found is not None
    assert found.code == "replica_lagging"


@pytest.mark.parametrize(
    ("place", "code"),
    [
        (closed_port, "vendor_refused"),
        (silent_port, "vendor_timeout"),
        (hanging_up_port, "vendor_lost"),
    ],
)
def test_no_way_to_the_vendor(clinic: Clinic, place: Place, code: str) -> None:
    """Told apart, without a word about the key; through a sealing function none is needed."""
    clinic.healthy()
    with place() as port:
        clinic.variables["VENDOR_URL"] = f"http://127.0.0.1:{port}"
        assert clinic.diagnosis("--timeout", "0.2")["code"] == code
        checks = {
            check: found
            for check, found in clinic.examine("--timeout", "0.2", code=1).items()
            if check in {"clock", "key", "signer"}
        }
        assert {check["verdict"] for check in checks.values()} == {"not checked"}


def test_an_application_that_seals_through_the_function_needs_no_way_to_the_vendor(
    clinic: Clinic,
) -> None:
    """The function asks the vendor; the application's network may be closed."""
    clinic.healthy()
    clinic.function.answers(status="error", error={"code": "invalid_request"})
    clinic.rotation_fixture.vendor.outage = Outage.REFUSED
    check = clinic.examine("--sealing-function", "seal")["vendor"]
    assert check["verdict"] == "not checked"
    assert "need not be: seal asks it" in check["says"]


def test_a_vendor_whose_name_is_not_resolved(clinic: Clinic) -> None:
    """VENDOR_URL is mistyped, or there is no resolver."""
    clinic.healthy()
    clinic.variables["VENDOR_URL"] = "https://api.nowhere.invalid"
    found = clinic.diagnosis()
    assert found["code"] == "vendor_dns"
    assert "api.nowhere.invalid" in found["says"]


def test_a_vendor_with_a_strange_certificate(clinic: Clinic, tmp_path: Path) -> None:
    """Something on the way answers in its place; the key is not sent to it."""
    clinic.healthy()
    with hanging_up_port(self_signed(tmp_path / "server.pem")) as port:
        clinic.variables["VENDOR_URL"] = f"https://127.0.0.1:{port}"
        assert clinic.diagnosis()["code"] == "vendor_tls"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.SERVER_ERROR, "vendor_failing"),
        (Fault.HTML, "vendor_malformed"),
        (Fault.REDIRECT, "vendor_malformed"),
        (Fault.FORBIDDEN, "key_refused"),
        (Fault.STRANGER, "signer_not_accepted"),
        (Fault.IMPOSTOR, "signer_not_accepted"),
        (Fault.NEIGHBOUR, "signer_not_accepted"),
        (Fault.OTHER_DIGEST, "signature_invalid"),
        (Fault.CORRUPTED_SIGNATURE, "signature_invalid"),
        (Fault.NOT_CMS, "signature_invalid"),
    ],
)
def test_what_the_vendor_does_wrong(clinic: Clinic, fault: Fault, code: str) -> None:
    """An outage, a page of HTML, a refusal, and signatures that are nobody's or somebody else's."""
    clinic.healthy()
    clinic.rotation_fixture.vendor.faults.next("sign", fault, times=None)
    assert clinic.diagnosis()["code"] == code


def test_an_outage_says_nothing_of_the_key(clinic: Clinic) -> None:
    """503 to everything: nobody should rotate because of it; seen without a test seal, too."""
    clinic.healthy()
    clinic.rotation_fixture.vendor.outage = Outage.UNAVAILABLE
    for arguments in ((), ("--no-seal",)):
        found = clinic.diagnosis(*arguments)
        assert found["code"] == "vendor_failing"
        assert "do not rotate" in found["fix"]


@pytest.mark.parametrize("offset", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_clock_that_is_off_is_told_from_a_rejected_key(clinic: Clinic, offset: timedelta) -> None:
    """Both are a bare 401; the vendor's Date header tells them apart, with no test seal too."""
    clinic.healthy()
    clinic.rotation_fixture.vendor.clock_offset = offset
    for arguments in ((), ("--no-seal",)):
        found = clinic.diagnosis(*arguments)
        assert found["code"] == "clock_skew"
        assert ("behind" in found["says"]) == (offset > timedelta(0))


def test_a_rejected_key(clinic: Clinic) -> None:
    """Revoked in the portal, and the clocks agree."""
    key = clinic.healthy()
    clinic.rotation_fixture.vendor.keys.revoke(key.id)
    found = clinic.diagnosis()
    assert found["code"] == "key_rejected"
    assert key.id in found["says"]


def test_a_rejection_without_the_vendor_s_time(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 401 with no Date header: a dead key and a wrong clock look alike, and it says so."""
    key = clinic.healthy()
    clinic.rotation_fixture.vendor.keys.revoke(key.id)
    monkeypatch.setattr(_Handler, "date_time_string", lambda *_: "")
    found = clinic.diagnosis()
    assert found["code"] == "key_or_clock"
    assert key.id in found["says"]
    assert "agree" not in found["says"]
    assert found["fix"].startswith("Compare the clock")


def test_the_clock_is_read_when_the_answered_request_is_signed(clinic: Clinic) -> None:
    """Not before the attempts that failed, whose pauses would pass for a clock that is off."""
    key = clinic.healthy()
    clinic.rotation_fixture.vendor.faults.next("sign", Fault.UNAVAILABLE, times=2)
    looked: list[datetime] = []

    def clock() -> datetime:
        looked.append(datetime.now(UTC))
        return looked[-1]

    settings = VendorSettings.from_environment({"VENDOR_URL": clinic.rotation_fixture.vendor.url})
    tried = ApiKey.from_text(key.id, key.material)
    contact = contact_vendor(settings, SECRET, tried, timedelta(seconds=5), clock)
    assert isinstance(contact.outcome, Signature)
    assert len(looked) == 3
    assert contact.sent_at == looked[-1]


def test_an_admin_key_in_the_place_of_a_signing_key(clinic: Clinic) -> None:
    """The vendor knows it, and does not sign with it."""
    admin = clinic.rotation_fixture.vendor.keys.create(role=Role.ADMIN)
    clinic.healthy(apiKey=admin.material, apiKeyId=admin.id)
    assert clinic.diagnosis()["code"] == "key_refused"


def test_settings_that_are_wrong(clinic: Clinic) -> None:
    """The message names the variable."""
    clinic.healthy()
    clinic.variables["VENDOR_URL"] = "ftp://vendor.example"
    found = clinic.diagnosis()
    assert found["code"] == "vendor_settings"
    assert "VENDOR_URL" in found["says"]


def test_without_trust_anchors_the_signer_is_named(clinic: Clinic) -> None:
    """Any certificate can bear a name: not checked, and no problem."""
    clinic.healthy()
    clinic.variables["SIGNER_TRUST_ANCHORS"] = None
    check = clinic.examine()["signer"]
    assert check["verdict"] == "not checked"
    assert "Trusted Signatures Sandbox" in check["says"]


def test_no_seal_buys_no_signature(clinic: Clinic) -> None:
    """The way and the clock are checked all the same."""
    key = clinic.healthy()
    checks = clinic.examine("--no-seal")
    assert clinic.rotation_fixture.vendor.signatures[key.id] == 0
    assert [checks[name]["verdict"] for name in ("vendor", "clock", "key", "signer")] == [
        *("ok", "ok", "not checked", "not checked"),
    ]
    assert checks["key"]["says"] == "--no-seal"


def test_the_sealing_function_answers(clinic: Clinic) -> None:
    """It refuses an empty request itself, so it runs and may be asked."""
    clinic.healthy()
    clinic.function.answers(status="error", error={"code": "invalid_request"})
    check = clinic.examine("--sealing-function", "seal")["sealing-function"]
    assert check["verdict"] == "ok"


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (InvocationResult.failure("Runtime.ExitError", "x"), "sealing_function_crashed"),
        (
            InvocationResult(b'{"status": "error", "error": {"code": "internal"}}'),
            "sealing_function_failing",
        ),
        (InvocationResult(b'"hello"'), "sealing_function_foreign"),
        (InvocationResult(b'{"statusCode": 200}'), "sealing_function_foreign"),
    ],
)
def test_a_sealing_function_that_answers_wrongly(
    clinic: Clinic, result: InvocationResult, code: str
) -> None:
    """A crash, an error that it names, and a function that is another one."""
    clinic.healthy()
    clinic.function.result = result
    found = clinic.diagnosis("--sealing-function", "seal")
    assert found["code"] == code


def test_a_sealing_function_that_cannot_be_asked(clinic: Clinic) -> None:
    """It does not exist; it may not be invoked, and by whose policy; Lambda is not reached."""
    clinic.healthy()
    asked = ("--sealing-function", "seal")
    assert clinic.diagnosis("--sealing-function", "zeal")["code"] == "sealing_function_missing"
    why = "because no identity-based policy allows the lambda:InvokeFunction action"
    clinic.refuse("AccessDeniedException", f"User: x is not authorized {why}", "Invoke")
    found = clinic.diagnosis(*asked)
    assert found["code"] == "sealing_function_denied"
    assert "no identity-based policy allows it" in found["says"]
    clinic.refuse("TooManyRequestsException", "Rate Exceeded.", "Invoke")
    assert clinic.diagnosis(*asked)["code"] == "sealing_function_refused"
    # API_Invoke, "Errors": the function's own trouble, and no right of the caller's.
    for aws_code in ("KMSAccessDeniedException", "EC2AccessDeniedException"):
        clinic.refuse(aws_code, "Lambda was denied it.", "Invoke")
        found = clinic.diagnosis(*asked)
        assert found["code"] == "sealing_function_refused"
        assert aws_code in found["says"]
    with closed_port() as port:
        clinic.variables["AWS_ENDPOINT_URL_LAMBDA"] = f"http://127.0.0.1:{port}"
        found = clinic.diagnosis(*asked)
    assert found["code"] == "sealing_function_unreachable"
    assert "the connection is refused" in found["says"]


@pytest.mark.parametrize("arguments", [("one", "two"), ("--timeout", "0"), ("--nothing",)])
def test_a_wrong_command_line(clinic: Clinic, arguments: tuple[str, ...]) -> None:
    """Exit code 2, before anything is asked."""
    clinic.says(*arguments, code=2)
    assert clinic.rotation_fixture.vendor.requests == ()


def test_a_key_in_the_place_of_the_secret_is_not_repeated(clinic: Clinic) -> None:
    """Whoever pastes a key where a name belongs is told to revoke it; nothing is looked for."""
    calls = len(clinic.rotation_fixture.cloud.calls)
    said = clinic.says(
        clinic.rotation_fixture.vendor.keys.create().material, code=2, secret="--json"
    )
    assert "revoke it in the vendor's portal" in said
    assert len(clinic.rotation_fixture.cloud.calls) == calls
