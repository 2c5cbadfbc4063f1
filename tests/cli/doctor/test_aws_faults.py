"""Faults between the application and its key, each planted for real, each named with its fix."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from rotation.cli.doctor.obstacles import Kind, obstacle_of
from rotation.sandbox.aws import REGION
from rotation.sandbox.aws.traffic import AwsError, Dropped
from tests.cli.doctor.clinic import APPLICATION, SECRET, Clinic
from tests.cli.doctor.places import closed_port, hanging_up_port, self_signed, silent_port

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


def test_nothing_is_wrong(clinic: Clinic) -> None:
    """Every check is ok or says why it was not made; exit code 0, and one signature was bought."""
    key = clinic.healthy()
    checks = clinic.examine()
    verdicts = {name: check["verdict"] for name, check in checks.items()}
    assert set(verdicts.values()) == {"ok"}
    assert list(verdicts) == [
        *("credentials", "secrets-manager", "secret", "value", "expiry", "rotation", "incident"),
        *("replicas", "vendor", "clock", "key", "signer"),
    ]
    assert clinic.rotation_fixture.vendor.signatures[key.id] == 1
    assert clinic.says().splitlines()[-1] == "Nothing is wrong."


def test_a_problem_is_told_in_three_lines(clinic: Clinic) -> None:
    """Verdict, check and code; the cause; the fix. What could not be checked says what it needs."""
    lines = [" ".join(line.split()) for line in clinic.says(code=1).splitlines()]
    at = lines.index("problem secret secret_without_value")
    assert lines[at + 1].startswith("cause: trusted-signatures-api exists and has no current value")
    assert lines[at + 2].startswith("fix: Store a key with rotation migrate")
    assert "not checked value needs the secret's value" in lines
    assert lines[-1].startswith("2 problems found; ")


def test_no_credentials(clinic: Clinic) -> None:
    """Neither variables nor a profile nor a role."""
    clinic.variables |= {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    found = clinic.diagnosis()
    assert found["code"] == "no_aws_credentials"
    assert "role" in found["fix"]


def test_no_region(clinic: Clinic) -> None:
    """boto3 does not read AWS_REGION, which is there."""
    clinic.variables["AWS_DEFAULT_REGION"] = None
    assert clinic.variables["AWS_REGION"] == REGION
    found = clinic.diagnosis()
    assert found["code"] == "no_aws_region"
    assert "AWS_DEFAULT_REGION" in found["fix"]


def test_a_profile_that_does_not_exist(clinic: Clinic) -> None:
    """The name is repeated, since it is most likely mistyped."""
    clinic.variables["AWS_PROFILE"] = "prodution"
    found = clinic.diagnosis()
    assert found["code"] == "aws_profile"
    assert "prodution" in found["says"]


@pytest.mark.parametrize("old", [False, True])
def test_credentials_that_cannot_be_fetched(clinic: Clinic, tmp_path: Path, old: bool) -> None:
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
    clinic.variables |= {
        "AWS_ACCESS_KEY_ID": None,
        "AWS_SECRET_ACCESS_KEY": None,
        "AWS_CONFIG_FILE": str(config),
    }
    assert clinic.diagnosis()["code"] == "aws_credentials_unreadable"


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
    clinic: Clinic, aws_code: str, message: str, code: str
) -> None:
    """Expired, wrong, or signed with a clock that is off: told apart."""
    clinic.healthy()
    clinic.refuse(aws_code, message)
    assert clinic.diagnosis()["code"] == code


Place = Callable[[], AbstractContextManager[int]]


@pytest.mark.parametrize(
    ("place", "code"),
    [
        (closed_port, "endpoint_refused"),
        (silent_port, "endpoint_timeout"),
        (hanging_up_port, "endpoint_lost"),
    ],
)
def test_no_way_to_secrets_manager(clinic: Clinic, place: Place, code: str) -> None:
    """A closed port, packets that are dropped, a connection that is cut off."""
    with place() as port:
        clinic.variables["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        found = clinic.diagnosis("--timeout", "0.2")
    assert found["code"] == code
    assert f"127.0.0.1:{port}" in found["says"]


def test_an_endpoint_whose_name_is_not_resolved(clinic: Clinic) -> None:
    """DNS in the VPC is off, or the Region does not exist."""
    clinic.variables["AWS_ENDPOINT_URL"] = "http://secretsmanager.nowhere.invalid"
    found = clinic.diagnosis()
    assert found["code"] == "endpoint_dns"
    assert "secretsmanager.nowhere.invalid" in found["says"]


def test_an_endpoint_with_a_strange_certificate(clinic: Clinic, tmp_path: Path) -> None:
    """Something else answers in the place of AWS."""
    with hanging_up_port(self_signed(tmp_path / "server.pem")) as port:
        clinic.variables["AWS_ENDPOINT_URL"] = f"https://127.0.0.1:{port}"
        assert clinic.diagnosis()["code"] == "endpoint_tls"


def test_a_proxy_that_is_not_there(clinic: Clinic) -> None:
    """HTTP_PROXY names a port that is closed."""
    with closed_port() as port:
        clinic.variables |= {
            "AWS_ENDPOINT_URL": "http://secretsmanager.nowhere.invalid",
            "HTTP_PROXY": f"http://127.0.0.1:{port}",
        }
        assert clinic.diagnosis()["code"] == "endpoint_proxy"


def test_no_route_is_told_from_a_refusal() -> None:
    """The kernel knows no way: errno ENETUNREACH somewhere behind botocore's exception."""
    failure = EndpointConnectionError(
        endpoint_url="https://x", error=OSError(errno.ENETUNREACH, "Network is unreachable")
    )
    obstacle = obstacle_of(failure)
    assert obstacle is not None
    assert obstacle.kind is Kind.UNREACHABLE


def test_secrets_manager_itself_fails(clinic: Clinic) -> None:
    """5xx after the last attempt is nobody's policy."""
    clinic.healthy()
    clinic.rotation_fixture.cloud.faults.before(
        "GetSecretValue", AwsError("InternalServiceError", "", 500), 2
    )
    assert clinic.diagnosis()["code"] == "endpoint_failing"
    clinic.rotation_fixture.cloud.faults.before("GetSecretValue", Dropped(), 2)
    assert clinic.diagnosis()["code"] == "endpoint_lost"


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
def test_whose_policy_refuses_is_told(clinic: Clinic, why: str, code: str) -> None:
    """IAM user guide, troubleshoot_access-denied: the wording names the kind of policy."""
    clinic.healthy()
    why = why.format("secretsmanager:GetSecretValue action")
    clinic.refuse("AccessDeniedException", f"{ASKED}{ARN} {why}".strip())
    found = clinic.diagnosis()
    assert found["code"] == code
    assert ROLE in found["says"]
    assert ARN in found["says"]
    assert (POLICY_ARN in found["says"]) == (POLICY_ARN in why)


def test_a_bare_name_in_a_denial_may_be_a_wrong_name(clinic: Clinic) -> None:
    """AWS looks at rights before it looks for the secret, and then has no ARN to name."""
    why = "because no identity-based policy allows the secretsmanager:GetSecretValue action"
    clinic.refuse("AccessDeniedException", f"{ASKED}trusted-signature-api {why}")
    found = clinic.diagnosis(secret="trusted-signature-api")
    assert found["code"] == "not_allowed_by_identity_policy"
    assert f"there may be no such secret in {REGION}" in found["fix"]


@pytest.mark.parametrize(
    ("message", "whose"),
    [
        ("Access to KMS is not allowed", "AWS does not say whose policy"),
        (
            f"{DECRYPTING} the resource associated with this ciphertext {MISSING}",
            "no identity-based policy allows it",
        ),
        (f"{DECRYPTING} this resource {KEY_POLICY}", "no resource-based policy allows it"),
    ],
)
def test_a_kms_key_that_is_not_to_be_used(clinic: Clinic, message: str, whose: str) -> None:
    """The right on the secret is there; the one on its key is not."""
    clinic.healthy()
    clinic.refuse("AccessDeniedException", message)
    found = clinic.diagnosis()
    assert found["code"] == "kms_denied"
    assert whose in found["says"]
    assert f"kms:ViaService = secretsmanager.{REGION}.amazonaws.com" in found["fix"]


@pytest.mark.parametrize(
    ("aws_code", "code"),
    [("DecryptionFailure", "kms_failure"), ("InvalidParameterException", "aws_refused")],
)
def test_other_refusals(clinic: Clinic, aws_code: str, code: str) -> None:
    """What no other code fits is told with AWS's own."""
    clinic.healthy()
    clinic.refuse(aws_code, "Something else.")
    found = clinic.diagnosis()
    assert found["code"] == code
    assert aws_code in found["says"]


@pytest.mark.parametrize("mistyped", ["arn:aws", "arn:aws:secretsmanager"])
def test_half_an_arn_is_told_with_aws_s_own_word(clinic: Clinic, mistyped: str) -> None:
    """It names no Region to compare."""
    clinic.refuse("ValidationException", "Invalid name.")
    found = clinic.finds("--no-seal", secret=mistyped)
    assert "ValidationException" in found["aws_refused"]["says"]


def test_an_arn_of_another_region(clinic: Clinic) -> None:
    """The ARN itself says where the secret is."""
    found = clinic.finds(secret=ARN.replace(REGION, "eu-west-1"))
    assert "eu-west-1" in found["region_mismatch"]["fix"]


def test_a_name_that_does_not_exist(clinic: Clinic) -> None:
    """Names like it are listed, if that is allowed; nobody hears of them otherwise."""
    clinic.healthy()
    found = clinic.diagnosis(secret="trusted-signature-API")
    assert found["code"] == "secret_not_found"
    assert f"Similar names there: {SECRET}." in found["says"]
    clinic.deny("ListSecrets")
    found = clinic.diagnosis(secret="trusted-signature-API")
    assert "secretsmanager:ListSecrets is not allowed" in found["says"]


def test_a_secret_that_is_in_another_region(clinic: Clinic) -> None:
    """The Region that somebody names is asked, too."""
    clinic.healthy()
    clinic.variables["AWS_DEFAULT_REGION"] = "eu-west-1"
    assert clinic.diagnosis()["code"] == "secret_not_found"
    found = clinic.diagnosis("--also-region", REGION, "--also-region", "eu-west-3")
    assert found["code"] == "secret_in_other_region"
    assert f"AWS_DEFAULT_REGION to {REGION}," in found["fix"]


@pytest.mark.parametrize("denied", [(), ("DescribeSecret",)])
def test_a_secret_that_is_being_deleted(clinic: Clinic, denied: tuple[str, ...]) -> None:
    """With the right to describe it or without, the command that restores it is told."""
    clinic.healthy()
    clinic.rotation_fixture.client.delete_secret(SecretId=SECRET)
    clinic.deny(*denied)
    found = clinic.diagnosis()
    assert found["code"] == "secret_deleted"
    assert "restore-secret" in found["fix"]


@pytest.mark.parametrize("denied", [(), ("DescribeSecret",)])
def test_a_secret_without_a_value(clinic: Clinic, denied: tuple[str, ...]) -> None:
    """It exists, and was never rotated: told apart from one that does not exist."""
    clinic.turn_on_rotation()
    clinic.deny(*denied)
    assert clinic.diagnosis()["code"] == "secret_without_value"


@pytest.mark.parametrize(
    ("value", "code", "says"),
    [
        ("8c1f" * 16, "value_not_json", "is not a JSON object"),
        ("[]", "value_not_json", "is not a JSON object"),
        ({"apiKey": "8c1f" * 16}, "value_member_missing", "no member apiKeyId"),
        ({"keys": []}, "value_member_missing", "no member apiKey."),
        ({"apiKey": "8c1", "apiKeyId": "x"}, "value_malformed", '"apiKey" is not hexadecimal'),
        ({"apiKey": "8c1f" * 16, "apiKeyId": "x"}, "value_malformed", '"apiKeyId" is not a UUID'),
        (
            {
                "apiKey": "8c1f" * 16,
                "apiKeyId": "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5",
                "expiresAt": "tomorrow",
            },
            "value_malformed",
            '"expiresAt" is not an ISO 8601 time',
        ),
    ],
)
def test_a_value_that_is_no_key(clinic: Clinic, value: object, code: str, says: str) -> None:
    """The member is named, and nothing of the value is repeated."""
    clinic.healthy()
    clinic.rotation_fixture.put(value)
    found = clinic.diagnosis()
    assert found["code"] == code
    assert says in found["says"]
    assert "8c1f8c1f" not in found["says"]


def test_a_binary_value(clinic: Clinic) -> None:
    """A value that is bytes is no key either."""
    clinic.healthy()
    clinic.rotation_fixture.client.put_secret_value(SecretId=SECRET, SecretBinary=b"\x00\x01")
    assert clinic.diagnosis()["code"] == "value_not_json"


def test_without_further_rights_it_says_what_it_cannot_see(clinic: Clinic) -> None:
    """With GetSecretValue alone nothing is wrong, and the missing right is named."""
    clinic.healthy()
    clinic.deny("DescribeSecret", "ListSecrets", "Invoke")
    checks = clinic.examine()
    for name in ("rotation", "incident", "replicas"):
        assert checks[name]["verdict"] == "not checked"
        assert "secretsmanager:DescribeSecret" in checks[name]["says"]


def test_it_only_reads(clinic: Clinic) -> None:
    """What it asks of AWS changes nothing, and the function is asked to seal nothing."""
    clinic.healthy()
    clinic.function.answers(status="error", error={"code": "invalid_request"})
    clinic.examine("--sealing-function", "seal")
    asked = {
        call.operation for call in clinic.rotation_fixture.cloud.calls if call.caller == APPLICATION
    }
    assert asked == {"GetSecretValue", "DescribeSecret", "Invoke"}
    assert clinic.function.payloads == [b"{}"]


def test_a_secret_that_can_be_described_exists(clinic: Clinic) -> None:
    """Whatever GetSecretValue's message says: there is the secret, and no value in it."""
    clinic.refuse("ResourceNotFoundException", "Secrets Manager can't find it.")
    assert "secret_without_value" in clinic.finds()
