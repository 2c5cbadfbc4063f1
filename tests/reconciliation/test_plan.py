"""The plan, case by case: which keys must die, which may not, and what is relabelled.

Each case is one run without IO: what was found is written down in the journal, and then the plan is
made, as a run does it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from freezegun import freeze_time

from rotation.core.ports import Revocation
from rotation.handlers.wiring.vendor import utc_now
from rotation.journal.model import Journal, KeyLife
from rotation.reconciliation.plan import Reason, RunOptions
from rotation.reconciliation.situation import Reading, Situation, once_a_day, time_to_ask
from rotation.secrets_manager.labels import HOLD_TAG, INCIDENT_TAG, keep_label
from tests.reconciliation.situations import (
    CURRENT,
    DAY,
    HOUR,
    IN_USE,
    NOW,
    PENDING,
    POLICY,
    PREVIOUS,
    asked,
    dead,
    due,
    held,
    incident,
    journal_of,
    listed,
    planned,
    situation,
)

OLD = timedelta(hours=25)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Case:
    """What is found, and what the run then has; what is not named must be empty.

    Attributes:
        displaced: the keys that this run is the first to see displaced.
    """

    name: str
    found: Situation
    displaced: set[str] = field(default_factory=set)
    keep: set[str] = field(default_factory=set)
    remove: set[tuple[str, str]] = field(default_factory=set)
    untag: set[str] = field(default_factory=set)
    abandon: set[str] = field(default_factory=set)
    retire: set[tuple[str, Reason]] = field(default_factory=set)
    prove: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    suspended: str = ""
    options: RunOptions = field(default_factory=RunOptions)


GRACE, STRAY, LEAKED = Reason.GRACE_OVER, Reason.STRAY, Reason.COMPROMISED
NEW = held("new", CURRENT)
#: A rotation that an incident began has ended.
SAFE = held("new", CURRENT, created_at=NOW)
EIGHT = [held(f"v{n}", PREVIOUS) for n in range(8)]
FOUR = {"k-v0", "k-v1", "k-v2", "k-v3"}
MANUAL, REVOKED = Revocation.MANUAL_ACTION_NEEDED, Revocation.REVOKED


def lives(life: KeyLife, *keys: str) -> dict[str, KeyLife]:
    return dict.fromkeys(keys, life)


def foreign(*labels: str, key: str = "k-old") -> Journal:
    """The journal of a secret that once held a key of another secret, in a version ``old``."""
    version = held("old", *labels, key=key, issued_at=NOW - DAY)
    return journal_of((NEW, version), {key: IN_USE})


CASES = [
    # From displaced to retired.
    Case("one key", situation(NEW)),
    Case(
        "a key seen displaced for the first time has all its grace",
        situation(NEW, held("old", PREVIOUS)),
        displaced={"k-old"},
        waiting={"k-old"},
    ),
    Case(
        "in its grace it waits",
        situation(NEW, held("old", PREVIOUS), lives={"k-old": due(-HOUR)}),
        waiting={"k-old"},
    ),
    Case(
        "after its grace it dies",
        situation(NEW, held("old", PREVIOUS), lives={"k-old": due()}),
        retire={("k-old", GRACE)},
    ),
    Case(
        "a key that the vendor lists as dead is proven dead only",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": due()},
            keys=(listed("k-old", "old", active=False),),
        ),
        prove={"k-old"},
    ),
    Case(
        "a key without any version left is retired all the same",
        situation(NEW, journal=journal_of((NEW, held("old")), {"k-old": due()})),
        retire={("k-old", GRACE)},
    ),
    Case(
        "a key whose versions went away in one moment has all its grace",
        situation(NEW, journal=journal_of((NEW, held("old")), {"k-old": IN_USE})),
        displaced={"k-old"},
        waiting={"k-old"},
    ),
    Case(
        "a dead key needs nothing, wherever it is held",
        situation(
            NEW,
            held("old", PREVIOUS),
            held("older"),
            lives={"k-old": dead(), "k-older": dead(), "gone": dead()},
        ),
    ),
    # Versions that AWS may delete.
    Case(
        "a version that bears no label gets one, for a proof needs its key",
        situation(NEW, held("old"), lives={"k-old": due(-HOUR)}),
        keep={"old"},
        waiting={"k-old"},
    ),
    Case(
        "the label is set once",
        situation(NEW, held("old", keep_label("old")), lives={"k-old": due(-HOUR)}),
        waiting={"k-old"},
    ),
    Case(
        "a label of somebody else's keeps the version too",
        situation(NEW, held("old", "blue"), lives={"k-old": due(-HOUR)}),
        waiting={"k-old"},
    ),
    Case(
        "a dead key's version loses the label, and AWS may delete it",
        situation(NEW, held("old", keep_label("old")), lives={"k-old": dead()}),
        remove={("old", keep_label("old"))},
    ),
    Case(
        "six versions are kept, the newest first",
        situation(
            *(held(f"v{n}") for n in range(7)),
            held("kept", keep_label("kept")),
            NEW,
            lives=lives(due(-HOUR), *(f"k-v{n}" for n in range(7)), "k-kept"),
        ),
        keep={"v6", "v5", "v4", "v3", "v2"},
        waiting={"k-kept", *(f"k-v{n}" for n in range(7))},
    ),
    Case(
        "no more than the secret has room for, less three for AWS's labels",
        situation(
            held("old"),
            held("older"),
            held("new", CURRENT, *(f"blue-{n}" for n in range(15))),
            lives=lives(due(-HOUR), "k-old", "k-older"),
        ),
        keep={"older"},
        waiting={"k-old", "k-older"},
    ),
    # Who is spared.
    Case(
        "rolled back to, it is spared and in use again",
        situation(
            held("old", CURRENT, keep_label("old")),
            held("new", PREVIOUS),
            lives={"k-old": due(), "k-new": IN_USE},
        ),
        displaced={"k-new"},
        waiting={"k-new"},
        remove={("old", keep_label("old"))},
    ),
    Case(
        "a key in flight is spared",
        situation(NEW, held("next", PENDING), lives={"k-next": due()}),
    ),
    Case(
        "a displaced version of the current key is neither displaced nor retired",
        situation(NEW, held("old", PREVIOUS, key="k-new"), lives={"k-new": due()}),
    ),
    Case(
        "a displaced version of a key in flight is spared",
        situation(NEW, held("old", key="k-next"), held("next", PENDING), lives={"k-next": due()}),
    ),
    Case(
        "a key that another secret uses is spared",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": due()},
            elsewhere=frozenset({"k-old"}),
        ),
    ),
    Case(
        "a key made by hand waits until all secrets were looked at",
        situation(NEW, held("old", PREVIOUS), lives={"k-old": due()}, elsewhere=None),
        waiting={"k-old"},
    ),
    Case(
        "a key of ours does not",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": due()},
            keys=(listed("k-old", "old"),),
            elsewhere=None,
        ),
        retire={("k-old", GRACE)},
    ),
    Case(
        "a key that was issued for another secret is left to that one",
        situation(NEW, held("old", PREVIOUS, issued_at=NOW - OLD)),
    ),
    Case(
        "even if an earlier run saw it displaced",
        situation(NEW, held("old", PREVIOUS, issued_at=NOW - OLD), lives={"k-old": due()}),
    ),
    Case(
        "and when no version holds it any more",
        situation(NEW, journal=foreign(PREVIOUS)),
    ),
    Case(
        "AWSPENDING is taken off a version that was current before, and its key is displaced",
        situation(NEW, held("old", PENDING, was_current=True), lives={"k-old": IN_USE}),
        abandon={"old"},
        displaced={"k-old"},
        waiting={"k-old"},
    ),
    # Strays.
    Case(
        "a stray dies after half an hour",
        situation(NEW, keys=(listed("lost", "gone", age=timedelta(minutes=31)),)),
        retire={("lost", STRAY)},
    ),
    Case(
        "a young stray waits",
        situation(NEW, keys=(listed("lost", "gone", age=timedelta(minutes=29)),)),
        waiting={"lost"},
    ),
    Case(
        "a key whose token is staged is in flight",
        situation(
            NEW, held("next", PENDING, reading=Reading.EMPTY), keys=(listed("made", "next"),)
        ),
    ),
    Case(
        "a dead stray needs nothing",
        situation(NEW, keys=(listed("lost", "gone", active=False),)),
    ),
    Case(
        "another installation's key is not ours",
        situation(NEW, keys=(listed("theirs", "gone", installation="other"),)),
    ),
    Case(
        "another secret's key is not ours",
        situation(NEW, keys=(listed("theirs", "gone", arn="arn:other"),)),
    ),
    Case(
        "a key is no stray while the version that it was issued for was not read",
        situation(NEW, held("old", reading=Reading.NOT_READ), keys=(listed("k", "old"),)),
        displaced={"k"},
        waiting={"k"},
    ),
    Case(
        "nor while that version does not show its value",
        situation(NEW, held("old", PREVIOUS, reading=Reading.EMPTY), keys=(listed("k", "old"),)),
        displaced={"k"},
        waiting={"k"},
    ),
    Case(
        "a key that was stored once is no stray when its version is gone",
        situation(
            NEW,
            lives={"k-old": due(-HOUR)},
            keys=(listed("k-old", "old"),),
        ),
        waiting={"k-old"},
    ),
    Case(
        "a version that cannot be read holds up no stray of another token, and no other key",
        situation(
            NEW,
            held("junk", PREVIOUS, reading=Reading.UNREADABLE),
            held("old"),
            keys=(listed("lost", "gone"),),
            lives={"k-old": due()},
        ),
        keep={"old"},
        retire={("lost", STRAY), ("k-old", GRACE)},
    ),
    Case(
        "a stray that a person was asked to revoke is asked about now and then",
        situation(
            NEW,
            keys=(listed("lost", "gone", revocation_asked=True),),
            lives={
                "lost": replace(
                    asked(MANUAL, answered=HOUR / 2, accepted=True),
                    displaced_at=None,
                    retire_after=None,
                )
            },
        ),
        waiting={"lost"},
    ),
    Case(
        "a key that no rotation stored is a stray, also if it was seen in flight",
        situation(
            NEW,
            *EIGHT[:3],
            lives=lives(due(), "k-v0", "k-v1", "k-v2", "lost"),
            keys=(listed("lost", "gone"),),
        ),
        retire={("lost", STRAY), *((f"k-v{n}", GRACE) for n in range(3))},
    ),
    # Incidents.
    Case(
        "a suspect key dies at once",
        situation(SAFE, held("old", "blue"), incidents=(incident("k-old"),)),
        displaced={"k-old"},
        retire={("k-old", LEAKED)},
    ),
    Case(
        "in its grace too, whoever issued it, and whatever other secret uses it",
        situation(
            NEW,
            held("old", PREVIOUS, issued_at=NOW - OLD),
            lives={"k-old": due(-HOUR)},
            incidents=(incident("k-old"),),
            elsewhere=frozenset({"k-old"}),
        ),
        retire={("k-old", LEAKED)},
    ),
    Case(
        "whatever versions hold it, each of which is kept for the proof",
        situation(
            SAFE,
            held("old", key="k"),
            held("copy", PREVIOUS, key="k"),
            incidents=(incident("k"),),
        ),
        displaced={"k"},
        keep={"old"},
        retire={("k", LEAKED)},
    ),
    Case(
        "without any version left",
        situation(NEW, incidents=(incident("k-old"),)),
        retire={("k-old", LEAKED)},
    ),
    Case(
        "a key that a version of the declaration turns out to hold is suspect",
        situation(NEW, held("old", PREVIOUS), incidents=(incident("k", versions=("old",)),)),
        displaced={"k-old"},
        retire={("k", LEAKED), ("k-old", LEAKED)},
    ),
    Case(
        "a suspect key is not revoked while it is current",
        situation(held("old", CURRENT), incidents=(incident("k-old"),)),
    ),
    Case(
        "nor while it is current in another version",
        situation(NEW, held("old", PREVIOUS, key="k-new"), incidents=(incident("k-new"),)),
    ),
    Case(
        "a suspect key in flight dies, and its rotation is abandoned",
        situation(SAFE, held("next", PENDING), incidents=(incident("k-next"),)),
        retire={("k-next", LEAKED)},
        abandon={"next"},
    ),
    Case(
        "while the current key is suspect, one that was pending may still be promoted, and waits",
        situation(
            held("old", CURRENT),
            held("next"),
            lives={"k-next": replace(IN_USE, displaced_at=NOW - 14 * MINUTE)},
            incidents=(incident("k-old", "k-next"),),
        ),
        keep={"next"},
        waiting={"k-next"},
    ),
    Case(
        "no promotion is under way for longer than an invocation lasts",
        situation(
            held("old", CURRENT),
            held("next"),
            lives={"k-next": replace(IN_USE, displaced_at=NOW - 15 * MINUTE)},
            incidents=(incident("k-old", "k-next"),),
        ),
        keep={"next"},
        retire={("k-next", LEAKED)},
    ),
    Case(
        "a suspect key that was current before is revoked though the current key is suspect",
        situation(
            held("old", CURRENT),
            held("older", PREVIOUS, was_current=True),
            lives={"k-older": replace(IN_USE, displaced_at=NOW - MINUTE)},
            incidents=(incident("k-old", "k-older"),),
        ),
        retire={("k-older", LEAKED)},
    ),
    Case(
        "a key issued for a suspect token dies though no version has it",
        situation(
            NEW,
            held("next", PENDING, reading=Reading.EMPTY),
            keys=(listed("made", "next"),),
            incidents=(incident(versions=("next",)),),
        ),
        retire={("made", LEAKED)},
        abandon={"next"},
    ),
    Case(
        "a suspect key that is proven dead needs nothing",
        situation(
            NEW, held("old", PREVIOUS), lives={"k-old": dead()}, incidents=(incident("k-old"),)
        ),
    ),
    Case(
        "a key of a closed incident that turns up later dies",
        situation(NEW, held("copy", PREVIOUS, key="k"), incidents=(incident("k", closed=True),)),
        displaced={"k"},
        retire={("k", LEAKED)},
    ),
    Case(
        "so does one that a version of that incident turns out to hold",
        situation(
            NEW,
            held("old", PREVIOUS),
            incidents=(incident(versions=("old",), closed=True),),
        ),
        displaced={"k-old"},
        retire={("k-old", LEAKED)},
    ),
    Case(
        "and one that the vendor lists for it",
        situation(
            NEW,
            keys=(listed("late", "old"),),
            incidents=(incident(versions=("old",), closed=True),),
        ),
        retire={("late", LEAKED)},
    ),
    Case(
        "a suspect key that a person has to revoke is asked about now and then",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": asked(MANUAL, answered=HOUR / 2, accepted=True)},
            incidents=(incident("k-old"),),
        ),
        waiting={"k-old"},
    ),
    Case(
        "the tag that shows an incident goes when none is open",
        situation(
            NEW,
            tags={INCIDENT_TAG: "since when, why, who"},
            incidents=(incident("k", closed=True),),
            lives={"k": dead()},
        ),
        untag={INCIDENT_TAG},
    ),
    Case(
        "and stays while one is",
        situation(
            NEW,
            tags={INCIDENT_TAG: "since when, why, who"},
            incidents=(incident("k"),),
            lives={"k": dead()},
        ),
    ),
    # Rotations that nothing will finish.
    Case(
        "a rotation that nothing will finish is abandoned",
        situation(NEW, held("next", PENDING, created_at=NOW - OLD)),
        abandon={"next"},
    ),
    Case(
        "one of this morning is not",
        situation(NEW, held("next", PENDING, created_at=NOW - timedelta(hours=23))),
    ),
    Case(
        "without a date the last change of the secret tells",
        situation(
            NEW,
            replace(held("next", PENDING, reading=Reading.EMPTY), created_at=None),
            changed_at=NOW - OLD,
        ),
        abandon={"next"},
    ),
    Case(
        "AWSPENDING on the current version blocks nothing",
        situation(held("new", CURRENT, PENDING, created_at=NOW - OLD)),
    ),
    # Too many at once.
    Case(
        "four at once are none, and those are asked about",
        situation(NEW, *EIGHT[:4], lives=lives(due(6 * HOUR), *FOUR)),
        refused=FOUR,
        prove=FOUR,
    ),
    Case(
        "three are three",
        situation(NEW, *EIGHT[:3], lives=lives(due(), "k-v0", "k-v1", "k-v2")),
        retire={("k-v0", GRACE), ("k-v1", GRACE), ("k-v2", GRACE)},
    ),
    Case(
        "a person lets them go",
        situation(NEW, *EIGHT[:4], lives=lives(due(), *FOUR)),
        options=RunOptions(release=True),
        retire={(key, GRACE) for key in FOUR},
    ),
    Case(
        "those that a person revoked at the vendor do not count",
        situation(
            NEW,
            *EIGHT[:4],
            lives=lives(due(6 * HOUR), *FOUR),
            keys=(listed("k-v0", "v0", active=False),),
        ),
        retire={(f"k-v{n}", GRACE) for n in (1, 2, 3)},
        prove={"k-v0"},
    ),
    Case(
        "those that were asked for already do not count",
        situation(
            NEW,
            *EIGHT[:5],
            lives=lives(due(), "k-v0", "k-v1", "k-v2")
            | lives(asked(REVOKED, answered=HOUR, accepted=False), "k-v3", "k-v4"),
        ),
        retire={(f"k-v{n}", GRACE) for n in range(5)},
    ),
    Case(
        "six strays do not count",
        situation(
            NEW,
            *EIGHT[:3],
            lives=lives(due(), "k-v0", "k-v1", "k-v2"),
            keys=tuple(listed(f"lost-{n}", f"gone-{n}") for n in range(6)),
        ),
        retire={(f"lost-{n}", STRAY) for n in range(6)} | {(f"k-v{n}", GRACE) for n in range(3)},
    ),
    Case(
        "strays die among too many others",
        situation(
            NEW,
            *EIGHT[:4],
            lives=lives(due(), *FOUR),
            keys=(listed("lost", "gone"),),
        ),
        refused=FOUR,
        prove=FOUR,
        retire={("lost", STRAY)},
    ),
    Case(
        "refused keys that live are asked about once a day",
        situation(
            NEW,
            *EIGHT[:4],
            lives=lives(
                replace(due(6 * HOUR), answered_at=NOW - HOUR, accepted=True), *FOUR - {"k-v0"}
            )
            | {"k-v0": replace(due(OLD), answered_at=NOW - OLD, accepted=True)},
        ),
        refused=FOUR,
        prove={"k-v0"},
        waiting=FOUR - {"k-v0"},
    ),
    Case(
        "those that are few enough now die, however lately they were asked about",
        situation(
            NEW,
            *EIGHT[:3],
            lives=lives(
                replace(due(), answered_at=NOW - HOUR / 2, accepted=True),
                *("k-v0", "k-v1", "k-v2"),
            ),
        ),
        retire={("k-v0", GRACE), ("k-v1", GRACE), ("k-v2", GRACE)},
    ),
    Case(
        "refused keys that a person revoked meanwhile are proven dead, whatever the list says",
        situation(
            NEW,
            *EIGHT[:4],
            lives=lives(replace(due(), answered_at=NOW - HOUR, accepted=False), *FOUR),
        ),
        refused=FOUR,
        prove=FOUR,
    ),
    Case(
        "a suspect key dies among too many others",
        situation(
            NEW,
            *EIGHT[:4],
            held("leak", PREVIOUS),
            lives=lives(due(), *FOUR),
            incidents=(incident("k-leak", since=DAY),),
        ),
        displaced={"k-leak"},
        refused=FOUR,
        prove=FOUR,
        retire={("k-leak", LEAKED)},
    ),
    # Keys that only a person can revoke.
    Case(
        "a key that waits for a person is not asked about every hour",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": asked(MANUAL, ago=6 * HOUR, answered=2 * HOUR, accepted=True)},
            keys=(listed("k-old", "old", revocation_asked=True),),
        ),
        waiting={"k-old"},
    ),
    Case(
        "it is when a day went by",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": asked(MANUAL, ago=9 * DAY, answered=DAY, accepted=True)},
        ),
        retire={("k-old", GRACE)},
    ),
    Case(
        "or when whoever asks waits for the answer",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": asked(MANUAL, answered=HOUR / 2, accepted=True)},
        ),
        options=RunOptions(eager=True),
        retire={("k-old", GRACE)},
    ),
    Case(
        "a key that the vendor rejected once is asked about in each run",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": asked(MANUAL, answered=HOUR / 2, accepted=False)},
        ),
        retire={("k-old", GRACE)},
    ),
    # What suspends.
    Case(
        "a hold suspends ordinary retirement",
        situation(
            NEW,
            held("old", PREVIOUS),
            held("leak", "blue"),
            lives={"k-old": due()},
            incidents=(incident("k-leak", since=DAY),),
            tags={HOLD_TAG: (NOW + HOUR).isoformat()},
        ),
        displaced={"k-leak"},
        suspended="hold",
        waiting={"k-old"},
        retire={("k-leak", LEAKED)},
    ),
    Case(
        "a hold that cannot be read suspends too",
        situation(NEW, held("old", PREVIOUS), lives={"k-old": due()}, tags={HOLD_TAG: "tomorrow"}),
        suspended="hold",
        waiting={"k-old"},
    ),
    Case(
        "a hold that is over does not",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": due()},
            tags={HOLD_TAG: "2026-11-21T23:14:59Z"},
        ),
        retire={("k-old", GRACE)},
    ),
    Case(
        "a replica that is behind suspends",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": due()},
            replication={"eu-west-1": "InProgress"},
        ),
        suspended="replica",
        waiting={"k-old"},
    ),
    Case(
        "a replica in sync does not",
        situation(
            NEW,
            held("old", PREVIOUS),
            lives={"k-old": due()},
            replication={"eu-west-1": "InSync"},
        ),
        retire={("k-old", GRACE)},
    ),
    Case(
        "without the vendor's list nothing ordinary dies, and the grace begins all the same",
        situation(NEW, held("a", "blue"), held("b", PREVIOUS), lives={"k-a": due()}, keys=None),
        displaced={"k-b"},
        suspended="listed",
        waiting={"k-a", "k-b"},
    ),
    Case(
        "without a current key nothing ordinary dies",
        situation(held("old", PREVIOUS), lives={"k-old": due()}, keys=(listed("lost", "gone"),)),
        suspended="no current key",
        waiting={"k-old", "lost"},
    ),
    Case(
        "an unreadable current value suspends",
        situation(
            held("new", CURRENT, reading=Reading.UNREADABLE),
            held("old", PREVIOUS),
            lives={"k-old": due()},
        ),
        suspended="not an API key",
        waiting={"k-old"},
    ),
    Case(
        "so does one in flight, which may hold any key",
        situation(
            NEW,
            held("next", PENDING, reading=Reading.UNREADABLE),
            held("old", PREVIOUS),
            lives={"k-old": due()},
        ),
        suspended="not an API key",
        waiting={"k-old"},
    ),
    Case(
        "a suspect key dies though the current value cannot be read",
        situation(
            held("new", CURRENT, reading=Reading.UNREADABLE),
            held("old", PREVIOUS),
            incidents=(incident("k-old"),),
        ),
        displaced={"k-old"},
        suspended="not an API key",
        retire={("k-old", LEAKED)},
    ),
    Case(
        "a secret that is scheduled for deletion is left alone",
        situation(
            NEW,
            held("old"),
            held("b"),
            lives={"k-old": due()},
            incidents=(incident("k-b"),),
            deleted=True,
        ),
        suspended="deletion",
    ),
    # What version 0.2 wrote.
    Case(
        "a mark of version 0.2 whose time is over counts, and goes",
        situation(
            NEW,
            held("old", PREVIOUS, "rotation-retire-after-20261121T221500Z-old"),
            begun=False,
        ),
        displaced={"k-old"},
        remove={("old", "rotation-retire-after-20261121T221500Z-old")},
        retire={("k-old", GRACE)},
    ),
    Case(
        "of several marks of one key the latest counts",
        situation(
            NEW,
            held("a", PREVIOUS, "rotation-retire-after-20261121T221500Z-a", key="k"),
            held("b", "blue", "rotation-retire-after-20261122T001500Z-b", key="k"),
            begun=False,
        ),
        displaced={"k"},
        remove={
            ("a", "rotation-retire-after-20261121T221500Z-a"),
            ("b", "rotation-retire-after-20261122T001500Z-b"),
        },
        waiting={"k"},
    ),
    Case(
        "a mark that is no time is none",
        situation(
            NEW, held("old", PREVIOUS, "rotation-retire-after-20261399T000000Z-old"), begun=False
        ),
        displaced={"k-old"},
        remove={("old", "rotation-retire-after-20261399T000000Z-old")},
        waiting={"k-old"},
    ),
    Case(
        "a version that only a label of version 0.2 keeps gets the new one before that goes",
        situation(NEW, held("old", "rotation-retire-after-20261122T001500Z-old"), begun=False),
        displaced={"k-old"},
        keep={"old"},
        remove={("old", "rotation-retire-after-20261122T001500Z-old")},
        waiting={"k-old"},
    ),
    Case(
        "a version that there is no room to keep does not lose its last label",
        situation(
            held("old", "rotation-retire-after-20261122T001500Z-old"),
            held("new", CURRENT, *(f"blue-{n}" for n in range(16))),
            begun=False,
        ),
        displaced={"k-old"},
        waiting={"k-old"},
    ),
    Case(
        "a key that version 0.2 proved dead is dead",
        situation(NEW, held("old", PREVIOUS, "rotation-dead-old"), begun=False),
        remove={("old", "rotation-dead-old")},
    ),
    Case(
        "a key that a label of version 0.2 declares compromised is suspect",
        situation(NEW, held("old", PREVIOUS, "rotation-compromised-old"), begun=False),
        displaced={"k-old"},
        remove={("old", "rotation-compromised-old")},
        retire={("k-old", LEAKED)},
    ),
    Case(
        "a key that only the tags of an incident of version 0.2 name dies too",
        situation(
            NEW,
            held("old", PREVIOUS),
            tags={
                INCIDENT_TAG: "2026-11-21T22:00:00.000Z key-compromise ada",
                "rotation:incident-suspects-1": "old",
            },
            begun=False,
        ),
        displaced={"k-old"},
        untag={"rotation:incident-suspects-1"},
        retire={("k-old", LEAKED)},
    ),
    Case(
        "a key in flight that only those tags name loses AWSPENDING and dies",
        situation(
            NEW,
            held("next", PENDING),
            tags={INCIDENT_TAG: "", "rotation:incident-suspects-4": "other next"},
            begun=False,
        ),
        abandon={"next"},
        untag={"rotation:incident-suspects-4"},
        retire={("k-next", LEAKED)},
    ),
    Case(
        "a key that was proven dead is not suspect, whatever those tags say",
        situation(
            NEW,
            held("old", PREVIOUS, "rotation-dead-old"),
            tags={INCIDENT_TAG: "x", "rotation:incident-suspects-1": "old"},
            begun=False,
        ),
        remove={("old", "rotation-dead-old")},
        untag={INCIDENT_TAG, "rotation:incident-suspects-1"},
    ),
    Case(
        "labels of version 0.2 are read once",
        situation(
            NEW,
            held("old", PREVIOUS, "rotation-dead-old"),
            held("older", "rotation-retire-after-20261121T221500Z-older", "blue"),
        ),
        displaced={"k-old", "k-older"},
        waiting={"k-old", "k-older"},
        remove={
            ("old", "rotation-dead-old"),
            ("older", "rotation-retire-after-20261121T221500Z-older"),
        },
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan(case: Case) -> None:
    """Each situation has the plan that its name says, and nothing else is planned."""
    found, made = planned(case.found, options=case.options)
    now_displaced = {
        key_id for key_id, life in found.journal.keys.items() if life.displaced_at == NOW
    }
    assert now_displaced == case.displaced
    assert {one.version for one in made.keep} == case.keep
    assert {one.label for one in made.keep} == {keep_label(version) for version in case.keep}
    assert {(one.version, one.label) for one in made.remove} == case.remove
    assert set(made.untag) == case.untag
    assert set(made.abandon) == case.abandon
    assert {(one.key_id, one.reason) for one in made.revocations} == case.retire
    assert {one.key_id for one in made.retire if not one.revoke} == case.prove
    assert {one.key_id for one in made.waiting} == case.waiting
    assert {one.key_id for one in made.refused} == case.refused
    assert case.suspended in (made.suspended or "")
    assert bool(made.suspended) == bool(case.suspended)


def test_a_grace_of_zero_is_over_in_the_next_run() -> None:
    """The run that first sees a key displaced revokes it in no case."""
    at_once = replace(POLICY, grace=timedelta(0))
    found, first = planned(situation(NEW, held("old", PREVIOUS)), at_once)
    assert found.journal.keys["k-old"].retire_after == NOW
    assert first.retire == ()
    assert [one.key_id for one in first.waiting] == ["k-old"]
    _, second = planned(found, at_once)
    assert [(one.key_id, one.reason) for one in second.revocations] == [("k-old", GRACE)]


@pytest.mark.parametrize("displaced", ["2026-12-31T23:15:00Z", "2028-02-28T22:30:00Z"])
def test_a_key_is_retired_at_its_hour(displaced: str) -> None:
    """It waits until the second before its grace is over, whatever day has begun meanwhile."""
    with freeze_time(displaced) as clock:
        found, _ = planned(replace(situation(NEW, held("old", PREVIOUS)), now=utc_now()))
        clock.tick(POLICY.grace - timedelta(seconds=1))
        _, early = planned(replace(found, now=utc_now()))
        clock.tick()
        _, due_now = planned(replace(found, now=utc_now()))
    assert [one.key_id for one in early.waiting] == ["k-old"]
    assert early.retire == ()
    assert due_now.waiting == ()
    assert [(one.key_id, one.reason) for one in due_now.revocations] == [("k-old", GRACE)]


def hours_of_questions(outcome: Revocation, hours: int) -> list[int]:
    """In which hourly runs the vendor is asked about a key that it goes on accepting."""
    life = replace(due(), asked_at=NOW, outcome=outcome.value, answered_at=NOW, accepted=True)
    asked_in = []
    for hour in range(1, hours):
        now = NOW + timedelta(hours=hour)
        if time_to_ask(life, now):
            asked_in.append(hour)
            life = replace(life, answered_at=now)
    return asked_in


def test_a_key_that_waits_for_a_person_is_asked_about_ever_less() -> None:
    """The pauses double up to a day."""
    assert hours_of_questions(MANUAL, 82) == [1, 2, 4, 8, 16, 32, 56, 80]


def test_a_key_that_the_issuer_does_not_know_is_asked_about_once_a_day() -> None:
    """A person is told each time."""
    assert hours_of_questions(Revocation.ALREADY_GONE, 74) == [24, 48, 72]


def test_a_revoked_key_is_asked_about_in_each_run() -> None:
    """It must be dead soon, and each run may prove it."""
    assert hours_of_questions(REVOKED, 6) == [1, 2, 3, 4, 5]


def test_a_run_that_is_early_asks_all_the_same() -> None:
    """Runs do not begin on the second."""
    life = asked(Revocation.ALREADY_GONE, answered=DAY - timedelta(minutes=4), accepted=True)
    assert time_to_ask(life, NOW)
    assert not time_to_ask(replace(life, answered_at=NOW - DAY + timedelta(minutes=6)), NOW)


def test_once_a_day_is_once_a_day() -> None:
    """Ten days of hourly runs hold nine whole days after the first hour."""
    since = NOW + timedelta(minutes=20)
    asked = [hours for hours in range(1, 241) if once_a_day(since, NOW + timedelta(hours=hours))]
    assert asked == [24 * day + 1 for day in range(1, 10)]
