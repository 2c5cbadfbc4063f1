"""Answers of the vendor and of services, in which an enclosed certificate is malformed."""

from __future__ import annotations

from typing import Final

from asn1crypto import cms, ocsp, tsp, x509

#: The extension subjectKeyIdentifier of a certificate, which has an OCTET STRING, and the same with
#: a tag that no OCTET STRING may have. The lengths around it stay right.
_WHOLE: Final = b"\x06\x03\x55\x1d\x0e\x04"
_MALFORMED: Final = b"\x06\x03\x55\x1d\x0e\x24"


def with_a_malformed_certificate(content_info: bytes) -> bytes:
    """A CMS SignedData (DER) that encloses one certificate more, which is malformed."""
    signed = cms.ContentInfo.load(content_info)
    enclosed = signed["content"]["certificates"]
    issuer = next(one.chosen for one in enclosed if one.chosen.ca)
    enclosed.append(cms.CertificateChoices("certificate", x509.Certificate.load(issuer.dump())))
    return _last_one_malformed(signed.dump(), issuer.dump())


def timestamp_with_a_malformed_certificate(answer: bytes) -> bytes:
    """An answer of a TSA whose token encloses a malformed certificate."""
    response = tsp.TimeStampResp.load(answer)
    token = with_a_malformed_certificate(response["time_stamp_token"].dump())
    return bytes(
        tsp.TimeStampResp(
            {"status": response["status"], "time_stamp_token": cms.ContentInfo.load(token)}
        ).dump()
    )


def ocsp_with_a_malformed_certificate(answer: bytes) -> bytes:
    """An answer of an OCSP responder that encloses a malformed certificate."""
    response = ocsp.OCSPResponse.load(answer)
    basic = response.basic_ocsp_response
    enclosed = basic["certs"]
    last = enclosed[0].dump()
    enclosed.append(x509.Certificate.load(last))
    response["response_bytes"]["response"] = basic.dump()
    return _last_one_malformed(response.dump(), last)


def _last_one_malformed(der: bytes, certificate: bytes) -> bytes:
    """``der``, in which the last copy of a certificate cannot be read as a whole."""
    assert _WHOLE in certificate
    assert der.count(certificate) > 1
    before, _, after = der.rpartition(certificate)
    return before + certificate.replace(_WHOLE, _MALFORMED) + after
