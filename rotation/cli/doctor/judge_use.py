"""From facts to results: will the key go on being replaced, and does the vendor sign with it? Pure.

Only `judge_signature` computes: whether a signature is good, and whose it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from rotation.cli.doctor.denials import DENIED, read_denial
from rotation.cli.doctor.facts import (
    CLOCK_TOLERANCE,
    Description,
    FunctionAnswer,
    NotGot,
    Reached,
    Refusal,
    Signature,
    VendorContact,
)
from rotation.cli.doctor.model import Check, Result, Verdict, fine, unchecked
from rotation.cli.doctor.obstacles import Obstacle
from rotation.cli.doctor.table import problem
from rotation.credential import iso_utc
from rotation.errors import (
    ClockSkewError,
    CredentialRejectedError,
    MalformedResponseError,
    RotationError,
    SealVerificationError,
    VendorError,
    VendorRefusedError,
)
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING, INCIDENT_TAG
from rotation.secrets_manager.snapshot import Snapshot
from rotation.vendor.cms import SignerPolicy, verify_cms

#: A rotation with all of its retries is over by then.
_LONGEST_ROTATION: Final = timedelta(hours=1)
#: A rotation takes place at any time of its day.
_DAY: Final = timedelta(days=1)
_DESCRIBED: Final = (Check.ROTATION, Check.INCIDENT, Check.REPLICAS)


def judge_description(
    secret: str, description: Description | None, now: datetime
) -> Iterator[Result]:
    """The checks of rotation, of incidents and of replicas: what DescribeSecret tells."""
    if not isinstance(description, Snapshot):
        why = _why_undescribed(description)
        yield from (unchecked(check, why) for check in _DESCRIBED)
        return
    if description.deleted_at is not None:
        yield from (unchecked(check, "the secret is being deleted") for check in _DESCRIBED)
        return
    yield from _rotation(secret, description, now)
    if INCIDENT_TAG in description.tags or any(map(description.compromised, description.labels)):
        yield problem("incident_open", secret=secret)
    else:
        yield fine(Check.INCIDENT, "none is open")
    yield from _replicas(description)


def _why_undescribed(outcome: NotGot | None) -> str:
    if isinstance(outcome, Refusal) and outcome.code in DENIED:
        return "needs the right secretsmanager:DescribeSecret"
    if isinstance(outcome, Refusal) and outcome.code != "ResourceNotFoundException":
        return f"DescribeSecret failed: {outcome.code}"
    if isinstance(outcome, Obstacle):
        return f"DescribeSecret failed: {outcome.in_words}"
    return "needs the secret"


def _rotation(secret: str, snapshot: Snapshot, now: datetime) -> Iterator[Result]:
    pending = snapshot.version_with(AWSPENDING)
    waiting = pending is not None and not snapshot.has(pending, AWSCURRENT)
    changed, due = snapshot.changed_at, snapshot.next_rotation
    if not snapshot.rotation_enabled:
        yield problem("rotation_off", secret=secret)
    if waiting and changed is not None and now - changed > _LONGEST_ROTATION:
        yield problem("pending_stuck", secret=secret, version=pending, since=iso_utc(changed))
    elif waiting:
        yield unchecked(
            Check.ROTATION, f"one is under way, version {pending}: look again in a while"
        )
    elif snapshot.rotation_enabled and due is not None and now > due + _DAY:
        yield problem("rotation_overdue", due=iso_utc(due))
    elif snapshot.rotation_enabled:
        yield fine(Check.ROTATION, f"on, the next by {due:%Y-%m-%d}" if due else "on")


def _replicas(snapshot: Snapshot) -> Iterator[Result]:
    behind = [(region, status) for region, status in snapshot.replication.items()]
    if not behind:
        yield fine(Check.REPLICAS, "there are none")
    for region, status in behind:
        if status == "InSync":
            yield fine(Check.REPLICAS, f"{region} is in sync")
        elif status == "InProgress":
            yield problem("replica_lagging", other_region=region)
        else:
            yield problem("replica_failed", other_region=region, problem=status)


def judge_vendor(
    secret: str,
    key_id: str | None,
    contact: VendorContact,
    policy: SignerPolicy,
    *,
    why_no_seal: str,
    function: str | None,
) -> Iterator[Result]:
    """The checks of the vendor, of the clock, of the key and of the signer.

    Args:
        secret: the secret's name or ARN.
        key_id: the key that a test seal was asked with, or None.
        contact: what came of asking.
        policy: whose signatures are accepted.
        why_no_seal: what stands for the key's and the signer's checks without a test seal.
        function: the sealing function, where the application seals through it.
    """
    outcome = contact.outcome
    vendor = _reachable(contact, function)
    yield vendor
    clock = _clock(contact)
    yield clock
    if isinstance(outcome, Signature):
        yield fine(Check.KEY, f"the vendor signs with {key_id}")
        yield judge_signature(outcome, policy, contact.sent_at)
        return
    unsealed = why_no_seal if isinstance(outcome, Reached) else "needs an answer of the vendor"
    rejected = isinstance(outcome, CredentialRejectedError)
    if isinstance(outcome, ClockSkewError) or (rejected and clock.finding is not None):
        yield unchecked(Check.KEY, "set the clock first")
    elif rejected:
        agree = clock.verdict is Verdict.OK
        code = "key_rejected" if agree else "key_or_clock"
        yield problem(code, secret=secret, key_id=key_id)
    elif isinstance(outcome, VendorRefusedError):
        yield problem("key_refused", key_id=key_id, status=outcome.status)
    else:
        yield unchecked(Check.KEY, unsealed)
    yield unchecked(
        Check.SIGNER, why_no_seal if isinstance(outcome, Reached) else "needs a signature"
    )


def judge_signature(signature: Signature, policy: SignerPolicy, at: datetime) -> Result:
    """Does the signature cover the test seal, and is it the vendor's?"""
    try:
        signer = verify_cms(signature.der, signature.digest, policy, at)
    except SealVerificationError as error:
        try:
            verify_cms(signature.der, signature.digest, SignerPolicy(), at)
        except SealVerificationError:
            return problem("signature_invalid", problem=str(error))
        return problem("signer_not_accepted", problem=str(error))
    who = signer.organization or signer.subject
    if not signer.chained:
        return unchecked(
            Check.SIGNER,
            f"signed by {who}; set SIGNER_TRUST_ANCHORS to hold that against anything",
        )
    return fine(Check.SIGNER, f"signed by {who}, which chains to a trust anchor")


def judge_function(function: str, region: str, outcome: FunctionAnswer | NotGot | None) -> Result:
    """Can the sealing function be asked? It answers an empty request with `invalid_request`."""
    facts = {"function": function, "region": region}
    if isinstance(outcome, Refusal):
        return _function_refused(outcome, facts)
    if isinstance(outcome, Obstacle):
        return problem("sealing_function_unreachable", problem=outcome.in_words, **facts)
    if not isinstance(outcome, FunctionAnswer):
        return unchecked(Check.SEALING_FUNCTION, "needs AWS credentials and a Region")
    return _function_answered(outcome, facts)


def _function_answered(answer: FunctionAnswer, facts: dict[str, str]) -> Result:
    if answer.crashed:
        kind = str(answer.members.get("errorType", "no reason given"))[:100]
        return problem("sealing_function_crashed", problem=kind, **facts)
    error = answer.members.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if answer.members.get("status") != "error" or not isinstance(code, str):
        return problem("sealing_function_foreign", **facts)
    if code != "invalid_request":
        return problem("sealing_function_failing", problem=code[:64], **facts)
    function = facts["function"]
    return fine(Check.SEALING_FUNCTION, f"{function} answers; it was asked to seal nothing")


def _function_refused(refusal: Refusal, facts: dict[str, str]) -> Result:
    if refusal.code == "ResourceNotFoundException":
        return problem("sealing_function_missing", **facts)
    if refusal.code in DENIED:
        whose = read_denial(refusal.message).whose
        return problem("sealing_function_denied", whose=whose, **facts)
    return problem(
        "sealing_function_refused", problem=f"{refusal.code}: {refusal.message}", **facts
    )


def _reachable(contact: VendorContact, function: str | None) -> Result:
    outcome, host = contact.outcome, contact.host
    facts = {"host": host, "seconds": f"{contact.seconds:g}"}
    if isinstance(outcome, Obstacle):
        if function is not None:
            return unchecked(
                Check.VENDOR,
                f"{host} is not reached from here ({outcome.in_words}), and need not be: "
                f"{function} asks it",
            )
        return problem(f"vendor_{outcome.kind.value}", **facts)
    if isinstance(outcome, Reached) and outcome.status >= 500:
        return problem("vendor_failing", status=outcome.status)
    answers = (Signature, Reached, ClockSkewError, CredentialRejectedError, VendorRefusedError)
    if isinstance(outcome, answers):
        return fine(Check.VENDOR, f"{host} answers")
    return _vendor_failed(outcome, facts)


def _vendor_failed(error: RotationError, facts: dict[str, str]) -> Result:
    if isinstance(error, MalformedResponseError):
        return problem("vendor_malformed", problem=str(error), **facts)
    if isinstance(error, VendorError) and error.status is not None:
        return problem("vendor_failing", status=error.status)
    # Of the failures without a status, TLS alone is one that does not pass.
    return problem("vendor_lost" if error.retryable else "vendor_tls", **facts)


def _clock(contact: VendorContact) -> Result:
    vendor_time = _vendor_time(contact.outcome)
    if vendor_time is None:
        return unchecked(Check.CLOCK, "needs the vendor's Date header")
    ahead = (contact.sent_at - vendor_time).total_seconds()
    if abs(ahead) > CLOCK_TOLERANCE:
        direction = "ahead of" if ahead > 0 else "behind"
        return problem("clock_skew", skew=f"{abs(ahead):.0f}", direction=direction)
    return fine(Check.CLOCK, f"within {max(1, round(abs(ahead)))} s of the vendor's")


def _vendor_time(outcome: Signature | Reached | Obstacle | RotationError) -> datetime | None:
    if isinstance(outcome, (Signature, Reached, VendorError)):
        return outcome.vendor_time
    return None
