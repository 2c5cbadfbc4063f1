"""What the scrubber removes, and what it leaves."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.privacy import redaction
from rotation.privacy.redaction import HIDDEN, hide_value, renderings, scrub

MATERIAL = "5d41402abc4b2a76b9719d911017c592ae25f1c0d3b94e6a8f7c1e2d3b4a5968"


@pytest.fixture(autouse=True)
def _known() -> None:
    hide_value(MATERIAL)


@pytest.mark.parametrize("form", list(renderings(MATERIAL)))
def test_every_rendering_is_removed(form: str) -> None:
    """Hex, upper case, base64, base64 at each alignment, hex of the text."""
    assert form not in scrub(f"before {form} after")
    assert scrub(f"before {form} after").startswith("before ")


@given(
    start=st.integers(0, 52),
    before=st.text("abcdef0123456789XYZ-", max_size=20),
    after=st.text("abcdef0123456789XYZ-", max_size=20),
)
def test_a_piece_of_twelve_characters_is_removed(start: int, before: str, after: str) -> None:
    """A truncated key is still a key: no window of twelve characters survives."""
    piece = MATERIAL[start : start + 12]
    assert piece not in scrub(before + piece + after)


def test_a_key_of_short_parts_is_removed() -> None:
    """A vendor's token may have dots and slashes, so that none of its parts is long enough."""
    token = 'tok.abcdefgh.ij:klmnop.q"rstuvw.xyz'
    hide_value(token)
    for form in (token, json.dumps(token), repr(token)):
        assert "klmnop" not in scrub(f"before {form} after")


def test_a_larger_base64_text_that_holds_the_key_is_cut() -> None:
    """The key inside a base64-encoded document is found at any alignment."""
    for padding in range(3):
        plain = b"x" * padding + json.dumps({"k": MATERIAL}).encode()
        whole = base64.b64encode(plain).decode()
        begin = plain.index(MATERIAL.encode())
        inside = range((begin * 4 + 2) // 3 + 1, (begin + len(MATERIAL)) * 4 // 3 - 13)
        scrubbed = scrub(whole)
        assert not any(whole[at : at + 12] in scrubbed for at in inside)


@pytest.mark.parametrize(
    "text",
    [
        '{"apiKey": "short", "other": 1}',
        "{'SecretString': 'anything at all'}",
        '{\\"apiKey\\": \\"escaped\\"}',
        '{"RotationToken":"11111111-2222-4333-8444-555555555555"}',
        "params: {'SecretString': '{\"apiKey\": \"x y\"}'}",
    ],
)
def test_fields_with_a_secret_s_name_lose_their_value(text: str) -> None:
    """A value never seen before is removed because of what it is called."""
    scrubbed = scrub(text)
    assert HIDDEN in scrubbed
    for value in ("short", "anything", "escaped", "11111111", "x y"):
        assert value not in scrubbed


def test_a_long_run_of_hex_is_removed_unseen() -> None:
    """Forty hex digits or more are hidden even if nobody remembered them."""
    assert scrub("key " + "0123456789abcdef" * 4) == f"key {HIDDEN}"


@pytest.mark.parametrize(
    "text",
    [
        "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5",
        "arn:aws:secretsmanager:eu-central-1:012345678912:secret:trusted-signatures-api-AbCdEf",
        'etag "9a0364b9e99bb480dd25e1f0284c8555"',
        "2026-03-01T12:00:00.000Z sealed 51234 bytes",
    ],
)
def test_ids_and_plain_facts_stay(text: str) -> None:
    """Key ids, ARNs, ETags and times are what logs are for."""
    assert scrub(text) == text


def test_only_the_last_secrets_are_remembered() -> None:
    """The memory is bounded; the newest stay in it."""
    for number in range(40):
        hide_value(f"secret-number-{number:04}")
    hide_value(MATERIAL)
    assert len(redaction._known) <= 32
    assert MATERIAL[:12] not in scrub(MATERIAL[:12])


@pytest.mark.slow
def test_a_forked_child_is_not_held_up_by_a_thread_that_it_does_not_have() -> None:
    """A lock that another thread held at the moment of the fork would never be freed there."""
    program = """
import os, signal
from rotation.privacy import redaction

with redaction._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        redaction.hide_value("4f1c2d3e5a6b4c7d8e9fa0b1c2d3e4f5")
        os._exit("4f1c2d3e5a6b" in redaction.scrub("it is 4f1c2d3e5a6b4c7d8e9fa0b1c2d3e4f5"))
raise SystemExit(os.waitpid(child, 0)[1])
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=300)
    assert done.returncode == 0
