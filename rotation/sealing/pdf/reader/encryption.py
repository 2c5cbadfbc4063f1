"""A document that opens without a password, and what its encryption is.

pyHanko knows the encryptions of the standard (ISO 32000-2, 7.6.4). Real files also leave the length
of the key out, or have the one that PDF 2.0 replaced before it was in a standard: revision 5 (Adobe
Supplement to ISO 32000, BaseVersion 1.7, ExtensionLevel 3, 3.5.2), which hashes a password once, by
SHA-256.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from pyhanko.pdf_utils.crypt import AuthStatus, StandardSecurityHandler
from pyhanko.pdf_utils.crypt.api import SecurityHandler
from pyhanko.pdf_utils.generic import (
    ByteStringObject,
    DictionaryObject,
    NumberObject,
    TextStringObject,
    pdf_name,
)
from pyhanko.pdf_utils.misc import PdfReadError

from rotation.errors import EncryptedPdfError, UnsupportedPdfError
from rotation.sealing.pdf.objects import integer_at, same, value

_REVISION: Final = 5
#: Of an entry: 32 bytes of hash, 8 of salt for it, 8 of salt for the key.
_ENTRY: Final = 48
_KEY: Final = 32
#: In bits.
_KEY_LENGTHS: Final = (128, 40)
#: The first revision whose permissions can demand an integrity code (ISO/TS 32004).
_INTEGRITY: Final = 6


def unlocked(
    dictionary: DictionaryObject, identifier: bytes, *, authenticated: bool
) -> tuple[SecurityHandler, DictionaryObject | None]:
    """What decrypts a document, and its encryption dictionary where that had to be mended.

    Args:
        dictionary: its encryption dictionary, without references.
        identifier: the first part of its ID.
        authenticated: whether its trailer has an integrity code.

    Raises:
        EncryptedPdfError: it needs a password, or a recipient's key.
        UnsupportedPdfError: it has an integrity code.
        PdfReadError: the dictionary does not say what it is.
    """
    handler = SecurityHandler.build(dictionary)
    if not isinstance(handler, StandardSecurityHandler):
        raise EncryptedPdfError(
            "The file is encrypted for certain recipients. Store it without encryption."
        )
    if not same(value(dictionary, "/Filter"), "/Standard"):
        raise PdfReadError("an encryption that does not say what it is")
    # Before that revision the bit that demands a code meant nothing, and not all writers set it.
    demanded = (integer_at(dictionary, "/R") or 0) >= _INTEGRITY and handler.pdf_mac_enabled
    if authenticated or demanded or "/KDFSalt" in dictionary:
        raise UnsupportedPdfError(
            "The file is encrypted with an integrity code over all of it (ISO/TS 32004), which "
            "a seal would break. Store it without encryption."
        )
    if key := _draft_key(dictionary):
        return _DraftHandler(handler, dictionary, key), None
    if _opens(handler, identifier):
        return handler, None
    # Writers that leave out or misstate the length of the key mean one of these.
    for length in _KEY_LENGTHS if integer_at(dictionary, "/V") in {1, 2, 3, 4} else ():
        changed = DictionaryObject(dict(dictionary.items()))
        changed.container_ref = dictionary.container_ref
        changed[pdf_name("/Length")] = NumberObject(length)
        handler = SecurityHandler.build(changed)
        if isinstance(handler, StandardSecurityHandler) and _opens(handler, identifier):
            return handler, changed
    raise EncryptedPdfError("The file is encrypted with a password. Store it without encryption.")


class _DraftHandler(StandardSecurityHandler):
    """Decrypts with a key that is known."""

    def __init__(
        self, like: StandardSecurityHandler, dictionary: DictionaryObject, key: bytes
    ) -> None:
        super().__init__(
            like.version,
            like.revision,
            crypt_filter_config=self.process_crypt_filters(dictionary),
            **self.gather_encryption_metadata(dictionary),
        )
        self._key = key

    def get_file_encryption_key(self) -> bytes:
        """The document's key."""
        return self._key


def _opens(handler: StandardSecurityHandler, identifier: bytes) -> bool:
    return handler.authenticate("", id1=identifier).status is not AuthStatus.FAILED


def _draft_key(dictionary: DictionaryObject) -> bytes | None:
    """The key of revision 5 (32 bytes); None: it is of another revision, or needs a password."""
    if integer_at(dictionary, "/R") != _REVISION or integer_at(dictionary, "/V") != _REVISION:
        return None
    user = _bytes_at(dictionary, "/U")[:_ENTRY]
    owner = _bytes_at(dictionary, "/O")[:_ENTRY]
    for entry, packed, also in ((user, "/UE", b""), (owner, "/OE", user)):
        wrapped = _bytes_at(dictionary, packed)[:_KEY]
        if len(entry) < _ENTRY or len(wrapped) < _KEY:
            continue
        if compare_digest(hashlib.sha256(entry[32:40] + also).digest(), entry[:32]):
            unwrapping = Cipher(AES(hashlib.sha256(entry[40:48] + also).digest()), CBC(bytes(16)))
            return unwrapping.decryptor().update(wrapped)
    return None


def _bytes_at(dictionary: DictionaryObject, key: str) -> bytes:
    found = value(dictionary, key)
    if isinstance(found, (ByteStringObject, TextStringObject)):
        return bytes(found.original_bytes)
    return b""
