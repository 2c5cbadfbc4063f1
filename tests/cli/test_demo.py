"""`rotation demo`, run as a newcomer runs it, and its PDF judged by software that is not ours."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from rotation.cli.demo import WIDTH, line, run_demo
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.demo import Moment
from rotation.sandbox.deployment import Deployment
from rotation.sandbox.vendor import VendorFault
from rotation.sealing.verify import verify
from tests.cli.json_answers import answer_of
from tests.cli.processes import commands_below

pytestmark = pytest.mark.slow

ROTATION = str(Path(sys.executable).parent / "rotation")


@dataclass
class DemoRun:
    """One run of the demo."""

    folder: Path
    result: dict[str, Any]


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """The demo, run once for its JSON object."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [ROTATION, "demo", "--json", "--folder", str(folder)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    return DemoRun(folder, answer_of("demo", done.stdout))


def pdfsig(pdf: Path, anchor: Path, folder: Path) -> str:
    """What poppler says of a PDF under one trusted root."""
    database = folder / "nss"
    if not database.exists():
        database.mkdir()
        for arguments in (
            ["-N", "--empty-password"],
            ["-A", "-n", "root", "-t", "CT,C,C", "-i", str(anchor)],
        ):
            subprocess.run(["certutil", "-d", f"sql:{database}", *arguments], check=True)
    done = subprocess.run(
        ["pdfsig", "-nssdir", str(database), str(pdf)], capture_output=True, text=True, check=False
    )
    return done.stdout


def test_the_result_says_what_happened(demo_run: DemoRun) -> None:
    """The JSON object has two key ids, four durations, no failed seal and two paths."""
    result = demo_run.result
    assert set(result) == {
        *("rotated", "oldKeyId", "newKeyId", "steps", "seals", "sealedPdf", "trustRoot")
    }
    assert result["rotated"] is True
    assert result["oldKeyId"] != result["newKeyId"]
    assert list(result["steps"]) == ["createSecret", "setSecret", "testSecret", "finishSecret"]
    assert all(milliseconds > 0 for milliseconds in result["steps"].values())
    assert result["seals"] == {"attempted": 3, "failed": 0}
    assert Path(result["sealedPdf"]).is_file()
    assert Path(result["trustRoot"]).is_file()


def test_poppler_accepts_the_sealed_pdf(demo_run: DemoRun, tmp_path: Path) -> None:
    """The seal is valid, trusted under the demo's root, and covers the whole document."""
    said = pdfsig(Path(demo_run.result["sealedPdf"]), Path(demo_run.result["trustRoot"]), tmp_path)
    assert "Signature is Valid" in said
    assert "Certificate is Trusted" in said
    assert "Total document signed" in said
    assert "ETSI.CAdES.detached" in said


def test_pyhanko_accepts_the_sealed_pdf(demo_run: DemoRun) -> None:
    """The other validator agrees."""
    pdf, root = (Path(demo_run.result[name]).read_bytes() for name in ("sealedPdf", "trustRoot"))
    (report,) = verify(pdf, root)
    assert report.intact
    assert report.trusted
    assert report.covers_whole_file


def test_a_flipped_byte_is_rejected_by_both(demo_run: DemoRun, tmp_path: Path) -> None:
    """After one bit of the page has changed, neither validator accepts the signature."""
    root = Path(demo_run.result["trustRoot"])
    changed = bytearray(Path(demo_run.result["sealedPdf"]).read_bytes())
    changed[changed.index(b"stream") + 20] ^= 1
    path = tmp_path / "changed.pdf"
    path.write_bytes(changed)
    assert "Signature is Valid" not in pdfsig(path, root, tmp_path)
    (report,) = verify(bytes(changed), root.read_bytes())
    assert not report.intact


def test_the_document_itself_is_untouched(demo_run: DemoRun) -> None:
    """The sealed file begins with the source, byte for byte, and qpdf finds no fault."""
    source = (files("rotation.sandbox") / "documents" / "inspection.pdf").read_bytes()
    sealed = Path(demo_run.result["sealedPdf"])
    assert sealed.read_bytes().startswith(source)
    subprocess.run(["qpdf", "--check", str(sealed)], check=True, capture_output=True)


def test_the_timeline_is_readable(tmp_path: Path) -> None:
    """The output is a dozen lines of one width, in order and without log lines, and a picture."""
    picture = tmp_path / "demo.svg"
    done = subprocess.run(
        [ROTATION, "demo", "--folder", str(tmp_path / "demo"), "--svg", str(picture)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    lines = [text for text in done.stdout.splitlines() if re.match(r" *\d+\.\d\d s  ", text)]
    assert 10 <= len(lines) <= 16
    assert {len(text) for text in lines} == {WIDTH}
    told = " ".join(done.stdout.split())
    order = ["createSecret", "setSecret", "testSecret", "finishSecret", "new key", "alive until"]
    assert [told.index(word) for word in order] == sorted(told.index(word) for word in order)
    assert "flip one byte: rejected" in told
    assert "{" not in done.stdout
    assert "\x1b" not in done.stdout
    drawn = picture.read_text()
    assert drawn.startswith("<svg")
    assert re.findall(r"url\([^#].*", drawn) == [], "who looks at it fetches nothing"


def test_a_line_never_loses_its_columns() -> None:
    """A long fact stays whole, and a line without a duration is as wide as the others."""
    moment = Moment(timedelta(seconds=3), "operator", "something", None)
    assert len(line(moment).plain) == WIDTH


def test_an_interrupted_demo_leaves_no_process(tmp_path: Path) -> None:
    """Ctrl-C ends the demo with exit code 130 and leaves nothing running."""
    demo = subprocess.Popen(
        [ROTATION, "demo", "--folder", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    for text in demo.stdout:
        if "sealing function" in text:
            break
    os.killpg(demo.pid, signal.SIGINT)
    _, said = demo.communicate(timeout=120)
    assert demo.returncode == 130, said
    assert "Traceback" not in said
    assert commands_below(str(tmp_path)) == []


def test_a_folder_that_is_a_file_is_a_wrong_command_line(tmp_path: Path) -> None:
    """A folder that cannot be written is reported before anything starts, with exit code 2."""
    folder = tmp_path / "demo"
    folder.write_text("not a folder")
    done = subprocess.run(
        [ROTATION, "demo", "--folder", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is a file" in done.stderr


@pytest.mark.parametrize("as_json", [False, True])
def test_a_failed_demo_names_cause_next_command_and_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """If the vendor makes no key, the error names the cause, the next command and the log."""

    def deploy(folder: Path) -> Deployment:
        deployment = Deployment(folder, retries=RetryPolicy(()))
        deployment.vendor.faults.next("create", VendorFault.FORBIDDEN, times=None)
        return deployment

    with pytest.raises(SystemExit) as ended:
        run_demo(tmp_path, as_json=as_json, svg=None, deploy=deploy)
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "VendorRefusedError" in said.err
    log = tmp_path / "logs" / "trusted-signatures-rotate.log"
    assert f"Next: tail -n 20 {log}" in said.err
    assert "vendor_refused" in log.read_text()
    if as_json:
        assert said.out == ""
