"""Small PDFs, written by hand or by pyHanko, and signatures by keys that the tests hold."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from io import BytesIO

from asn1crypto import keys, x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.pdf_utils.crypt.pubkey import RecipientEncryptionPolicy
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PdfFileWriter, copy_into_new_writer
from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec, MDPPerm, SigFieldSpec
from pyhanko.sign.signers.pdf_cms import SimpleSigner
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from rotation.sandbox.vendor import Identity
from tests.paths import ROOT

DATA = ROOT / "tests" / "data"

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>"
CONTENT = b"<< /Length 20 >>\nstream\n10 10 50 50 re f Q q\nendstream"
INFO = b"<< /Title (An inspection) /ModDate (D:20200101000000Z) >>"


def pdf(objects: Mapping[int, bytes] | None = None, *, ending: bytes = b"\n") -> bytes:
    """A PDF of one page with a classic reference table; ``objects`` replace or add to its own."""
    bodies = {1: CATALOG, 2: PAGES, 3: PAGE, 4: CONTENT, 5: INFO} | dict(objects or {})
    content = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
    table = b"0000000000 65535 f \n"
    for number in range(1, max(bodies) + 1):
        table += b"%010d 00000 n \n" % len(content)
        content += b"%d 0 obj\n%b\nendobj\n" % (number, bodies[number])
    size = max(bodies) + 1
    return (
        content
        + b"xref\n0 %d\n%btrailer\n<< /Size %d /Root 1 0 R /Info 5 0 R >>\n"
        % (
            size,
            table,
            size,
        )
        + b"startxref\n%d\n%%%%EOF%b" % (len(content), ending)
    )


def large(size: int) -> bytes:
    """The same with a content stream of ``size`` bytes, which says nothing."""
    return pdf({4: b"<< /Length %d >>\nstream\n%b\nendstream" % (size, b"\n".rjust(size))})


def encrypted(*, user_password: str, integrity_code: bool = False) -> bytes:
    """The same, encrypted with AES-256, with or without the integrity code of ISO/TS 32004."""
    writer = copy_into_new_writer(PdfFileReader(BytesIO(pdf())))
    writer.encrypt("the owner's", user_password, pdf_mac=integrity_code)  # type: ignore[no-untyped-call]
    return _written(writer)


def encrypted_for(recipient: Identity) -> bytes:
    """The same, encrypted for the holder of a private key."""
    writer = copy_into_new_writer(PdfFileReader(BytesIO(pdf())))
    certificate = recipient.certificate.public_bytes(Encoding.DER)
    writer.encrypt_pubkey(
        [x509.Certificate.load(certificate)],
        policy=RecipientEncryptionPolicy(ignore_key_usage=True),
    )
    return _written(writer)


def _written(writer: PdfFileWriter) -> bytes:
    output = BytesIO()
    writer.write(output)  # type: ignore[no-untyped-call]
    return output.getvalue()


class _LoadedSigner(SimpleSigner):
    """Signs with a loaded key; pyHanko would load and check it anew for each signature."""

    loaded: RSAPrivateKey

    def sign_raw(self, data: bytes, digest_algorithm: str) -> bytes:
        assert digest_algorithm == "sha256"
        return self.loaded.sign(data, PKCS1v15(), SHA256())


def signer_of(identity: Identity) -> SimpleSigner:
    """Signs with ``identity`` in this process."""
    chain = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    chain.register_multiple(
        x509.Certificate.load(issuer.public_bytes(Encoding.DER)) for issuer in identity.chain
    )
    private = identity.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    signer = _LoadedSigner(
        signing_cert=x509.Certificate.load(identity.certificate.public_bytes(Encoding.DER)),
        signing_key=keys.PrivateKeyInfo.load(private),
        cert_registry=chain,
    )
    signer.loaded = identity.key
    return signer


def cms_over(digest: bytes, signer: SimpleSigner) -> bytes:
    """A detached CAdES signature over ``digest``, DER."""
    content = asyncio.run(signer.async_sign(digest, "sha256", use_pades=True))
    return bytes(content.dump())


def signed_by_author(
    document: bytes,
    signer: SimpleSigner,
    *,
    certify: MDPPerm | None = None,
    field: str = "Author",
    locks: FieldMDPAction | None = None,
    lock_document: MDPPerm | None = None,
) -> bytes:
    """``document`` with somebody's earlier signature, made by pyHanko's own signer."""
    metadata = PdfSignatureMetadata(
        field_name=field,
        certify=certify is not None,
        docmdp_permissions=certify or MDPPerm.FILL_FORMS,
    )
    specification = SigFieldSpec(
        field,
        field_mdp_spec=FieldMDPSpec(locks) if locks else None,
        doc_mdp_update_value=lock_document,
    )
    signed = PdfSigner(metadata, signer, new_field_spec=specification).sign_pdf(
        IncrementalPdfFileWriter(BytesIO(document))
    )
    return bytes(signed.getvalue())


def pdf_with_form(entries: bytes = b"") -> bytes:
    """A form with a text field ``Name`` and an empty signature field ``Here`` with ``entries``."""
    return pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R 7 0 R] >> >>",
            6: b"<< /FT /Sig /T (Here) /Type /Annot /Subtype /Widget /Rect [0 0 0 0] /P 3 0 R "
            + entries
            + b" >>",
            7: b"<< /FT /Tx /T (Name) /V (somebody) >>",
        }
    )
