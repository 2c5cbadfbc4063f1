"""The commands in docs/deploying.md do what the page says, on the built artifacts."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from rotation.sandbox.deployment import ADMIN_SECRET, SECRET, Deployment
from rotation.sandbox.vendor import Role
from tests.artifacts.template import Template
from tests.artifacts.toolchain import SCRIPTS
from tests.paths import ROOT

_page = (ROOT / "docs" / "deploying.md").read_text()


def _commands(section: str) -> list[str]:
    """The shell blocks of one section, in their order."""
    [text] = re.findall(rf"^## {section}$(.*?)(?=^## |\Z)", _page, re.DOTALL | re.MULTILINE)
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def _shell(deployment: Deployment, home: Path, command: str, typed: str = "") -> str:
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env={**deployment.environment(), "PATH": f"{SCRIPTS}:/usr/bin:/bin", "HOME": str(home)},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_page_leads_to_a_rotated_key(deployment: Deployment, tmp_path: Path) -> None:
    """Typed at a prompt, tested, rotated, looked at: every command on the way works."""
    deployment.turn_on_rotation()
    admin = deployment.vendor.keys.create(role=Role.ADMIN)
    [store] = _commands("The credentials")
    _shell(deployment, tmp_path, store, f"{admin.id}\n{admin.material}\n")
    held = deployment.cloud.client("secretsmanager").get_secret_value(SecretId=ADMIN_SECRET)
    assert json.loads(held["SecretString"]) == {"apiKeyId": admin.id, "apiKey": admin.material}

    test, rotate, look = _commands("The first rotation")
    for command in (test, rotate):
        token = json.loads(_shell(deployment, tmp_path, command))["VersionId"]
        outcome = deployment.cloud.wait_for_rotation(SECRET, token)
        assert outcome.succeeded, outcome.error
    seen = json.loads(_shell(deployment, tmp_path, look))
    assert "AWSCURRENT" in seen["Versions"][token]
    assert seen["Rotated"] < seen["Next"]


def test_no_key_is_ever_an_argument() -> None:
    """No command on the page has a secret's value on its command line."""
    values = re.findall(r"--secret-(?:string|binary)[ =](\S+)", _page)
    assert values
    assert set(values) == {"file:///dev/stdin"}


def test_the_page_names_parameters_of_the_template() -> None:
    """The tables lead from parameters that exist; the page of all of them is generated."""
    declared = Template.read().document["Parameters"].keys()
    cells = re.findall(r"^\| (`[A-Z].+?) \|", _page, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)[`=]", cell)}
    assert len(named) > 30
    assert named - declared <= {"Seal"}
