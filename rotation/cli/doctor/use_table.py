"""What can be wrong with a key that was read: its age, its rotation, the vendor, the function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rotation.cli.doctor.model import Check, Diagnosis

_VENDOR: Final[Mapping[str, tuple[str, str]]] = {
    "dns": (
        "The vendor's name {host} is not resolved here.",
        (
            "Check VENDOR_URL and the resolver; a VPC without a way to the internet resolves it "
            "and cannot reach it."
        ),
    ),
    "refused": (
        "Something refuses connections to the vendor at {host}.",
        (
            "Check VENDOR_URL, and a firewall or a proxy on the way; proxies of the environment "
            "are not used for the vendor."
        ),
    ),
    "timeout": (
        "No connection to the vendor at {host} within {seconds} s.",
        (
            "Let this process out to {host}: the security group, and a route to a NAT gateway. An "
            "application that seals through the sealing function needs no such way: give "
            "--sealing-function."
        ),
    ),
    "unreachable": (
        "There is no route to the vendor at {host}.",
        (
            "Give the subnet a route to a NAT gateway. An application that seals through the "
            "sealing function needs no such way: give --sealing-function."
        ),
    ),
    "tls": (
        "The TLS certificate of {host} is not accepted.",
        "Something on the way answers in the vendor's place, or VENDOR_URL names another host.",
    ),
    "lost": (
        "The vendor at {host} was connected, and no whole answer came.",
        "Try again; if it stays, ask the vendor.",
    ),
}

USE_TABLE: Final[Mapping[str, Diagnosis]] = {
    "key_expired": Diagnosis(
        Check.EXPIRY,
        "Key {key_id} expired at {expires}.",
        "Rotate now: rotation rotate {secret}. Without rotation, make a key in the vendor's "
        "portal and store it.",
    ),
    "key_expiring": Diagnosis(
        Check.EXPIRY,
        "Key {key_id} expires at {expires}, in {days} days.",
        "Rotate: rotation rotate {secret}. The vendor advises to replace a key at least 30 days "
        "before its end.",
    ),
    "rotation_off": Diagnosis(
        Check.ROTATION,
        "Rotation of {secret} is turned off: its key will expire unless somebody replaces it.",
        "Turn it on: aws secretsmanager rotate-secret --secret-id {secret} --rotation-lambda-arn "
        "ROTATION_FUNCTION_ARN --rotation-rules AutomaticallyAfterDays=30 "
        "--no-rotate-immediately.",
    ),
    "rotation_overdue": Diagnosis(
        Check.ROTATION,
        "A rotation was due by {due} and did not take place.",
        "Look for the last failed step in the rotation function's log; its code is explained in "
        "docs/errors.md.",
    ),
    "pending_stuck": Diagnosis(
        Check.ROTATION,
        "AWSPENDING has been on version {version} since {since} at least: a rotation failed for "
        "good, and no other can begin.",
        "Find the cause in the rotation function's log, then: rotation unstick {secret} --apply.",
    ),
    "incident_open": Diagnosis(
        Check.INCIDENT,
        "Keys of {secret} were declared compromised, and are not all proven dead.",
        "Run rotation status {secret}; rotation force {secret} goes on with the incident.",
    ),
    "replica_lagging": Diagnosis(
        Check.REPLICAS,
        "The replica in {other_region} is being brought up to date: it may still hand out an "
        "older key.",
        "Wait a few minutes. No key is retired until it is in sync.",
    ),
    "replica_failed": Diagnosis(
        Check.REPLICAS,
        "The replica in {other_region} could not be brought up to date ({problem}): it hands out "
        "an older key, or none.",
        "Look at ReplicationStatus in aws secretsmanager describe-secret; often a secret of that "
        "name exists there, or the KMS key there is not to be used.",
    ),
    "vendor_settings": Diagnosis(
        Check.VENDOR,
        "The vendor's settings here are wrong: {problem}",
        "Correct the variable; docs/settings.md lists them.",
    ),
    **{
        f"vendor_{kind}": Diagnosis(Check.VENDOR, cause, fix)
        for kind, (cause, fix) in _VENDOR.items()
    },
    "vendor_failing": Diagnosis(
        Check.VENDOR,
        "The vendor is reached, and fails: HTTP {status}.",
        "Wait: this is the vendor's outage, or too many requests. It says nothing of the key; do "
        "not rotate because of it.",
    ),
    "vendor_malformed": Diagnosis(
        Check.VENDOR,
        "What answers at {host} is not the signing interface: {problem}",
        "Check VENDOR_URL and VENDOR_SIGN_PATH; a gateway in between may have answered.",
    ),
    "clock_skew": Diagnosis(
        Check.CLOCK,
        "The clock of this machine is {skew} s {direction} the vendor's; a request must be "
        "within one minute.",
        "Set the clock; run a time service such as chrony. The key need not be replaced.",
    ),
    "key_rejected": Diagnosis(
        Check.KEY,
        "The vendor does not accept key {key_id}, and the clocks agree: it was revoked, has "
        "expired, is not active yet, or its material is not this key's.",
        "Rotate now: rotation rotate {secret}. If the key was stored by hand, compare id and key "
        "with the vendor's portal.",
    ),
    "key_or_clock": Diagnosis(
        Check.KEY,
        "The vendor does not accept key {key_id}, and its answer does not tell its time: the key "
        "was revoked, has expired or is not this key's material, or the clock here is more than "
        "a minute off.",
        "Compare the clock of this machine with another first (chronyc tracking, timedatectl). If "
        "it is right, rotate: rotation rotate {secret}.",
    ),
    "key_refused": Diagnosis(
        Check.KEY,
        "The vendor knows key {key_id} and refuses to sign with it: HTTP {status}.",
        "Check in the vendor's portal whether the account may sign and whether this is a signing "
        "key; check VENDOR_SIGN_PATH.",
    ),
    "signature_invalid": Diagnosis(
        Check.SIGNER,
        "What the vendor returned is no signature over the test seal: {problem}",
        "Check VENDOR_URL; if it is right, ask the vendor. Seals made now are worthless.",
    ),
    "signer_not_accepted": Diagnosis(
        Check.SIGNER,
        "The signature is good, and somebody else's: {problem}",
        "If the vendor changed its certificate or CA, change SIGNER_ORGANIZATION or "
        "SIGNER_TRUST_ANCHORS here and in the functions; else treat it as an attack.",
    ),
    "sealing_function_missing": Diagnosis(
        Check.SEALING_FUNCTION,
        "There is no function {function} in {region}.",
        "Check its name, its alias and the Region: it is the stack's output SealingFunctionArn.",
    ),
    "sealing_function_denied": Diagnosis(
        Check.SEALING_FUNCTION,
        "{function} may not be invoked from here ({whose}).",
        "Allow lambda:InvokeFunction on it to the role; `rotation migrate` prints the policy.",
    ),
    "sealing_function_unreachable": Diagnosis(
        Check.SEALING_FUNCTION,
        "Lambda cannot be asked from here: {problem}.",
        "A VPC without a way to the internet needs an endpoint for Lambda beside the one for "
        "Secrets Manager; check its security group, too.",
    ),
    "sealing_function_refused": Diagnosis(
        Check.SEALING_FUNCTION,
        "Lambda did not run {function}: {problem}",
        "Look the error up in API_Invoke; where it is throttling, see the function's concurrency.",
    ),
    "sealing_function_crashed": Diagnosis(
        Check.SEALING_FUNCTION,
        "{function} crashed: {problem}.",
        "Its log says why; after a deployment, see that the artifact fits the runtime and the "
        "architecture.",
    ),
    "sealing_function_failing": Diagnosis(
        Check.SEALING_FUNCTION,
        "{function} answers with the error {problem}.",
        "docs/errors.md explains the code; the function's log says more.",
    ),
    "sealing_function_foreign": Diagnosis(
        Check.SEALING_FUNCTION,
        "{function} does not answer like the sealing function.",
        "See that the name is that of the sealing function, and that its version fits this one.",
    ),
}
