"""`rotation verify`: what it says of good files and bad ones, to people and to machines."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rotation.cli.commands import rotation
from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from tests.cli.json_answers import answer_of
from tests.sealing.pdfs import cms_over, encrypted, pdf, signed_by_author, signer_of

pytestmark = pytest.mark.slow

ROTATION = str(Path(sys.executable).parent / "rotation")
CommandRunner = Callable[..., Result]

SHOWN_LATE = """
import time
from rotation.cli.shared.output import progress_shown
with progress_shown("{task.description}") as progress:
    progress.add_task("a large file", total=None)
    ends = time.monotonic() + (0 if progress.disable else 300)
    while not progress.live.is_started and time.monotonic() < ends:
        time.sleep(0.01)
"""


@pytest.fixture
def folder(tmp_path: Path, pki: Pki) -> Path:
    """A folder with a file for each verdict."""
    files = {
        "root.pem": pki.root_pem,
        "good.pdf": sealed(pki),
        "forged.pdf": sealed(pki).replace(b"200 200", b"200 201"),
        "plain.pdf": pdf(),
        "letter.txt": b"no PDF",
        "locked.pdf": encrypted(user_password="secret"),
        "cut.pdf": sealed(pki)[:-100],
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def sealed(pki: Pki, document: bytes | None = None, **options: Any) -> bytes:
    prepared = prepare(BytesIO(document or pdf()), SealOptions(**options), datetime.now(UTC))
    return prepared.embed(cms_over(prepared.digest, signer_of(pki.signer)))


@pytest.fixture
def run_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> CommandRunner:
    """Types a command in that folder."""
    monkeypatch.chdir(folder)

    def types(*arguments: str, code: int = 0, env: dict[str, str] | None = None) -> Result:
        done = CliRunner().invoke(rotation, ["verify", *arguments], env=env, catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done

    return types


def verdicts(done: Result) -> dict[str, str]:
    return {file["file"]: file["verdict"] for file in answer_of("verify", done.output)["files"]}


def test_a_good_file_is_told_in_words(run_command: CommandRunner, folder: Path) -> None:
    """The output says who signed, when and by which anchors, and that the whole file is covered."""
    said = run_command("--trust", "root.pem", "good.pdf").output
    assert said.startswith("ok           good.pdf  sealed by Trusted Signatures Sandbox\n")
    assert "Common Name: Trusted Signatures Sandbox Seal" in said
    assert "the certificate chains to a given one" in said
    assert "by the signer's own clock" in said
    assert "none: no time is proven" in said
    assert f"the whole file, {(folder / 'good.pdf').stat().st_size} bytes" in said


def test_each_file_is_judged_whatever_is_wrong_with_another(run_command: CommandRunner) -> None:
    """All files are judged in the order of the arguments; one bad file makes the exit code 1."""
    bad = ["missing.pdf", "cut.pdf", "letter.txt", "locked.pdf", "forged.pdf", "plain.pdf", "."]
    done = run_command("--trust", "root.pem", "--json", *bad, "good.pdf", code=1)
    assert answer_of("verify", done.output)["ok"] is False
    assert verdicts(done) == {
        "missing.pdf": "unreadable",
        "cut.pdf": "unreadable",
        "letter.txt": "unreadable",
        "locked.pdf": "unreadable",
        "forged.pdf": "problem",
        "plain.pdf": "unsigned",
        ".": "unreadable",
        "good.pdf": "ok",
    }
    said = run_command("--trust", "root.pem", *bad, "good.pdf", code=1).output
    assert "The document was changed after it was sealed." in said
    assert "The file bears no signature." in said
    assert "No such file or directory" in said
    assert "encrypted with a password" in said
    assert said.index("plain.pdf") < said.index("good.pdf")
    assert said.endswith("8 files: 5 unreadable, 1 unsigned, 1 problem, 1 ok\n")


def test_without_anchors_it_says_that_a_name_proves_nothing(
    run_command: CommandRunner, pki: Pki
) -> None:
    """An impostor's seal bears the right name; the output says so, and does not call it trusted."""
    Path("impostor.pdf").write_bytes(
        (prepared := prepare(BytesIO(pdf()), SealOptions(), datetime.now(UTC))).embed(
            cms_over(prepared.digest, signer_of(pki.impostor()))
        )
    )
    said = run_command("impostor.pdf", code=3).output
    assert said.startswith("unchecked    impostor.pdf  sealed by ")
    assert "nobody vouches for the signer" in said
    told = answer_of("verify", run_command("--json", "impostor.pdf", code=3).output)
    assert (told["ok"], told["anchored"], told["totals"]) == (False, False, {"unchecked": 1})
    assert told["files"][0]["signatures"][0]["trusted"] is None
    said = run_command("--trust", "root.pem", "impostor.pdf", code=1).output
    assert said.startswith("untrusted    ")
    assert "does not chain to a given trust anchor" in said


def test_several_anchors_are_taken_together(run_command: CommandRunner, pki: Pki) -> None:
    """The author's signature and the seal have different roots, so both roots are needed."""
    stranger = pki.stranger()
    Path("two.pdf").write_bytes(sealed(pki, signed_by_author(pdf(), signer_of(stranger))))
    from cryptography.hazmat.primitives.serialization import Encoding

    Path("other.pem").write_bytes(stranger.chain[-1].public_bytes(Encoding.PEM))
    run_command("--trust", "root.pem", "two.pdf", code=1)
    done = run_command("--trust", "root.pem", "--trust", "other.pem", "--json", "two.pdf")
    seals = answer_of("verify", done.output)["files"][0]["signatures"]
    assert [seal["organization"] for seal in seals] == [
        *("Unrelated Sandbox", "Trusted Signatures Sandbox")
    ]
    assert [seal["coversWholeFile"] for seal in seals] == [False, True]


def test_the_functions_anchors_are_heeded(run_command: CommandRunner, pki: Pki) -> None:
    """SIGNER_TRUST_ANCHORS is used if `--trust` is not given; `--trust` has priority."""
    Path("stranger.pem").write_bytes(Pki.create(pki.made_at).root_pem)
    run_command("good.pdf", env={"SIGNER_TRUST_ANCHORS": "root.pem"})
    strange = {"SIGNER_TRUST_ANCHORS": "stranger.pem"}
    run_command("good.pdf", env=strange, code=1)
    run_command("--trust", "root.pem", "good.pdf", env=strange)
    said = run_command("good.pdf", env={"SIGNER_TRUST_ANCHORS": "nowhere.pem"}, code=1).output
    assert "SIGNER_TRUST_ANCHORS" in said


@pytest.mark.parametrize("arguments", [[], ["--trust", "missing.pem"], ["--trust", "good.pdf"]])
def test_a_wrong_command_line_is_told_as_such(
    run_command: CommandRunner, arguments: list[str]
) -> None:
    """A missing file, or missing or empty anchors, end with exit code 2 before any verdict."""
    run_command(*arguments, *(["good.pdf"] if arguments else []), code=2)
    run_command("-", "-", code=2)


@pytest.mark.parametrize("seekable", [True, False], ids=["redirected", "piped"])
def test_standard_input_is_judged(folder: Path, seekable: bool) -> None:
    """This holds for a file and for a pipe."""
    command = [ROTATION, "verify", "--trust", "root.pem", "--json", "-"]
    with (folder / "good.pdf").open("rb") as file:
        given: dict[str, Any] = {"stdin": file} if seekable else {"input": file.read()}
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, **given)
    assert done.returncode == 0, done.stderr
    [told] = answer_of("verify", done.stdout)["files"]
    assert (told["file"], told["verdict"]) == ("-", "ok")


def test_nothing_in_a_file_steers_the_terminal(run_command: CommandRunner, pki: Pki) -> None:
    """Names come from strangers, so control characters are escaped."""
    name = "a\x1b[2Jb\u202ec.pdf"
    Path(name).write_bytes(sealed(pki, field_name="Field"))
    content = Path(name).read_bytes().replace(b"(Field)", b"(F\x1beld)")
    Path(name).write_bytes(content)
    said = run_command(name, code=1).output
    said += run_command("--trust", name, name, code=2).output
    assert "a\\x1b[2Jb\\u202ec.pdf" in said
    assert not {"\x1b", "\u202e"} & set(said)


def test_colours_are_for_terminals(folder: Path) -> None:
    """The verdict is green on a terminal, and a pipe gets no escape sequence."""
    command = [ROTATION, "verify", "--trust", "root.pem", "good.pdf"]
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}
    piped = subprocess.run(command, cwd=folder, capture_output=True, check=True, env=environment)
    assert b"\x1b" not in piped.stdout + piped.stderr
    assert b"\x1b[32mok" in on_terminal(command, folder)


def test_progress_is_shown_late_and_on_terminals_alone(folder: Path) -> None:
    """A terminal shows progress after two seconds and until the end; a pipe gets none."""
    command = [sys.executable, "-c", SHOWN_LATE]
    piped = subprocess.run(command, capture_output=True, check=True)
    assert (piped.stdout, piped.stderr) == (b"", b"")
    assert b"a large file" in on_terminal(command, folder)


def on_terminal(command: list[str], folder: Path) -> bytes:
    """What a terminal gets of a command."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux says EIO where the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(300) == 0, shown
    return shown
