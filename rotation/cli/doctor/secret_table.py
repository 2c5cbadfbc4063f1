"""What can keep an application from its key: credentials, the way to AWS, rights, the secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rotation.cli.doctor.denials import DENIALS
from rotation.cli.doctor.model import Check, Diagnosis

_ENDPOINT: Final[Mapping[str, tuple[str, str]]] = {
    "dns": (
        "The name {host} is not resolved here.",
        (
            "In a VPC: turn on DNS support, and private DNS names of the Secrets Manager "
            "endpoint. Elsewhere: check the resolver, and that the Region {region} exists."
        ),
    ),
    "refused": (
        "Something refuses connections to {host}.",
        "Check AWS_ENDPOINT_URL and what listens there: AWS itself does not refuse connections.",
    ),
    "timeout": (
        "No connection to {host} within {seconds} s: something drops the packets.",
        (
            "Let the security group of this process out to port 443, and that of the VPC endpoint "
            "for Secrets Manager in from it; without an endpoint the subnet needs a route to a "
            "NAT gateway."
        ),
    ),
    "unreachable": (
        "There is no route to {host}.",
        "Give the subnet a route to a NAT gateway, or the VPC an endpoint for Secrets Manager.",
    ),
    "tls": (
        "The TLS certificate of {host} is not accepted.",
        (
            "Something between here and AWS answers in its place, such as an inspecting proxy: "
            "exempt AWS from it, or set AWS_CA_BUNDLE to its certificate. A clock that is years "
            "off does this too."
        ),
    ),
    "proxy": (
        "The proxy on the way to {host} cannot be reached.",
        "Check HTTPS_PROXY; in a VPC with an endpoint, name {host} in NO_PROXY.",
    ),
    "lost": (
        "{host} was connected, and no whole answer came ({problem}).",
        "Try again; if it stays, look for a proxy or firewall that cuts connections off.",
    ),
}

SECRET_TABLE: Final[Mapping[str, Diagnosis]] = {
    "no_aws_region": Diagnosis(
        Check.CREDENTIALS,
        "No AWS Region is configured here.",
        "Set AWS_DEFAULT_REGION, or region in the profile. boto3 does not read AWS_REGION.",
    ),
    "no_aws_credentials": Diagnosis(
        Check.CREDENTIALS,
        "There are no AWS credentials here.",
        "Give the process a role (task role, instance profile, function role, service account), "
        "or set AWS_PROFILE.",
    ),
    "aws_profile": Diagnosis(
        Check.CREDENTIALS,
        "The AWS profile or configuration cannot be used: {problem}",
        "Check AWS_PROFILE and the files ~/.aws/config and ~/.aws/credentials.",
    ),
    "aws_credentials_unreadable": Diagnosis(
        Check.CREDENTIALS,
        "AWS credentials are configured, and could not be fetched: {problem}",
        "Check what hands them out: the role's trust policy, the metadata service and its hop "
        "limit, aws sso login, or the network path to STS.",
    ),
    "aws_token_expired": Diagnosis(
        Check.CREDENTIALS,
        "The AWS session token has expired.",
        "Fetch temporary credentials anew (aws sso login, or assume the role again). A process "
        "should get them from its role, which renews them, and not from copied variables.",
    ),
    "aws_credentials_invalid": Diagnosis(
        Check.CREDENTIALS,
        "AWS does not accept these credentials ({aws_code}).",
        "Check that access key, secret access key and session token belong together, and that "
        "the key is active and of this partition.",
    ),
    "aws_clock_skew": Diagnosis(
        Check.CREDENTIALS,
        "The clock of this machine is too far from AWS's: {problem}",
        "Set the clock; run a time service such as chrony.",
    ),
    **{
        f"endpoint_{kind}": Diagnosis(Check.SECRETS_MANAGER, cause, fix)
        for kind, (cause, fix) in _ENDPOINT.items()
    },
    "endpoint_failing": Diagnosis(
        Check.SECRETS_MANAGER,
        "Secrets Manager answers, and fails or throttles ({aws_code}).",
        "Wait and try again. If it stays: the AWS Health Dashboard for {region}, and how often "
        "this account calls Secrets Manager.",
    ),
    "region_mismatch": Diagnosis(
        Check.SECRET,
        "The ARN names a secret in {other_region}, and {region} is asked.",
        "Set AWS_DEFAULT_REGION to {other_region}, or give the ARN of the replica in {region}.",
    ),
    "secret_not_found": Diagnosis(
        Check.SECRET,
        "There is no secret {secret} in {region}. {similar}",
        "Check the name, the account and the Region; --also-region REGION looks elsewhere too. "
        "To make it: rotation migrate NAME.",
    ),
    "secret_in_other_region": Diagnosis(
        Check.SECRET,
        "There is no secret {secret} in {region}; there is one in {other_region}.",
        "Set AWS_DEFAULT_REGION to {other_region}, or replicate the secret to {region}.",
    ),
    "secret_deleted": Diagnosis(
        Check.SECRET,
        "{secret} is scheduled for deletion.",
        "To keep it: aws secretsmanager restore-secret --secret-id {secret}.",
    ),
    "secret_without_value": Diagnosis(
        Check.SECRET,
        "{secret} exists and has no current value: no key was ever stored, and none rotated in.",
        "Store a key with rotation migrate {secret}, or have the first one made: rotation rotate "
        "{secret}.",
    ),
    "access_denied": Diagnosis(
        Check.SECRET,
        "AWS refuses {action} on {resource} to {who}, and does not say whose policy does.",
        "Check in this order: the role's policies, its permissions boundary, the secret's "
        "resource policy, the VPC endpoint's policy, the organisation's policies.",
    ),
    **DENIALS,
    "kms_denied": Diagnosis(
        Check.SECRET,
        "The secret may be read, but not decrypted: its KMS key is not to be used ({whose}).",
        "Allow kms:Decrypt on that key to the role, on the condition kms:ViaService = "
        "secretsmanager.{region}.amazonaws.com, and see that the key's own policy leaves access "
        "to IAM policies or names the role. From another account the AWS managed key never works.",
    ),
    "kms_failure": Diagnosis(
        Check.SECRET,
        "The secret's KMS key could not decrypt it ({aws_code}).",
        "See whether the key is enabled and not scheduled for deletion.",
    ),
    "aws_refused": Diagnosis(
        Check.SECRET,
        "Secrets Manager refuses {secret}: {problem}",
        "Look the error up in API_GetSecretValue.",
    ),
    "value_not_json": Diagnosis(
        Check.VALUE,
        "The value of {secret} is not a JSON object.",
        "Store a JSON object with the members apiKey (hexadecimal) and apiKeyId (a UUID) there, "
        "or name another secret.",
    ),
    "value_member_missing": Diagnosis(
        Check.VALUE,
        "The value of {secret} has no member {member}.",
        "Store both, apiKey and apiKeyId; see that this is the secret of the API key, and not "
        "the pool's or another application's.",
    ),
    "value_malformed": Diagnosis(
        Check.VALUE,
        "The value of {secret} holds no usable key: {problem}.",
        "Store the key as the vendor's portal shows it: apiKey in hexadecimal, apiKeyId as a "
        "UUID, times in ISO 8601 with an offset.",
    ),
}
