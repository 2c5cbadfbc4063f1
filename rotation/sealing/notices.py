"""What a caller should know of a sealed document: it was sealed, and something about it is unusual.

A notice never says that a seal failed. Its code is stable; ``docs/sealing.md`` lists the codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NoticeCode(StrEnum):
    """What a notice is about."""

    USAGE_RIGHTS = "usage_rights"
    DYNAMIC_XFA = "dynamic_xfa"
    PERMISSIONS = "permissions"
    NOT_TAGGED = "not_tagged"
    LONG_STRING = "long_string"


@dataclass(frozen=True)
class SealNotice:
    """One notice.

    Attributes:
        code: what it is about, a `NoticeCode` or the code of a newer function.
        message: a whole sentence for people.
    """

    code: str
    message: str

    def members(self) -> dict[str, str]:
        """The JSON object in an answer."""
        return {"code": str(self.code), "message": self.message}
