"""From facts to results: can the application sign calls, reach AWS, and read a usable key? Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from rotation.cli.doctor.denials import DENIED, read_denial
from rotation.cli.doctor.facts import (
    Description,
    Fetched,
    Identity,
    NoCredentials,
    NotGot,
    Refusal,
    Search,
)
from rotation.cli.doctor.model import Check, Result, fine, unchecked
from rotation.cli.doctor.obstacles import Obstacle
from rotation.cli.doctor.table import problem
from rotation.credential import (
    API_KEY,
    API_KEY_ID,
    EXPIRES_AT,
    ISSUED_AT,
    ApiKey,
    Confidential,
    iso_utc,
)
from rotation.errors import InvalidCredentialError
from rotation.reconciliation.key_warnings import EXPIRY_NOTICE
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.snapshot import Snapshot

# IAM user guide and AWS general reference, "Common errors"; each service spells some its own way.
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNACCEPTED: Final = frozenset(
    {
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_SKEWED: Final = ("signature expired", "not yet current", "requesttimetooskewed")
_FAILING: Final = frozenset(
    {
        "InternalFailure",
        "InternalServiceError",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


def judge_reading(
    secret: str,
    identity: Identity,
    outcome: Fetched | NotGot,
    description: Description | None,
    search: Search,
) -> Iterator[Result]:
    """The checks of credentials, of the way to Secrets Manager, and of the secret.

    Args:
        secret: its name or ARN, as it was asked for.
        identity: as whom, and where.
        outcome: what GetSecretValue brought.
        description: what DescribeSecret brought, if it was asked.
        search: where else the secret could be, if it was not found.
    """
    credentials = _credentials(identity, outcome)
    yield credentials
    if credentials.finding is not None:
        yield unchecked(Check.SECRETS_MANAGER, "needs AWS credentials that are accepted")
        yield unchecked(Check.SECRET, "needs AWS credentials that are accepted")
        return
    endpoint = _endpoint(identity, outcome)
    yield endpoint
    if endpoint.finding is not None:
        yield unchecked(Check.SECRET, "needs an answer of Secrets Manager")
    elif isinstance(outcome, Fetched):
        yield fine(Check.SECRET, f"{outcome.arn}, version {outcome.version}")
    elif isinstance(outcome, Refusal):
        yield _refused(secret, identity, outcome, description, search)


def judge_no_identity(missing: NoCredentials) -> Iterator[Result]:
    """The same checks, where there is nothing to sign a call with."""
    yield problem(missing.code, problem=missing.problem)
    for check in (Check.SECRETS_MANAGER, Check.SECRET):
        yield unchecked(check, "needs AWS credentials and a Region")


def judge_value(secret: str, fetched: Fetched | None) -> tuple[Result, ApiKey | None]:
    """Is the value an API key? The key, too, where it is one."""
    if fetched is None:
        return unchecked(Check.VALUE, "needs the secret's value"), None
    members = None if fetched.value is None else _json_object(fetched.value)
    if members is None:
        return problem("value_not_json", secret=secret), None
    for member in (API_KEY, API_KEY_ID):
        if members.get(member) is None:
            return problem("value_member_missing", secret=secret, member=member), None
    try:
        key = ApiKey.from_text(
            members[API_KEY_ID],
            members[API_KEY],
            issued_at=members.get(ISSUED_AT),
            expires_at=members.get(EXPIRES_AT),
        )
    except InvalidCredentialError as error:
        return problem("value_malformed", secret=secret, problem=str(error)), None
    more = len(members.keys() - {API_KEY, API_KEY_ID, ISSUED_AT, EXPIRES_AT})
    others = f", and {more} members of yours" if more else ""
    return fine(Check.VALUE, f"key {key.id}{others}"), key


def judge_expiry(secret: str, key: ApiKey | None, now: datetime) -> Result:
    """How long will the key work, as the secret says?"""
    if key is None:
        return unchecked(Check.EXPIRY, "needs a usable key")
    if key.expires_at is None:
        return unchecked(
            Check.EXPIRY, f"the value does not say when the key expires ({EXPIRES_AT})"
        )
    facts = {"secret": secret, "key_id": key.id, "expires": iso_utc(key.expires_at)}
    left = key.expires_at - now
    if left <= timedelta(0):
        return problem("key_expired", **facts)
    if left < EXPIRY_NOTICE:
        return problem("key_expiring", days=left.days, **facts)
    return fine(Check.EXPIRY, f"{left.days} days left, until {facts['expires']}")


def _credentials(identity: Identity, outcome: Fetched | NotGot) -> Result:
    if isinstance(outcome, NoCredentials):
        return problem(outcome.code, problem=outcome.problem)
    if isinstance(outcome, Refusal):
        if any(word in f"{outcome.code} {outcome.message}".lower() for word in _SKEWED):
            return problem("aws_clock_skew", problem=outcome.message)
        if outcome.code in _EXPIRED:
            return problem("aws_token_expired")
        if outcome.code in _UNACCEPTED:
            return problem("aws_credentials_invalid", aws_code=outcome.code)
    known = "found, not tried" if isinstance(outcome, Obstacle) else "accepted"
    return fine(Check.CREDENTIALS, f"{known} ({identity.method}), Region {identity.region}")


def _endpoint(identity: Identity, outcome: Fetched | NotGot) -> Result:
    facts = {"host": identity.host, "region": identity.region, "seconds": f"{identity.seconds:g}"}
    if isinstance(outcome, Obstacle):
        return problem(f"endpoint_{outcome.kind.value}", problem=outcome.name, **facts)
    if isinstance(outcome, Refusal) and outcome.code in _FAILING:
        return problem("endpoint_failing", aws_code=outcome.code, **facts)
    return fine(Check.SECRETS_MANAGER, f"{identity.host} answers")


def _refused(
    secret: str,
    identity: Identity,
    refusal: Refusal,
    description: Description | None,
    search: Search,
) -> Result:
    facts: dict[str, Any] = {"secret": secret, "region": identity.region}
    named = secret.split(":")[3:4] if secret.startswith("arn:") else []
    if named and named != [identity.region]:
        return problem("region_mismatch", other_region=named[0], **facts)
    if refusal.code in DENIED:
        return _denied(refusal, facts)
    if _deleted(refusal, description):
        return problem("secret_deleted", **facts)
    if refusal.code == "ResourceNotFoundException":
        return _missing(refusal, description, search, facts)
    if refusal.code == "DecryptionFailure":
        return problem("kms_failure", aws_code=refusal.code, **facts)
    return problem("aws_refused", problem=f"{refusal.code}: {refusal.message}", **facts)


def _missing(
    refusal: Refusal, description: Description | None, search: Search, facts: dict[str, Any]
) -> Result:
    if _empty(refusal, description):
        return problem("secret_without_value", **facts)
    if search.regions:
        return problem("secret_in_other_region", other_region=", ".join(search.regions), **facts)
    return problem("secret_not_found", similar=_similar(search), **facts)


def _denied(refusal: Refusal, facts: dict[str, Any]) -> Result:
    denial = read_denial(refusal.message)
    policy = f"The policy: {denial.policy_arn}." if denial.policy_arn else ""
    return problem(
        denial.code,
        more=policy,
        who=denial.who or "the caller",
        action=denial.action or "secretsmanager:GetSecretValue",
        resource=denial.resource or facts["secret"],
        whose=denial.whose,
        **facts,
    )


def _deleted(refusal: Refusal, description: Description | None) -> bool:
    """API_GetSecretValue: InvalidRequestException of a secret that is scheduled for deletion."""
    if isinstance(description, Snapshot) and description.deleted_at is not None:
        return True
    return refusal.code == "InvalidRequestException" and "deletion" in refusal.message.lower()


def _empty(refusal: Refusal, description: Description | None) -> bool:
    """API_GetSecretValue: a version without a value is a resource that was not found, too."""
    if isinstance(description, Snapshot):
        return True
    return "staging label" in refusal.message or AWSCURRENT in refusal.message


def _similar(search: Search) -> str:
    if search.similar is None:
        return "Similar names were not looked for: secretsmanager:ListSecrets is not allowed."
    if not search.similar:
        return "No name there is like it."
    return f"Similar names there: {', '.join(search.similar)}."


def _json_object(value: Confidential) -> dict[str, Any] | None:
    # JSONDecodeError carries the whole document in .doc: it must not leave this frame.
    try:
        members = json.loads(value.reveal())
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None
