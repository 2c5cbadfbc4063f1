"""Which section of a report helps to show which control, and what no report of this kind proves.

A control is described in our words and as far as a report touches it; the standard says the rest.
That a section shows something does not make an organisation compliant: an assessor judges that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Control:
    """A control of a standard.

    Attributes:
        standard: the standard.
        control: the number in it.
        asks: what it asks, as far as a report touches it.
        shown: the sections of the report that help to show it.
        missing: what an assessor needs besides.
    """

    standard: str
    control: str
    asks: str
    shown: tuple[str, ...]
    missing: str

    def members(self) -> dict[str, object]:
        """As JSON members."""
        return {
            "standard": self.standard,
            "control": self.control,
            "asks": self.asks,
            "shownIn": list(self.shown),
            "missing": self.missing,
        }


#: The sections of a report, by the name that controls and exceptions refer to.
SECTIONS: Final = {
    "keys": "The life of each key",
    "rotations": "Rotations against the schedule",
    "incidents": "Incidents",
    "access": "Who may read the secret",
    "exceptions": "Exceptions",
    "controls": "Where each control is shown",
    "limits": "What this report does not prove",
    "sources": "Sources",
}

CONTROLS: Final = (
    Control(
        "PCI DSS 4.0",
        "8.6.3",
        "Passwords of application accounts are changed at the frequency that the targeted risk "
        "analysis sets, and when they are suspected or known to be compromised.",
        ("rotations", "incidents"),
        "The risk analysis, and how strong the vendor's keys are.",
    ),
    Control(
        "PCI DSS 4.0",
        "3.7.5",
        "Keys are retired, replaced or destroyed at the end of their cryptoperiod, when their "
        "integrity is weakened, and when they are suspected or known to be compromised.",
        ("keys", "rotations", "incidents"),
        "The written procedures. The requirement is about keys that protect stored account data; "
        "whether an API key falls under it is for the assessor to say.",
    ),
    Control(
        "NIST SP 800-57 Part 1 Rev. 5",
        "5.3, 7, 8.3",
        "A key has a limited cryptoperiod, passes through defined states, and is revoked or "
        "destroyed after its use or a compromise.",
        ("keys", "rotations", "incidents"),
        "How the vendor makes, keeps and destroys keys.",
    ),
    Control(
        "SOC 2 (TSC 2017)",
        "CC6.1, CC6.3",
        "Logical access to protected assets is restricted, credentials are managed, and access is "
        "removed when it is no longer needed.",
        ("access", "keys", "incidents"),
        "The policies of identities, and who held the roles during the period.",
    ),
    Control(
        "ISO/IEC 27001:2022",
        "A.8.24",
        "Rules for the use of cryptography, with the management of keys, are defined and carried "
        "out.",
        ("keys", "rotations", "incidents", "exceptions"),
        "The rules themselves.",
    ),
    Control(
        "AWS Well-Architected, Security Pillar",
        "SEC02 (BP03, BP05)",
        "Secrets are stored and used securely; credentials are audited and rotated periodically.",
        ("access", "rotations", "exceptions"),
        "The other credentials of the workload.",
    ),
)

NOT_PROVEN: Final = (
    (
        "It does not prove who wrote the journal. Whoever may write to the bucket may write a "
        "false state; one that keeps every rule is not found. Object Lock keeps a state that "
        "was written; it does not say that it is true."
    ),
    (
        "It does not prove that nobody used a key who should not have. What the vendor signed "
        "is in the vendor's own log."
    ),
    (
        "It does not prove that every key is here. A key that no run, no declaration and no "
        "rotation has seen is not in the journal; only the vendor's list shows it."
    ),
    (
        "It does not prove who may read the secret. The resource policy is one part; policies "
        "of identities, boundaries, service control policies and the policy of the KMS key are "
        "not read."
    ),
    (
        "It does not prove that the schedule was always the one that is set now, with which all"
        " rotations are compared. AWS CloudTrail shows changes."
    ),
    (
        "It does not prove that the first state is the first that there was. States whose "
        "Object Lock has run out may have been deleted."
    ),
    (
        "A death that is attested is not proven. A proven death rests on the vendor's answers "
        "to the calls that are listed, and on two clocks that agree."
    ),
    (
        "Nobody has signed the report or the bundle. Whoever hands one over can have made it; "
        "compare the version ids and digests with the bucket, or have the digest of the bundle "
        "confirmed by another way."
    ),
)
