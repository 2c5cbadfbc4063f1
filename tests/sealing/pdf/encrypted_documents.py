"""Documents that are encrypted in ways that pyHanko does not write."""

from __future__ import annotations

import hashlib
import os
import re
from io import BytesIO

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from pyhanko.pdf_utils.crypt.permissions import StandardPermissions
from pyhanko.pdf_utils.crypt.standard import (
    StandardSecurityHandler,
    StandardSecuritySettingsRevision,
)
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PdfFileWriter, copy_into_new_writer

from tests.sealing.pdfs import pdf

_EVERYTHING = ~StandardPermissions(0)


def without_a_key_length() -> bytes:
    """RC4 with a key of 128 bits, whose length the dictionary does not give."""
    return _legacy().replace(b"/Length 128", b"/Wength 128")


def described_by_references() -> bytes:
    """The encryption dictionary refers to its filters, whose names are read before any key is."""
    identifier = b"sixteen bytes..."
    handler = _handler(StandardSecuritySettingsRevision.RC4_OR_AES128, identifier)
    nothing = b"<< /Length 0 >>\nstream\n\nendstream"
    encryption = (
        b"<< /Filter /Standard /V 4 /R 4 /Length 128 /P -4 /O <%b> /U <%b> /CF 7 0 R"
        b" /StmF /StdCF /StrF /StdCF >>"
        % (handler.odata.hex().encode(), handler.udata.hex().encode())
    )
    filters = b"<< /StdCF 8 0 R >>"
    objects = {4: nothing, 5: b"<< >>", 6: encryption, 7: filters}
    plain = pdf(objects | {8: b"<< /CFM /V2 /AuthEvent /DocOpen /Length 16 >>"})
    return plain.replace(
        b"/Root", b"/Encrypt 6 0 R /ID [<%b> <%b>] /Root" % ((identifier.hex().encode(),) * 2)
    )


def with_permissions_that_stop_at_bit_12() -> bytes:
    """RC4, and permissions without the bits of later editions, such as that of ISO 32004."""
    return _legacy(~StandardPermissions.TOLERATE_MISSING_PDF_MAC)


def by_revision_5(user_password: bytes = b"", owner_password: bytes = b"the owner's") -> bytes:
    """AES-256 as Adobe drafted it before PDF 2.0: one SHA-256 over password and salt."""
    writer = copy_into_new_writer(PdfFileReader(BytesIO(pdf())))
    writer.encrypt("the owner's", "", pdf_mac=False)  # type: ignore[no-untyped-call]
    assert writer.security_handler is not None
    key = writer.security_handler.get_file_encryption_key()
    document = _written(writer)
    user, wrapped = _entry(user_password, key, b"")
    owner, owner_wrapped = _entry(owner_password, key, user)
    entries = {b"U": user, b"O": owner, b"UE": wrapped, b"OE": owner_wrapped}
    for name, content in entries.items():
        document, count = re.subn(
            rb"/%b <[0-9a-fA-F]{%d}>" % (name, 2 * len(content)),
            b"/%b <%b>" % (name, content.hex().encode()),
            document,
        )
        assert count == 1
    assert document.count(b"/R 6") == 1
    return document.replace(b"/R 6", b"/R 5")


def _entry(password: bytes, key: bytes, user: bytes) -> tuple[bytes, bytes]:
    """U or O, and UE or OE, as the password and the document's key make them."""
    validation, salt = os.urandom(8), os.urandom(8)
    hashed = hashlib.sha256(password + validation + user).digest()
    wrapping = Cipher(AES(hashlib.sha256(password + salt + user).digest()), CBC(bytes(16)))
    return hashed + validation + salt, wrapping.encryptor().update(key)


def _legacy(permissions: StandardPermissions = _EVERYTHING) -> bytes:
    writer = copy_into_new_writer(PdfFileReader(BytesIO(pdf())))
    identifier = writer._document_id[0].original_bytes
    revision = StandardSecuritySettingsRevision.RC4_EXTENDED
    writer._assign_security_handler(_handler(revision, identifier, permissions))
    return _written(writer)


def _handler(
    revision: StandardSecuritySettingsRevision,
    identifier: bytes,
    permissions: StandardPermissions = _EVERYTHING,
) -> StandardSecurityHandler:
    handler: StandardSecurityHandler = StandardSecurityHandler.build_from_pw_legacy(
        revision,
        identifier,
        "the owner's",
        "",
        keylen_bytes=16,
        use_aes128=False,
        perms=permissions,
    )
    return handler


def _written(writer: PdfFileWriter) -> bytes:
    writer.digest_aware_write = True  # no integrity code
    output = BytesIO()
    writer.write(output)  # type: ignore[no-untyped-call]
    return output.getvalue()
