"""While a function's modules load, the garbage collector rests; afterwards it works."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

from tests.artifacts.template import Template

_HANDLERS: Final = sorted(
    resource["Properties"]["Handler"].rpartition(".")[0]
    for resource in Template.read().document["Resources"].values()
    if resource["Type"] == "AWS::Serverless::Function"
)
_LOADING: Final = """
import gc, importlib, json, sys
was_on = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in {"boto3", "requests"}:
            was_on.append(gc.isenabled())
sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
print(json.dumps([was_on, gc.isenabled(), gc.get_freeze_count() > 10_000]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("handler", _HANDLERS)
def test_a_function_collects_garbage_only_after_it_has_loaded(handler: str) -> None:
    """It does not search what it loads, neither then nor later."""
    loading = subprocess.run(
        [sys.executable, "-c", _LOADING, handler], capture_output=True, text=True, check=True
    )
    was_on, is_on, frozen = json.loads(loading.stdout.splitlines()[-1])
    assert was_on
    assert not any(was_on)
    assert is_on
    assert frozen
