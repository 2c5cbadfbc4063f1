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
from rotation.sandbox.vendor import Fault, Outage, PortalKey
from rotation.sealing.request import Certification
from rotation.sealing.verify import verify
from tests.cli.operating import Operator
from tests.privacy.canary import Canary
from tests.sealing.images import image, saved
from tests.sealing.pdf_tools import is_within, visible_change
from tests.sealing.pdfs import encrypted, large, pdf

pytestmark = pytest.mark.slow


@dataclass
class Desk:
    """A person with two folders, who types commands; everything that is printed is kept."""

    operator: Operator
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

    def types(self, *arguments: str, code: int = 0) -> str:
        said = self.operator.types("seal", *arguments, code=code)
        self.printed.append(said)
        return said

    def seals(self, *more: str, code: int = 0) -> str:
        """Seal the one folder into the other."""
        return self.types(str(self.source), str(self.sealed), *more, code=code)

    def lines(self, *more: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.seals("--json", *more, code=code).splitlines()]

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        said, complained = process.communicate(timeout=60)
        self.printed.append(said + complained)
        return process.returncode, said + complained

    def new_key(self) -> PortalKey:
        key = self.operator.deployment.store_first_key()
        self.canary.plant(key.material, "the key")
        return key

    def bought(self) -> int:
        return int(sum(self.vendor.signatures.values()))

    def good(self, name: str) -> bool:
        """Whether the sealed file is its source and one trusted seal over all."""
        content = (self.sealed / name).read_bytes()
        root = self.operator.deployment.trust_root.read_bytes()
        (report,) = verify(content, root)
        source = (self.source / name).read_bytes()
        return content.startswith(source) and report.covers_whole_file and not report.problem

    def all_good(self) -> bool:
        names = [str(path.relative_to(self.source)) for path in self.source.rglob("*.pdf")]
        return bool(names) and all(self.good(name) for name in names) and not self.left_behind()

    def left_behind(self) -> list[Path]:
        return [path for path in self.sealed.rglob("*") if path.suffix == ".unfinished"]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A vendor, a secret without a key, buckets and the sealing function."""
    folder = tmp_path_factory.mktemp("deployment")
    with Deployment(folder, retries=RetryPolicy(())) as running:
        running.vendor.keys.quota = 100
        yield running


@pytest.fixture
def desk(deployment: Deployment, tmp_path: Path) -> Iterator[Desk]:
    """A key in the secret, two folders; at the end nothing that was printed or written holds it."""
    desk = Desk(Operator(deployment, trusting=True), tmp_path, Canary())
    desk.new_key()
    desk.source.mkdir()
    yield desk
    deployment.vendor.faults.clear()
    deployment.vendor.faults.release()
    assert desk.canary.find("\n".join(desk.printed).encode()) is None
    assert desk.canary.findings(tmp_path) == []


def statuses(lines: list[dict[str, Any]]) -> Counter[str]:
    return Counter(line["status"] for line in lines if line["status"] != "summary")


def test_a_folder_is_sealed_with_all_its_subfolders(desk: Desk) -> None:
    """Each PDF in its place; other files are passed over; what is asked for is in the seal."""
    desk.put("a.pdf", "sub/b.pdf", "sub/deeper/c.pdf")
    desk.put("notes.txt", content=b"not a PDF, and not named one")
    said = desk.seals(
        *("--reason", "Final inspection"), "--timestamp", *("--certify", "form-filling")
    )
    assert said.startswith("3 sealed; ")
    assert desk.all_good()
    assert not (desk.sealed / "notes.txt").exists()
    content = (desk.sealed / "a.pdf").read_bytes()
    assert b"Final inspection" in content
    (report,) = verify(content, desk.operator.deployment.trust_root.read_bytes())
    assert report.allows is Certification.FORM_FILLING
    assert report.timestamp is not None
    assert report.timestamp.proven


def test_bad_files_do_not_hold_up_the_good_ones(desk: Desk) -> None:
    """Each is named at the end with its code; machines get a line for each, and a summary."""
    desk.put("a.pdf", "b.pdf")
    desk.put("cut.pdf", content=pdf()[:200])
    desk.put("locked.pdf", content=encrypted(user_password="x"))
    desk.put("empty.pdf", content=b"no PDF at all")
    said = desk.seals(code=1)
    for name, code in (
        ("cut", "damaged_pdf"),
        ("locked", "encrypted_pdf"),
        ("empty", "unsupported_pdf"),
    ):
        assert f"not sealed   {desk.source / name}.pdf\n             {code}: " in said
    assert "2 sealed, 3 not sealed" in said
    assert sorted(path.name for path in desk.sealed.iterdir()) == ["a.pdf", "b.pdf"]
    lines = desk.lines(code=1)
    assert statuses(lines) == {"skipped": 2, "error": 3}
    assert {line["code"] for line in lines if line["status"] == "error"} == {
        *("damaged_pdf", "encrypted_pdf", "unsupported_pdf")
    }
    summary = lines[-1]
    assert (summary["status"], summary["skipped"], summary["error"]) == ("summary", 2, 3)


def test_run_again_it_buys_nothing(desk: Desk) -> None:
    """What is sealed is known by its content; one more file is one more signature."""
    desk.put("a.pdf", "b.pdf")
    [first, *_] = desk.lines()
    assert first["keyId"] in desk.vendor.signatures
    bought = desk.bought()
    assert "2 sealed before" in desk.seals()
    assert desk.bought() == bought
    desk.put("c.pdf")
    assert statuses(desk.lines()) == {"skipped": 2, "sealed": 1}
    assert desk.bought() == bought + 1


def test_what_is_something_else_is_left_alone(desk: Desk) -> None:
    """A stranger's file, a copy of the source, a seal of what the source was before."""
    desk.put("copy.pdf", "new.pdf", "mine.pdf", "sealed.pdf")
    desk.seals()
    (desk.sealed / "copy.pdf").write_bytes((desk.source / "copy.pdf").read_bytes())
    (desk.sealed / "mine.pdf").write_bytes(b"mine")
    desk.put("new.pdf", content=pdf(ending=b"\r\n"))
    before = {path: path.read_bytes() for path in desk.sealed.iterdir()}
    said = desk.seals(code=1)
    assert said.count("--overwrite replaces it") == 3
    assert "1 sealed before, 3 not sealed" in said
    assert {path: path.read_bytes() for path in desk.sealed.iterdir()} == before
    assert statuses(desk.lines("--overwrite")) == {"sealed": 3, "skipped": 1}
    assert desk.all_good()


def test_a_dry_run_only_says_what_it_would_do(desk: Desk) -> None:
    """It needs no key, buys nothing and writes nothing."""
    desk.put("a.pdf", "sub/b.pdf")
    bought = desk.bought()
    said = desk.seals("--dry-run", "--secret", "no-such-secret")
    assert f"would seal   {desk.source}/a.pdf as {desk.sealed}/a.pdf" in said
    assert "2 would be sealed" in said
    assert not desk.sealed.exists()
    assert desk.bought() == bought
    desk.seals()
    assert statuses(desk.lines("--dry-run")) == {"skipped": 2}


def test_one_file_goes_where_it_is_said_to_go(desk: Desk) -> None:
    """Into a folder, or under another name."""
    desk.put("a.pdf")
    desk.types(str(desk.source / "a.pdf"), f"{desk.sealed}/")
    assert desk.all_good()
    desk.types(str(desk.source / "a.pdf"), str(desk.sealed / "other" / "name.pdf"))
    assert (desk.sealed / "other" / "name.pdf").is_file()
    assert "1 sealed before" in desk.types(str(desk.source / "a.pdf"), str(desk.sealed))


def test_killed_in_the_middle_it_goes_on_when_it_is_run_again(desk: Desk) -> None:
    """SIGKILL while the vendor signs: no half of a file under its name, and in the end all."""
    desk.put("a.pdf")
    desk.seals()
    desk.put("b.pdf", "c.pdf", content=large(2 * 1024**2))
    desk.put("d.pdf")
    desk.vendor.faults.next("sign", Fault.HANG)
    process = desk.start("--jobs", "1")
    assert desk.vendor.faults.wait_until_holding()
    process.send_signal(signal.SIGKILL)
    desk.ended(process)
    assert len(desk.left_behind()) == 1
    assert [path.name for path in desk.sealed.glob("*.pdf")] == ["a.pdf"]
    desk.vendor.faults.release()
    assert statuses(desk.lines()) == {"skipped": 1, "sealed": 3}
    assert desk.all_good()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_finishes_what_is_under_way(desk: Desk, number: signal.Signals) -> None:
    """The document that the vendor signs is sealed, no other is begun, and the exit code is 130."""
    desk.put("a.pdf", "b.pdf", "c.pdf")
    desk.vendor.faults.next("sign", Fault.HANG)
    process = desk.start("--jobs", "1")
    assert desk.vendor.faults.wait_until_holding()
    process.send_signal(number)
    assert process.stderr is not None
    assert "Finishing what is under way" in process.stderr.readline() + process.stderr.readline()
    desk.vendor.faults.release()
    code, said = desk.ended(process)
    assert code == 130
    assert "1 sealed, 2 not begun" in said
    assert "Traceback" not in said
    assert [path.name for path in desk.sealed.iterdir()] == ["a.pdf"]
    assert statuses(desk.lines()) == {"skipped": 1, "sealed": 2}
    assert desk.all_good()


def test_a_second_interrupt_ends_at_once(desk: Desk) -> None:
    """The vendor hangs, and nobody waits for it; nothing stands under a file's name."""
    desk.put("a.pdf", "b.pdf")
    desk.vendor.faults.next("sign", Fault.HANG)
    process = desk.start("--jobs", "1")
    assert desk.vendor.faults.wait_until_holding()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "once more ends at once" in process.stderr.readline() + process.stderr.readline()
    process.send_signal(signal.SIGINT)
    code, _ = desk.ended(process)
    assert code == 130
    assert [path.suffix for path in desk.sealed.iterdir()] == [".unfinished"]
    desk.vendor.faults.release()
    desk.seals()
    assert desk.all_good()


def test_a_key_that_is_rejected_in_the_middle_is_fetched_anew(desk: Desk) -> None:
    """Rotated and revoked while documents are being sealed: none of them fails."""
    desk.put("a.pdf", "b.pdf", "c.pdf")
    old = desk.operator.deployment.key_id("AWSCURRENT")
    desk.vendor.faults.next("sign", Fault.HANG)
    process = desk.start("--jobs", "1", "--json")
    assert desk.vendor.faults.wait_until_holding()
    new = desk.new_key()
    assert desk.vendor.keys.revoke(old)
    desk.vendor.faults.release()
    code, said = desk.ended(process)
    assert code == 0, said
    keys = [json.loads(line).get("keyId") for line in said.splitlines()]
    assert keys == [old, new.id, new.id, None]
    assert desk.all_good()


def test_trouble_at_the_vendor_that_passes_is_not_noticed(desk: Desk) -> None:
    """A few errors, a lost answer, a throttled call: every document is sealed."""
    desk.put("a.pdf", "b.pdf", "c.pdf")
    for fault in (Fault.UNAVAILABLE, Fault.LOSE_REPLY, Fault.THROTTLED, Fault.SERVER_ERROR):
        desk.vendor.faults.next("sign", fault)
    assert statuses(desk.lines()) == {"sealed": 3}
    assert desk.all_good()


def test_an_outage_ends_the_run_and_another_run_goes_on(desk: Desk) -> None:
    """After five failures in a row that are no document's own, the rest is not even begun."""
    names = [f"{number:02}.pdf" for number in range(12)]
    desk.put(*names)
    desk.vendor.faults.next("sign", Fault.HANG)
    process = desk.start("--jobs", "3", "--json")
    assert desk.vendor.faults.wait_until_holding()
    desk.vendor.outage = Outage.REFUSED
    desk.vendor.faults.release()
    code, said = desk.ended(process)
    desk.vendor.outage = None
    lines = [json.loads(line) for line in said.splitlines()]
    assert code == 1
    assert lines[-1]["notBegun"] > 0
    failed = [line for line in lines if line["status"] == "error"]
    assert len(failed) >= 5
    assert {line["code"] for line in failed} == {"vendor_unavailable"}
    desk.lines()
    assert desk.all_good()


def test_a_secret_without_a_key_is_told_once(desk: Desk) -> None:
    """Not for each document; and which right or name to look at."""
    desk.put("a.pdf", "b.pdf")
    said = desk.seals("--secret", "no-such-secret", code=1)
    assert said.count("ResourceNotFoundException") == 1
    assert not desk.sealed.exists()


def test_more_than_a_hundred_documents_print_nothing_in_between(desk: Desk) -> None:
    """The functions' metrics are printed by the hundred; here they are not counted."""
    desk.put(*(f"{number}.pdf" for number in range(103)))
    lines = desk.lines("--jobs", "8")
    assert len(lines) == 104
    assert statuses(lines) == {"sealed": 103}


def test_a_wrong_command_line_is_told_as_such(desk: Desk) -> None:
    """What cannot be sealed from here to there: exit code 2, and nothing was bought."""
    desk.put("a.pdf")
    bought, source = desk.bought(), str(desk.source)
    environment = desk.operator.deployment.environment()
    for arguments, told in (
        ((source, "s3://sealed-documents/x"), "both on this machine, or both in S3"),
        (("s3://documents/x", source), "both on this machine, or both in S3"),
        ((source, f"{source}/sealed"), "lies in"),
        ((source, f"{source}/a.pdf"), "is a file"),
        (("nowhere", source), "no file or folder"),
        (("s3:///a.pdf", "s3://sealed-documents/x"), "names no bucket"),
        (("s3://documents/x", "s3://documents/x/y"), "lies in the source"),
        ((source, str(desk.sealed), "--function", SEAL), "--function is for S3"),
        ((source, str(desk.sealed), "--reason", "two\nlines"), "--reason: must be plain text"),
        ((source, str(desk.sealed), "--jobs", "0"), "--jobs"),
    ):
        done = CliRunner().invoke(rotation, ["seal", *arguments], env=environment)
        assert (done.exit_code, told in " ".join(done.output.split())) == (2, True), arguments
    assert desk.bought() == bought


def test_no_source_is_ever_replaced(desk: Desk) -> None:
    """A file onto itself; a folder into its parent, where a seal would get a source's name."""
    desk.put("a.pdf", "in/b.pdf")
    bought, source, parent = desk.bought(), desk.source, desk.folder
    for arguments, told in (
        ((f"{source}/a.pdf", f"{source}/a.pdf"), "is the source itself"),
        ((f"{source}/a.pdf", str(source)), "is the source itself"),
        ((str(source), str(parent)), "lies in"),
    ):
        for more in ((), ("--overwrite",), ("--dry-run",)):
            said = desk.types(*arguments, *more, code=2)
            assert told in " ".join(said.split()), arguments
    assert desk.bought() == bought
    assert (source / "a.pdf").read_bytes() == (source / "in" / "b.pdf").read_bytes() == pdf()
    desk.types(f"{source}/a.pdf", f"{source}/a-sealed.pdf")


def test_no_source_in_s3_is_ever_replaced(desk: Desk) -> None:
    """The same with prefixes: the parent of one may not get what would lie in it again."""
    s3 = desk.operator.deployment.cloud.client("s3")
    own = desk.folder.name
    for key in (f"{own}/in/a.pdf", f"{own}/in/in/a.pdf"):
        s3.put_object(Bucket=SOURCE_BUCKET, Key=key, Body=pdf())
    place = f"s3://{SOURCE_BUCKET}/{own}"
    for arguments, told in (
        ((f"{place}/in", place), "lies in the source"),
        ((f"{place}/in/a.pdf", f"{place}/in/"), "is the source itself"),
    ):
        said = desk.types(*arguments, "--overwrite", code=2)
        assert told in " ".join(said.split()), arguments
    held = s3.get_object(Bucket=SOURCE_BUCKET, Key=f"{own}/in/a.pdf")["Body"].read()
    assert held == pdf()


def test_of_one_document_its_place_is_told(desk: Desk) -> None:
    """Sealed now, or sealed before; of many, only how many there were."""
    desk.put("a.pdf")
    place = f"{desk.source}/a.pdf as {desk.sealed}/a.pdf\n"
    desk.sealed.mkdir()
    for word, told in (("sealed", "1 sealed; "), ("before", "1 sealed before; ")):
        line, summary = desk.types(f"{desk.source}/a.pdf", str(desk.sealed)).splitlines(True)
        assert line == f"{word:<13}{place}"
        assert summary.startswith(told)


def test_an_interrupt_before_anything_is_under_way_has_its_exit_code(desk: Desk) -> None:
    """While documents are looked for, or only planned."""
    desk.put("a.pdf")
    os.mkfifo(desk.folder / "a.pdf")
    process = desk.operator.start("seal", f"{desk.source}/a.pdf", str(desk.folder), "--dry-run")
    with (desk.folder / "a.pdf").open("wb"):
        # The command has opened the other end, to see whether this is a seal: now it waits.
        process.send_signal(signal.SIGINT)
        assert desk.ended(process) == (130, "Interrupted.\n")


def test_a_bucket_that_does_not_exist_costs_nothing(
    desk: Desk, prefix: Callable[[str], str]
) -> None:
    """It is told once, before a signature is bought."""
    bought = desk.bought()
    said = desk.types(prefix(SOURCE_BUCKET), "s3://not-there/sealed", code=1)
    assert said == "Error: There is no bucket not-there.\n"
    assert desk.bought() == bought


def test_a_name_that_no_document_may_have_is_told_as_such(desk: Desk) -> None:
    """Control characters steer no terminal, and bytes that are no text stop nothing."""
    desk.put("a.pdf", "b\x1b[31m.pdf", "c\n.pdf", os.fsdecode(b"d\xff.pdf"))
    for more in ((), ("--dry-run",)):
        said = desk.seals(*more, code=1)
        assert said.count("invalid_request: Rename it: ") == 3
        assert "\x1b" not in said
        assert "b\\x1b[31m.pdf" in said
    assert [path.name for path in desk.sealed.iterdir()] == ["a.pdf"]


def test_nothing_to_seal_is_no_failure(desk: Desk) -> None:
    """An empty folder, as a schedule meets it on a quiet day."""
    assert "nothing to seal" in desk.seals()


@pytest.fixture
def prefix(desk: Desk) -> Callable[[str], str]:
    """Names prefixes of the test's own in the two buckets, with three documents in the first."""
    s3 = desk.operator.deployment.cloud.client("s3")
    own = desk.folder.name
    for name in ("a.pdf", "sub/B.PDF", "c.pdf"):
        s3.put_object(Bucket=SOURCE_BUCKET, Key=f"{own}/{name}", Body=pdf())
    s3.put_object(Bucket=SOURCE_BUCKET, Key=f"{own}/notes.txt", Body=b"x")
    s3.put_object(Bucket=SOURCE_BUCKET, Key=f"{own}-other/a.pdf", Body=pdf())
    return lambda bucket: f"s3://{bucket}/{own}"


def objects(desk: Desk) -> dict[str, bytes]:
    s3 = desk.operator.deployment.cloud.client("s3")
    own = desk.folder.name
    listed = s3.list_objects_v2(Bucket=DESTINATION_BUCKET, Prefix=own).get("Contents", [])
    return {
        one["Key"].removeprefix(f"{own}/"): s3.get_object(
            Bucket=DESTINATION_BUCKET, Key=one["Key"]
        )["Body"].read()
        for one in listed
    }


@pytest.mark.parametrize("how", [(), ("--function", SEAL)], ids=["here", "function"])
def test_a_prefix_of_s3_is_sealed(
    desk: Desk, prefix: Callable[[str], str], how: tuple[str, ...]
) -> None:
    """Here or by the sealing function: the same keys, sealed; run again, nothing is bought."""
    places = prefix(SOURCE_BUCKET), prefix(DESTINATION_BUCKET)
    assert desk.types(*places, *how).startswith("3 sealed; ")
    sealed = objects(desk)
    assert sorted(sealed) == ["a.pdf", "c.pdf", "sub/B.PDF"]
    root = desk.operator.deployment.trust_root.read_bytes()
    for content in sealed.values():
        (report,) = verify(content, root)
        assert report.problem is None
    bought = desk.bought()
    assert "3 sealed before" in desk.types(*places, *how)
    assert desk.bought() == bought


def test_an_object_that_is_something_else_is_left_alone(
    desk: Desk, prefix: Callable[[str], str]
) -> None:
    """A source that was replaced since, and a stranger's object: --overwrite replaces both."""
    s3 = desk.operator.deployment.cloud.client("s3")
    places = prefix(SOURCE_BUCKET), prefix(DESTINATION_BUCKET)
    own = desk.folder.name
    desk.types(*places)
    s3.put_object(Bucket=SOURCE_BUCKET, Key=f"{own}/a.pdf", Body=pdf(ending=b"\r\n"))
    s3.put_object(Bucket=DESTINATION_BUCKET, Key=f"{own}/c.pdf", Body=b"a stranger's")
    said = desk.types(*places, code=1)
    assert "1 sealed before, 2 not sealed" in said
    assert objects(desk)["c.pdf"] == b"a stranger's"
    assert "2 sealed, 1 sealed before" in desk.types(*places, "--overwrite")
    assert objects(desk)["a.pdf"].startswith(pdf(ending=b"\r\n"))


def test_one_object_is_sealed_under_the_name_that_is_given(
    desk: Desk, prefix: Callable[[str], str]
) -> None:
    """An object of that very name is one document; a slash makes the destination a folder."""
    source, into = f"{prefix(SOURCE_BUCKET)}/a.pdf", prefix(DESTINATION_BUCKET)
    desk.types(source, f"{into}/other.pdf")
    desk.types(source, f"{into}/below/")
    assert sorted(objects(desk)) == ["below/a.pdf", "other.pdf"]


def test_bad_objects_and_refusals_are_told_with_their_codes(
    desk: Desk, prefix: Callable[[str], str]
) -> None:
    """A bad document among good ones; a bucket that is not there; a name that is no key."""
    s3 = desk.operator.deployment.cloud.client("s3")
    own = desk.folder.name
    s3.put_object(Bucket=SOURCE_BUCKET, Key=f"{own}/bad.pdf", Body=b"no PDF")
    said = desk.types(prefix(SOURCE_BUCKET), prefix(DESTINATION_BUCKET), code=1)
    assert "unsupported_pdf: " in said
    assert "3 sealed, 1 not sealed" in said
    said = desk.types("s3://no-such-bucket-anywhere/a", "s3://x/y", code=1)
    assert "cannot be listed (NoSuchBucket)" in said


def test_a_function_that_cannot_be_invoked_ends_the_run(
    desk: Desk, prefix: Callable[[str], str]
) -> None:
    """What is wrong with the function is told of each document that was begun."""
    places = prefix(SOURCE_BUCKET), prefix(DESTINATION_BUCKET)
    said = desk.types(*places, "--function", "no-such-function", code=1)
    assert "Check its name, its alias and the region." in said
    assert objects(desk) == {}


BOX = (20.0, 30.0, 140.0, 70.0)
SEEN = ("--page", "-1", "--box", "20,30,140,70")


def test_a_seal_is_seen_where_it_was_asked_for(desk: Desk) -> None:
    """In files: text of two lines and an image, in the box, on the last page."""
    desk.put("a.pdf", "sub/b.pdf")
    logo = desk.folder / "logo.png"
    logo.write_bytes(saved(image("RGBA")))
    said = desk.seals(*SEEN, "--text", "Sealed by Größe\\nZürich", "--image", str(logo))
    assert said.startswith("2 sealed; ")
    assert desk.all_good()
    for name in ("a.pdf", "sub/b.pdf"):
        sealed = (desk.sealed / name).read_bytes()
        assert is_within(visible_change(pdf(), sealed, desk.folder), BOX)


@pytest.mark.parametrize("how", [(), ("--function", SEAL)], ids=["here", "function"])
def test_a_seal_in_s3_is_seen_whoever_makes_it(
    desk: Desk, prefix: Callable[[str], str], how: tuple[str, ...]
) -> None:
    """What is asked for reaches the function as it reaches this process."""
    texts = ("--reason", "Checked", "--location", "Bern", "--contact", "Quality")
    desk.types(
        *(prefix(SOURCE_BUCKET), prefix(DESTINATION_BUCKET), *how, *SEEN, "--text", "Checked"),
        *(*texts, "--field", "Approval", "--certify", "annotations", "--timestamp"),
    )
    root = desk.operator.deployment.trust_root.read_bytes()
    for sealed in objects(desk).values():
        (report,) = verify(sealed, root)
        assert (report.problem, report.allows) == (None, Certification.ANNOTATIONS)
        assert report.timestamp is not None
        assert is_within(visible_change(pdf(), sealed, desk.folder), BOX)
        for text in (b"(Checked)", b"(Bern)", b"(Quality)", b"(Approval)"):
            assert text in sealed


def test_a_damaged_document_is_repaired_where_it_may_be(desk: Desk) -> None:
    """Named as damaged first; with --repair it is rewritten and sealed, and the line says so."""
    desk.put("a.pdf", content=pdf().replace(b"%PDF-", b"%QDF-"))
    refused, _ = desk.lines(code=1)
    assert refused["code"] == "damaged_pdf"
    repaired, _ = desk.lines("--repair")
    assert (repaired["status"], repaired["repaired"]) == ("sealed", True)
    desk.put("b.pdf")
    said = desk.seals("--repair", "--overwrite")
    assert f"repaired     {desk.source}/a.pdf as {desk.sealed}/a.pdf" in said
    assert "was rewritten before it was sealed" in said
    assert f"{desk.source}/b.pdf" not in said


def test_a_seal_that_cannot_be_made_is_refused_before_anything_is_looked_at(desk: Desk) -> None:
    """Exit code 2, in the words of the command line, with or without --dry-run or a key."""
    picture = desk.folder / "notes.txt"
    picture.write_text("no picture")
    bought, nowhere = desk.bought(), ("not/there", str(desk.sealed))
    for arguments, told in (
        (("--text", "x"), "--page -1 --box 36,36,236,84"),
        (("--page", "1", "--text", "x"), "needs a place"),
        (("--box", "1,2,3,4", "--text", "x", "--field", "A"), "needs a place"),
        (SEEN, "--page, --box, --text, --image: needs something to show: text, an image, or both."),
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
    assert desk.bought() == bought


def test_what_a_document_does_not_allow_is_told_in_the_words_of_the_command_line(
    desk: Desk,
) -> None:
    """A page that it does not have: the option is named as it was typed, the others are sealed."""
    desk.put("a.pdf")
    failed, _ = desk.lines("--page", "7", "--box", "1,1,50,50", "--text", "x", code=1)
    assert failed["code"] == "invalid_request"
    assert failed["message"].startswith("--page: is 7, and the document has only 1 page")
    assert "--page: is 7" in desk.seals(
        *("--page", "7", "--box", "1,1,50,50", "--text", "x"), code=1
    )
