"""The pages in ``docs/`` say what the code does: tables, names, commands and examples."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation import errors
from rotation.credential import ApiKey
from rotation.deadline import RECONCILE_CALLS_RESERVE, SEAL_CALLS_RESERVE, STEP_CALLS_RESERVE
from rotation.egress import DIRECT
from rotation.errors import ConfigurationError, RotationError
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import (
    DESTINATION_BUCKET,
    ROTATE,
    SEAL,
    SECRET,
    SOURCE_BUCKET,
    Deployment,
)
from rotation.sandbox.vendor import VendorFault
from rotation.settings.rotation import ReconcileSettings, RotationSettings
from rotation.settings.sealing import SealingSettings
from rotation.settings.unattended import UnattendedSettings
from rotation.vendor.request_auth import auth_headers
from tests.artifacts.template import Template
from tests.paths import ROOT
from tests.test_architecture import MODULES, imports

DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted(DOCS.rglob("*.md"))
ROOT_PAGES = sorted(ROOT.glob("*.md"))
SCRIPTS = Path(sysconfig.get_path("scripts"))


def page(name: str) -> str:
    return (DOCS / name).read_text()


def section(text: str, title: str) -> str:
    [found] = re.findall(
        rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE
    )
    return str(found)


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without the rows of dashes."""
    lines = (line for line in text.splitlines() if line.startswith("|"))
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [row for row in cells if not set("".join(row)) <= {"-"}]


def named(text: str) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(command: list[str], cwd: Path, env: Mapping[str, str], typed: str = "") -> str:
    finished = subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": f"{SCRIPTS}:/usr/bin:/bin", "HOME": str(cwd), **env},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def shell(command: str, cwd: Path, env: Mapping[str, str], typed: str = "") -> str:
    return run(["bash", "-euo", "pipefail", "-c", command], cwd, env, typed)


class TestLinks:
    """Every page is found, and leads somewhere."""

    @pytest.mark.parametrize("source", [*ROOT_PAGES, *PAGES], ids=lambda path: path.name)
    def test_every_link_leads_somewhere(self, source: Path) -> None:
        """A relative link names a file or folder that exists, and a heading in it."""
        for target, anchor in links(source):
            assert target.exists(), f"{source.name} links {target}"
            if anchor:
                assert anchor in headings(target), f"{source.name} links {target.name}#{anchor}"

    def test_every_page_is_reachable_from_the_readme(self) -> None:
        """Whoever begins at README.md can get to each page by following links."""
        waiting, found = [README], set[Path]()
        while waiting:
            here = waiting.pop()
            if here in found:
                continue
            found.add(here)
            if here.is_dir():
                waiting += here.glob("*.md")
            elif here.suffix == ".md":
                waiting += [target for target, _ in links(here) if target.exists()]
        everything = {*ROOT_PAGES, *PAGES, *DOCS.rglob("*.yaml")}
        assert sorted(str(lost.relative_to(ROOT)) for lost in everything - found) == []


def links(source: Path) -> Iterator[tuple[Path, str]]:
    """Each relative link: the path that it names, and the heading."""
    text = re.sub(r"^```.*?^```$", "", source.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link and not link.startswith("mailto:"):
            name, _, anchor = link.partition("#")
            yield ((source.parent / name).resolve() if name else source), anchor


def headings(target: Path) -> set[str]:
    """The anchors that a page's headings have on GitHub."""
    titles = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


class TestArchitecture:
    """docs/architecture.md."""

    def test_the_tree_names_every_room_and_nothing_else(self) -> None:
        """Each path exists, and each room has its line; those at the top have no room between."""
        [tree] = blocks(section(page("architecture.md"), "What lies where"), "")
        paths: set[Path] = set()
        above: list[str] = []
        for indent, name in re.findall(r"^( *)(\S+)", tree, re.MULTILINE):
            above[len(indent) // 2 :] = [name]
            paths.add(ROOT.joinpath(*above))
        assert [str(path) for path in paths if not path.exists()] == []
        top = {path for path in (ROOT / "rotation").iterdir() if path.name[0] not in "_."}
        rooms = {path for path in top if path.is_dir() or path.suffix == ".py"}
        assert sorted(str(path) for path in rooms - paths) == []

    def test_the_diagram_is_the_imports(self) -> None:
        """What can be reached along the arrows is what the imports reach, room by room."""
        drawn: dict[str, set[str]] = {}
        for one, other in arrows(DOCS / "images" / "imports.dot"):
            drawn.setdefault(one, set()).add(other)
        real: dict[str, set[str]] = {}
        for module, path in MODULES.items():
            for name in imports(path):
                one, other = _room(module), _room(name)
                if one and other and one != other and name.startswith("rotation."):
                    real.setdefault(one, set()).add(other)
        assert _reachable(drawn) == _reachable(real)

    def test_the_artifacts_entries_are_the_template_s(self) -> None:
        """The handlers in the table are those that template.yaml deploys."""
        entries = next(row for row in rows(page("architecture.md")) if row[0] == "entry")
        template = Template.read()
        assert [named(cell) for cell in entries[1:]] == [
            [template.properties(function)["Handler"] for function in functions]
            for functions in (
                ("RotationFunction", "ReconcileFunction"),
                ("SealingFunction", "SealEventsFunction", "SealBatchFunction"),
            )
        ]


def arrows(source: Path) -> list[tuple[str, str]]:
    """The arrows of a diagram, as it is written for Graphviz."""
    return re.findall(r"^ +(\w+) -> (\w+)", source.read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ["arrivals", "imports", "parts"])
def test_a_diagram_is_drawn_as_it_is_written(name: str) -> None:
    """Each .svg has the arrows of its .dot; `make diagrams` draws it anew."""
    drawn = (DOCS / "images" / f"{name}.svg").read_text()
    titles = re.findall(r"<title>(\w+)&#45;&gt;(\w+)</title>", drawn)
    assert sorted(titles) == sorted(arrows(DOCS / "images" / f"{name}.dot"))


def _room(module: str) -> str:
    return [*module.split("."), ""][1]


def _reachable(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    closed = {room: set(others) for room, others in graph.items()}
    for _ in closed:
        for others in closed.values():
            others.update(*(closed.get(other, set()) for other in list(others)))
    return closed


REQUIRED = {
    "INSTALLATION_ID": "documentation",
    "ROTATED_SECRETS": "arn:aws:secretsmanager:eu-central-1:012345678912:secret:seals/*",
    "POOL_SECRET": "pool",
    "EVIDENCE_BUCKET": "evidence",
    "SOURCE_LOCATIONS": "in",
    "DESTINATION_LOCATIONS": "out",
}
Read = Callable[[Mapping[str, str]], Any]


class Noting(Mapping[str, str]):
    """An environment that notes what is asked of it."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def settings_rows(*titles: str) -> dict[str, list[str]]:
    """Default and limits of each variable in the tables of these sections."""
    text = page("settings.md")
    found = [row for title in titles for row in rows(section(text, title))]
    return {named(row[0])[0]: row[1:3] for row in found if named(row[0])}


BOTH = "Every function"
FUNCTIONS: list[tuple[str, Read]] = [
    ("The rotation function", RotationSettings.from_environment),
    ("The sealing function", SealingSettings.from_environment),
]


@pytest.mark.parametrize(("function", "read"), FUNCTIONS, ids=["rotation", "sealing"])
class TestSettings:
    """docs/settings.md, for each function."""

    def test_the_variables_are_those_that_are_read(self, function: str, read: Read) -> None:
        """No variable is missing from the page, and none is invented."""
        environment = Noting(REQUIRED)
        read(environment)
        assert settings_rows(BOTH, function).keys() == environment.asked

    def test_the_defaults_are_the_code_s(self, function: str, read: Read) -> None:
        """Setting a variable to the default on the page changes nothing."""
        table = settings_rows(BOTH, function)
        for name, (default, _) in table.items():
            if default not in {"none", "required"}:
                value = default.strip("`")
                value = table[value][0].strip("`") if value in table else value
                assert read(REQUIRED | {name: value}) == read(REQUIRED), name

    def test_required_variables_are_required(self, function: str, read: Read) -> None:
        """Without one of them the function says which is missing."""
        table = settings_rows(BOTH, function)
        required = [name for name, (default, _) in table.items() if default == "required"]
        assert required
        for name in required:
            with pytest.raises(ConfigurationError, match=f"{name} is not set"):
                read({other: value for other, value in REQUIRED.items() if other != name})

    def test_the_limits_are_the_code_s(self, function: str, read: Read) -> None:
        """Both ends of a range are accepted, and what lies beyond them is refused."""
        table = settings_rows(BOTH, function)
        ranges = {
            name: re.fullmatch(r"([\d.]+) to ([\d.]+)", row[1]) for name, row in table.items()
        }
        checked = {name: found.groups() for name, found in ranges.items() if found}
        assert len(checked) >= 3
        for name, (least, most) in checked.items():
            read(REQUIRED | {name: least})
            read(REQUIRED | {name: most})
            for beyond in (float(least) - 0.05, float(most) + 1):
                with pytest.raises(ConfigurationError, match=name):
                    read(REQUIRED | {name: str(beyond)})


def test_the_page_has_the_reserves_of_the_code() -> None:
    """How long before its own timeout each function stops to ask the vendor."""
    text = section(page("settings.md"), BOTH)
    for reserve, where in (
        (STEP_CALLS_RESERVE, "before it in the rotation function"),
        (RECONCILE_CALLS_RESERVE, "in the reconcile function"),
        (SEAL_CALLS_RESERVE, "in the functions that seal"),
    ):
        assert f"{reserve.total_seconds():.0f} s {where}" in text


RECONCILING = REQUIRED | {
    "ROTATION_FUNCTION": "arn:aws:lambda:us-east-1:012345678912:function:rotate",
}


class TestReconcileSettings:
    """docs/settings.md, for the function that has the rotation function's variables and one."""

    def test_the_variables_are_those_that_are_read(self) -> None:
        """Four more than the rotation function reads; only one of them must be given."""
        rotating, reconciling = Noting(REQUIRED), Noting(RECONCILING)
        RotationSettings.from_environment(rotating)
        ReconcileSettings.from_environment(reconciling)
        table = settings_rows("The reconcile function")
        assert table.keys() == reconciling.asked - rotating.asked
        optional = {"SEAL_LEDGER", "PHASE_EVENTS_BUS", "USED_KEY_GRACE_HOURS"}
        assert {table[name][0] for name in optional} == {"none", "0"}
        for name in table.keys() - optional:
            without = {other: value for other, value in RECONCILING.items() if other != name}
            with pytest.raises(ConfigurationError, match=f"{name} is not set"):
                ReconcileSettings.from_environment(without)

    def test_the_limits_are_the_code_s(self) -> None:
        """A proof of death must fit into an invocation; the function's name must be an ARN."""
        assert "`PROPAGATION_LIMIT_SECONDS` is 600 at most" in page("settings.md")
        ReconcileSettings.from_environment(RECONCILING | {"PROPAGATION_LIMIT_SECONDS": "600"})
        for change in ({"PROPAGATION_LIMIT_SECONDS": "601"}, {"ROTATION_FUNCTION": "rotate"}):
            with pytest.raises(ConfigurationError, match=next(iter(change))):
                ReconcileSettings.from_environment(RECONCILING | change)


UNATTENDED = "The functions for events and for bulk"


class TestUnattendedSettings:
    """docs/settings.md, for the functions that have the sealing function's variables and more."""

    def test_the_variables_are_those_that_are_read(self) -> None:
        """No variable is missing from the page; the one that is required is required."""
        sealing, unattended = Noting(REQUIRED), Noting(REQUIRED | {"CREDENTIAL_SECRET": "api"})
        SealingSettings.from_environment(sealing)
        UnattendedSettings.from_environment(unattended)
        table = settings_rows(UNATTENDED)
        assert table.keys() == unattended.asked - sealing.asked
        required = [name for name, (default, _) in table.items() if default == "required"]
        assert required == ["CREDENTIAL_SECRET"]
        with pytest.raises(ConfigurationError, match="CREDENTIAL_SECRET is not set"):
            UnattendedSettings.from_environment(REQUIRED)


def test_what_has_no_default_is_off() -> None:
    """`none` on the settings page: nothing is demanded of a signer, and the way is direct."""
    table = settings_rows(BOTH)
    off = {name for name, (default, _) in table.items() if default == "none"}
    assert off == {"SIGNER_TRUST_ANCHORS", "SIGNER_ORGANIZATION", "EGRESS_PROXY", "EGRESS_CA"}
    vendor = RotationSettings.from_environment(REQUIRED).vendor
    assert vendor.trust_anchors is None
    assert vendor.organization is None
    assert vendor.egress == DIRECT


def test_the_settings_page_names_what_the_template_leaves_out() -> None:
    """The variables that template.yaml does not set are listed as such, and no others."""
    template = Template.read()
    deployed = set(template.environment("RotationFunction"))
    deployed |= set(Template.read(KeyIssuer="admin-api").environment("RotationFunction"))
    deployed |= set(template.environment("SealingFunction"))
    deployed |= set(template.environment("ReconcileFunction"))
    deployed |= set(template.environment("SealEventsFunction"))
    titles = [BOTH, "The reconcile function", UNATTENDED, *(title for title, _ in FUNCTIONS)]
    [paragraph] = re.findall(r"^`template\.yaml` sets .+$", page("settings.md"), re.MULTILINE)
    left_out = {name for name in named(paragraph) if name.isupper()}
    assert left_out == settings_rows(*titles).keys() - deployed


# Machines compare codes: a change here breaks whoever does.
CODES = {
    "RotationError": "rotation_error",
    "ConfigurationError": "configuration",
    "InvalidEventError": "invalid_event",
    "InvalidCredentialError": "invalid_credential",
    "VersionStateError": "version_state",
    "CompromisedKeyError": "compromised_key",
    "SecretStoreError": "secret_store",
    "VendorError": "vendor",
    "VendorUnavailableError": "vendor_unavailable",
    "VendorRefusedError": "vendor_refused",
    "CredentialRejectedError": "credential_rejected",
    "ClockSkewError": "clock_skew",
    "MalformedResponseError": "malformed_response",
    "KeyIssueError": "key_issue",
    "KeyQuotaError": "key_quota",
    "KeyPoolEmptyError": "key_pool_empty",
    "KeyPoolError": "key_pool",
    "NotificationError": "notification",
    "EventBusError": "event_bus",
    "EvidenceError": "evidence",
    "JournalError": "journal",
    "JournalConflictError": "journal_conflict",
    "AccountReadError": "account_read",
    "ReportError": "report",
    "SealVerificationError": "seal_verification",
    "CmsProfileError": "cms_profile",
    "SealingError": "sealing",
    "InvalidRequestError": "invalid_request",
    "UnsupportedPdfError": "unsupported_pdf",
    "DamagedPdfError": "damaged_pdf",
    "EncryptedPdfError": "encrypted_pdf",
    "CertifiedPdfError": "certified_no_changes",
    "NoPagesError": "no_pages",
    "DocumentTooLargeError": "document_too_large",
    "SourceNotFoundError": "source_not_found",
    "SourceUnavailableError": "source_unavailable",
    "SourceChangedError": "source_changed",
    "DestinationError": "destination",
    "LedgerError": "ledger",
    "SignatureTooLargeError": "signature_too_large",
    "LevelError": "level",
    "SealingUnavailableError": "sealing_unavailable",
}
# Errors that are told by AWS's answer whether they pass.
DEPENDS = {
    "secret_store",
    "destination",
    "notification",
    "event_bus",
    "journal",
    "ledger",
    "level",
    "account_read",
}


def tree(root: type[RotationError] = RotationError) -> list[type[RotationError]]:
    """The errors of `rotation.errors`; a test's own subclass elsewhere is none of them."""
    below = [one for one in root.__subclasses__() if one.__module__ == errors.__name__]
    return [root, *(error for one in below for error in tree(one))]


class TestErrors:
    """docs/errors.md, and the tree at the top of rotation/errors.py."""

    def test_the_codes_are_pinned(self) -> None:
        """No class changes its code, and no two classes share one."""
        assert {error.__name__: error.code for error in tree()} == CODES
        assert len(set(CODES.values())) == len(CODES)

    def test_every_code_is_on_the_page_with_its_class(self) -> None:
        """Each error has one row, and no row speaks of an unknown one."""
        found = [row for row in rows(page("errors.md")) if named(row[0])]
        assert len(found) == len(CODES)
        assert {row[1]: named(row[0])[0] for row in found} == CODES

    def test_what_the_page_says_of_retries_is_so(self) -> None:
        """`yes` and `no` are the classes' own; `depends` is said of those that AWS decides."""
        retryable = {error.code: "yes" if error.retryable else "no" for error in tree()}
        said = {named(row[0])[0]: row[2] for row in rows(page("errors.md")) if named(row[0])}
        assert said == retryable | dict.fromkeys(DEPENDS, "depends")

    def test_the_tree_in_the_docstring_is_the_classes(self) -> None:
        """Each line stands under the class that its own inherits from."""
        drawn: dict[str, str] = {}
        above: list[str] = []
        for line in (errors.__doc__ or "").splitlines():
            if found := re.match(r"    ([├└│─ ]*)(\w+Error) ", line):
                depth = len(found[1]) // 3
                above[depth:] = [found[2]]
                drawn[found[2]] = above[depth - 1] if depth else "Exception"
        assert drawn == {error.__name__: (error.__base__ or error).__name__ for error in tree()}


SAYING = [
    f"rotation.{name}"
    for name in (
        "core.steps",
        "core.issuing",
        "core.proving",
        "handlers.rotate",
        "handlers.step_invocation",
    )
]
LEVELS = {
    "log_step": "INFO",
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
}


def calls(module: str) -> Iterator[tuple[str, str, ast.Call]]:
    """Every call whose first argument is a text: what is called, the text, the call."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else ast.unparse(called)
            yield name, str(node.args[0].value), node


def fields(called: str, call: ast.Call) -> set[str]:
    """The fields of a log line: keyword arguments, and the members of ``extra``."""
    found = {"log_step": {"secret", "version"}, "exception": {"exception"}}.get(called, set())
    for keyword in call.keywords:
        if isinstance(keyword.value, ast.Dict):
            found = found | {ast.literal_eval(key) for key in keyword.value.keys if key}
        elif keyword.arg:
            found = found | {keyword.arg}
        elif ast.unparse(keyword.value) == "proof.facts":
            found = found | facts_of_a_test_seal()
    return found


def facts_of_a_test_seal() -> set[str]:
    """What the prover has the log say of a proof."""
    prover = ast.parse(MODULES["rotation.vendor.key_prover"].read_text())
    [facts] = [
        node.value
        for node in ast.walk(prover)
        if isinstance(node, ast.keyword) and node.arg == "facts"
    ]
    assert isinstance(facts, ast.Dict)
    return {ast.literal_eval(key) for key in facts.keys if key}


class TestRotation:
    """docs/rotation.md."""

    def test_every_log_line_is_on_the_page(self) -> None:
        """Message, level and fields are those of the code, and none is missing."""
        said = {
            text: (LEVELS[called], fields(called, call))
            for module in SAYING
            for called, text, call in calls(module)
            if called in LEVELS
        }
        found = rows(section(page("rotation.md"), "What you see"))
        levels = set(LEVELS.values())
        listed = {
            named(row[0])[0]: (row[1], set(named(row[2]))) for row in found if row[1] in levels
        }
        assert len(listed) >= 10
        assert listed == said

    def test_every_metric_is_on_the_page(self) -> None:
        """The names are those that are counted."""
        counted = {
            text for module in SAYING for called, text, _ in calls(module) if called == "count"
        }
        found = section(page("rotation.md"), "What you see").partition("| metric |")[2]
        assert {name for row in rows(found) for name in named(row[0])} == counted

    @pytest.mark.slow
    def test_the_way_out_of_a_stuck_rotation(self, sandbox: Deployment, tmp_path: Path) -> None:
        """Every retry fails, the next rotation is refused, and the page's commands free it."""
        look, remove, rotate = blocks(
            section(page("rotation.md"), "When AWSPENDING is stuck"), "sh"
        )
        sandbox.vendor.faults.next("sign", VendorFault.STRANGER, times=None)
        environment = sandbox.environment()
        stuck = json.loads(shell(rotate, tmp_path, environment))["VersionId"]
        assert not sandbox.cloud.wait_for_rotation(SECRET, stuck).succeeded
        sandbox.vendor.faults.clear()
        with pytest.raises(AssertionError, match="previous rotation isn't complete"):
            shell(rotate, tmp_path, environment)

        seen = json.loads(shell(look, tmp_path, environment))
        assert seen["Enabled"] is True
        assert seen["Versions"][stuck] == ["AWSPENDING"]
        staged = _logged(sandbox, "key staged", stuck)
        assert sandbox.vendor.keys.accepted(staged["key_id"]), "a key for the portal is named"
        shell(remove, tmp_path, environment, f"{stuck}\n")
        token = json.loads(shell(rotate, tmp_path, environment))["VersionId"]
        outcome = sandbox.cloud.wait_for_rotation(SECRET, token)
        assert outcome.succeeded, outcome.error
        versions = json.loads(shell(look, tmp_path, environment))["Versions"]
        assert versions[token] == ["AWSCURRENT"]
        assert set(versions.get(stuck, [])) & {"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"} == set()


def _logged(sandbox: Deployment, message: str, version: str) -> dict[str, Any]:
    lines = (sandbox.logs / f"{ROTATE}.log").read_text().splitlines()
    facts: list[dict[str, Any]] = [json.loads(line) for line in lines if line.startswith("{")]
    return next(
        fact for fact in facts if (fact.get("message"), fact.get("version")) == (message, version)
    )


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """What `rotation sandbox` keeps running, with retries that follow at once."""
    folder = tmp_path_factory.mktemp("sandbox")
    with Deployment(folder, retries=RetryPolicy((timedelta(0),) * 2)) as running:
        running.store_first_key()
        running.turn_on_rotation()
        yield running


class TestVendor:
    """docs/vendor.md: the worked example."""

    def test_the_example_is_what_the_client_signs(self) -> None:
        """Key, time and body of the page give the page's MAC."""
        text = section(page("vendor.md"), "How a request is signed")
        example = {row[0].strip("`"): named(row[1])[0] for row in rows(text) if named(row[1])}
        key = ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", example["key"])
        at = datetime.fromisoformat(example["time"]).astimezone(UTC)
        headers = auth_headers(key, example["body"].encode(), at)
        assert headers["X-Authorization"] == example["X-Authorization"]
        assert headers["X-Authorization-Time"] == example["time"]
        assert headers.keys() <= set(named(text))

    @pytest.mark.slow
    def test_openssl_agrees(self, tmp_path: Path) -> None:
        """The command on the page prints the same MAC, with a program that is not ours."""
        text = section(page("vendor.md"), "How a request is signed")
        [command] = blocks(text, "sh")
        assert f"`{shell(command, tmp_path, {}).strip()}` |" in text


class TestSandbox:
    """docs/sandbox.md."""

    @pytest.mark.slow
    def test_the_commands_rotate(self, sandbox: Deployment, tmp_path: Path) -> None:
        """The stock aws command line does what the page says."""
        [command] = blocks(section(page("sandbox.md"), "With the stock aws command line"), "sh")
        answers = shell(command, tmp_path, sandbox.environment())
        started, length = json.JSONDecoder().raw_decode(answers)
        seen = json.loads(answers[length:])
        assert started["VersionId"] in seen["Versions"]
        outcome = sandbox.cloud.wait_for_rotation(SECRET, started["VersionId"])
        assert outcome.succeeded, outcome.error

    def test_the_names_are_the_deployment_s(self) -> None:
        """Functions and buckets bear the names that the page gives."""
        text = section(page("sandbox.md"), "With the stock aws command line")
        assert {SECRET, ROTATE, SEAL, SOURCE_BUCKET, DESTINATION_BUCKET} <= set(named(text))

    @pytest.mark.slow
    def test_the_example_fails_once_and_ends_well(self, tmp_path: Path) -> None:
        """A stranger's signature ends the first attempt; the second one promotes."""
        [program] = blocks(page("sandbox.md"), "python")
        told = run([sys.executable, "-c", program], tmp_path, {"PYTHONPATH": str(ROOT)})
        lines = told.splitlines()
        assert lines[2].startswith("1 testSecret SealVerificationError")
        assert lines[-1] == "2 finishSecret ok"

    def test_every_fault_is_listed_once(self) -> None:
        """The table of faults is the emulator's."""
        faults = section(page("sandbox.md"), "The emulated vendor").partition("| faults |")[2]
        listed = [name for row in rows(faults) for name in named(row[0])]
        assert sorted(listed) == sorted(fault.name for fault in VendorFault)

    def test_every_correction_has_a_test_that_names_the_page(self) -> None:
        """The AWS pages in the table are cited by the sandbox's own tests."""
        folder = ROOT / "tests" / "sandbox" / "aws"
        cited = "".join(path.read_text() for path in folder.glob("*.py"))
        table = rows(section(page("sandbox.md"), "What it corrects in moto"))[1:]
        assert len(table) >= 15
        assert [row[2] for row in table if not re.search(rf"\b{row[2]}\b", cited)] == []


def test_the_words_are_defined_once_and_in_order() -> None:
    """Each entry of the glossary has one place, found by the alphabet."""
    text = page("glossary.md")
    terms = re.findall(r"^- \*\*(.+?)\*\* — ", text, re.MULTILINE)
    assert len(terms) == len(re.findall(r"^- ", text, re.MULTILINE))
    words = [word for term in terms for word in term.split(", ")]
    assert len({word.casefold() for word in words}) == len(words)
    for title in ("The field's words", "Ours"):
        order = re.findall(r"^- \*\*(.+?)\*\*", section(text, title), re.MULTILINE)
        assert order == sorted(order, key=str.casefold)


def test_decisions_are_numbered_and_complete() -> None:
    """Records are numbered without a gap; each has its context, decision and consequences."""
    records = sorted((DOCS / "adr").glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for number, record in enumerate(records, start=1):
        text = record.read_text()
        assert text.startswith(f"# {number}. ")
        parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences"], record.name
