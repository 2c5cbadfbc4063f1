"""What somebody says of an incident, in characters that a tag may have, and no more of them. Pure.

API_TagResource names the characters that tags may have in all of AWS's services. Others become
hyphens, so that nothing that is said in the middle of the night is refused.
"""

from __future__ import annotations

import re
from typing import Final

#: So many characters of a reason are kept.
LONGEST_REASON: Final = 120
#: So many of an actor, of which the end is the name. IAM UserGuide reference_iam-quotas: names of
#: roles and sessions have 64 characters at most, so that an assumed role's ARN has 180 at most.
LONGEST_ACTOR: Final = 180

#: What each may be.
REASON: Final = re.compile(rf"[\w .:/=+@-]{{1,{LONGEST_REASON}}}")
ACTOR: Final = re.compile(rf"[\w.:/=+@-]{{1,{LONGEST_ACTOR}}}")

_OTHER: Final = re.compile(r"[^\w .:/=+@-]")


def reason_for_tag(said: str) -> str:
    """A reason, never empty."""
    plain = " ".join(_OTHER.sub("-", " ".join(said.split())).split())
    return plain[:LONGEST_REASON].strip() or "unstated"


def actor_for_tag(said: str) -> str:
    """An actor, one word, never empty."""
    return _OTHER.sub("-", "-".join(said.split()))[-LONGEST_ACTOR:] or "unknown"
