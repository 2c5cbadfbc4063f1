"""Accounts for every byte after a seal: does it belong to an update?

An update is objects, each of them in its table, then the table, a trailer and the end (ISO 32000-2,
7.5.6). A comment, an object that no table names, or bytes after the end belong to none. Viewers
that repair a document read them all the same.
"""

from __future__ import annotations

import re
from typing import BinaryIO, Final

from pyhanko.pdf_utils.misc import PdfReadError

from rotation.sealing.pdf.reader.parser import SPACE
from rotation.sealing.verification.history import History, Revision

_WINDOW: Final = 1024
# Between the parts of an update there are line ends, and not pages of white space.
_space = re.compile(rb"[%b]{0,64}" % SPACE)
_end_of_object = re.compile(rb"[%b]{0,64}endobj" % SPACE)
_end_of_update = re.compile(
    rb"[%b]{0,64}startxref[%b]{1,64}\d{1,20}[%b]{1,64}%%%%EOF(?:\r\n|\n|\r)?" % ((SPACE,) * 3)
)


def stray_bytes(history: History, old: Revision, new: Revision) -> int | None:
    """The position of the first byte between two revisions that belongs to no update, or None."""
    stream = history.document.stream
    objects = dict(history.located(old, new))
    tables = {
        section.meta_info.start_location: section.meta_info.end_location
        for section in history.document.tables.sections[old.sections : new.sections]
    }
    at = old.end
    complete = True
    while at < new.end:
        at = _match(stream, at, _space) or at
        if at in tables:
            end = tables.pop(at)
            objects.pop(at, None)
            found = _match(stream, end, _end_of_object)
            ended = _match(stream, found or end, _end_of_update)
            if ended is None:
                return at
            at, complete = ended, True
            continue
        ref = objects.pop(at, None)
        if ref is None:
            # White space alone leads to the end.
            return min(at, new.end - 1)
        try:
            _, end = history.read(ref, at)
        except PdfReadError:
            return at
        ended = _match(stream, end, _end_of_object)
        if ended is None:
            return at
        at, complete = ended, False
    if at != new.end or not complete or objects or tables:
        return min(at, new.end - 1)
    return None


def _match(stream: BinaryIO, at: int, pattern: re.Pattern[bytes]) -> int | None:
    stream.seek(at)
    found = pattern.match(stream.read(_WINDOW))
    return at + found.end() if found else None
