"""Collects what proves a signature later: certificates, OCSP responses and CRLs of whole chains."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from asn1crypto import crl, ocsp, x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import (
    CRLValidationError,
    OCSPValidationError,
    PathError,
    RevokedError,
    ValidationError,
)
from pyhanko_certvalidator.fetchers.api import Fetchers

from rotation.cms.signed_data import UNREADABLE, SignedData, is_whole
from rotation.errors import LevelError

_LONGEST_REASON: Final = 300
_PATH_ERRORS: Final = (PathError, CRLValidationError, OCSPValidationError, ValidationError)


@dataclass
class ValidationData:
    """Certificates, OCSP responses and CRLs, as asn1crypto has them; each of them once."""

    certificates: dict[bytes, x509.Certificate] = field(default_factory=dict)
    ocsps: dict[bytes, ocsp.OCSPResponse] = field(default_factory=dict)
    crls: dict[bytes, crl.CertificateList] = field(default_factory=dict)

    @property
    def times(self) -> list[datetime]:
        """When the answers were given, aware UTC, the newest first."""
        times = [one["tbs_cert_list"]["this_update"].native for one in self.crls.values()]
        times += [
            response["this_update"].native
            for one in self.ocsps.values()
            for response in one.response_data["responses"]
        ]
        return sorted(set(times), reverse=True)

    def add(
        self,
        certificates: Iterable[x509.Certificate] = (),
        ocsps: Iterable[ocsp.OCSPResponse] = (),
        crls: Iterable[crl.CertificateList] = (),
    ) -> None:
        """Add what is not there yet."""
        self.certificates |= {one.dump(): one for one in certificates}
        self.ocsps |= {one.dump(): one for one in ocsps}
        self.crls |= {one.dump(): one for one in crls}


async def collect(
    signed: Sequence[SignedData],
    roots: Sequence[x509.Certificate],
    *,
    fetch: Fetchers | None,
    known: ValidationData,
    at: datetime,
) -> ValidationData:
    """What proves that no certificate in the chains of ``signed`` was revoked at ``at``.

    Every certificate but the root must have an answer (``require``), so that nothing is missing
    when the services are gone.

    Args:
        signed: signatures and timestamps.
        roots: the trust anchors. Empty: the self-signed certificates that are enclosed, since the
            proof of a chain does not depend on who trusts its root.
        fetch: how to get what is missing; None: nothing is fetched.
        known: what the document has already.
        at: now, aware UTC.

    Raises:
        LevelError: something is missing, or a certificate was revoked.
    """
    enclosed = [one for each in signed for one in (each.certificate, *each.others) if is_whole(one)]
    others = [*enclosed, *known.certificates.values()]
    anchors = list(roots) or [one for one in enclosed if one.self_signed != "no"]
    context = ValidationContext(
        trust_roots=anchors,
        other_certs=others,
        allow_fetching=fetch is not None,
        revocation_mode="require",
        fetchers=fetch,
        moment=at,
        ocsps=list(known.ocsps.values()),
        crls=list(known.crls.values()),
    )
    found = ValidationData()
    for each in signed:
        try:
            validator = CertificateValidator(
                each.certificate, intermediate_certs=others, validation_context=context
            )
            path: Any = await validator.async_validate_usage(set())
        except RevokedError as error:
            raise LevelError(f"A certificate of the chain was revoked: {_short(error)}") from error
        except (*UNREADABLE, *_PATH_ERRORS) as error:
            subject = str(each.certificate.subject.human_friendly)[:_LONGEST_REASON]
            problem = LevelError(f"The chain of {subject} cannot be proven: {_short(error)}")
            problem.retryable = True
            raise problem from error
        if not all(map(is_whole, path)):
            raise LevelError("A certificate of the chain is malformed.")
        found.add(certificates=path)
    found.add(enclosed, context.ocsps, context.crls)
    return found


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:_LONGEST_REASON]
