"""Declares PAdES in the catalog's extensions dictionary (ISO 32000-2, 7.12).

PDF 2.0 has PAdES itself. A document of an earlier version names the extension of ISO 32000-1 that
ETSI EN 319 142-1 defines: developer ESIC, base version 1.7, level 1.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
from typing import Final

from pyhanko.pdf_utils.generic import DictionaryObject, NumberObject, pdf_name

from rotation.sealing.pdf.incremental_update import IncrementalUpdate
from rotation.sealing.pdf.objects import dictionary_at, get_value
from rotation.sealing.pdf.reader.document import PdfDocument

_KEY: Final = "/Extensions"
_DEVELOPER: Final = "/ESIC"
_HAS_PADES: Final = (2, 0)


def declare_pades(update: IncrementalUpdate) -> None:
    """Add the extension, unless the document has it or is PDF 2.0.

    The document's version stays what it is. An extensions dictionary that is malformed stays, too:
    viewers do not need the entry, and what else is in it belongs to the author.
    """
    if version_of(update.prev) >= _HAS_PADES:
        return
    extensions = dictionary_at(update.root, _KEY)
    if extensions is None and get_value(update.root, _KEY) is not None:
        return
    if extensions is None:
        extensions = DictionaryObject()
        update.root[pdf_name(_KEY)] = extensions
        update.update_root()
    elif _DEVELOPER in extensions:
        return
    extensions[pdf_name(_DEVELOPER)] = DictionaryObject(
        {
            pdf_name("/BaseVersion"): pdf_name("/1.7"),
            pdf_name("/ExtensionLevel"): NumberObject(1),
        }
    )
    update.update_container(extensions)


def version_of(document: PdfDocument) -> tuple[int, int]:
    """The document's version: the later one of its header and its catalog (7.5.2 and 7.7.2)."""
    stated = re.fullmatch(r"/(\d)\.(\d)", str(get_value(document.root, "/Version")))
    catalog = (int(stated[1]), int(stated[2])) if stated else (0, 0)
    return max(document.header_version, catalog)
