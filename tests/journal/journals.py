"""Journals for Hypothesis: any that the model can hold, sensible or not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from rotation.journal.model import (
    BegunRotation,
    Closing,
    Death,
    Declaration,
    Incident,
    Journal,
    KeyLife,
    PhaseEvent,
    Phases,
    Prolongation,
    StepFailure,
    VersionRecord,
)

ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:payments-AbCdEf"
NOW = datetime(2026, 11, 21, 23, 15, tzinfo=UTC)

names = st.sampled_from(["a", "b", "c", "ä ö", "0f1e", "x" * 64])
texts = st.text(max_size=12)
flags = st.booleans()
#: A journal keeps whole milliseconds.
times = st.integers(0, 10**12).map(lambda n: NOW + timedelta(milliseconds=n - 5 * 10**11))
members = st.dictionaries(texts, st.one_of(texts, st.none(), flags), max_size=3)

versions = st.builds(
    VersionRecord, st.none() | names, flags, issued_at=st.none() | times, expires_at=st.none()
)
lives = st.builds(
    KeyLife,
    times,
    displaced_at=st.none() | times,
    retire_after=st.none() | times,
    asked_at=st.none() | times,
    outcome=st.none() | texts,
    answered_at=st.none() | times,
    accepted=st.none() | flags,
    probes=st.lists(members, max_size=3).map(tuple),
    death=st.none() | st.builds(Death, times, members),
    prolongations=st.lists(
        st.builds(Prolongation, texts, times, times, times, texts), max_size=2
    ).map(tuple),
)
declarations = st.builds(Declaration, names, times, texts, texts, flags)
incidents = st.builds(
    Incident,
    names,
    st.lists(declarations, max_size=3).map(tuple),
    st.dictionaries(names, st.lists(names, max_size=2).map(tuple), max_size=3),
    st.frozensets(names, max_size=3),
    st.dictionaries(names, texts, max_size=2),
    st.lists(st.builds(BegunRotation, names, times, flags), max_size=3).map(tuple),
    st.none() | st.builds(Closing, times, names, names, st.none() | texts),
)
phases = st.builds(
    Phases,
    st.frozensets(texts, max_size=3),
    st.lists(st.builds(PhaseEvent, names, texts, times, members), max_size=2).map(tuple),
)
journals = st.builds(
    Journal,
    st.just(ARN),
    st.none() | times,
    st.dictionaries(names, versions, max_size=3),
    st.dictionaries(names, lives, max_size=3),
    st.lists(incidents, max_size=3).map(tuple),
    st.lists(st.builds(StepFailure, names, times, texts, texts, texts, flags), max_size=2).map(
        tuple
    ),
    st.none() | phases,
)
