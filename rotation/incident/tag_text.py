"""Turns the reason and the actor of an incident into text that a tag accepts. It does no IO.

API_TagResource names the characters that tags may have in all of AWS's services. Other characters
become hyphens, so that nothing that is typed in the middle of the night is refused.
"""

from __future__ import annotations

import re
from typing import Final

#: How many characters of a reason are kept.
LONGEST_REASON: Final = 120
#: How many characters of an actor are kept: the last ones, since an ARN ends in the name. Names of
#: roles and sessions have 64 characters at most (IAM UserGuide reference_iam-quotas), so the ARN of
#: an assumed role has 180 at most.
LONGEST_ACTOR: Final = 180

#: What a reason and an actor may be.
REASON: Final = re.compile(rf"[\w .:/=+@-]{{1,{LONGEST_REASON}}}")
ACTOR: Final = re.compile(rf"[\w.:/=+@-]{{1,{LONGEST_ACTOR}}}")

_OTHER: Final = re.compile(r"[^\w .:/=+@-]")


def reason_for_tag(typed: str) -> str:
    """A reason for a tag, never empty."""
    plain = " ".join(_OTHER.sub("-", " ".join(typed.split())).split())
    return plain[:LONGEST_REASON].strip() or "unstated"


def actor_for_tag(typed: str) -> str:
    """An actor for a tag: one word, never empty."""
    return _OTHER.sub("-", "-".join(typed.split()))[-LONGEST_ACTOR:] or "unknown"
