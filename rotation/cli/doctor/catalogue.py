"""Every problem that the doctor can find: its stable code, its cause and its fix, each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rotation.cli.doctor.denial import denial_code, with_article
from rotation.cli.doctor.result import Check, CheckResult, CheckStatus


@dataclass(frozen=True)
class Diagnosis:
    """A problem: templates, whose fields are filled in from the facts.

    Attributes:
        cause: why the application fails, or will fail.
        fix: what to do, and where.
    """

    cause: str
    fix: str


def problem(code: str, *, more: str = "", **facts: object) -> CheckResult:
    """The result of a check that found the problem of that code.

    Args:
        code: a code in `CATALOGUE`.
        more: a sentence for the end of the cause.
        facts: the fields of the templates.
    """
    check, diagnosis = next(
        (check, listed[code]) for check, listed in CATALOGUE.items() if code in listed
    )
    cause = " ".join(f"{diagnosis.cause.format_map(facts)} {more}".split())
    return CheckResult(check, CheckStatus.PROBLEM, cause, code, diagnosis.fix.format_map(facts))


_CONNECTION_CAUSES: Final = {
    "dns": "The name {host} cannot be resolved from here.",
    "refused": "Something refuses connections to {host}.",
    "timeout": "No connection to {host} was made within {seconds} s: something drops the packets.",
    "unreachable": "There is no route to {host}.",
    "tls": "The TLS certificate of {host} is not accepted.",
    "proxy": "The proxy on the way to {host} cannot be reached.",
    "lost": "The connection to {host} was lost before the whole answer came ({problem}).",
}


def _connection(prefix: str, fixes: Mapping[str, str]) -> dict[str, Diagnosis]:
    return {
        f"{prefix}_{kind}": Diagnosis(_CONNECTION_CAUSES[kind], fix) for kind, fix in fixes.items()
    }


def _denials(policy: str, to_allow: str, to_undeny: str) -> dict[str, Diagnosis]:
    what = "{action} on {resource} to {caller}."
    return {
        denial_code(policy, explicit=False): Diagnosis(f"No {policy} allows {what}", to_allow),
        denial_code(policy, explicit=True): Diagnosis(
            f"{with_article(policy, capital=True)} denies {what}", to_undeny
        ),
    }


#: In the order of the checks. Codes are stable.
CATALOGUE: Final[Mapping[Check, Mapping[str, Diagnosis]]] = {
    Check.CREDENTIALS: {
        "no_aws_region": Diagnosis(
            "No AWS Region is configured here.",
            "Set AWS_DEFAULT_REGION, or region in the profile. boto3 does not read AWS_REGION.",
        ),
        "no_aws_credentials": Diagnosis(
            "There are no AWS credentials here.",
            "Give the process a role (task role, instance profile, function role, service "
            "account), or set AWS_PROFILE.",
        ),
        "aws_profile": Diagnosis(
            "The AWS profile or configuration cannot be used: {problem}",
            "Check AWS_PROFILE and the files ~/.aws/config and ~/.aws/credentials.",
        ),
        "aws_credentials_unreadable": Diagnosis(
            "AWS credentials are configured, but could not be fetched: {problem}",
            "Check where they come from: the role's trust policy, the metadata service and its "
            "hop limit, aws sso login, or the network path to STS.",
        ),
        "aws_token_expired": Diagnosis(
            "The AWS session token has expired.",
            "Fetch new temporary credentials (aws sso login, or assume the role again). A process "
            "should get them from its role, which renews them, and not from copied variables.",
        ),
        "aws_credentials_invalid": Diagnosis(
            "AWS does not accept these credentials ({aws_code}).",
            "Check that access key, secret access key and session token belong together, and that "
            "the key is active and of this partition.",
        ),
        "aws_clock_skew": Diagnosis(
            "The clock of this machine is too far from AWS's: {problem}",
            "Set the clock; run a time service such as chrony.",
        ),
    },
    Check.SECRETS_MANAGER: {
        **_connection(
            "endpoint",
            {
                "dns": "In a VPC: turn on DNS support, and private DNS names of the Secrets "
                "Manager endpoint. Elsewhere: check the resolver, and that the Region {region} "
                "exists.",
                "refused": "Check AWS_ENDPOINT_URL and what listens there: AWS itself does not "
                "refuse connections.",
                "timeout": "Let the security group of this process out to port 443, and let the "
                "security group of the VPC endpoint for Secrets Manager accept it; without an "
                "endpoint the subnet needs a route to a NAT gateway.",
                "unreachable": "Give the subnet a route to a NAT gateway, or the VPC an endpoint "
                "for Secrets Manager.",
                "tls": "Something between here and AWS answers in its place, such as an inspecting "
                "proxy: exempt AWS from it, or set AWS_CA_BUNDLE to its certificate. A clock that "
                "is years off has the same effect.",
                "proxy": "Check HTTPS_PROXY; in a VPC with an endpoint, name {host} in NO_PROXY.",
                "lost": "Try again; if it happens again, look for a proxy or firewall that cuts "
                "connections off.",
            },
        ),
        "endpoint_failing": Diagnosis(
            "Secrets Manager answers, but fails or throttles ({aws_code}).",
            "Wait and try again. If it stays: see the AWS Health Dashboard for {region}, and how "
            "often this account calls Secrets Manager.",
        ),
    },
    Check.SECRET: {
        "region_mismatch": Diagnosis(
            "The ARN names a secret in {other_region}, but {region} is asked.",
            "Set AWS_DEFAULT_REGION to {other_region}, or give the ARN of the replica in {region}.",
        ),
        "secret_not_found": Diagnosis(
            "There is no secret {secret} in {region}. {similar}",
            "Check the name, the account and the Region; --also-region REGION searches elsewhere "
            "too. To create it: rotation migrate NAME.",
        ),
        "secret_in_other_region": Diagnosis(
            "There is no secret {secret} in {region}; there is one in {other_region}.",
            "Set AWS_DEFAULT_REGION to {other_region}, or replicate the secret to {region}.",
        ),
        "secret_deleted": Diagnosis(
            "{secret} is scheduled for deletion.",
            "To keep it: aws secretsmanager restore-secret --secret-id {secret}.",
        ),
        "secret_without_value": Diagnosis(
            "{secret} exists and has no current value: no key was ever stored, and no rotation has "
            "succeeded.",
            "Store a key with rotation migrate {secret}, or let a rotation create the first one: "
            "rotation rotate {secret}.",
        ),
        "access_denied": Diagnosis(
            "AWS refuses {action} on {resource} to {caller}, and does not say which policy refuses "
            "it.",
            "Check in this order: the role's policies, its permissions boundary, the secret's "
            "resource policy, the VPC endpoint's policy, the organisation's policies.",
        ),
        **_denials(
            "identity-based policy",
            "Allow {action} on the secret's ARN in a policy of that role; docs/migrating.md shows "
            "the policy. If the resource above is a bare name and not an ARN, there may be no such "
            "secret in {region}: AWS checks the rights first.",
            "Find the Deny in the policies of that role or of its group: a condition there, such "
            "as one on tags, addresses or the VPC endpoint, may not be met here.",
        ),
        **_denials(
            "resource-based policy",
            "Name the role in the secret's resource policy. For a caller from another account, AWS "
            "says this also if the role's own policy lacks the right: check both.",
            "Look at the secret's resource policy (aws secretsmanager get-resource-policy "
            "--secret-id {resource}): exempt the role from its Deny, or meet its condition, such "
            "as a VPC endpoint.",
        ),
        **_denials(
            "service control policy",
            "Ask the administrators of the AWS organisation to allow {action} for this account and "
            "Region; no policy in the account can.",
            "Ask the administrators of the AWS organisation: its service control policy denies "
            "{action} in this account or Region, and no policy in the account can lift that.",
        ),
        **_denials(
            "resource control policy",
            "Ask the administrators of the AWS organisation to let the role use secrets of the "
            "secret's account.",
            "Ask the administrators of the AWS organisation: its resource control policy denies "
            "{action} on secrets of that account.",
        ),
        **_denials(
            "permissions boundary",
            "Add {action} on the secret to the role's permissions boundary: both the boundary and "
            "a policy of the role must allow it.",
            "Remove the Deny from the role's permissions boundary, or exempt this secret from it.",
        ),
        **_denials(
            "session policy",
            "Give the session that right: whoever assumes the role passes a session policy without "
            "it.",
            "Whoever assumes the role passes a session policy that denies it: change that policy.",
        ),
        **_denials(
            "VPC endpoint policy",
            "Allow {action} on the secret to the role in the policy of the Secrets Manager VPC "
            "endpoint that this network uses.",
            "Remove the Deny from the policy of the Secrets Manager VPC endpoint, or exempt the "
            "role.",
        ),
        "kms_denied": Diagnosis(
            "The secret may be read, but not decrypted: the use of its KMS key is denied "
            "({reason}).",
            "Allow kms:Decrypt on that key to the role, on the condition kms:ViaService = "
            "secretsmanager.{region}.amazonaws.com, and check that the key's own policy leaves "
            "access to IAM policies or names the role. From another account the AWS managed key "
            "never works.",
        ),
        "kms_failure": Diagnosis(
            "The secret's KMS key could not decrypt it ({aws_code}).",
            "Check that the key is enabled and not scheduled for deletion.",
        ),
        "aws_refused": Diagnosis(
            "Secrets Manager refuses {secret}: {problem}",
            "Look the error up in API_GetSecretValue.",
        ),
    },
    Check.VALUE: {
        "value_not_json": Diagnosis(
            "The value of {secret} is not a JSON object.",
            "Store a JSON object with the members apiKey (hexadecimal) and apiKeyId (a UUID) "
            "there, or name another secret.",
        ),
        "value_member_missing": Diagnosis(
            "The value of {secret} has no member {member}.",
            "Store both apiKey and apiKeyId; check that this is the secret of the API key, and not "
            "the pool's or another application's.",
        ),
        "value_malformed": Diagnosis(
            "The value of {secret} holds no usable key: {problem}.",
            "Store the key as the vendor's portal shows it: apiKey in hexadecimal, apiKeyId as a "
            "UUID, times in ISO 8601 with an offset.",
        ),
    },
    Check.EXPIRY: {
        "key_expired": Diagnosis(
            "Key {key_id} expired at {expires}.",
            "Rotate now: rotation rotate {secret}. Without rotation, make a key in the vendor's "
            "portal and store it.",
        ),
    },
    Check.ROTATION: {
        "rotation_off": Diagnosis(
            "Rotation of {secret} is turned off: its key will expire unless somebody replaces it.",
            "Turn it on: aws secretsmanager rotate-secret --secret-id {secret} "
            "--rotation-lambda-arn ROTATION_FUNCTION_ARN --rotation-rules "
            "AutomaticallyAfterDays=30 --no-rotate-immediately.",
        ),
    },
    Check.VENDOR: {
        "vendor_settings": Diagnosis(
            "The vendor's settings here are wrong: {problem}",
            "Correct the variable; docs/settings.md lists them.",
        ),
        **_connection(
            "vendor",
            {
                "dns": "Check VENDOR_URL and the resolver. A VPC without a way to the internet may "
                "resolve the name and still not reach the vendor.",
                "refused": "Check VENDOR_URL, and look for a firewall or a proxy on the way; the "
                "environment's proxies are not used for the vendor: set EGRESS_PROXY.",
                "timeout": "Let this process out to {host}: check the security group, and the "
                "route to a NAT gateway. An application that seals through the sealing function "
                "needs no connection to the vendor: give --sealing-function.",
                "unreachable": "Give the subnet a route to a NAT gateway. An application that "
                "seals through the sealing function needs no connection to the vendor: give "
                "--sealing-function.",
                "tls": "Something on the way answers in the vendor's place, or VENDOR_URL names "
                "another host. If that is your own proxy, give its certificate in EGRESS_CA.",
                "proxy": "Check EGRESS_PROXY, and the way from here to the proxy.",
                "lost": "See that the proxy of EGRESS_PROXY, if there is one, allows {host}. Try "
                "again; if it happens again, ask the vendor.",
            },
        ),
        "vendor_failing": Diagnosis(
            "The vendor is reached, but fails: HTTP {status}.",
            "Wait: the vendor has an outage, or receives too many requests. This says nothing "
            "about the key; do not rotate because of it.",
        ),
        "vendor_malformed": Diagnosis(
            "What answers at {host} is not the signing interface: {problem}",
            "Check VENDOR_URL and VENDOR_SIGN_PATH; a gateway on the way may have answered.",
        ),
    },
    Check.CLOCK: {
        "clock_skew": Diagnosis(
            "The clock of this machine is {skew} s {direction} the vendor's; a request must be "
            "within one minute.",
            "Set the clock; run a time service such as chrony. The key need not be replaced.",
        ),
    },
    Check.KEY: {
        "key_rejected": Diagnosis(
            "The vendor does not accept key {key_id}, and the clocks agree: the key was revoked, "
            "has expired, is not active yet, or has other material than this.",
            "Rotate now: rotation rotate {secret}. If the key was stored by hand, compare id and "
            "key with the vendor's portal.",
        ),
        "key_or_clock": Diagnosis(
            "The vendor does not accept key {key_id}, and its answer does not say what time it is "
            "there: the key was revoked, has expired or has other material than this, or the clock "
            "here is more than a minute off.",
            "Compare the clock of this machine with another first (chronyc tracking, timedatectl). "
            "If it is right, rotate: rotation rotate {secret}.",
        ),
        "key_refused": Diagnosis(
            "The vendor knows key {key_id}, but refuses to sign with it: HTTP {status}.",
            "Check in the vendor's portal whether the account may sign and whether this is a "
            "signing key; check VENDOR_SIGN_PATH.",
        ),
    },
    Check.SIGNER: {
        "signature_invalid": Diagnosis(
            "What the vendor returned is not a signature over the test seal: {problem}",
            "Check VENDOR_URL; if it is right, ask the vendor. Seals made now are worthless.",
        ),
        "signer_not_accepted": Diagnosis(
            "The signature is valid, but its signer is not the configured one: {problem}",
            "If the vendor changed its certificate or CA, change SIGNER_ORGANIZATION or "
            "SIGNER_TRUST_ANCHORS here and in the functions; otherwise treat it as an attack.",
        ),
    },
    Check.PROFILE: {
        "profile_not_pades": Diagnosis(
            "SEAL_PROFILE is pades, and the vendor's signature is no PAdES signature: {problem}.",
            "Set SEAL_PROFILE to auto or pkcs7 here and in the functions, or have the vendor give "
            "PAdES signatures to this account.",
        ),
    },
    Check.SEALING_FUNCTION: {
        "sealing_function_missing": Diagnosis(
            "There is no function {function} in {region}.",
            "Check its name, its alias and the Region: it is the stack's output "
            "SealingFunctionArn.",
        ),
        "sealing_function_denied": Diagnosis(
            "{function} may not be invoked from here ({reason}).",
            "Allow lambda:InvokeFunction on it to the role; docs/migrating.md shows the policy.",
        ),
        "sealing_function_unreachable": Diagnosis(
            "There is no connection to Lambda from here: {problem}.",
            "A VPC without a way to the internet needs an endpoint for Lambda as well as the one "
            "for Secrets Manager; check its security group, too.",
        ),
        "sealing_function_refused": Diagnosis(
            "Lambda did not run {function}: {problem}",
            "Look the error up in API_Invoke; if it is throttling, check the function's "
            "concurrency.",
        ),
        "sealing_function_crashed": Diagnosis(
            "{function} crashed: {problem}.",
            "Its log says why; after a deployment, check that the artifact fits the runtime and "
            "the architecture.",
        ),
        "sealing_function_failing": Diagnosis(
            "{function} answers with the error {problem}.",
            "docs/errors.md explains the code; the function's log says more.",
        ),
        "sealing_function_foreign": Diagnosis(
            "{function} does not answer like the sealing function.",
            "Check that the name is that of the sealing function, and that its version fits this "
            "one.",
        ),
    },
}
