"""`rotation seal`, typed by a person: files and objects, trouble in the middle, and again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rotation.cli.commands import rotation
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import (
    DESTINATION_BUCKET,
    SEAL,
    SOURCE_BUCKET,
    Deployment,
)
from rotation.sandbox.vendor import Outage, PortalKey, VendorFault
from rotation.sealing.request import Certification
from rotation.sealing.verify import verify
from tests.cli.json_answers import answers_of
from tests.cli.operator_terminal import OperatorTerminal
from tests.privacy.canary import Canary
from tests.sealing.images import image, saved
from tests.sealing.pdf_tools import is_within, visible_change
from tests.sealing.pdfs import encrypted, large, pdf

pytestmark = pytest.mark.slow


@dataclass
class SealFixture:
    """Two folders and a terminal; keeps everything that the commands print."""

    operator: OperatorTerminal
    folder: Path
    canary: Canary
    printed: list[str] = field(default_factory=list)

    @property
    def vendor(self) -> Any:
        return self.operator.deployment.vendor

    @property
    def source(self) -> Path:
        return self.folder / "in"

    @property
    def sealed(self) -> Path:
        return self.folder / "out"

    def put(self, *names: str, content: bytes | None = None) -> None:
        for name in names:
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content or pdf())

    def start(self, *more: str) -> subprocess.Popen[str]:
        return self.operator.start("seal", str(self.source), str(self.sealed), *more)

    def run(self, *arguments: str, code: int = 0) -> str:
        said = self.operator.run("seal", *arguments, code=code)
        self.printed.append(said)
        return said

    def seal(self, *more: str, code: int = 0) -> str:
        """Seal the one folder into the other."""
        return self.run(str(self.source), str(self.sealed), *more, code=code)

    def lines(self, *more: str, code: int = 0) -> list[dict[str, Any]]:
        return answers_of("seal", self.seal("--json", *more, code=code))

    def wait_for(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        said, complained = process.communicate(timeout=300)
        self.printed.append(said + complained)
        return process.returncode, said + complained

    def new_key(self) -> PortalKey:
        key = self.operator.deployment.store_first_key()
        self.canary.plant(key.material, "the key")
        return key

    def signatures_bought(self) -> int:
        return int(sum(self.vendor.signatures.values()))

    def is_sealed(self, name: str) -> bool:
        """Whether the sealed file is its source and one trusted seal over all."""
        content = (self.sealed / name).read_bytes()
        root = self.operator.deployment.trust_root.read_bytes()
        (report,) = verify(content, root)
        source = (self.source / name).read_bytes()
        return content.startswith(source) and report.covers_whole_file and not report.problem

    def all_sealed(self) -> bool:
        names = [str(path.relative_to(self.source)) for path in self.source.rglob("*.pdf")]
        return (
            bool(names)
            and all(self.is_sealed(name) for name in names)
            and not self.unfinished_files()
        )

    def unfinished_files(self) -> list[Path]:
        return [path for path in self.sealed.rglob("*") if path.suffix == ".unfinished"]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A vendor, a secret without a key, buckets and the sealing function."""
    folder = tmp_path_factory.mktemp("deployment")
    with Deployment(folder, retries=RetryPolicy(())) as running:
        running.vendor.keys.quota = 100
        yield running


@pytest.fixture
def sealing(deployment: Deployment, tmp_path: Path) -> Iterator[SealFixture]:
    """A key in the secret, two folders; at the end nothing that was printed or written holds it."""
    sealing = SealFixture(OperatorTerminal(deployment, trusts_vendor=True), tmp_path, Canary())
    sealing.new_key()
    sealing.source.mkdir()
    yield sealing
    deployment.vendor.faults.clear()
    deployment.vendor.faults.release()
    assert sealing.canary.find("\n".join(sealing.printed).encode()) is None
    assert sealing.canary.findings(tmp_path) == []


def statuses(lines: list[dict[str, Any]]) -> Counter[str]:
    return Counter(line["status"] for line in lines if line["status"] != "summary")


def test_a_folder_is_sealed_with_all_its_subfolders(sealing: SealFixture) -> None:
    """Each PDF is sealed in its place, other files are ignored, and the seal has the options."""
    sealing.put("a.pdf", "sub/b.pdf", "sub/deeper/c.pdf")
    sealing.put("notes.txt", content=b"not a PDF, and not named one")
    said = sealing.seal(
        *("--reason", "Final inspection"), "--timestamp", *("--certify", "form-filling")
    )
    assert said.startswith("3 sealed; ")
    assert sealing.all_sealed()
    assert not (sealing.sealed / "notes.txt").exists()
    content = (sealing.sealed / "a.pdf").read_bytes()
    assert b"Final inspection" in content
    (report,) = verify(content, sealing.operator.deployment.trust_root.read_bytes())
    assert report.allows is Certification.FORM_FILLING
    assert report.timestamp is not None
    assert report.timestamp.proven


def test_bad_files_do_not_hold_up_the_good_ones(sealing: SealFixture) -> None:
    """Each is named at the end with its code; `--json` prints a line for each, and a summary."""
    sealing.put("a.pdf", "b.pdf")
    sealing.put("cut.pdf", content=pdf()[:200])
    sealing.put("locked.pdf", content=encrypted(user_password="x"))
    sealing.put("empty.pdf", content=b"no PDF at all")
    said = sealing.seal(code=1)
    for name, code in (
        ("cut", "damaged_pdf"),
        ("locked", "encrypted_pdf"),
        ("empty", "unsupported_pdf"),
    ):
        assert f"not sealed   {sealing.source / name}.pdf\n             {code}: " in said
    assert "2 sealed, 3 not sealed" in said
    assert sorted(path.name for path in sealing.sealed.iterdir()) == ["a.pdf", "b.pdf"]
    lines = sealing.lines(code=1)
    assert statuses(lines) == {"skipped": 2, "error": 3}
    assert {line["code"] for line in lines if line["status"] == "error"} == {
        *("damaged_pdf", "encrypted_pdf", "unsupported_pdf")
    }
    summary = lines[-1]
    assert (summary["status"], summary["skipped"], summary["error"]) == ("summary", 2, 3)


def test_run_again_it_buys_nothing(sealing: SealFixture) -> None:
    """A sealed file is recognised by its content, so one more file buys one more signature."""
    sealing.put("a.pdf", "b.pdf")
    [first, *_] = sealing.lines()
    assert first["keyId"] in sealing.vendor.signatures
    bought = sealing.signatures_bought()
    assert "2 sealed before" in sealing.seal()
    assert sealing.signatures_bought() == bought
    sealing.put("c.pdf")
    assert statuses(sealing.lines()) == {"skipped": 2, "sealed": 1}
    assert sealing.signatures_bought() == bought + 1


def test_what_is_something_else_is_left_alone(sealing: SealFixture) -> None:
    """It is a stranger's file, a copy of the source, or a seal of an older source."""
    sealing.put("copy.pdf", "new.pdf", "mine.pdf", "sealed.pdf")
    sealing.seal()
    (sealing.sealed / "copy.pdf").write_bytes((sealing.source / "copy.pdf").read_bytes())
    (sealing.sealed / "mine.pdf").write_bytes(b"mine")
    sealing.put("new.pdf", content=pdf(ending=b"\r\n"))
    before = {path: path.read_bytes() for path in sealing.sealed.iterdir()}
    said = sealing.seal(code=1)
    assert said.count("--overwrite replaces it") == 3
    assert "1 sealed before, 3 not sealed" in said
    assert {path: path.read_bytes() for path in sealing.sealed.iterdir()} == before
    assert statuses(sealing.lines("--overwrite")) == {"sealed": 3, "skipped": 1}
    assert sealing.all_sealed()


def test_a_dry_run_only_says_what_it_would_do(sealing: SealFixture) -> None:
    """The dry run needs no key, buys nothing and writes nothing."""
    sealing.put("a.pdf", "sub/b.pdf")
    bought = sealing.signatures_bought()
    said = sealing.seal("--dry-run", "--secret", "no-such-secret")
    assert f"would seal   {sealing.source}/a.pdf as {sealing.sealed}/a.pdf" in said
    assert "2 would be sealed" in said
    assert not sealing.sealed.exists()
    assert sealing.signatures_bought() == bought
    sealing.seal()
    assert statuses(sealing.lines("--dry-run")) == {"skipped": 2}


def test_a_dry_run_says_what_cannot_be_sealed_and_why(sealing: SealFixture) -> None:
    """Each document is opened: what a seal would refuse is refused before anything is bought."""
    sealing.put("a.pdf")
    sealing.put("b.pdf", content=b"no PDF at all")
    sealing.put("c.pdf", content=encrypted(user_password="secret"))
    *lines, _ = sealing.lines("--dry-run", code=1)
    assert [(line["status"], line.get("code")) for line in lines] == [
        ("planned", None),
        ("error", "unsupported_pdf"),
        ("error", "encrypted_pdf"),
    ]
    assert not sealing.sealed.exists()


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_no_link_leads_out_of_the_folders(sealing: SealFixture, dry: tuple[str, ...]) -> None:
    """A link to a file elsewhere is not read, and a link to a folder elsewhere not written to."""
    elsewhere = sealing.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "private.pdf").write_bytes(pdf())
    sealing.put("a.pdf", "sub/b.pdf")
    (sealing.source / "link.pdf").symlink_to(elsewhere / "private.pdf")
    (sealing.source / "inside.pdf").symlink_to(sealing.source / "a.pdf")
    sealing.sealed.mkdir()
    (sealing.sealed / "sub").symlink_to(elsewhere)
    *documents, _ = sealing.lines(*dry, code=1)
    lines = {Path(line["source"]).name: line for line in documents}
    for name in ("link.pdf", "b.pdf"):
        assert lines[name]["code"] == "invalid_request"
        assert "--follow-links" in lines[name]["message"]
    for name in ("a.pdf", "inside.pdf"):
        assert lines[name]["status"] == ("planned" if dry else "sealed")
    assert [path.name for path in elsewhere.iterdir()] == ["private.pdf"]


def test_links_are_followed_where_somebody_says_so(sealing: SealFixture) -> None:
    """With the option a link is what it leads to, at both ends."""
    elsewhere = sealing.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "private.pdf").write_bytes(pdf())
    sealing.put("sub/b.pdf")
    (sealing.source / "link.pdf").symlink_to(elsewhere / "private.pdf")
    sealing.sealed.mkdir()
    (sealing.sealed / "sub").symlink_to(elsewhere)
    sealing.seal("--follow-links")
    assert sealing.is_sealed("link.pdf")
    assert (elsewhere / "b.pdf").is_file()


def test_one_file_goes_where_it_is_said_to_go(sealing: SealFixture) -> None:
    """The file is sealed into a folder, or under another name."""
    sealing.put("a.pdf")
    sealing.run(str(sealing.source / "a.pdf"), f"{sealing.sealed}/")
    assert sealing.all_sealed()
    sealing.run(str(sealing.source / "a.pdf"), str(sealing.sealed / "other" / "name.pdf"))
    assert (sealing.sealed / "other" / "name.pdf").is_file()
    assert "1 sealed before" in sealing.run(str(sealing.source / "a.pdf"), str(sealing.sealed))


def test_killed_in_the_middle_it_goes_on_when_it_is_run_again(sealing: SealFixture) -> None:
    """After SIGKILL during the signing there is no half file; the next run seals the rest."""
    sealing.put("a.pdf")
    sealing.seal()
    sealing.put("b.pdf", "c.pdf", content=large(2 * 1024**2))
    sealing.put("d.pdf")
    sealing.vendor.faults.next("sign", VendorFault.HANG)
    process = sealing.start("--jobs", "1")
    assert sealing.vendor.faults.wait_until_holding()
    process.send_signal(signal.SIGKILL)
    sealing.wait_for(process)
    assert len(sealing.unfinished_files()) == 1
    assert [path.name for path in sealing.sealed.glob("*.pdf")] == ["a.pdf"]
    sealing.vendor.faults.release()
    assert statuses(sealing.lines()) == {"skipped": 1, "sealed": 3}
    assert sealing.all_sealed()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_finishes_what_is_under_way(
    sealing: SealFixture, number: signal.Signals
) -> None:
    """The document that the vendor signs is sealed, no other is begun, and the exit code is 130."""
    sealing.put("a.pdf", "b.pdf", "c.pdf")
    sealing.vendor.faults.next("sign", VendorFault.HANG)
    process = sealing.start("--jobs", "1")
    assert sealing.vendor.faults.wait_until_holding()
    process.send_signal(number)
    assert process.stderr is not None
    assert "Finishing what is under way" in process.stderr.readline() + process.stderr.readline()
    sealing.vendor.faults.release()
    code, said = sealing.wait_for(process)
    assert code == 130
    assert "1 sealed, 2 not begun" in said
    assert "Traceback" not in said
    assert [path.name for path in sealing.sealed.iterdir()] == ["a.pdf"]
    assert statuses(sealing.lines()) == {"skipped": 1, "sealed": 2}
    assert sealing.all_sealed()


def test_a_second_interrupt_ends_at_once(sealing: SealFixture) -> None:
    """The vendor hangs, and nobody waits for it; nothing stands under a file's name."""
    sealing.put("a.pdf", "b.pdf")
    sealing.vendor.faults.next("sign", VendorFault.HANG)
    process = sealing.start("--jobs", "1")
    assert sealing.vendor.faults.wait_until_holding()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "once more ends at once" in process.stderr.readline() + process.stderr.readline()
    process.send_signal(signal.SIGINT)
    code, _ = sealing.wait_for(process)
    assert code == 130
    assert [path.suffix for path in sealing.sealed.iterdir()] == [".unfinished"]
    sealing.vendor.faults.release()
    sealing.seal()
    assert sealing.all_sealed()


def test_a_key_that_is_rejected_in_the_middle_is_fetched_anew(sealing: SealFixture) -> None:
    """The key is rotated and revoked while documents are being sealed, and none of them fails."""
    sealing.put("a.pdf", "b.pdf", "c.pdf")
    old = sealing.operator.deployment.key_id("AWSCURRENT")
    sealing.vendor.faults.next("sign", VendorFault.HANG)
    process = sealing.start("--jobs", "1", "--json")
    assert sealing.vendor.faults.wait_until_holding()
    new = sealing.new_key()
    assert sealing.vendor.keys.revoke(old)
    sealing.vendor.faults.release()
    code, said = sealing.wait_for(process)
    assert code == 0, said
    keys = [json.loads(line).get("keyId") for line in said.splitlines()]
    assert keys == [old, new.id, new.id, None]
    assert sealing.all_sealed()


def test_trouble_at_the_vendor_that_passes_is_not_noticed(sealing: SealFixture) -> None:
    """Every document is sealed in spite of errors, a lost answer and a throttled call."""
    sealing.put("a.pdf", "b.pdf", "c.pdf")
    for fault in (
        VendorFault.UNAVAILABLE,
        VendorFault.LOSE_REPLY,
        VendorFault.THROTTLED,
        VendorFault.SERVER_ERROR,
    ):
        sealing.vendor.faults.next("sign", fault)
    assert statuses(sealing.lines()) == {"sealed": 3}
    assert sealing.all_sealed()


def test_an_outage_ends_the_run_and_another_run_goes_on(sealing: SealFixture) -> None:
    """After five failures in a row that are not a document's own, no other document is begun."""
    names = [f"{number:02}.pdf" for number in range(12)]
    sealing.put(*names)
    sealing.vendor.faults.next("sign", VendorFault.HANG)
    process = sealing.start("--jobs", "3", "--json")
    assert sealing.vendor.faults.wait_until_holding()
    sealing.vendor.outage = Outage.REFUSED
    sealing.vendor.faults.release()
    code, said = sealing.wait_for(process)
    sealing.vendor.outage = None
    lines = [json.loads(line) for line in said.splitlines()]
    assert code == 1
    assert lines[-1]["notBegun"] > 0
    failed = [line for line in lines if line["status"] == "error"]
    assert len(failed) >= 5
    assert {line["code"] for line in failed} == {"vendor_unavailable"}
    sealing.lines()
    assert sealing.all_sealed()


def test_a_secret_without_a_key_is_told_once(sealing: SealFixture) -> None:
    """One error names the right or the name to check, and it is not repeated for each document."""
    sealing.put("a.pdf", "b.pdf")
    said = sealing.seal("--secret", "no-such-secret", code=1)
    assert said.count("ResourceNotFoundException") == 1
    assert not sealing.sealed.exists()


def test_more_than_a_hundred_documents_print_nothing_in_between(sealing: SealFixture) -> None:
    """The terminal shows no metrics, which the functions print for each document."""
    sealing.put(*(f"{number}.pdf" for number in range(103)))
    lines = sealing.lines("--jobs", "8")
    assert len(lines) == 104
    assert statuses(lines) == {"sealed": 103}


def test_a_wrong_command_line_is_told_as_such(sealing: SealFixture) -> None:
    """Such a combination ends with exit code 2, and no signature is bought."""
    sealing.put("a.pdf")
    bought, source = sealing.signatures_bought(), str(sealing.source)
    environment = sealing.operator.deployment.environment()
    for arguments, told in (
        ((source, "s3://sealed-documents/x"), "both on this machine, or both in S3"),
        (("s3://documents/x", source), "both on this machine, or both in S3"),
        ((source, f"{source}/sealed"), "lies in"),
        ((source, f"{source}/a.pdf"), "is a file"),
        (("nowhere", source), "no file or folder"),
        (("s3:///a.pdf", "s3://sealed-documents/x"), "names no bucket"),
        (("s3://documents/x", "s3://documents/x/y"), "lies in the source"),
        ((source, str(sealing.sealed), "--function", SEAL), "--function is for S3"),
        ((source, str(sealing.sealed), "--reason", "two\nlines"), "--reason: must be plain text"),
        ((source, str(sealing.sealed), "--jobs", "0"), "--jobs"),
    ):
        done = CliRunner().invoke(rotation, ["seal", *arguments], env=environment)
        assert (done.exit_code, told in " ".join(done.output.split())) == (2, True), arguments
    assert sealing.signatures_bought() == bought


def test_no_source_is_ever_replaced(sealing: SealFixture) -> None:
    """A file is not sealed onto itself, nor a folder into its parent, where names would collide."""
    sealing.put("a.pdf", "in/b.pdf")
    bought, source, parent = sealing.signatures_bought(), sealing.source, sealing.folder
    for arguments, told in (
        ((f"{source}/a.pdf", f"{source}/a.pdf"), "is the source itself"),
        ((f"{source}/a.pdf", str(source)), "is the source itself"),
        ((str(source), str(parent)), "lies in"),
    ):
        for more in ((), ("--overwrite",), ("--dry-run",)):
            said = sealing.run(*arguments, *more, code=2)
            assert told in " ".join(said.split()), arguments
    assert sealing.signatures_bought() == bought
    assert (source / "a.pdf").read_bytes() == (source / "in" / "b.pdf").read_bytes() == pdf()
    sealing.run(f"{source}/a.pdf", f"{source}/a-sealed.pdf")


def test_no_source_in_s3_is_ever_replaced(sealing: SealFixture) -> None:
    """A prefix is not sealed into its parent, where the sealed documents would be sources again."""
    s3 = sealing.operator.deployment.cloud.client("s3")
    own = sealing.folder.name
    for key in (f"{own}/in/a.pdf", f"{own}/in/in/a.pdf"):
        s3.put_object(Bucket=SOURCE_BUCKET, Key=key, Body=pdf())
    place = f"s3://{SOURCE_BUCKET}/{own}"
    for arguments, told in (
        ((f"{place}/in", place), "lies in the source"),
        ((f"{place}/in/a.pdf", f"{place}/in/"), "is the source itself"),
    ):
        said = sealing.run(*arguments, "--overwrite", code=2)
        assert told in " ".join(said.split()), arguments
    held = s3.get_object(Bucket=SOURCE_BUCKET, Key=f"{own}/in/a.pdf")["Body"].read()
    assert held == pdf()


def test_of_one_document_its_place_is_told(sealing: SealFixture) -> None:
    """A few documents are listed as sealed now or before; of many, only their number is printed."""
    sealing.put("a.pdf")
    place = f"{sealing.source}/a.pdf as {sealing.sealed}/a.pdf\n"
    sealing.sealed.mkdir()
    for word, told in (("sealed", "1 sealed; "), ("before", "1 sealed before; ")):
        line, summary = sealing.run(f"{sealing.source}/a.pdf", str(sealing.sealed)).splitlines(True)
        assert line == f"{word:<13}{place}"
        assert summary.startswith(told)


def test_an_interrupt_before_anything_is_under_way_has_its_exit_code(sealing: SealFixture) -> None:
    """This also holds while documents are being listed or planned."""
    sealing.put("a.pdf")
    os.mkfifo(sealing.folder / "a.pdf")
    process = sealing.operator.start(
        "seal", f"{sealing.source}/a.pdf", str(sealing.folder), "--dry-run"
    )
    with (sealing.folder / "a.pdf").open("wb"):
        # The command has opened the other end, to see whether this is a seal: now it waits.
        process.send_signal(signal.SIGINT)
        assert sealing.wait_for(process) == (130, "Interrupted.\n")


def test_a_bucket_that_does_not_exist_costs_nothing(
    sealing: SealFixture, prefix: Callable[[str], str]
) -> None:
    """The missing bucket is reported once, before a signature is bought."""
    bought = sealing.signatures_bought()
    said = sealing.run(prefix(SOURCE_BUCKET), "s3://not-there/sealed", code=1)
    assert said == "Error: There is no bucket not-there.\n"
    assert sealing.signatures_bought() == bought


def test_a_name_that_no_document_may_have_is_told_as_such(sealing: SealFixture) -> None:
    """Control characters are escaped, and bytes that are not text do not stop the run."""
    sealing.put("a.pdf", "b\x1b[31m.pdf", "c\n.pdf", os.fsdecode(b"d\xff.pdf"))
    for more in ((), ("--dry-run",)):
        said = sealing.seal(*more, code=1)
        assert said.count("invalid_request: Rename it: ") == 3
        assert "\x1b" not in said
        assert "b\\x1b[31m.pdf" in said
    assert [path.name for path in sealing.sealed.iterdir()] == ["a.pdf"]


def test_nothing_to_seal_is_no_failure(sealing: SealFixture) -> None:
    """An empty folder is not an error: a scheduled run may find nothing to do."""
    assert "nothing to seal" in sealing.seal()


@pytest.fixture
def prefix(sealing: SealFixture) -> Callable[[str], str]:
    """Names prefixes of the test's own in the two buckets, with three documents in the first."""
    s3 = sealing.operator.deployment.cloud.client("s3")
    own = sealing.folder.name
    for name in ("a.pdf", "sub/B.PDF", "c.pdf"):
        s3.put_object(Bucket=SOURCE_BUCKET, Key=f"{own}/{name}", Body=pdf())
    s3.put_object(Bucket=SOURCE_BUCKET, Key=f"{own}/notes.txt", Body=b"x")
    s3.put_object(Bucket=SOURCE_BUCKET, Key=f"{own}-other/a.pdf", Body=pdf())
    return lambda bucket: f"s3://{bucket}/{own}"


def objects(sealing: SealFixture) -> dict[str, bytes]:
    s3 = sealing.operator.deployment.cloud.client("s3")
    own = sealing.folder.name
    listed = s3.list_objects_v2(Bucket=DESTINATION_BUCKET, Prefix=own).get("Contents", [])
    return {
        one["Key"].removeprefix(f"{own}/"): s3.get_object(
            Bucket=DESTINATION_BUCKET, Key=one["Key"]
        )["Body"].read()
        for one in listed
    }


@pytest.mark.parametrize("how", [(), ("--function", SEAL)], ids=["here", "function"])
def test_a_prefix_of_s3_is_sealed(
    sealing: SealFixture, prefix: Callable[[str], str], how: tuple[str, ...]
) -> None:
    """This process and the sealing function seal the same keys; a second run buys nothing."""
    places = prefix(SOURCE_BUCKET), prefix(DESTINATION_BUCKET)
    assert sealing.run(*places, *how).startswith("3 sealed; ")
    sealed = objects(sealing)
    assert sorted(sealed) == ["a.pdf", "c.pdf", "sub/B.PDF"]
    root = sealing.operator.deployment.trust_root.read_bytes()
    for content in sealed.values():
        (report,) = verify(content, root)
        assert report.problem is None
    bought = sealing.signatures_bought()
    assert "3 sealed before" in sealing.run(*places, *how)
    assert sealing.signatures_bought() == bought


def test_an_object_that_is_something_else_is_left_alone(
    sealing: SealFixture, prefix: Callable[[str], str]
) -> None:
    """`--overwrite` replaces the seal of an older source, and a stranger's object."""
    s3 = sealing.operator.deployment.cloud.client("s3")
    places = prefix(SOURCE_BUCKET), prefix(DESTINATION_BUCKET)
    own = sealing.folder.name
    sealing.run(*places)
    s3.put_object(Bucket=SOURCE_BUCKET, Key=f"{own}/a.pdf", Body=pdf(ending=b"\r\n"))
    s3.put_object(Bucket=DESTINATION_BUCKET, Key=f"{own}/c.pdf", Body=b"a stranger's")
    said = sealing.run(*places, code=1)
    assert "1 sealed before, 2 not sealed" in said
    assert objects(sealing)["c.pdf"] == b"a stranger's"
    assert "2 sealed, 1 sealed before" in sealing.run(*places, "--overwrite")
    assert objects(sealing)["a.pdf"].startswith(pdf(ending=b"\r\n"))


def test_one_object_is_sealed_under_the_name_that_is_given(
    sealing: SealFixture, prefix: Callable[[str], str]
) -> None:
    """An object of that name is one document; a slash makes the destination a folder."""
    source, into = f"{prefix(SOURCE_BUCKET)}/a.pdf", prefix(DESTINATION_BUCKET)
    sealing.run(source, f"{into}/other.pdf")
    sealing.run(source, f"{into}/below/")
    assert sorted(objects(sealing)) == ["below/a.pdf", "other.pdf"]


def test_bad_objects_and_refusals_are_told_with_their_codes(
    sealing: SealFixture, prefix: Callable[[str], str]
) -> None:
    """The cases are a bad document among good ones, a missing bucket and a name without a key."""
    s3 = sealing.operator.deployment.cloud.client("s3")
    own = sealing.folder.name
    s3.put_object(Bucket=SOURCE_BUCKET, Key=f"{own}/bad.pdf", Body=b"no PDF")
    said = sealing.run(prefix(SOURCE_BUCKET), prefix(DESTINATION_BUCKET), code=1)
    assert "unsupported_pdf: " in said
    assert "3 sealed, 1 not sealed" in said
    said = sealing.run("s3://no-such-bucket-anywhere/a", "s3://x/y", code=1)
    assert "cannot be listed (NoSuchBucket)" in said


def test_a_function_that_cannot_be_invoked_ends_the_run(
    sealing: SealFixture, prefix: Callable[[str], str]
) -> None:
    """The error of the function is reported for each document that was begun."""
    places = prefix(SOURCE_BUCKET), prefix(DESTINATION_BUCKET)
    said = sealing.run(*places, "--function", "no-such-function", code=1)
    assert "Check its name, its alias and the region." in said
    assert objects(sealing) == {}


BOX = (20.0, 30.0, 140.0, 70.0)
SEEN = ("--page", "-1", "--box", "20,30,140,70")


def test_a_seal_is_seen_where_it_was_asked_for(sealing: SealFixture) -> None:
    """The seal shows text of two lines and an image in the box on the last page."""
    sealing.put("a.pdf", "sub/b.pdf")
    logo = sealing.folder / "logo.png"
    logo.write_bytes(saved(image("RGBA")))
    said = sealing.seal(*SEEN, "--text", "Sealed by Größe\\nZürich", "--image", str(logo))
    assert said.startswith("2 sealed; ")
    assert sealing.all_sealed()
    for name in ("a.pdf", "sub/b.pdf"):
        sealed = (sealing.sealed / name).read_bytes()
        assert is_within(visible_change(pdf(), sealed, sealing.folder), BOX)


@pytest.mark.parametrize("how", [(), ("--function", SEAL)], ids=["here", "function"])
def test_a_seal_in_s3_is_seen_whoever_makes_it(
    sealing: SealFixture, prefix: Callable[[str], str], how: tuple[str, ...]
) -> None:
    """The function gets the same options as a sealer in this process."""
    texts = ("--reason", "Checked", "--location", "Bern", "--contact", "Quality")
    sealing.run(
        *(prefix(SOURCE_BUCKET), prefix(DESTINATION_BUCKET), *how, *SEEN, "--text", "Checked"),
        *(*texts, "--field", "Approval", "--certify", "annotations", "--timestamp"),
    )
    root = sealing.operator.deployment.trust_root.read_bytes()
    for sealed in objects(sealing).values():
        (report,) = verify(sealed, root)
        assert (report.problem, report.allows) == (None, Certification.ANNOTATIONS)
        assert report.timestamp is not None
        assert is_within(visible_change(pdf(), sealed, sealing.folder), BOX)
        for text in (b"(Checked)", b"(Bern)", b"(Quality)", b"(Approval)"):
            assert text in sealed


def test_a_damaged_document_is_repaired_where_it_may_be(sealing: SealFixture) -> None:
    """It is reported as damaged; with `--repair` it is rewritten, and the line says so."""
    sealing.put("a.pdf", content=pdf().replace(b"%PDF-", b"%QDF-"))
    refused, _ = sealing.lines(code=1)
    assert refused["code"] == "damaged_pdf"
    repaired, _ = sealing.lines("--repair")
    assert (repaired["status"], repaired["repaired"]) == ("sealed", True)
    sealing.put("b.pdf")
    said = sealing.seal("--repair", "--overwrite")
    assert f"repaired     {sealing.source}/a.pdf as {sealing.sealed}/a.pdf" in said
    assert "was rewritten before it was sealed" in said
    assert f"{sealing.source}/b.pdf" not in said


def test_what_is_unusual_about_a_document_is_said(sealing: SealFixture) -> None:
    """A notice is a member of the line of JSON, and a line under the document's for people."""
    rights = b"<< /Type /Catalog /Pages 2 0 R /Perms << /UR3 6 0 R >> >>"
    sealing.put("a.pdf", content=pdf({1: rights, 6: b"<< /Type /Sig >>"}))
    sealing.put("b.pdf")
    lines = {Path(line["source"]).name: line for line in sealing.lines()[:-1]}
    assert [notice["code"] for notice in lines["a.pdf"]["notices"]] == ["usage_rights"]
    assert lines["b.pdf"]["notices"] == []
    (sealing.sealed / "a.pdf").unlink()
    said = sealing.seal()
    assert f"sealed       {sealing.source}/a.pdf" in said
    assert said.count("usage_rights: The document grants usage rights") == 1


def test_a_seal_that_cannot_be_made_is_refused_before_anything_is_looked_at(
    sealing: SealFixture,
) -> None:
    """The command ends with exit code 2 and names the option, also with `--dry-run` or no key."""
    picture = sealing.folder / "notes.txt"
    picture.write_text("no picture")
    bought, nowhere = sealing.signatures_bought(), ("not/there", str(sealing.sealed))
    for arguments, told in (
        (("--text", "x"), "--page -1 --box 36,36,236,84"),
        (("--page", "1", "--text", "x"), "needs a place"),
        (("--box", "1,2,3,4", "--text", "x", "--field", "A"), "needs a place"),
        (SEEN, "--every-page: needs something to show: text, an image, or both."),
        (
            ("--page", "0", "--box", "1,2,3,4", "--text", "x"),
            "--page: must be the number of a page",
        ),
        (("--page", "1", "--box", "3,2,1,4", "--text", "x"), "--box: must be four numbers"),
        (("--page", "1", "--box", "1,2,3", "--text", "x"), "1,2,3 is not left,bottom,right,top"),
        (("--page", "1", "--box", "a,b,c,d", "--text", "x"), "a,b,c,d is not left,bottom"),
        ((*SEEN, "--text", "\\n"), "--text: must be plain text"),
        ((*SEEN, "--image", str(picture)), "--image: must be a PNG or JPEG file"),
        ((*SEEN, "--image", "not/there.png"), "not/there.png cannot be read: No such file"),
        ((*SEEN, "--text", "中"), "--text: the character U+4E2D cannot be drawn"),
        ((*SEEN, "--text", "x" * 400), "--text: does not fit into its box"),
        (("--field", "two\nlines"), "--field: must be the name"),
        (("--certify", "everything"), "no-changes"),
    ):
        for more in ((), ("--dry-run",)):
            done = CliRunner().invoke(rotation, ["seal", *nowhere, *arguments, *more], env={})
            assert (done.exit_code, told in " ".join(done.output.split())) == (2, True), arguments
    assert sealing.signatures_bought() == bought


def test_what_a_document_does_not_allow_is_told_in_the_words_of_the_command_line(
    sealing: SealFixture,
) -> None:
    """A missing page is reported with the option as it was typed; the others are sealed."""
    sealing.put("a.pdf")
    failed, _ = sealing.lines("--page", "7", "--box", "1,1,50,50", "--text", "x", code=1)
    assert failed["code"] == "invalid_request"
    assert failed["message"].startswith("--page: is 7, and the document has only 1 page")
    assert "--page: is 7" in sealing.seal(
        *("--page", "7", "--box", "1,1,50,50", "--text", "x"), code=1
    )
