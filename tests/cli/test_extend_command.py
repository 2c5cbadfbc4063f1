"""``rotation extend``: files that are sealed already are raised, in place or into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rotation.cli.commands import rotation
from rotation.sandbox.vendor import Pki, Trouble, ValidationService, ValidationServices
from rotation.sandbox.vendor.cms import sign
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from rotation.sealing.verify import examine
from tests.cli.json_answers import answers_of
from tests.sealing.conftest import now
from tests.sealing.pdfs import pdf

pytestmark = pytest.mark.slow


@dataclass
class ExtendFixture:
    """A folder with sealed files, and the services of their certificates."""

    folder: Path
    services: ValidationServices
    environment: dict[str, str]

    def sealed(self, name: str, *, timestamp: bool = True) -> Path:
        """A file that the vendor's key has sealed, at B-T or B-B."""
        pki = self.services.pki
        prepared = prepare(BytesIO(pdf()), SealOptions(timestamp=True), now())
        cms = sign(prepared.digest, pki.signer, timestamp=(pki.tsa, now()) if timestamp else None)
        path = self.folder / name
        path.write_bytes(prepared.embed(cms))
        return path

    def run(self, *arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(
            rotation, ["extend", *map(str, arguments)], env=self.environment
        )
        assert result.exit_code == code, result.output
        return result

    def lines(self, *arguments: object, code: int = 0) -> list[dict[str, Any]]:
        return answers_of("extend", self.run(*arguments, "--json", code=code).stdout)


@pytest.fixture
def fixture(tmp_path: Path, pki: Pki) -> Iterator[ExtendFixture]:
    with ValidationServices(pki, clock=now) as services:
        anchors = tmp_path / "root.pem"
        anchors.write_bytes(services.pki.root_pem)
        yield ExtendFixture(
            tmp_path,
            services,
            {
                "SIGNER_TRUST_ANCHORS": str(anchors),
                "VALIDATION_HOSTS": services.host,
                "TSA_URL": services.tsa_url,
                "VALIDATION_SECONDS": "60",
            },
        )


def test_a_file_is_raised_in_place_and_left_alone_the_next_time(fixture: ExtendFixture) -> None:
    """The file grows at its end, its seal stays valid, and a second run has nothing to do."""
    path = fixture.sealed("a.pdf")
    before = path.read_bytes()
    path.chmod(0o640)
    [line] = fixture.lines(path)
    assert (line["status"], line["before"], line["after"]) == ("raised", "B-T", "B-LTA")
    after = path.read_bytes()
    assert after.startswith(before)
    assert path.stat().st_mode & 0o777 == 0o640
    report = examine(BytesIO(after), fixture.services.pki.root_pem)
    assert [seal.problem for seal in report.seals] == [None]
    assert len(report.document_timestamps) == 1
    [line] = fixture.lines(path)
    assert (line["status"], line["before"]) == ("skipped", "B-LTA")
    assert path.read_bytes() == after
    assert sorted(one.name for one in fixture.folder.iterdir()) == ["a.pdf", "root.pem"]


def test_a_renewal_adds_a_timestamp(fixture: ExtendFixture) -> None:
    """Even when the signer was revoked meanwhile: what is proven needs no new answer."""
    path = fixture.sealed("a.pdf")
    fixture.run(path)
    fixture.services.revoke(fixture.services.pki.signer.certificate)
    [line] = fixture.lines("--renew", path)
    assert (line["status"], line["before"], line["after"]) == ("raised", "B-LTA", "B-LTA")
    report = examine(BytesIO(path.read_bytes()), fixture.services.pki.root_pem)
    assert len(report.document_timestamps) == 2


def test_a_seal_without_a_timestamp_gets_one_of_the_document(fixture: ExtendFixture) -> None:
    """B-B becomes B-T and B-LT by a document timestamp; the vendor is not asked."""
    path = fixture.sealed("a.pdf", timestamp=False)
    [line] = fixture.lines("--level", "B-LT", path)
    assert (line["status"], line["before"], line["after"]) == ("raised", "B-B", "B-LT")
    [line] = fixture.lines("--level", "B-LT", path)
    assert line["status"] == "skipped"


def test_a_plan_asks_nobody_and_writes_nothing(fixture: ExtendFixture) -> None:
    """With --dry-run the level is found out offline."""
    path = fixture.sealed("a.pdf")
    before = path.read_bytes()
    [line] = fixture.lines("--dry-run", path)
    assert (line["status"], line["before"], line["after"]) == ("planned", "B-T", None)
    assert path.read_bytes() == before
    assert not fixture.services.requests


def test_one_file_that_fails_stops_no_other(fixture: ExtendFixture) -> None:
    """What is no PDF, bears no seal or is missing is told, and the rest goes into the folder."""
    good = fixture.sealed("good.pdf")
    bare, text = fixture.folder / "bare.pdf", fixture.folder / "text.pdf"
    bare.write_bytes(pdf())
    text.write_text("hello")
    files = (fixture.folder / "missing.pdf", bare, text, good)
    lines = fixture.lines("--to", fixture.folder / "out", *files, code=1)
    assert [line["status"] for line in lines] == ["error", "error", "error", "raised"]
    assert [line["code"] for line in lines] == [
        "source_not_found",
        "level",
        "unsupported_pdf",
        None,
    ]
    assert [one.name for one in (fixture.folder / "out").iterdir()] == ["good.pdf"]
    [line] = fixture.lines("--to", fixture.folder / "out", good, code=1)
    assert line["code"] == "destination"


def test_what_is_possible_is_written_unless_the_setting_demands_all(
    fixture: ExtendFixture,
) -> None:
    """Without the authority a file becomes B-LT, or stays as it is with LEVEL_ON_FAILURE=fail."""
    path = fixture.sealed("a.pdf")
    before = path.read_bytes()
    fixture.services.trouble[ValidationService.TSA] = Trouble.DOWN
    fixture.environment["LEVEL_ON_FAILURE"] = "fail"
    [line] = fixture.lines(path, code=1)
    assert (line["status"], line["code"]) == ("error", "level")
    assert path.read_bytes() == before
    del fixture.environment["LEVEL_ON_FAILURE"]
    [line] = fixture.lines(path, code=1)
    assert (line["status"], line["after"]) == ("lower", "B-LT")
    assert "503" in line["problem"]
