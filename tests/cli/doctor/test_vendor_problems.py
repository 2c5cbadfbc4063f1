"""Faults of rotation, of the vendor and of the sealing function, each planted for real."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotation.cli.doctor.vendor import SignedTestSeal, contact_vendor
from rotation.credential import ApiKey
from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sandbox.vendor import PKCS7, Outage, Role, VendorFault
from rotation.sandbox.vendor.listener import _Handler
from rotation.settings.vendor import VendorSettings
from tests.cli.doctor.doctor_fixture import SECRET, DoctorFixture
from tests.cli.doctor.faulty_ports import closed_port, hanging_up_port, self_signed, silent_port

FaultyPort = Callable[[], AbstractContextManager[int]]


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def test_a_key_that_has_expired_is_not_tried(doctor: DoctorFixture) -> None:
    """The secret itself says that the key has expired, so no signature is bought."""
    key = doctor.store_healthy_key(expiresAt=in_days(-1))
    found = doctor.only_problem()
    assert found["code"] == "key_expired"
    assert key.id in found["says"]
    assert f"rotation rotate {SECRET}" in found["fix"]
    assert not doctor.rotation_fixture.vendor.signatures[key.id]


def test_what_reconciliation_reports_is_left_to_its_report(doctor: DoctorFixture) -> None:
    """A key that expires soon works today; the output names `rotation status`, which warns."""
    doctor.store_healthy_key(expiresAt=in_days(20.5))
    checks = doctor.checks()
    assert checks["expiry"]["says"].startswith("20 days left")
    assert f"rotation status {SECRET}" in checks["rotation"]["says"]


def test_an_expiry_that_nobody_noted(doctor: DoctorFixture) -> None:
    """A key that was stored by hand may have no expiry; that is reported as unknown."""
    doctor.rotation_fixture.store()
    doctor.turn_on_rotation()
    check = doctor.checks()["expiry"]
    assert check["verdict"] == "not checked"
    assert "expiresAt" in check["says"]


def test_rotation_is_off(doctor: DoctorFixture) -> None:
    """Rotation is off, so nobody would replace the key."""
    doctor.rotation_fixture.store(expiresAt=in_days(300))
    found = doctor.only_problem()
    assert found["code"] == "rotation_off"
    assert "rotate-secret" in found["fix"]


def test_what_describes_a_secret_and_fails_is_named(doctor: DoctorFixture) -> None:
    """DescribeSecret is throttled or cut off, and that is the reason that is reported."""
    doctor.store_healthy_key()
    for fault in (AwsError("ThrottlingException", "Rate exceeded"), Dropped()):
        doctor.rotation_fixture.cloud.faults.before("DescribeSecret", fault, times=2)
        check = doctor.checks()["rotation"]
        assert check["verdict"] == "not checked"
        assert check["says"].startswith("DescribeSecret failed")
        doctor.rotation_fixture.cloud.faults.clear()


@pytest.mark.parametrize(
    ("port_with_fault", "code"),
    [
        (closed_port, "vendor_refused"),
        (silent_port, "vendor_timeout"),
        (hanging_up_port, "vendor_lost"),
    ],
)
def test_no_way_to_the_vendor(
    doctor: DoctorFixture, port_with_fault: FaultyPort, code: str
) -> None:
    """The problems are told apart and say nothing of the key; a sealing function needs none."""
    doctor.store_healthy_key()
    with port_with_fault() as port:
        doctor.variables["VENDOR_URL"] = f"http://127.0.0.1:{port}"
        assert doctor.only_problem("--timeout", "0.2")["code"] == code
        checks = {
            check: found
            for check, found in doctor.checks("--timeout", "0.2", code=1).items()
            if check in {"clock", "key", "signer", "profile"}
        }
        assert {check["verdict"] for check in checks.values()} == {"not checked"}


def test_an_application_that_seals_through_the_function_needs_no_way_to_the_vendor(
    doctor: DoctorFixture,
) -> None:
    """The function asks the vendor, so the application's network may be closed."""
    doctor.store_healthy_key()
    doctor.function.answers(status="error", error={"code": "invalid_request"})
    doctor.rotation_fixture.vendor.outage = Outage.REFUSED
    check = doctor.checks("--sealing-function", "seal")["vendor"]
    assert check["verdict"] == "not checked"
    assert "need not be: seal asks it" in check["says"]


def test_a_vendor_whose_name_is_not_resolved(doctor: DoctorFixture) -> None:
    """VENDOR_URL is mistyped, or there is no resolver."""
    doctor.store_healthy_key()
    doctor.variables["VENDOR_URL"] = "https://api.nowhere.invalid"
    found = doctor.only_problem()
    assert found["code"] == "vendor_dns"
    assert "api.nowhere.invalid" in found["says"]


def test_a_vendor_with_a_strange_certificate(doctor: DoctorFixture, tmp_path: Path) -> None:
    """Another server answers in the vendor's place, and the key is not sent to it."""
    doctor.store_healthy_key()
    with hanging_up_port(self_signed(tmp_path / "server.pem")) as port:
        doctor.variables["VENDOR_URL"] = f"https://127.0.0.1:{port}"
        assert doctor.only_problem()["code"] == "vendor_tls"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (VendorFault.SERVER_ERROR, "vendor_failing"),
        (VendorFault.HTML, "vendor_malformed"),
        (VendorFault.REDIRECT, "vendor_malformed"),
        (VendorFault.FORBIDDEN, "key_refused"),
        (VendorFault.STRANGER, "signer_not_accepted"),
        (VendorFault.IMPOSTOR, "signer_not_accepted"),
        (VendorFault.NEIGHBOUR, "signer_not_accepted"),
        (VendorFault.OTHER_DIGEST, "signature_invalid"),
        (VendorFault.CORRUPTED_SIGNATURE, "signature_invalid"),
        (VendorFault.NOT_CMS, "signature_invalid"),
    ],
)
def test_what_the_vendor_does_wrong(doctor: DoctorFixture, fault: VendorFault, code: str) -> None:
    """The cases are an outage, HTML, a refusal, and signatures of nobody or of somebody else."""
    doctor.store_healthy_key()
    doctor.rotation_fixture.vendor.faults.next("sign", fault, times=None)
    assert doctor.only_problem()["code"] == code


def test_an_outage_says_nothing_of_the_key(doctor: DoctorFixture) -> None:
    """503 is no reason to rotate; it is also found without a test seal."""
    doctor.store_healthy_key()
    doctor.rotation_fixture.vendor.outage = Outage.UNAVAILABLE
    for arguments in ((), ("--no-seal",)):
        found = doctor.only_problem(*arguments)
        assert found["code"] == "vendor_failing"
        assert "do not rotate" in found["fix"]


@pytest.mark.parametrize("offset", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_clock_that_is_off_is_told_from_a_rejected_key(
    doctor: DoctorFixture, offset: timedelta
) -> None:
    """Both are a bare 401; the vendor's Date header tells them apart, also without a test seal."""
    doctor.store_healthy_key()
    doctor.rotation_fixture.vendor.clock_offset = offset
    for arguments in ((), ("--no-seal",)):
        found = doctor.only_problem(*arguments)
        assert found["code"] == "clock_skew"
        assert ("behind" in found["says"]) == (offset > timedelta(0))


def test_a_rejected_key(doctor: DoctorFixture) -> None:
    """The key was revoked in the portal, and the clocks agree."""
    key = doctor.store_healthy_key()
    doctor.rotation_fixture.vendor.keys.revoke(key.id)
    found = doctor.only_problem()
    assert found["code"] == "key_rejected"
    assert key.id in found["says"]


def test_a_rejection_without_the_vendor_s_time(
    doctor: DoctorFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a Date header a dead key and a wrong clock look alike, and the output says so."""
    key = doctor.store_healthy_key()
    doctor.rotation_fixture.vendor.keys.revoke(key.id)
    monkeypatch.setattr(_Handler, "date_time_string", lambda *_: "")
    found = doctor.only_problem()
    assert found["code"] == "key_or_clock"
    assert key.id in found["says"]
    assert "agree" not in found["says"]
    assert found["fix"].startswith("Compare the clock")


def test_the_clock_is_read_when_the_answered_request_is_signed(doctor: DoctorFixture) -> None:
    """The clock is read after the failed attempts, whose pauses would look like a wrong clock."""
    key = doctor.store_healthy_key()
    doctor.rotation_fixture.vendor.faults.next("sign", VendorFault.UNAVAILABLE, times=2)
    looked: list[datetime] = []

    def clock() -> datetime:
        looked.append(datetime.now(UTC))
        return looked[-1]

    settings = VendorSettings.from_environment({"VENDOR_URL": doctor.rotation_fixture.vendor.url})
    tried = ApiKey.from_text(key.id, key.material)
    contact = contact_vendor(settings, SECRET, tried, timedelta(seconds=60), clock)
    assert isinstance(contact.outcome, SignedTestSeal)
    assert len(looked) == 3
    assert contact.sent_at == looked[-1]


def test_an_admin_key_in_the_place_of_a_signing_key(doctor: DoctorFixture) -> None:
    """The vendor knows the key and does not sign with it."""
    admin = doctor.rotation_fixture.vendor.keys.create(role=Role.ADMIN)
    doctor.store_healthy_key(apiKey=admin.material, apiKeyId=admin.id)
    assert doctor.only_problem()["code"] == "key_refused"


def test_settings_that_are_wrong(doctor: DoctorFixture) -> None:
    """The message names the variable."""
    doctor.store_healthy_key()
    doctor.variables["VENDOR_URL"] = "ftp://vendor.example"
    found = doctor.only_problem()
    assert found["code"] == "vendor_settings"
    assert "VENDOR_URL" in found["says"]


def test_without_trust_anchors_the_signer_is_named(doctor: DoctorFixture) -> None:
    """Any certificate can bear a name, so the organisation is reported as not checked."""
    doctor.store_healthy_key()
    doctor.variables["SIGNER_TRUST_ANCHORS"] = None
    check = doctor.checks()["signer"]
    assert check["verdict"] == "not checked"
    assert "Trusted Signatures Sandbox" in check["says"]


def test_the_profile_of_the_signature_is_named(doctor: DoctorFixture) -> None:
    """What the vendor gives, and as what documents are sealed."""
    doctor.store_healthy_key()
    assert doctor.checks()["profile"]["says"] == (
        "pades (RSA with SHA256), the chain is enclosed; documents are sealed as "
        "ETSI.CAdES.detached"
    )
    doctor.rotation_fixture.vendor.profile = PKCS7
    assert doctor.checks()["profile"]["says"] == (
        "pkcs7 (RSA with SHA256), it has no signing-certificate-v2 attribute, it has a "
        "signing-time attribute, the chain is enclosed; documents are sealed as "
        "adbe.pkcs7.detached"
    )


def test_a_profile_that_the_settings_refuse(doctor: DoctorFixture) -> None:
    """With SEAL_PROFILE=pades every seal would be refused, and the doctor says so."""
    doctor.store_healthy_key()
    doctor.variables["SEAL_PROFILE"] = "pades"
    assert doctor.checks()["profile"]["verdict"] == "ok"
    doctor.rotation_fixture.vendor.profile = PKCS7
    found = doctor.only_problem()
    assert found["code"] == "profile_not_pades"
    assert "signing-time" in found["says"]


def test_no_seal_buys_no_signature(doctor: DoctorFixture) -> None:
    """The network path and the clock are checked all the same."""
    key = doctor.store_healthy_key()
    checks = doctor.checks("--no-seal")
    assert doctor.rotation_fixture.vendor.signatures[key.id] == 0
    assert [checks[name]["verdict"] for name in ("vendor", "clock", "key", "signer")] == [
        *("ok", "ok", "not checked", "not checked"),
    ]
    assert checks["key"]["says"] == "--no-seal"


def test_the_sealing_function_answers(doctor: DoctorFixture) -> None:
    """The function refuses an empty request itself, so it runs and may be invoked."""
    doctor.store_healthy_key()
    doctor.function.answers(status="error", error={"code": "invalid_request"})
    check = doctor.checks("--sealing-function", "seal")["sealing-function"]
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
    doctor: DoctorFixture, result: InvocationResult, code: str
) -> None:
    """The cases are a crash, an error that the function names, and another function."""
    doctor.store_healthy_key()
    doctor.function.result = result
    found = doctor.only_problem("--sealing-function", "seal")
    assert found["code"] == code


def test_a_sealing_function_that_cannot_be_asked(doctor: DoctorFixture) -> None:
    """The function does not exist, a policy denies it, or Lambda is not reached."""
    doctor.store_healthy_key()
    asked = ("--sealing-function", "seal")
    assert doctor.only_problem("--sealing-function", "zeal")["code"] == "sealing_function_missing"
    why = "because no identity-based policy allows the lambda:InvokeFunction action"
    doctor.refuse("AccessDeniedException", f"User: x is not authorized {why}", "Invoke")
    found = doctor.only_problem(*asked)
    assert found["code"] == "sealing_function_denied"
    assert "no identity-based policy allows it" in found["says"]
    doctor.refuse("TooManyRequestsException", "Rate Exceeded.", "Invoke")
    assert doctor.only_problem(*asked)["code"] == "sealing_function_refused"
    # API_Invoke, "Errors": the function's own trouble, and no right of the caller's.
    for aws_code in ("KMSAccessDeniedException", "EC2AccessDeniedException"):
        doctor.refuse(aws_code, "Lambda was denied it.", "Invoke")
        found = doctor.only_problem(*asked)
        assert found["code"] == "sealing_function_refused"
        assert aws_code in found["says"]
    with closed_port() as port:
        doctor.variables["AWS_ENDPOINT_URL_LAMBDA"] = f"http://127.0.0.1:{port}"
        found = doctor.only_problem(*asked)
    assert found["code"] == "sealing_function_unreachable"
    assert "the connection is refused" in found["says"]


@pytest.mark.parametrize("arguments", [("one", "two"), ("--timeout", "0"), ("--nothing",)])
def test_a_wrong_command_line(doctor: DoctorFixture, arguments: tuple[str, ...]) -> None:
    """The command ends with exit code 2 before anything is asked."""
    doctor.run(*arguments, code=2)
    assert doctor.rotation_fixture.vendor.requests == ()


def test_a_key_in_the_place_of_the_secret_is_not_repeated(doctor: DoctorFixture) -> None:
    """A key in the place of a name is refused with the advice to revoke it; AWS is not asked."""
    calls = len(doctor.rotation_fixture.cloud.calls)
    said = doctor.run(
        doctor.rotation_fixture.vendor.keys.create().material, code=2, secret="--json"
    )
    assert "revoke it in the vendor's portal" in said
    assert len(doctor.rotation_fixture.cloud.calls) == calls
