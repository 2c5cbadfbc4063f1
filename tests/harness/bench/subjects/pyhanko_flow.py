"""pyHanko's own way to have a document signed elsewhere, as its documentation shows it.

With its defaults: the estimate of the signature's size, the document written to memory in pieces of
4 KiB. Of its reader alone strictness is turned off, without which it refuses what we accept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import boto3
from asn1crypto import x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers.pdf_cms import ExternalSigner
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner, PdfTBSDocument
from pyhanko_certvalidator.registry import SimpleCertificateStore

from rotation.credential import ApiKey
from rotation.handlers.wiring.vendor import vendor_http
from rotation.settings.vendor import VendorSettings
from rotation.vendor.signing_api import SigningApi
from tests.harness.bench.canned import Canned

Sign = Callable[[bytes], bytes]


def sealing(source: str, destination: str, canned: str) -> Callable[[], object]:
    """Sign a file; the signature is there already."""
    ready = Canned.read(canned)
    signer = _signer(ready)

    def run() -> None:
        with Path(source).open("rb") as document:
            signed = asyncio.run(_signed(document, signer, ready.sign))
        Path(destination).write_bytes(signed.getbuffer())

    return run


def stored(event: dict[str, Any], canned: str) -> Callable[[], object]:
    """Get it from S3, have the vendor sign it, put it into S3."""
    s3 = boto3.client("s3")
    vendor = VendorSettings.from_environment()
    api = SigningApi(vendor_http(vendor, vendor.url), vendor.sign_path)
    key = ApiKey.from_text(event["credential"]["apiKeyId"], event["credential"]["apiKey"])
    signer = _signer(Canned.read(canned))

    def run() -> None:
        body = s3.get_object(Bucket=event["source"]["bucket"], Key=event["source"]["key"])["Body"]
        document = BytesIO(body.read())
        signed = asyncio.run(_signed(document, signer, lambda digest: api.sign(key, digest)))
        s3.put_object(
            Bucket=event["destination"]["bucket"],
            Key=event["destination"]["key"],
            Body=signed.getvalue(),
            ContentType="application/pdf",
        )

    return run


def _signer(ready: Canned) -> PdfSigner:
    own, *issuers = (x509.Certificate.load(certificate) for certificate in ready.certificates)
    chain = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    chain.register_multiple(issuers)
    metadata = PdfSignatureMetadata(
        field_name="Seal", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
    )
    return PdfSigner(metadata, ExternalSigner(own, chain))


async def _signed(document: IO[bytes], signer: PdfSigner, sign: Sign) -> BytesIO:
    writer = IncrementalPdfFileWriter(document, strict=False)
    prepared, _, output = await signer.async_digest_doc_for_signing(writer)
    cms = sign(prepared.document_digest)
    await PdfTBSDocument.async_finish_signing(output, prepared, cms)
    assert isinstance(output, BytesIO)
    return output
