"""Opens documents that are encrypted with the empty password.

pyHanko implements the encryptions of the standard (ISO 32000-2, 7.6.4). Some real files leave out
the length of the key. Others use revision 5 (Adobe Supplement to ISO 32000, BaseVersion 1.7,
ExtensionLevel 3, 3.5.2), which hashes a password once with SHA-256; PDF 2.0 replaced it, and no
standard ever contained it.
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
from rotation.sealing.pdf.objects import get_value, integer_at, is_name

_REVISION: Final = 5
#: The length of the entries U and O: 32 bytes of hash, 8 of its salt, 8 of salt for the key.
_ENTRY: Final = 48
_KEY: Final = 32
#: In bits.
_KEY_LENGTHS: Final = (128, 40)
#: The first revision whose permissions can require an integrity code (ISO/TS 32004).
_INTEGRITY: Final = 6


def decryption_for(
    dictionary: DictionaryObject, identifier: bytes, *, authenticated: bool, read_only: bool
) -> tuple[SecurityHandler, DictionaryObject | None]:
    """The handler that decrypts a document, and its encryption dictionary if it was corrected.

    Args:
        dictionary: the document's encryption dictionary, without references.
        identifier: the first part of the document's ID.
        authenticated: whether the trailer has an integrity code.
        read_only: whether the document is only read, so that its integrity code stays whole.

    Raises:
        EncryptedPdfError: the document needs a password, or a recipient's key.
        UnsupportedPdfError: the document has an integrity code and is not only read.
        PdfReadError: the dictionary does not name its security handler.
    """
    handler = SecurityHandler.build(dictionary)
    if not isinstance(handler, StandardSecurityHandler):
        raise EncryptedPdfError(
            "The file is encrypted for certain recipients. Store it without encryption."
        )
    if not is_name(get_value(dictionary, "/Filter"), "/Standard"):
        raise PdfReadError("an encryption dictionary without a security handler")
    # In older revisions the bit that requires a code had no meaning, and not all writers set it.
    demanded = (integer_at(dictionary, "/R") or 0) >= _INTEGRITY and handler.pdf_mac_enabled
    if not read_only and (authenticated or demanded or "/KDFSalt" in dictionary):
        raise UnsupportedPdfError(
            "The file is encrypted with an integrity code over all of it (ISO/TS 32004), which "
            "a seal would break. Store it without encryption."
        )
    if key := _revision_5_key(dictionary):
        return _Revision5Handler(handler, dictionary, key), None
    if _opens(handler, identifier):
        return handler, None
    # Writers that leave out the length of the key, or give a wrong one, mean one of these.
    for length in _KEY_LENGTHS if integer_at(dictionary, "/V") in {1, 2, 3, 4} else ():
        changed = DictionaryObject(dict(dictionary.items()))
        changed.container_ref = dictionary.container_ref
        changed[pdf_name("/Length")] = NumberObject(length)
        handler = SecurityHandler.build(changed)
        if isinstance(handler, StandardSecurityHandler) and _opens(handler, identifier):
            return handler, changed
    raise EncryptedPdfError("The file is encrypted with a password. Store it without encryption.")


class _Revision5Handler(StandardSecurityHandler):
    """Decrypts with the key of revision 5."""

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


def _revision_5_key(dictionary: DictionaryObject) -> bytes | None:
    """The key of revision 5 (32 bytes), or None for other revisions and for other passwords."""
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
    found = get_value(dictionary, key)
    if isinstance(found, (ByteStringObject, TextStringObject)):
        return bytes(found.original_bytes)
    return b""
