"""What the reconcile function can be asked, without anything being done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rotation.errors import InvalidEventError
from rotation.handlers.reconcile_actions import ACTIONS
from rotation.handlers.reconcile_events import REQUESTS, parse
from tests.docs.test_docs import section
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "report.md").read_text()
EVENTS = [
    json.loads(row.partition("`")[2].partition("`")[0])
    for row in section(PAGE, "Asking").splitlines()
    if row.startswith('| `{"')
]


def test_the_page_describes_every_action() -> None:
    """docs/report.md has one event for each action, with all the members that it needs."""
    assert {event["action"] for event in EVENTS} == set(REQUESTS)
    for event in EVENTS:
        assert REQUESTS[event["action"]].required() <= event.keys()


def test_every_request_is_run() -> None:
    """What is understood is done, and nothing is done that nobody can ask for."""
    assert ACTIONS.keys() == {*REQUESTS.values()}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event["action"]))
def test_an_event_of_the_page_is_understood(event: dict[str, Any]) -> None:
    """With a secret, a reason and an actor in their places, each event of the page is accepted."""
    filled = {name: _filled(name, value) for name, value in event.items()}
    kind = REQUESTS[event["action"]]
    members = {name: value for name, value in filled.items() if name != "action"}
    if "secret" in kind.__dataclass_fields__:
        [members["secret"]] = members.pop("secrets")
    assert parse(filled, alias=kind.alias) == kind(**members)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event["action"]))
def test_an_event_with_another_member_is_refused(event: dict[str, Any]) -> None:
    """The message names the members that the action needs and may have."""
    kind = REQUESTS[event["action"]]
    with pytest.raises(InvalidEventError) as refused:
        parse(event | {"grace": 0}, alias=kind.alias)
    assert all(f'"{name}"' in str(refused.value) for name in kind.required() | kind.optional())


def test_an_action_with_an_alias_is_refused_without_it() -> None:
    """Whoever may invoke the function cannot revoke a key before it is replaced."""
    event = {"action": "revoke-first", "secrets": ["s"], "reason": "leaked", "actor": "ada"}
    for alias in (None, "live"):
        with pytest.raises(InvalidEventError, match="only through the alias revoke-first"):
            parse(event, alias)


def _filled(name: str, value: Any) -> Any:
    return {
        "secrets": ["trusted-signatures-api"],
        "reason": "leaked",
        "actor": "ada",
        "key": "4f1c2b3a-0000-4000-8000-1234567890ab",
        "token": "4f1c2b3a-0000-4000-8000-1234567890ab",
        "code": "key_quota",
    }.get(name, value)
