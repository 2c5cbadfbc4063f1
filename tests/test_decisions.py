"""Each decision stands in one place: these tests fail when somebody writes one a second time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from rotation.aws.errors import is_retryable_code
from rotation.cli.seal.command import seal
from rotation.cli.seal.options import option_name
from rotation.handlers.wiring.seal_options import VARIABLES
from rotation.sealing.request import OPTIONS
from tests.test_architecture import MODULES, nodes_of


@cache
def all_nodes() -> tuple[tuple[str, ast.AST], ...]:
    return tuple((module, node) for module, path in MODULES.items() for node in nodes_of(path))


def nodes(kind: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Every node of a kind, with the module that it is in."""
    return ((module, node) for module, node in all_nodes() if isinstance(node, kind))


def importers(source: str, name: str) -> set[str]:
    """The modules that import ``name`` from ``source``."""
    return {
        module
        for module, node in nodes(ast.ImportFrom)
        if isinstance(node, ast.ImportFrom)
        and node.module == source
        and any(alias.name == name for alias in node.names)
    }


def texts() -> Iterator[tuple[str, str]]:
    """Every text constant with its module, but for the sandbox, which stands in for AWS."""
    for module, node in nodes(ast.Constant):
        outside = not module.startswith("rotation.sandbox")
        if outside and isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield module, node.value


def test_whether_a_key_is_compromised_is_decided_by_the_journal() -> None:
    """`Journal.suspect` tells. Only what is carried over asks the labels of version 0.2 for it."""
    former = "rotation.secrets_manager.former_labels"
    assert importers(former, "is_compromised") == {
        "rotation.secrets_manager.snapshot",
        "rotation.reconciliation.observation",
    }
    for name in ("COMPROMISED_PREFIX", "SUSPECT_TAGS", "suspect_versions"):
        assert importers(former, name) == set()
    # The tag is for people: these write it, show it or take it off, and conclude nothing from it.
    assert importers("rotation.secrets_manager.labels", "INCIDENT_TAG") == {
        former,
        "rotation.incident.progress",
        "rotation.reconciliation.execution",
        "rotation.reconciliation.observation",
        "rotation.reconciliation.plan",
        "rotation.reconciliation.reconciler",
        # A secret with the tag comes first in a run.
        "rotation.secrets_manager.discovery",
    }


def test_time_is_read_and_reserved_by_the_deadline_module() -> None:
    """No other module asks Lambda how much time is left, or holds a reserve of time."""
    readers = {
        module
        for module, node in nodes(ast.Call)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get_remaining_time_in_millis"
    }
    assert readers == {"rotation.deadline"}
    holders = {
        module
        for kind in (ast.Assign, ast.AnnAssign)
        for module, node in nodes(kind)
        if "reserve" in ast.unparse(node).partition("=")[0].lower()
        and "timedelta(" in ast.unparse(node)
    }
    assert holders == {"rotation.deadline"}


def test_every_reserve_is_used() -> None:
    """The table of reserves has no entry that nothing keeps."""
    import rotation.deadline

    reserves = {name for name in vars(rotation.deadline) if name.endswith("_RESERVE")}
    assert reserves
    assert {name for name in reserves if not importers("rotation.deadline", name)} == set()


def test_text_that_may_hold_a_key_is_parsed_in_one_place() -> None:
    """`credential.json_object` alone parses it: a JSONDecodeError carries the whole text."""
    parsers = {
        module
        for module, node in nodes(ast.Call)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"json.loads", "json.load", "loads"}
        and not module.startswith("rotation.sandbox")
    }
    # These read an S3 event, the evidence of an incident, a journal, and which secrets the last run
    # did not reach.
    without_keys = {
        "rotation.reconciliation.run_order",
        "rotation.journal.document",
        "rotation.unattended.s3_events",
        "rotation.handlers.reconcile_actions",
    }
    assert parsers == {"rotation.credential"} | without_keys


def test_the_names_of_aws_labels_are_written_once() -> None:
    """The labels module has them; the sandbox has its own, since it judges ours."""
    names = {"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"}
    writers = {
        module
        for module, node in nodes(ast.Constant)
        if isinstance(node, ast.Constant) and node.value in names
    }
    assert writers == {"rotation.secrets_manager.labels", "rotation.sandbox.aws.versions"}


def test_whether_two_arns_name_one_function_is_decided_in_one_place() -> None:
    """`secrets_manager.snapshot.same_function` alone compares parts of ARNs."""
    comparers = {
        module
        for module, node in nodes(ast.Compare)
        if isinstance(node, ast.Compare) and "split(':')" in ast.unparse(node)
    }
    assert comparers == {"rotation.secrets_manager.snapshot"}


def test_how_long_aws_clients_wait_is_decided_in_one_module() -> None:
    """No other module makes a botocore ``Config``, by whatever way it imports the class."""
    makers = {
        module
        for module, node in nodes(ast.Call)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Config"
    }
    assert makers == {"rotation.aws.client_config"}
    assert importers("botocore.config", "Config") == makers


def test_which_aws_errors_are_retryable_is_decided_in_one_module() -> None:
    """No other module names an error code that may be asked again, nor builds a set of such."""
    named = {
        (module, text)
        for module, text in texts()
        if module != "rotation.aws.errors" and " " not in text and is_retryable_code(text)
    }
    assert named == set()


def test_the_code_of_an_aws_error_is_taken_out_in_one_place() -> None:
    """`rotation.aws.errors` alone looks into ``ClientError.response`` for a code or a status."""
    looking = {module for module, text in texts() if text in {"Code", "HTTPStatusCode"}}
    assert looking == {"rotation.aws.errors"}


def test_the_options_of_a_sealing_request_stand_in_one_table() -> None:
    """An error names no other option, and each option has a name on every surface."""
    fields = {
        keyword.value.value
        for _, call in nodes(ast.Call)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "InvalidRequestError"
        for keyword in call.keywords
        if keyword.arg == "field" and isinstance(keyword.value, ast.Constant)
    }
    options = {field for field in fields if str(field).startswith("options.")}
    assert "options.visible.box" in options
    assert options <= {*OPTIONS, "options.visible"}
    typed = {name for parameter in seal.params for name in parameter.opts}
    assert {option_name(path) for path in OPTIONS} <= typed
    settings = MODULES["rotation.settings.unattended"].read_text()
    assert all(f'"{VARIABLES[path]}"' in settings for path in OPTIONS)


def test_how_long_a_key_must_live_stands_in_the_policy() -> None:
    """Outside of core.policy nothing in these rooms names a number of days, hours or minutes.

    What a single call may take is a number of seconds; the time that an incident gives a rotation
    is with the incident's acts.
    """
    rooms = (
        "rotation.core.",
        "rotation.incident.",
        "rotation.reconciliation.",
        "rotation.handlers.",
    )
    written = {
        module
        for module, node in nodes(ast.Call)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "timedelta"
        and module.startswith(rooms)
        and any(
            word.arg in {"days", "hours", "minutes"}
            # A unit to divide by, or to show a time in.
            and ast.unparse(word.value) != "1"
            for word in node.keywords
        )
    }
    assert written == {"rotation.core.policy", "rotation.incident.progress"}


def test_each_constant_of_the_policy_is_defined_once() -> None:
    """Its name is assigned nowhere else, not even as a private copy."""
    policy = MODULES["rotation.core.policy"]
    defined = {
        node.target.id
        for node in ast.walk(ast.parse(policy.read_text()))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    constants = {name for name in defined if name.isupper() and not name.startswith("_")}
    assert "LATE_RETRY" in constants
    copies = {
        (module, target.id)
        for module, node in nodes(ast.Module)
        if isinstance(node, ast.Module) and module != "rotation.core.policy"
        for statement in node.body
        if isinstance(statement, (ast.Assign, ast.AnnAssign))
        for target in (
            statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        )
        if isinstance(target, ast.Name) and target.id.lstrip("_") in constants
    }
    assert copies == set()


def test_no_two_classes_share_a_name() -> None:
    """Whoever searches for a class finds one, private and nested classes included."""
    homes: dict[str, list[str]] = {}
    for module, node in nodes(ast.ClassDef):
        if isinstance(node, ast.ClassDef):
            homes.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}
