"""Every error of this package, one tree.

::

    RotationError                        code, retryable
    ├─ ConfigurationError                a setting is missing or wrong
    ├─ InvalidEventError                 the event is not one that the function knows
    ├─ InvalidCredentialError            a secret's value is not an API key
    ├─ VersionStateError                 not staged, disabled, empty pending, deleted secret
    ├─ CompromisedKeyError               the key was declared compromised
    ├─ SecretStoreError                  Secrets Manager refused or failed; retryable if it says so
    ├─ VendorError                       operation, status, request id; never a body
    │  ├─ VendorUnavailableError         unreachable, timeout, 429, 5xx: retryable
    │  ├─ VendorRefusedError             any other 4xx: the vendor refuses the request
    │  ├─ CredentialRejectedError        401: the vendor does not accept this key
    │  ├─ ClockSkewError                 401, and the clocks differ: says nothing of the key
    │  └─ MalformedResponseError         an answer that is not what the interface promises
    ├─ KeyIssueError                     the issuer would not give a key
    │  ├─ KeyQuotaError                  because too many keys exist
    │  └─ KeyPoolEmptyError              because the pool has no free key that lives long enough
    ├─ KeyPoolError                      the pool cannot be changed in this way
    ├─ NotificationError                 a person could not be notified; retryable if SNS says so
    ├─ EventBusError                     an event was not taken; retryable if EventBridge says so
    ├─ EvidenceError                     a record of an incident could not be kept
    ├─ ReportError                       a report or a bundle cannot be made, or is none
    ├─ JournalError                      the journal could not be read or written
    │  └─ JournalConflictError           somebody else has changed it meanwhile: retryable
    ├─ AccountReadError                  AWS did not tell who may read, or who did; retryable if so
    ├─ SealVerificationError             the CMS does not cover our digest, or is not our signer's
    │  └─ CmsProfileError                it is no PAdES signature, and the settings demand one
    └─ SealingError                      a document could not be sealed
       ├─ InvalidRequestError            the request itself cannot be carried out
       ├─ UnsupportedPdfError            not a PDF, or one that cannot be sealed
       │  ├─ DamagedPdfError             it is damaged; a repair may help
       │  ├─ EncryptedPdfError           only a password or a private key opens it
       │  ├─ CertifiedPdfError           a signature in it allows no changes
       │  └─ NoPagesError                it has no pages
       ├─ DocumentTooLargeError          larger or more complex than this function accepts
       ├─ SourceNotFoundError            no such object, or no right to read it
       ├─ SourceUnavailableError          the source could not be read just now: retryable
       ├─ SourceChangedError             the source was replaced while it was being sealed
       ├─ DestinationError               the sealed document could not be stored
       ├─ SignatureTooLargeError         the signature does not fit its placeholder
       ├─ LedgerError                    the ledger of seals could not be read or written
       ├─ LevelError                     the document cannot get the level that was asked for
       └─ SealingUnavailableError        the sealing function was not run: retryable

``code`` is stable: programs may compare it. ``retryable`` says whether the same call may succeed
later without anybody changing anything. A message says what was attempted and what to do, and never
holds key material.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar


class RotationError(Exception):
    """The root of the tree."""

    code: ClassVar[str] = "rotation_error"
    retryable: bool = False


class ConfigurationError(RotationError):
    """A setting is missing or wrong."""

    code = "configuration"


class InvalidEventError(RotationError):
    """The event is not one that the function knows."""

    code = "invalid_event"


class InvalidCredentialError(RotationError):
    """A secret's value is not an API key."""

    code = "invalid_credential"


class VersionStateError(RotationError):
    """A secret or one of its versions is not in the state that the operation needs."""

    code = "version_state"


class CompromisedKeyError(RotationError):
    """The key was declared compromised and must never become current."""

    code = "compromised_key"


class SecretStoreError(RotationError):
    """Secrets Manager refused a call, or could not be reached.

    ``operation`` is the API's, such as ``PutSecretValue``; ``aws_code`` is the error code that AWS
    gave, such as ``AccessDeniedException``.
    """

    code = "secret_store"

    def __init__(
        self, message: str, *, operation: str, aws_code: str, retryable: bool = False
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.aws_code = aws_code
        self.retryable = retryable


class VendorError(RotationError):
    """A call to the vendor failed.

    ``operation`` is what was asked, such as ``sign``; ``status`` the HTTP status, None where there
    was no answer; ``request_id`` the vendor's own id of the request, where it gave one;
    ``vendor_time`` the vendor's clock in a 401, where it gave one.
    """

    code = "vendor"

    def __init__(
        self,
        operation: str,
        detail: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        vendor_time: datetime | None = None,
    ) -> None:
        self.operation = operation
        self.status = status
        self.request_id = request_id
        self.vendor_time = vendor_time
        answer = f" (HTTP {status})" if status is not None else ""
        reference = f" [vendor request {request_id}]" if request_id else ""
        super().__init__(f"{operation}: {detail}{answer}{reference}")


class VendorUnavailableError(VendorError):
    """The vendor could not be reached, was too slow, or said to come back later."""

    code = "vendor_unavailable"
    retryable = True


class VendorRefusedError(VendorError):
    """The vendor understood the request and will not carry it out."""

    code = "vendor_refused"


class CredentialRejectedError(VendorError):
    """The vendor answered 401 and the clocks agree: it does not accept this key."""

    code = "credential_rejected"


class ClockSkewError(VendorError):
    """The vendor answered 401, and its clock is not ours. This says nothing about the key."""

    code = "clock_skew"
    retryable = True


class MalformedResponseError(VendorError):
    """The vendor's answer is not what its interface promises."""

    code = "malformed_response"


class KeyIssueError(RotationError):
    """The issuer would not give a new key."""

    code = "key_issue"


class KeyQuotaError(KeyIssueError):
    """The issuer would not give a new key because too many exist."""

    code = "key_quota"


class KeyPoolEmptyError(KeyIssueError):
    """The pool has no free key that lives long enough; a person must add one."""

    code = "key_pool_empty"


class KeyPoolError(RotationError):
    """The pool cannot be changed in this way: it is full, or a key is leased, known or missing."""

    code = "key_pool"


class NotificationError(RotationError):
    """A message to a person could not be sent."""

    code = "notification"

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class EventBusError(RotationError):
    """The event bus did not take every event. What it did not take is sent again by the next run.

    ``accepted`` has the ids of the events that it took.
    """

    code = "event_bus"

    def __init__(
        self, message: str, *, accepted: frozenset[str] = frozenset(), retryable: bool = False
    ) -> None:
        super().__init__(message)
        self.accepted = accepted
        self.retryable = retryable


class EvidenceError(RotationError):
    """The record of an incident could not be kept; the next reconciliation tries again."""

    code = "evidence"
    retryable = True


class ReportError(RotationError):
    """A report for auditors or its bundle cannot be made, or what is given is no bundle."""

    code = "report"


class JournalError(RotationError):
    """The journal of a secret could not be read or written. Nothing may be concluded without it."""

    code = "journal"
    retryable = True

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class JournalConflictError(JournalError):
    """Somebody else has changed the journal meanwhile: read it again."""

    code = "journal_conflict"


class AccountReadError(RotationError):
    """IAM, CloudTrail, KMS or Secrets Manager did not tell who may read a secret, or who did.

    ``aws_code`` is the error code that AWS gave, such as ``AccessDenied``.
    """

    code = "account_read"

    def __init__(self, message: str, *, aws_code: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.aws_code = aws_code
        self.retryable = retryable


class SealVerificationError(RotationError):
    """The CMS does not cover our digest, is damaged, or was signed by somebody else."""

    code = "seal_verification"


class CmsProfileError(SealVerificationError):
    """The CMS is no PAdES signature, and the settings demand one."""

    code = "cms_profile"


class SealingError(RotationError):
    """A document could not be sealed; nothing appeared at its destination."""

    code = "sealing"


class InvalidRequestError(SealingError):
    """The sealing request cannot be carried out as it stands.

    ``field`` is the path of the member that is wrong, such as ``options.visible.box``; None where
    it is the request as a whole. ``problem`` says what is wrong with it, without naming any member,
    so that it also fits where the member has another name: on a command line, in a setting. Where
    ``field`` is None, it is a whole sentence.
    """

    code = "invalid_request"

    def __init__(self, *, field: str | None, problem: str) -> None:
        super().__init__(problem if field is None else f"{field}: {problem}")
        self.field = field
        self.problem = problem


class UnsupportedPdfError(SealingError):
    """The file is not a PDF, or not one that can be sealed."""

    code = "unsupported_pdf"


class DamagedPdfError(UnsupportedPdfError):
    """The file is damaged, cut off, or built in a way that is not understood."""

    code = "damaged_pdf"


class EncryptedPdfError(UnsupportedPdfError):
    """Only a password or a private key opens the file."""

    code = "encrypted_pdf"


class CertifiedPdfError(UnsupportedPdfError):
    """A signature in the file allows no changes at all."""

    code = "certified_no_changes"


class NoPagesError(UnsupportedPdfError):
    """The file has no pages."""

    code = "no_pages"


class DocumentTooLargeError(SealingError):
    """The document is larger, or more complex, than this function accepts."""

    code = "document_too_large"


class SourceNotFoundError(SealingError):
    """The source object does not exist, or the function may not read it."""

    code = "source_not_found"


class SourceUnavailableError(SealingError):
    """The source object could not be read just now."""

    code = "source_unavailable"
    retryable = True


class SourceChangedError(SealingError):
    """The source object was replaced while it was being sealed."""

    code = "source_changed"
    retryable = True


class DestinationError(SealingError):
    """The sealed document could not be stored."""

    code = "destination"
    retryable = True


class SignatureTooLargeError(SealingError):
    """The signature does not fit the space that was reserved for it."""

    code = "signature_too_large"


class LedgerError(SealingError):
    """The ledger of seals could not be read or written."""

    code = "ledger"

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class LevelError(SealingError):
    """The document cannot get the level that was asked for (B-T, B-LT, B-LTA)."""

    code = "level"


class SealingUnavailableError(SealingError):
    """The sealing function was not run: not reached, throttled, or not ready yet."""

    code = "sealing_unavailable"
    retryable = True
