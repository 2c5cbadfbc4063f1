"""Faults between the application and its key, each planted for real, each named with its fix."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from rotation.cli.doctor.connection import botocore_failure
from rotation.sandbox.aws import REGION
from rotation.sandbox.aws.traffic import AwsError, Dropped
from tests.cli.doctor.doctor_fixture import APPLICATION, SECRET, DoctorFixture
from tests.cli.doctor.faulty_ports import closed_port, hanging_up_port, self_signed, silent_port

ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:trusted-signatures-api-AbCdEf"
ROLE = "arn:aws:sts::123456789012:assumed-role/application/session"
ASKED = f"User: {ROLE} is not authorized to perform: secretsmanager:GetSecretValue on resource: "
DECRYPTING = f"User: {ROLE} is not authorized to perform: kms:Decrypt on"
MISSING = "because no identity-based policy allows the kms:Decrypt action"
KEY_POLICY = (
    "because the resource does not exist in this Region, no resource-based policies allow access, "
    "or a resource-based policy explicitly denies access"
)
POLICY_ARN = "arn:aws:organizations::987654321098:policy/o-1/service_control_policy/p-2"
UUID = "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"


def test_nothing_is_wrong(doctor: DoctorFixture) -> None:
    """Every check is ok or says why it was not made; exit code 0, and one signature was bought."""
    key = doctor.store_healthy_key()
    checks = doctor.checks()
    verdicts = {name: check["verdict"] for name, check in checks.items()}
    assert set(verdicts.values()) == {"ok"}
    assert list(verdicts) == [
        *("credentials", "secrets-manager", "secret", "value", "expiry", "rotation"),
        *("vendor", "clock", "key", "signer", "profile"),
    ]
    assert doctor.rotation_fixture.vendor.signatures[key.id] == 1
    assert doctor.run().splitlines()[-1] == "Nothing is wrong."


def test_a_problem_is_told_in_three_lines(doctor: DoctorFixture) -> None:
    """Verdict, check and code; the cause; the fix. What could not be checked says what it needs."""
    lines = [" ".join(line.split()) for line in doctor.run(code=1).splitlines()]
    at = lines.index("problem secret secret_without_value")
    assert lines[at + 1].startswith("cause: trusted-signatures-api exists and has no current value")
    assert lines[at + 2].startswith("fix: Store a key with rotation migrate")
    assert "not checked value needs the secret's value" in lines
    assert lines[-1].startswith("2 problems found; ")


def test_no_credentials(doctor: DoctorFixture) -> None:
    """Neither variables nor a profile nor a role."""
    doctor.variables |= {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    found = doctor.only_problem()
    assert found["code"] == "no_aws_credentials"
    assert "role" in found["fix"]


def test_no_region(doctor: DoctorFixture) -> None:
    """boto3 does not read AWS_REGION, which is there."""
    doctor.variables["AWS_DEFAULT_REGION"] = None
    assert doctor.variables["AWS_REGION"] == REGION
    found = doctor.only_problem()
    assert found["code"] == "no_aws_region"
    assert "AWS_DEFAULT_REGION" in found["fix"]


def test_a_profile_that_does_not_exist(doctor: DoctorFixture) -> None:
    """The name is repeated, since it is most likely mistyped."""
    doctor.variables["AWS_PROFILE"] = "prodution"
    found = doctor.only_problem()
    assert found["code"] == "aws_profile"
    assert "prodution" in found["says"]


@pytest.mark.parametrize("old", [False, True])
def test_credentials_that_cannot_be_fetched(
    doctor: DoctorFixture, tmp_path: Path, old: bool
) -> None:
    """What should hand them out fails, or hands out what has expired."""
    expired = {
        "Version": 1,
        "AccessKeyId": "x",
        "SecretAccessKey": "x",
        "SessionToken": "x",
        "Expiration": "2026-01-01T00:00:00Z",
    }
    (tmp_path / "expired.json").write_text(json.dumps(expired))
    process = f"/bin/cat {tmp_path / 'expired.json'}" if old else "/bin/false"
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {process}\n")
    doctor.variables |= {
        "AWS_ACCESS_KEY_ID": None,
        "AWS_SECRET_ACCESS_KEY": None,
        "AWS_CONFIG_FILE": str(config),
    }
    assert doctor.only_problem()["code"] == "aws_credentials_unreadable"


@pytest.mark.parametrize(
    ("aws_code", "message", "code"),
    [
        (
            "ExpiredTokenException",
            "The security token included in the request is expired",
            "aws_token_expired",
        ),
        (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            "aws_credentials_invalid",
        ),
        (
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
            "aws_credentials_invalid",
        ),
        (
            "InvalidSignatureException",
            (
                "Signature expired: 20260204T205323Z is now earlier than 20260205T141250Z "
                "(20260205T141750Z - 5 min.)"
            ),
            "aws_clock_skew",
        ),
    ],
)
def test_credentials_that_aws_does_not_accept(
    doctor: DoctorFixture, aws_code: str, message: str, code: str
) -> None:
    """Expired, wrong, or signed with a clock that is off: told apart."""
    doctor.store_healthy_key()
    doctor.refuse(aws_code, message)
    assert doctor.only_problem()["code"] == code


FaultyPort = Callable[[], AbstractContextManager[int]]


@pytest.mark.parametrize(
    ("port_with_fault", "code"),
    [
        (closed_port, "endpoint_refused"),
        (silent_port, "endpoint_timeout"),
        (hanging_up_port, "endpoint_lost"),
    ],
)
def test_no_way_to_secrets_manager(
    doctor: DoctorFixture, port_with_fault: FaultyPort, code: str
) -> None:
    """A closed port, packets that are dropped, a connection that is cut off."""
    with port_with_fault() as port:
        doctor.variables["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        found = doctor.only_problem("--timeout", "0.2")
    assert found["code"] == code
    assert f"127.0.0.1:{port}" in found["says"]


def test_an_endpoint_whose_name_is_not_resolved(doctor: DoctorFixture) -> None:
    """DNS in the VPC is off, or the Region does not exist."""
    doctor.variables["AWS_ENDPOINT_URL"] = "http://secretsmanager.nowhere.invalid"
    found = doctor.only_problem()
    assert found["code"] == "endpoint_dns"
    assert "secretsmanager.nowhere.invalid" in found["says"]


def test_an_endpoint_with_a_strange_certificate(doctor: DoctorFixture, tmp_path: Path) -> None:
    """Something else answers in the place of AWS."""
    with hanging_up_port(self_signed(tmp_path / "server.pem")) as port:
        doctor.variables["AWS_ENDPOINT_URL"] = f"https://127.0.0.1:{port}"
        assert doctor.only_problem()["code"] == "endpoint_tls"


def test_a_proxy_that_is_not_there(doctor: DoctorFixture) -> None:
    """HTTP_PROXY names a port that is closed."""
    with closed_port() as port:
        doctor.variables |= {
            "AWS_ENDPOINT_URL": "http://secretsmanager.nowhere.invalid",
            "HTTP_PROXY": f"http://127.0.0.1:{port}",
        }
        assert doctor.only_problem()["code"] == "endpoint_proxy"


def test_no_route_is_told_from_a_refusal() -> None:
    """The kernel knows no way: errno ENETUNREACH somewhere behind botocore's exception."""
    failure = EndpointConnectionError(
        endpoint_url="https://x", error=OSError(errno.ENETUNREACH, "Network is unreachable")
    )
    found = botocore_failure(failure)
    assert found is not None
    assert found.kind == "unreachable"


def test_secrets_manager_itself_fails(doctor: DoctorFixture) -> None:
    """5xx after the last attempt is nobody's policy."""
    doctor.store_healthy_key()
    doctor.rotation_fixture.cloud.faults.before(
        "GetSecretValue", AwsError("InternalServiceError", "", 500), 2
    )
    assert doctor.only_problem()["code"] == "endpoint_failing"
    doctor.rotation_fixture.cloud.faults.before("GetSecretValue", Dropped(), 2)
    assert doctor.only_problem()["code"] == "endpoint_lost"


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("because no identity-based policy allows the {}", "not_allowed_by_identity_policy"),
        ("because no resource-based policy allows the {}", "not_allowed_by_resource_policy"),
        (
            "because no service control policy allows the {}",
            "not_allowed_by_service_control_policy",
        ),
        ("because no permissions boundary allows the {}", "not_allowed_by_permissions_boundary"),
        ("because no session policy allows the {}", "not_allowed_by_session_policy"),
        ("because no VPC endpoint policy allows the {}", "not_allowed_by_vpc_endpoint_policy"),
        ("with an explicit deny in an identity-based policy", "denied_by_identity_policy"),
        ("with an explicit deny in a resource-based policy", "denied_by_resource_policy"),
        ("with an explicit deny in a permissions boundary", "denied_by_permissions_boundary"),
        ("with an explicit deny in a session policy", "denied_by_session_policy"),
        ("with an explicit deny in a VPC endpoint policy", "denied_by_vpc_endpoint_policy"),
        ("with an explicit deny in a resource control policy", "denied_by_resource_control_policy"),
        (
            f"with an explicit deny in a service control policy: {POLICY_ARN}",
            "denied_by_service_control_policy",
        ),
        ("with an explicit deny", "access_denied"),
        ("", "access_denied"),
    ],
)
def test_whose_policy_refuses_is_told(doctor: DoctorFixture, why: str, code: str) -> None:
    """IAM user guide, troubleshoot_access-denied: the wording names the kind of policy."""
    doctor.store_healthy_key()
    why = why.format("secretsmanager:GetSecretValue action")
    doctor.refuse("AccessDeniedException", f"{ASKED}{ARN} {why}".strip())
    found = doctor.only_problem()
    assert found["code"] == code
    assert ROLE in found["says"]
    assert ARN in found["says"]
    assert (POLICY_ARN in found["says"]) == (POLICY_ARN in why)


def test_a_bare_name_in_a_denial_may_be_a_wrong_name(doctor: DoctorFixture) -> None:
    """AWS looks at rights before it looks for the secret, and then has no ARN to name."""
    why = "because no identity-based policy allows the secretsmanager:GetSecretValue action"
    doctor.refuse("AccessDeniedException", f"{ASKED}trusted-signature-api {why}")
    found = doctor.only_problem(secret="trusted-signature-api")
    assert found["code"] == "not_allowed_by_identity_policy"
    assert f"there may be no such secret in {REGION}" in found["fix"]


@pytest.mark.parametrize(
    ("message", "whose"),
    [
        ("Access to KMS is not allowed", "AWS does not say which policy"),
        (
            f"{DECRYPTING} the resource associated with this ciphertext {MISSING}",
            "no identity-based policy allows it",
        ),
        (f"{DECRYPTING} this resource {KEY_POLICY}", "no resource-based policy allows it"),
    ],
)
def test_a_kms_key_that_is_not_to_be_used(doctor: DoctorFixture, message: str, whose: str) -> None:
    """The right on the secret is there; the one on its key is not."""
    doctor.store_healthy_key()
    doctor.refuse("AccessDeniedException", message)
    found = doctor.only_problem()
    assert found["code"] == "kms_denied"
    assert whose in found["says"]
    assert f"kms:ViaService = secretsmanager.{REGION}.amazonaws.com" in found["fix"]


@pytest.mark.parametrize(
    ("aws_code", "code"),
    [("DecryptionFailure", "kms_failure"), ("InvalidParameterException", "aws_refused")],
)
def test_other_refusals(doctor: DoctorFixture, aws_code: str, code: str) -> None:
    """What no other code fits is told with AWS's own."""
    doctor.store_healthy_key()
    doctor.refuse(aws_code, "Something else.")
    found = doctor.only_problem()
    assert found["code"] == code
    assert aws_code in found["says"]


@pytest.mark.parametrize("mistyped", ["arn:aws", "arn:aws:secretsmanager"])
def test_half_an_arn_is_told_with_aws_s_own_word(doctor: DoctorFixture, mistyped: str) -> None:
    """It names no Region to compare."""
    doctor.refuse("ValidationException", "Invalid name.")
    found = doctor.problems("--no-seal", secret=mistyped)
    assert "ValidationException" in found["aws_refused"]["says"]


def test_an_arn_of_another_region(doctor: DoctorFixture) -> None:
    """The ARN itself says where the secret is."""
    found = doctor.problems(secret=ARN.replace(REGION, "eu-west-1"))
    assert "eu-west-1" in found["region_mismatch"]["fix"]


def test_a_name_that_does_not_exist(doctor: DoctorFixture) -> None:
    """Names like it are listed, if that is allowed; nobody hears of them otherwise."""
    doctor.store_healthy_key()
    found = doctor.only_problem(secret="trusted-signature-API")
    assert found["code"] == "secret_not_found"
    assert f"Similar names there: {SECRET}." in found["says"]
    doctor.deny("ListSecrets")
    found = doctor.only_problem(secret="trusted-signature-API")
    assert "secretsmanager:ListSecrets is not allowed" in found["says"]


def test_a_secret_that_is_in_another_region(doctor: DoctorFixture) -> None:
    """The Region that somebody names is asked, too."""
    doctor.store_healthy_key()
    doctor.variables["AWS_DEFAULT_REGION"] = "eu-west-1"
    assert doctor.only_problem()["code"] == "secret_not_found"
    found = doctor.only_problem("--also-region", REGION, "--also-region", "eu-west-3")
    assert found["code"] == "secret_in_other_region"
    assert f"AWS_DEFAULT_REGION to {REGION}," in found["fix"]


@pytest.mark.parametrize("denied", [(), ("DescribeSecret",)])
def test_a_secret_that_is_being_deleted(doctor: DoctorFixture, denied: tuple[str, ...]) -> None:
    """With the right to describe it or without, the command that restores it is told."""
    doctor.store_healthy_key()
    doctor.rotation_fixture.client.delete_secret(SecretId=SECRET)
    doctor.deny(*denied)
    found = doctor.only_problem()
    assert found["code"] == "secret_deleted"
    assert "restore-secret" in found["fix"]


@pytest.mark.parametrize("denied", [(), ("DescribeSecret",)])
def test_a_secret_without_a_value(doctor: DoctorFixture, denied: tuple[str, ...]) -> None:
    """It exists, and was never rotated: told apart from one that does not exist."""
    doctor.turn_on_rotation()
    doctor.deny(*denied)
    assert doctor.only_problem()["code"] == "secret_without_value"


@pytest.mark.parametrize(
    ("value", "code", "says"),
    [
        ("8c1f" * 16, "value_not_json", "is not a JSON object"),
        ("[]", "value_not_json", "is not a JSON object"),
        ({"apiKey": "8c1f" * 16}, "value_member_missing", "no member apiKeyId"),
        ({"keys": []}, "value_member_missing", "no member apiKey."),
        ({"apiKey": "8c1", "apiKeyId": UUID}, "value_malformed", '"apiKey" is not hexadecimal'),
        ({"apiKey": "8c1f" * 16, "apiKeyId": "x"}, "value_malformed", '"apiKeyId" is not a UUID'),
        (
            {
                "apiKey": "8c1f" * 16,
                "apiKeyId": UUID,
                "expiresAt": "tomorrow",
            },
            "value_malformed",
            '"expiresAt" is not an ISO 8601 time',
        ),
    ],
)
def test_a_value_that_is_no_key(doctor: DoctorFixture, value: object, code: str, says: str) -> None:
    """The member is named, and nothing of the value is repeated."""
    doctor.store_healthy_key()
    doctor.rotation_fixture.put(value)
    found = doctor.only_problem()
    assert found["code"] == code
    assert says in found["says"]
    assert "8c1f8c1f" not in found["says"]


def test_a_binary_value(doctor: DoctorFixture) -> None:
    """A value that is bytes is no key either."""
    doctor.store_healthy_key()
    doctor.rotation_fixture.client.put_secret_value(SecretId=SECRET, SecretBinary=b"\x00\x01")
    assert doctor.only_problem()["code"] == "value_not_json"


def test_without_further_rights_it_says_what_it_cannot_see(doctor: DoctorFixture) -> None:
    """With GetSecretValue alone nothing is wrong, and the missing right is named."""
    doctor.store_healthy_key()
    doctor.deny("DescribeSecret", "ListSecrets", "Invoke")
    check = doctor.checks()["rotation"]
    assert check["verdict"] == "not checked"
    assert "secretsmanager:DescribeSecret" in check["says"]


def test_it_only_reads(doctor: DoctorFixture) -> None:
    """What it asks of AWS changes nothing, and the function is asked to seal nothing."""
    doctor.store_healthy_key()
    doctor.function.answers(status="error", error={"code": "invalid_request"})
    doctor.checks("--sealing-function", "seal")
    asked = {
        call.operation for call in doctor.rotation_fixture.cloud.calls if call.caller == APPLICATION
    }
    assert asked == {"GetSecretValue", "DescribeSecret", "Invoke"}
    assert doctor.function.payloads == [b"{}"]


def test_a_secret_that_can_be_described_exists(doctor: DoctorFixture) -> None:
    """Whatever GetSecretValue's message says: there is the secret, and no value in it."""
    doctor.refuse("ResourceNotFoundException", "Secrets Manager can't find it.")
    assert "secret_without_value" in doctor.problems()
