"""pyHanko's clients for OCSP, CRLs, issuers' certificates and timestamps, over `ServiceHttp`."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from asyncio import to_thread
from collections.abc import Awaitable, Iterable
from typing import Any

from asn1crypto import crl, ocsp, pem, tsp
from pyhanko.sign.timestamps.api import TimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError
from pyhanko_certvalidator.fetchers.api import Fetchers, FetchLimits
from pyhanko_certvalidator.fetchers.common_utils import FetchBudget
from pyhanko_certvalidator.fetchers.requests_fetchers.cert_fetch_client import (
    RequestsCertificateFetcher,
)
from pyhanko_certvalidator.fetchers.requests_fetchers.crl_client import RequestsCRLFetcher
from pyhanko_certvalidator.fetchers.requests_fetchers.ocsp_client import RequestsOCSPFetcher
from pyhanko_certvalidator.fetchers.requests_fetchers.util import RequestsFetcherMixin

from rotation.cms.signed_data import is_whole
from rotation.sealing.levels.services import ServiceAnswer, ServiceError, ServiceHttp

# A chain has a handful of certificates, and each of them a service or two.
_LIMITS = FetchLimits(max_requests=40, max_cert_requests=10, max_aia_urls_per_object=3)


class _OverServices(RequestsFetcherMixin):
    """Replaces pyHanko's way to the network, which asks every host."""

    http: ServiceHttp

    @staticmethod
    def load(content: bytes) -> Any:
        """What must be whole in an answer, as asn1crypto has it; None: nothing."""

    def _get(self, url: str, *, acceptable_content_types: Iterable[str]) -> Awaitable[Any]:
        return self._ask("GET", url, {"Accept": ",".join(acceptable_content_types)}, None)

    def _post(
        self, url: str, data: bytes, *, content_type: str, acceptable_content_types: Iterable[str]
    ) -> Awaitable[Any]:
        headers = {"Accept": ",".join(acceptable_content_types), "Content-Type": content_type}
        return self._ask("POST", url, headers, data)

    async def _ask(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> ServiceAnswer:
        answer = await to_thread(self.http.exchange, method, url, headers, body)
        loaded = self.load(answer.content)
        # One that is not whole would make a DSS that validators refuse.
        if loaded is not None and not is_whole(loaded):
            raise ServiceError(f"The answer of {url} is malformed.")
        return answer


class _OcspFetcher(_OverServices, RequestsOCSPFetcher):
    load = ocsp.OCSPResponse.load


class _CrlFetcher(_OverServices, RequestsCRLFetcher):
    @staticmethod
    def load(content: bytes) -> Any:
        """A CRL, which pyHanko takes as PEM too."""
        if pem.detect(content):
            _, _, content = pem.unarmor(content)
        return crl.CertificateList.load(content)


class _CertificateFetcher(_OverServices, RequestsCertificateFetcher):
    pass


def fetchers(http: ServiceHttp) -> Fetchers:
    """What a validation of pyHanko's fetches with."""
    budget = FetchBudget(_LIMITS)
    found = (_OcspFetcher(budget=budget), _CrlFetcher(budget=budget))
    certificates = _CertificateFetcher(budget=budget)
    for one in (*found, certificates):
        one.http = http
    return Fetchers(ocsp_fetcher=found[0], crl_fetcher=found[1], cert_fetcher=certificates)


class ServiceTimeStamper(TimeStamper):
    """An RFC 3161 client; pyHanko compares nonce and status."""

    def __init__(self, http: ServiceHttp, url: str) -> None:
        super().__init__()
        self._http = http
        self._url = url

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """Ask once."""
        headers = {
            "Content-Type": "application/timestamp-query",
            "Accept": "application/timestamp-reply",
        }
        try:
            answer = await to_thread(
                self._http.exchange, "POST", self._url, headers, bytes(req.dump())
            )
        except ServiceError as error:
            raise TimestampRequestError(str(error)) from error
        return tsp.TimeStampResp.load(answer.content)
