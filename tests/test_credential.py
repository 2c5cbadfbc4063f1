"""The API key as a value: what it accepts, and what it gives away (nothing)."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time

from rotation.credential import (
    ApiKey,
    Confidential,
    KeyFormat,
    KeyMember,
    SecretDocument,
    exact_json_object,
    iso_utc,
    json_object,
    matching,
)
from rotation.errors import InvalidCredentialError
from rotation.handlers.wiring.vendor import utc_now
from rotation.privacy.redaction import scrub
from tests.counted_steps import steps

KEY_ID = "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"
MATERIAL = "c80dd3f9db3330aa5daae1b469613cce2212e2beba7882b08fcc80acedba4c43"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def document(**members: object) -> Confidential:
    return Confidential(json.dumps({"apiKey": MATERIAL, "apiKeyId": KEY_ID} | members))


def everything_said(error: BaseException) -> str:
    """An exception as the most talkative logger would print it."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(told.format()) + repr(error.__cause__) + repr(error.__context__)


@pytest.mark.parametrize(
    "value",
    [
        lambda size: "{" + ", ".join(f'"m{one}": 1.10' for one in range(size)) + "}",
        lambda size: '{"a": [' + ", ".join(["{}"] * size) + "]}",
        lambda size: '{"a": "' + "\\\\u00e9" * size + '"}',
        lambda size: "{" + " " * size,
        lambda size: "[" * size,
    ],
    ids=["members", "items", "escapes", "spaces", "depth"],
)
def test_twice_the_text_is_twice_the_work(value: Callable[[int], str]) -> None:
    """Each way in which a secret's JSON is read is linear in it."""

    def work(size: int) -> int:
        text = Confidential(value(size))

        def act() -> None:
            json_object(text)
            exact_json_object(text)
            with suppress(InvalidCredentialError):
                SecretDocument.added_to(text, key, of="the secret").serialize()

        return steps(act)

    key = SecretDocument.parse(document(), of="the secret").key
    assert work(400) <= 2.5 * work(200) + 40


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("not json", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        (json.dumps({"apiKeyId": KEY_ID}), '"apiKey" is missing'),
        (json.dumps({"apiKey": MATERIAL}), '"apiKeyId" is missing'),
        (json.dumps({"apiKey": MATERIAL[:-1], "apiKeyId": KEY_ID}), "hexadecimal"),
        (json.dumps({"apiKey": MATERIAL[:-2] + "zz", "apiKeyId": KEY_ID}), "hexadecimal"),
        (json.dumps({"apiKey": 7, "apiKeyId": KEY_ID}), "hexadecimal"),
        (json.dumps({"apiKey": MATERIAL, "apiKeyId": "me"}), "not a UUID"),
        (json.dumps({"apiKey": MATERIAL, "apiKeyId": 7}), "not a UUID"),
        (
            f'{{"apiKey": "{MATERIAL}", "apiKeyId": "{KEY_ID}", "a": {"[" * 9**5}{"]" * 9**5}}}',
            "nested too deep",
        ),
        (json.dumps({"apiKey": MATERIAL, "apiKeyId": KEY_ID}) + "}", "not a JSON object"),
        (json.dumps({"apiKey": MATERIAL, "apiKeyId": KEY_ID})[:-1] + ",}", "not a JSON object"),
        (f'{{"apiKey" "{MATERIAL}"}}', "not a JSON object"),
        (f'{{7: "{MATERIAL}"}}', "not a JSON object"),
    ],
)
def test_a_value_that_is_no_key_is_refused_by_name_and_not_repeated(
    value: str, complaint: str
) -> None:
    """The error names the secret and the fault; not even its frames hold the value."""
    with pytest.raises(InvalidCredentialError, match="secret-name") as refused:
        SecretDocument.parse(Confidential(value), of="secret-name")
    assert complaint in str(refused.value)
    if value:
        assert value not in str(refused.value)


def test_a_refusal_shows_no_material_in_the_frames_of_this_package() -> None:
    """A traceback with locals of a refused document prints no piece of the key."""

    def refuse() -> None:
        SecretDocument.parse(document(apiKeyId="me"), of="a secret")

    with pytest.raises(InvalidCredentialError) as refused:
        refuse()
    said = everything_said(refused.value)
    assert not any(MATERIAL[i : i + 12] in said for i in range(len(MATERIAL) - 12))


def test_nothing_but_reveal_gives_the_key_away() -> None:
    """repr, str, format and % show no material; pickle, copy and asdict refuse."""
    key = ApiKey.from_text(KEY_ID, MATERIAL)
    for text in (repr(key), str(key), f"{key}", f"{key.material!s:>80}"):
        assert MATERIAL not in text
    acts: list[Callable[[object], object]] = [pickle.dumps, copy.copy, copy.deepcopy]
    for act in acts:
        with pytest.raises(TypeError):
            act(key.material)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        dataclasses.asdict(key)
    with pytest.raises(TypeError):
        pickle.dumps(SecretDocument.empty(key))
    assert key.material.reveal() == MATERIAL


def test_a_new_key_leaves_the_organisation_s_own_members_alone() -> None:
    """Members that are not ours survive a change of the key, whatever their type."""
    own = {"team": "archive", "limits": {"day": 5}, "note": "ü", "flags": [1, None]}
    before = SecretDocument.parse(document(expiresAt="2027-01-01T00:00:00Z", **own), of="it")
    other = ApiKey.from_text(
        "00000000-0000-4000-8000-000000000001", "ab" * 32, issued_at=iso_utc(NOW)
    )
    after = json.loads(before.with_key(other).serialize().reveal())
    assert after == own | {
        "apiKey": "ab" * 32,
        "apiKeyId": "00000000-0000-4000-8000-000000000001",
        "issuedAt": "2026-03-01T12:00:00.000Z",
    }


EXACT = r"""{
  "price": 1.10, "many": 1234567890123456789012345, "large": 1e3, "beyond": -1e400,
  "half": "\ud800", "note": "\u00fc and ü", "nested": {"b": 1.0,  "a": [1E+2, {"a": 0, "a": 1}]},
  "apiKey": "KEY", "apiKeyId": "ID", "long": 1%s, "twice": 1, "twice": 2.50
}""" % ("0" * 5000)


def test_members_survive_a_new_key_to_the_letter() -> None:
    """Numbers, escapes, white space and repeated names stay as they were written; JSON stays JSON.

    25 digits, an exponent and a trailing zero are in no float; 1e400 would become Infinity, which
    is not JSON; and half of a surrogate pair cannot be encoded unless it is escaped.
    """
    text = EXACT.replace("KEY", MATERIAL).replace("ID", KEY_ID)
    before = SecretDocument.parse(Confidential(text), of="it")
    after = before.with_key(ApiKey.from_text(KEY_ID, "ab" * 32))
    written = after.serialize().reveal()
    for value in ("1.10", "1234567890123456789012345", "1e3", "-1e400", r'"\ud800"', "2.50"):
        assert f":{value}," in written
    assert r'"\u00fc and ü"' in written
    assert '{"b": 1.0,  "a": [1E+2, {"a": 0, "a": 1}]}' in written
    assert '"twice":1,"twice":2.50' in written
    written.encode()

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    assert json.loads(written, parse_constant=refuse, parse_int=str)["apiKey"] == "ab" * 32
    again = SecretDocument.parse(Confidential(written), of="it")
    assert again.serialize() == after.serialize()
    assert again.same_other_members(before)


def test_half_of_a_surrogate_pair_is_escaped() -> None:
    """UTF-8 cannot carry one, and a JSON string may spell it."""
    value = Confidential(f'{{"half": "a\ud800", "apiKey": "{MATERIAL}", "apiKeyId": "{KEY_ID}"}}')
    written = SecretDocument.parse(value, of="it").serialize().reveal()
    assert rb'"half":"a\ud800"' in written.encode()
    assert value != Confidential("else")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"apiKeyId": "00000000-0000-4000-8000-000000000001", "expiresAt": "soon"}, True),
        ({"team": "sealing"}, False),
        ({"limit": 1.1}, True),
        ({"limit": 1}, False),
        ({"more": None}, False),
    ],
)
def test_other_members_are_compared_without_the_key_and_its_times(
    change: dict[str, object], same: bool
) -> None:
    """A change of what the organisation keeps is told from one of the key; order does not count."""
    one = SecretDocument.parse(document(team="archive", limit=1.1), of="it")
    members = {"limit": 1.1, "apiKeyId": KEY_ID, "apiKey": MATERIAL, "team": "archive"} | change
    other = SecretDocument.parse(Confidential(json.dumps(members)), of="it")
    assert one.same_other_members(other) is same
    assert other.same_other_members(one) is same


@pytest.mark.parametrize(
    ("expires_at", "kind"),
    [
        ("2027-01-01", "a date without a time of day, "),
        ("2026-01-01T00:00", "a time without an offset, "),
        (1798761600, "a number, "),
        (1798761600.5, "a number, "),
        ("soon", ""),
        ("9999-12-31T23:59:59-01:00", ""),
        (["2027-01-01T00:00:00Z"], "no text, "),
        (True, "no text, "),
    ],
)
def test_a_time_that_somebody_else_wrote_does_not_make_the_key_unreadable(
    expires_at: object, kind: str
) -> None:
    """It is unknown, and the warning names the member and what it is, but no value."""
    for name in ("expiresAt", "issuedAt"):
        held = SecretDocument.parse(document(**{name: expires_at}), of="a secret")
        assert held.key.material.reveal() == MATERIAL
        assert (held.key.issued_at, held.key.expires_at) == (None, None)
        (warning,) = held.warnings
        assert f'In a secret "{name}" is {kind}not an ISO 8601 time' in warning
        assert str(expires_at) not in warning
        with pytest.raises(InvalidCredentialError, match=f"{kind}not an ISO 8601 time"):
            ApiKey.from_text(KEY_ID, MATERIAL, expires_at=expires_at)
    assert SecretDocument.parse(document(), of="a secret").warnings == ()


def test_a_byte_order_mark_is_ignored() -> None:
    """RFC 8259 section 8.1 allows it; some editors and shells write one before the JSON text."""
    marked = Confidential("\ufeff" + document(team="archive").reveal())
    held = SecretDocument.parse(marked, of="it")
    assert held.key.material.reveal() == MATERIAL
    assert held.serialize().reveal().startswith('{"team":"archive",')
    assert json_object(marked) == {"apiKey": MATERIAL, "apiKeyId": KEY_ID, "team": "archive"}


def test_a_binary_value_is_called_binary() -> None:
    """The error says what to store instead."""
    with pytest.raises(InvalidCredentialError, match=r"binary \(SecretBinary\).*as text"):
        SecretDocument.parse(None, of="it")


def test_of_two_members_with_one_name_the_last_counts() -> None:
    """As it does for the parsers of the applications; a new key replaces both."""
    value = Confidential(
        f'{{"apiKey": "{"cd" * 32}", "apiKey": "{MATERIAL}", "apiKeyId": "{KEY_ID}"}}'
    )
    held = SecretDocument.parse(value, of="it")
    assert held.key.material.reveal() == MATERIAL
    assert held.serialize().reveal().count('apiKey"') == 1


def test_the_size_with_a_new_key_is_never_less_than_it_will_be() -> None:
    """What is checked before issuing holds for every key that the vendor may give."""
    held = SecretDocument.parse(document(note="ü" * 100), of="it")
    largest = ApiKey.from_text(
        KEY_ID, "ab" * 128, issued_at=iso_utc(NOW), expires_at=iso_utc(NOW + timedelta(days=365))
    )
    size = len(held.with_key(largest).serialize().reveal().encode())
    assert size <= held.largest_size_with_a_new_key() <= size + 64


def test_a_key_without_a_known_expiry_never_expires() -> None:
    """The vendor's answer alone tells when such a key has ended."""
    with freeze_time("9999-01-01"):
        assert not ApiKey.from_text(KEY_ID, MATERIAL).expired(utc_now())


@pytest.mark.parametrize(
    "expires_at",
    [
        pytest.param("2026-03-01T12:00:00Z", id="any day"),
        pytest.param("2028-02-29T00:00:00Z", id="a leap day"),
        pytest.param("2028-03-01T00:00:00+00:00", id="the day after a leap day"),
        pytest.param("2027-01-01T00:00:00.000Z", id="the end of a year"),
        pytest.param("2026-12-31T23:30:00-02:00", id="the next year by UTC"),
    ],
)
def test_a_key_expires_to_the_second(expires_at: str) -> None:
    """It is good until the second before its expiry, and has expired from that moment on."""
    key = ApiKey.from_text(KEY_ID, MATERIAL, expires_at=expires_at)
    with freeze_time(datetime.fromisoformat(expires_at) - timedelta(seconds=1)) as clock:
        assert not key.expired(utc_now())
        clock.tick()
        assert key.expired(utc_now())
        clock.tick(timedelta(days=366))
        assert key.expired(utc_now())


OTHER_VENDOR = KeyFormat(
    id=KeyMember("tokenName", "tok_ and four digits", matching(r"tok_\d{4}")),
    material=KeyMember("tokenText", "sk_ and 24 letters or digits", matching(r"sk_\w{24}")),
)
TOKEN = "sk_" + "7hQ2zLm9" * 3


def test_another_vendor_s_key_is_kept_under_members_of_its_own() -> None:
    """What a key format names is read and written; `apiKey` is then the organisation's."""
    value = json.dumps({"tokenName": "tok_0001", "tokenText": TOKEN, "apiKey": "something else"})
    held = SecretDocument.parse(Confidential(value), of="it", key_format=OTHER_VENDOR)
    assert (held.key.id, held.key.material.reveal()) == ("tok_0001", TOKEN)
    next_key = ApiKey.from_text("tok_0002", "sk_" + "a" * 24, key_format=OTHER_VENDOR)
    assert json.loads(held.with_key(next_key).serialize().reveal()) == {
        "apiKey": "something else",
        "tokenName": "tok_0002",
        "tokenText": "sk_" + "a" * 24,
    }


@pytest.mark.parametrize(
    ("key_id", "material", "complaint"),
    [
        ("tok_1", TOKEN, '"tokenName" is not tok_ and four digits'),
        ("tok_0001", TOKEN + "!", '"tokenText" is not sk_ and 24 letters or digits'),
        (None, TOKEN, '"tokenName" is missing'),
        ("tok_0001", 7, '"tokenText" is not sk_'),
    ],
)
def test_another_vendor_s_key_is_checked_as_strictly(
    key_id: object, material: object, complaint: str
) -> None:
    """The error names the member and what it must be, and repeats no value."""
    with pytest.raises(InvalidCredentialError) as refused:
        ApiKey.from_text(key_id, material, key_format=OTHER_VENDOR)
    assert complaint in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_a_key_format_hides_the_member_with_the_key_from_logs() -> None:
    """A value that was never seen before is scrubbed by the name of its member."""
    assert "never-seen" not in scrub('{"tokenName": "tok_0001", "tokenText": "never-seen"}')


def test_a_key_is_hidden_as_it_was_written_too() -> None:
    """A format may normalize the material; a log may show the text that came in."""
    upper = KeyFormat(
        id=KeyMember("id", "text", str), material=KeyMember("token", "text", str.lower)
    )
    written = "AB-NORMALIZED-TOKEN-OF-A-VENDOR"
    assert ApiKey.from_text("one", written, key_format=upper).material.reveal() == written.lower()
    assert "NORMALIZED" not in scrub(f"as it came: {written}")
    assert "normalized" not in scrub(f"as it is kept: {written.lower()}")


def test_a_key_in_the_place_of_the_id_is_in_no_frame() -> None:
    """Whoever mixes up the two members gets an error that holds neither."""
    try:
        ApiKey.from_text(MATERIAL, KEY_ID)
    except InvalidCredentialError as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][1:]
        assert frames
        assert not any(MATERIAL in repr(frame.f_locals) for frame in frames)
    else:
        pytest.fail("a key was taken for an id")
