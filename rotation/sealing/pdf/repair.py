"""Repairs a damaged document before it is sealed: qpdf rewrites it, through pikepdf.

The bytes of the source are lost, and its pages are kept as far as qpdf finds them. So a document is
repaired only if the request asks for it, and the answer says so. pikepdf is imported on use,
because most installations never need it.
"""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import Any, BinaryIO, Final

from rotation.errors import DamagedPdfError, EncryptedPdfError, InvalidRequestError

#: The largest document that is repaired, because it is held in memory twice.
_LARGEST_DOCUMENT: Final = 64 * 1024 * 1024


def repair_document(document: BinaryIO, problem: DamagedPdfError) -> BinaryIO:
    """Rewrite ``document``.

    Args:
        document: a damaged PDF.
        problem: the error that reading it raised.

    Raises:
        InvalidRequestError: pikepdf is not installed.
        DamagedPdfError: the document cannot be repaired, or bears a signature that a repair would
            destroy.
        EncryptedPdfError: the document needs a password.
    """
    try:
        pikepdf = import_module("pikepdf")
    except ImportError as error:
        raise InvalidRequestError(
            field="options.repair",
            problem=f"this installation cannot repair documents (no pikepdf). {problem}",
        ) from error
    document.seek(0)
    content = document.read(_LARGEST_DOCUMENT + 1)
    if len(content) > _LARGEST_DOCUMENT:
        raise DamagedPdfError(f"{problem} It is too large to be repaired.") from problem
    result = BytesIO()
    try:
        with pikepdf.open(BytesIO(content)) as opened:
            if any(_signed(found, pikepdf) for found in opened.objects):
                raise DamagedPdfError(
                    "The file is damaged, and it bears a signature that a repair would destroy."
                )
            opened.save(result, fix_metadata_version=False)
    except pikepdf.PasswordError as error:
        raise EncryptedPdfError(
            "The file is encrypted with a password. Store it without encryption."
        ) from error
    except (pikepdf.PdfError, ValueError, RuntimeError) as error:
        raise DamagedPdfError(f"{problem} It cannot be repaired.") from error
    result.seek(0)
    return result


def _signed(found: Any, pikepdf: ModuleType) -> bool:
    return isinstance(found, pikepdf.Dictionary) and "/ByteRange" in found
