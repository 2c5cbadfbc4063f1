"""Every runbook is followed, step by step, against the sandbox: what it says is what is printed."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.traffic import AwsCall
from rotation.sandbox.deployment import Deployment
from tests.docs.runbooks.page import Page, pages, planted
from tests.docs.runbooks.reader import Reader
from tests.docs.runbooks.scenarios import PREPARE
from tests.docs.runbooks.terminal import Terminal
from tests.reused_deployment import ReusedDeployment

SCRIPTS = Path(sysconfig.get_path("scripts"))
CALLER = "AKIAREADER0000000000"
#: What the sandbox calls an operation, where the right to do it has another name, or needs none.
RIGHTS = {"Invoke": "InvokeFunction", "POST /": None}
NAMES = [path.stem for path in pages()]
BY_DEPLOYMENT = sorted(PREPARE, key=lambda name: PREPARE[name][0].__name__)


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A deployment of the kind that the page needs, for one page after the other."""
    with request.param(tmp_path_factory.mktemp("sandbox")) as deployment:
        yield deployment


@pytest.fixture
def deployment(running: Deployment) -> Deployment:
    """A deployment in which nothing has happened yet."""
    if isinstance(running, ReusedDeployment):
        running.begin_anew()
    return running


@pytest.mark.parametrize(
    ("running", "name"),
    [(PREPARE[name][0], name) for name in BY_DEPLOYMENT],
    ids=BY_DEPLOYMENT,
    indirect=["running"],
)
def test_a_page_says_what_is_printed(name: str, deployment: Deployment, tmp_path: Path) -> None:
    """Each command, in its order, prints what stands there, and needs the rights that it names.

    And each word that stands there is compared: with any of them changed, it would not be so.
    """
    page = Page.called(name)
    _, prepare = PREPARE[name]
    cloud, scenario = deployment.cloud, prepare(deployment)
    variables = {**cloud.environment(CALLER), **scenario.environment}
    terminal = Terminal(tmp_path, SCRIPTS, variables)
    reader = Reader(terminal, scenario, lambda printed: _settle(cloud, printed))
    reader.follow(page)
    assert reader.filled == scenario.fill.keys() <= page.explained()
    done = {RIGHTS.get(call.operation, call.operation) for call in cloud.calls if _by_reader(call)}
    assert done - {None} == page.rights()


def _by_reader(call: AwsCall) -> bool:
    return call.caller == CALLER


def _settle(cloud: Cloud, printed: str) -> None:
    """Wait for the rotation that was begun, and for what is reconciled after it."""
    try:
        begun = json.loads(printed)
    except ValueError:
        begun = None
    if isinstance(begun, dict) and begun.keys() == {"ARN", "Name", "VersionId"}:
        cloud.wait_for_rotation(begun["ARN"], begun["VersionId"])
    cloud.wait_for_events(timedelta(minutes=5))


def test_every_page_has_a_scenario() -> None:
    """No page is left out, and no scenario is about a page that is gone."""
    assert sorted(PREPARE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_for_somebody_who_cannot_think_now(name: str) -> None:
    """When to use it, who may, short numbered steps, what each command prints, and what else."""
    page = Page.called(name)
    assert page.head.startswith("# ")
    assert "**When:**" in page.head
    assert len(page.rights()) >= 1
    assert "README.md#before-you-begin" in page.head
    commands = [command for step in page.steps for command in step.commands]
    assert commands
    assert [command.text for command in commands if not planted(command.prints)] == []
    assert [step.words for step in page.steps if len(step.words.split()) > 150] == []
    assert page.otherwise.count("\n- **") >= 3
    assert "```" not in page.otherwise
