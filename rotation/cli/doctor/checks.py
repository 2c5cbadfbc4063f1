"""The checks of the doctor, in their order: can this application get its key, and seal with it?"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rotation.aws.errors import is_retryable_code
from rotation.cli.doctor.aws import (
    AwsProbe,
    AwsRefusal,
    Caller,
    CurrentValue,
    FunctionAnswer,
    NoFact,
)
from rotation.cli.doctor.catalogue import problem
from rotation.cli.doctor.connection import ConnectionFailure
from rotation.cli.doctor.denial import DENIED, read_denial
from rotation.cli.doctor.result import Check, CheckResult, CheckStatus, not_checked, ok
from rotation.cli.doctor.vendor import (
    SignedTestSeal,
    VendorContact,
    VendorReached,
    contact_vendor,
)
from rotation.cms.profile import CmsProfile
from rotation.credential import (
    API_KEY,
    API_KEY_ID,
    EXPIRES_AT,
    ISSUED_AT,
    ApiKey,
    iso_utc,
    json_object,
)
from rotation.errors import (
    ClockSkewError,
    CmsProfileError,
    ConfigurationError,
    CredentialRejectedError,
    InvalidCredentialError,
    MalformedResponseError,
    RotationError,
    SealVerificationError,
    VendorError,
    VendorRefusedError,
)
from rotation.handlers.wiring.vendor import signer_policy, utc_now
from rotation.privacy.printable import outside_text
from rotation.privacy.redaction import scrub
from rotation.sealing.profile import ProfileChoice, SealProfile
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.snapshot import Snapshot
from rotation.settings.sealing import seal_profile
from rotation.settings.vendor import VendorSettings
from rotation.vendor.cms import verify_cms
from rotation.vendor.http import MAX_CLOCK_SKEW
from rotation.vendor.signer import Signer, SignerPolicy

# IAM user guide and AWS general reference, "Common errors"; each service spells some its own way.
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_NOT_ACCEPTED: Final = frozenset(
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
#: What shows that the vendor answers, and not an outage or something else in its place.
_ANSWERS: Final = (
    SignedTestSeal,
    VendorReached,
    ClockSkewError,
    CredentialRejectedError,
    VendorRefusedError,
)
_NO_CREDENTIALS: Final = "needs AWS credentials and a Region"


@dataclass(frozen=True)
class DoctorChecks:
    """The checks of one secret, made from where this process runs. They change nothing.

    Attributes:
        secret: its name or ARN.
        function: the sealing function to check, or None.
        regions: where to look for a secret that is not found.
        seal: whether a test seal is asked for.
        timeout: how long a connection may take.
        clock: our clock, aware UTC.
    """

    secret: str
    function: str | None = None
    regions: Sequence[str] = ()
    seal: bool = True
    timeout: timedelta = timedelta(seconds=5)
    clock: Callable[[], datetime] = utc_now

    def results(self) -> Iterator[CheckResult]:
        """Make every check; each result comes as soon as it is known."""
        aws = AwsProbe(self.timeout)
        caller = aws.caller()
        value: CurrentValue | NoFact | None = None
        described: Snapshot | NoFact | None = None
        if isinstance(caller, Caller):
            value = aws.current_value(self.secret)
            if not isinstance(value, ConnectionFailure):
                described = aws.describe(self.secret)
            yield from self._secret(aws, caller, value, described)
        else:
            yield problem(caller.code, problem=caller.problem)
            yield not_checked(Check.SECRETS_MANAGER, _NO_CREDENTIALS)
            yield not_checked(Check.SECRET, _NO_CREDENTIALS)
        key = yield from self._value(value)
        expiry = self._expiry(key)
        yield expiry
        yield self._rotation(described)
        yield from self._vendor(key, expired=expiry.code == "key_expired")
        if self.function is None:
            return
        if isinstance(caller, Caller):
            yield _function(self.function, caller.region, aws.ask_function(self.function))
        else:
            yield not_checked(Check.SEALING_FUNCTION, _NO_CREDENTIALS)

    def _secret(
        self,
        aws: AwsProbe,
        caller: Caller,
        value: CurrentValue | NoFact,
        described: Snapshot | NoFact | None,
    ) -> Iterator[CheckResult]:
        """The checks of the credentials, of Secrets Manager and of the secret."""
        credentials = _credentials(caller, value)
        yield credentials
        if credentials.code is not None:
            yield not_checked(Check.SECRETS_MANAGER, "needs AWS credentials that are accepted")
            yield not_checked(Check.SECRET, "needs AWS credentials that are accepted")
            return
        facts = {"host": caller.host, "region": caller.region}
        if isinstance(value, ConnectionFailure):
            seconds = f"{self.timeout.total_seconds():g}"
            code = f"endpoint_{value.kind}"
            yield problem(code, problem=value.exception, seconds=seconds, **facts)
            yield not_checked(Check.SECRET, "needs an answer from Secrets Manager")
        elif isinstance(value, AwsRefusal) and is_retryable_code(value.code):
            yield problem("endpoint_failing", aws_code=value.code, **facts)
            yield not_checked(Check.SECRET, "needs an answer from Secrets Manager")
        else:
            yield ok(Check.SECRETS_MANAGER, f"{caller.host} answers")
            if isinstance(value, CurrentValue):
                yield ok(Check.SECRET, f"{value.arn}, version {value.version}")
            else:
                yield self._refused(aws, caller.region, value, described)

    def _refused(
        self, aws: AwsProbe, region: str, refusal: AwsRefusal, described: Snapshot | NoFact | None
    ) -> CheckResult:
        """Why GetSecretValue was refused."""
        facts: dict[str, Any] = {"secret": self.secret, "region": region}
        named = self.secret.split(":")[3:4] if self.secret.startswith("arn:") else []
        if named and named != [region]:
            return problem("region_mismatch", other_region=named[0], **facts)
        if refusal.code in DENIED:
            return _denied(refusal.message, facts)
        if _deleted(refusal, described):
            return problem("secret_deleted", **facts)
        if refusal.code == "ResourceNotFoundException":
            return self._not_found(aws, refusal, described, facts)
        if refusal.code == "DecryptionFailure":
            return problem("kms_failure", aws_code=refusal.code, **facts)
        return problem("aws_refused", problem=f"{refusal.code}: {refusal.message}", **facts)

    def _not_found(
        self,
        aws: AwsProbe,
        refusal: AwsRefusal,
        described: Snapshot | NoFact | None,
        facts: dict[str, Any],
    ) -> CheckResult:
        # API_GetSecretValue: the same code if the secret exists and has no current value.
        if (
            isinstance(described, Snapshot)
            or "staging label" in refusal.message
            or AWSCURRENT in refusal.message
        ):
            return problem("secret_without_value", **facts)
        if found := aws.regions_with(self.secret, self.regions):
            return problem("secret_in_other_region", other_region=", ".join(found), **facts)
        names = aws.similar_names(self.secret)
        similar = "There are no similar names."
        if names is None:
            similar = (
                "Similar names were not looked for: secretsmanager:ListSecrets is not allowed."
            )
        elif names:
            similar = f"Similar names there: {', '.join(names)}."
        return problem("secret_not_found", similar=similar, **facts)

    def _value(
        self, value: CurrentValue | NoFact | None
    ) -> Generator[CheckResult, None, ApiKey | None]:
        """Is the value an API key? Returns the key if it is."""
        if not isinstance(value, CurrentValue):
            yield not_checked(Check.VALUE, "needs the secret's value")
            return None
        members = None if value.value is None else json_object(value.value)
        if members is None:
            yield problem("value_not_json", secret=self.secret)
            return None
        for member in (API_KEY, API_KEY_ID):
            if members.get(member) is None:
                yield problem("value_member_missing", secret=self.secret, member=member)
                return None
        try:
            key = ApiKey.from_text(
                members[API_KEY_ID],
                members[API_KEY],
                issued_at=members.get(ISSUED_AT),
                expires_at=members.get(EXPIRES_AT),
            )
        except InvalidCredentialError as error:
            yield problem("value_malformed", secret=self.secret, problem=str(error))
            return None
        others = len(members.keys() - {API_KEY, API_KEY_ID, ISSUED_AT, EXPIRES_AT})
        yield ok(Check.VALUE, f"key {key.id}" + (f", and {others} other members" if others else ""))
        return key

    def _expiry(self, key: ApiKey | None) -> CheckResult:
        if key is None:
            return not_checked(Check.EXPIRY, "needs a usable key")
        if key.expires_at is None:
            return not_checked(
                Check.EXPIRY, f"the value does not say when the key expires ({EXPIRES_AT})"
            )
        expires, now = iso_utc(key.expires_at), self.clock()
        if key.expired(now):
            return problem("key_expired", secret=self.secret, key_id=key.id, expires=expires)
        return ok(Check.EXPIRY, f"{(key.expires_at - now).days} days left, until {expires}")

    def _rotation(self, described: Snapshot | NoFact | None) -> CheckResult:
        """Will the key be replaced? Whether rotations succeed is what `rotation status` says."""
        if not isinstance(described, Snapshot):
            return not_checked(Check.ROTATION, _why_not_described(described))
        if described.deleted_at is not None:
            return not_checked(Check.ROTATION, "the secret is scheduled for deletion")
        if not described.rotation_enabled:
            return problem("rotation_off", secret=self.secret)
        due = described.next_rotation
        when = f", the next by {due:%Y-%m-%d}" if due else ""
        return ok(Check.ROTATION, f"on{when}; for its state: rotation status {self.secret}")

    def _vendor(self, key: ApiKey | None, *, expired: bool) -> Iterator[CheckResult]:
        """The checks of the vendor, of the clock, of the key and of the signer."""
        why_no_seal = None
        if not self.seal:
            why_no_seal = "--no-seal"
        elif key is None:
            why_no_seal = "needs a usable key"
        elif expired:
            why_no_seal = "the key has expired"
        try:
            settings = VendorSettings.from_environment()
            policy = signer_policy(settings)
            wanted = seal_profile()
        except ConfigurationError as error:
            yield problem("vendor_settings", problem=str(error))
            for check in (Check.CLOCK, Check.KEY, Check.SIGNER, Check.PROFILE):
                yield not_checked(check, "needs the vendor's settings")
            return
        tried = key if why_no_seal is None else None
        contact = contact_vendor(settings, self.secret, tried, self.timeout, self.clock)
        yield self._reached(contact)
        clock = _clock(contact)
        yield clock
        if tried is not None and isinstance(contact.outcome, SignedTestSeal):
            yield ok(Check.KEY, f"the vendor signs with {tried.id}")
            yield from _signature(contact.outcome, policy, contact.sent_at, wanted)
            return
        yield self._unsigned(contact, tried, clock, why_no_seal)
        for check in (Check.SIGNER, Check.PROFILE):
            yield not_checked(check, why_no_seal or "needs a signature")

    def _reached(self, contact: VendorContact) -> CheckResult:
        outcome, host = contact.outcome, contact.host
        facts = {"host": host, "seconds": f"{self.timeout.total_seconds():g}"}
        if isinstance(outcome, ConnectionFailure):
            if self.function is None:
                return problem(f"vendor_{outcome.kind}", problem=outcome.exception, **facts)
            return not_checked(
                Check.VENDOR,
                f"{host} cannot be reached from here ({outcome.clause}), and need not be: "
                f"{self.function} asks it",
            )
        if isinstance(outcome, VendorReached) and outcome.status >= 500:
            return problem("vendor_failing", status=outcome.status)
        if isinstance(outcome, _ANSWERS):
            return ok(Check.VENDOR, f"{host} answers")
        return _vendor_error(outcome, facts)

    def _unsigned(
        self, contact: VendorContact, tried: ApiKey | None, clock: CheckResult, why: str | None
    ) -> CheckResult:
        """What it says about the key that the vendor gave no signature."""
        outcome = contact.outcome
        if tried is None:
            return not_checked(Check.KEY, why or "needs a usable key")
        if isinstance(outcome, ClockSkewError) or (
            isinstance(outcome, CredentialRejectedError) and clock.code is not None
        ):
            return not_checked(Check.KEY, "set the clock first")
        if isinstance(outcome, CredentialRejectedError):
            code = "key_rejected" if clock.status is CheckStatus.OK else "key_or_clock"
            return problem(code, secret=self.secret, key_id=tried.id)
        if isinstance(outcome, VendorRefusedError):
            return problem("key_refused", key_id=tried.id, status=outcome.status)
        return not_checked(Check.KEY, "needs an answer from the vendor")


def _credentials(caller: Caller, value: CurrentValue | NoFact) -> CheckResult:
    if isinstance(value, AwsRefusal):
        if any(word in f"{value.code} {value.message}".lower() for word in _SKEWED):
            return problem("aws_clock_skew", problem=value.message)
        if value.code in _EXPIRED:
            return problem("aws_token_expired")
        if value.code in _NOT_ACCEPTED:
            return problem("aws_credentials_invalid", aws_code=value.code)
    state = "found, not tried" if isinstance(value, ConnectionFailure) else "accepted"
    return ok(Check.CREDENTIALS, f"{state} ({caller.method}), Region {caller.region}")


def _denied(message: str, facts: dict[str, Any]) -> CheckResult:
    denial = read_denial(message)
    return problem(
        denial.code,
        more=f"The policy: {denial.policy_arn}." if denial.policy_arn else "",
        caller=denial.caller or "the caller",
        action=denial.action or "secretsmanager:GetSecretValue",
        resource=denial.resource or facts["secret"],
        reason=denial.reason,
        **facts,
    )


def _deleted(refusal: AwsRefusal, described: Snapshot | NoFact | None) -> bool:
    """API_GetSecretValue: InvalidRequestException if the secret is scheduled for deletion."""
    if isinstance(described, Snapshot) and described.deleted_at is not None:
        return True
    return refusal.code == "InvalidRequestException" and "deletion" in refusal.message.lower()


def _why_not_described(outcome: NoFact | None) -> str:
    if isinstance(outcome, AwsRefusal) and outcome.code in DENIED:
        return "needs the right secretsmanager:DescribeSecret"
    if isinstance(outcome, AwsRefusal) and outcome.code != "ResourceNotFoundException":
        return f"DescribeSecret failed: {outcome.code}"
    if isinstance(outcome, ConnectionFailure):
        return f"DescribeSecret failed: {outcome.clause}"
    return "needs the secret"


def _vendor_error(error: RotationError, facts: dict[str, str]) -> CheckResult:
    """Why the vendor gave no answer that is worth anything."""
    if isinstance(error, MalformedResponseError):
        return problem("vendor_malformed", problem=str(error), **facts)
    if isinstance(error, VendorError) and error.status is not None:
        return problem("vendor_failing", status=error.status)
    # Among the failures without a status, a TLS failure alone is not retryable.
    code = "vendor_lost" if error.retryable else "vendor_tls"
    return problem(code, problem=type(error).__name__, **facts)


def _clock(contact: VendorContact) -> CheckResult:
    outcome, vendor_time = contact.outcome, None
    if isinstance(outcome, (SignedTestSeal, VendorReached, VendorError)):
        vendor_time = outcome.vendor_time
    if vendor_time is None:
        return not_checked(Check.CLOCK, "needs the vendor's Date header")
    ahead = contact.sent_at - vendor_time
    seconds = abs(ahead).total_seconds()
    if abs(ahead) > MAX_CLOCK_SKEW:
        direction = "ahead of" if ahead > timedelta(0) else "behind"
        return problem("clock_skew", skew=f"{seconds:.0f}", direction=direction)
    return ok(Check.CLOCK, f"within {max(1, round(seconds))} s of the vendor's")


def _signature(
    seal: SignedTestSeal, policy: SignerPolicy, at: datetime, wanted: str
) -> Iterator[CheckResult]:
    """Does the signature cover the test seal, is it by the configured signer, and what is it?"""
    try:
        signer = verify_cms(seal.der, seal.digest, policy, at)
    except SealVerificationError as error:
        try:
            stranger = verify_cms(seal.der, seal.digest, SignerPolicy(), at)
        except SealVerificationError:
            yield problem("signature_invalid", problem=str(error))
            yield not_checked(Check.PROFILE, "needs a signature")
            return
        yield problem("signer_not_accepted", problem=str(error))
        yield _profile(stranger.profile, wanted)
        return
    yield _signer(signer)
    yield _profile(signer.profile, wanted)


def _profile(profile: CmsProfile, wanted: str) -> CheckResult:
    """Which kind of CMS the vendor gives, and whether SEAL_PROFILE admits it."""
    choice = ProfileChoice(SealProfile(wanted))
    try:
        choice.admits(profile, choice.sub_filter)
    except CmsProfileError:
        return problem("profile_not_pades", problem=" and ".join(profile.why_not_pades))
    return ok(Check.PROFILE, f"{profile}; documents are sealed as {choice.sub_filter}")


def _signer(signer: Signer) -> CheckResult:
    name = signer.organization or signer.subject
    if not signer.chained:
        return not_checked(
            Check.SIGNER,
            f"signed by {name}; set SIGNER_TRUST_ANCHORS to have its certificate checked",
        )
    return ok(Check.SIGNER, f"signed by {name}, which chains to a trust anchor")


def _function(function: str, region: str, answer: FunctionAnswer | NoFact) -> CheckResult:
    """Does the sealing function run? It answers an empty request with ``invalid_request``."""
    facts = {"function": function, "region": region}
    if isinstance(answer, ConnectionFailure):
        return problem("sealing_function_unreachable", problem=answer.clause, **facts)
    if isinstance(answer, AwsRefusal):
        return _function_refused(answer, facts)
    if answer.crashed:
        kind = outside_text(scrub(str(answer.members.get("errorType", "no reason given"))), 100)
        return problem("sealing_function_crashed", problem=kind, **facts)
    error = answer.members.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if answer.members.get("status") != "error" or not isinstance(code, str):
        return problem("sealing_function_foreign", **facts)
    if code != "invalid_request":
        return problem("sealing_function_failing", problem=outside_text(scrub(code), 64), **facts)
    return ok(Check.SEALING_FUNCTION, f"{function} answers; it was asked to seal nothing")


def _function_refused(refusal: AwsRefusal, facts: dict[str, str]) -> CheckResult:
    if refusal.code == "ResourceNotFoundException":
        return problem("sealing_function_missing", **facts)
    if refusal.code in DENIED:
        reason = read_denial(refusal.message).reason
        return problem("sealing_function_denied", reason=reason, **facts)
    words = f"{refusal.code}: {refusal.message}"
    return problem("sealing_function_refused", problem=words, **facts)
