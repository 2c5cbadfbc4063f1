"""The main job from end to end, told moment by moment.

A key is stored, a document sealed, the key rotated by Secrets Manager through the real functions,
another document sealed with the new key and one with the old, and everything verified.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from rotation.sandbox.aws.rotations import RotationOutcome
from rotation.sandbox.aws.versions import AWSCURRENT, AWSPREVIOUS
from rotation.sandbox.deployment import (
    DESTINATION_BUCKET,
    GRACE,
    ROTATE,
    SEAL,
    SECRET,
    SOURCE_BUCKET,
    Deployment,
)
from rotation.sealing.verify import verify

DOCUMENT: Final = "inspection.pdf"


@dataclass(frozen=True)
class Moment:
    """One line of the story.

    Attributes:
        at: since the beginning.
        who: who acted.
        what: what was done, and to which key.
        took: how long it took, where that is of interest.
    """

    at: timedelta
    who: str
    what: str
    took: timedelta | None = None


class DemoFailedError(Exception):
    """The demo did not come to its end.

    Attributes:
        log: the log that knows more.
    """

    def __init__(self, cause: str, log: Path) -> None:
        super().__init__(cause)
        self.log = log


@dataclass
class DemoResult:
    """What the demo showed; `as_json` is what ``rotation demo --json`` prints."""

    old_key_id: str
    new_key_id: str = ""
    steps: Mapping[str, float] = field(default_factory=dict)
    seals_attempted: int = 0
    seals_failed: int = 0
    sealed_pdf: Path = Path()
    trust_root: Path = Path()

    def as_json(self) -> dict[str, Any]:
        """The result as a JSON object; step durations in milliseconds."""
        return {
            "rotated": bool(self.new_key_id) and self.new_key_id != self.old_key_id,
            "oldKeyId": self.old_key_id,
            "newKeyId": self.new_key_id,
            "steps": dict(self.steps),
            "seals": {"attempted": self.seals_attempted, "failed": self.seals_failed},
            "sealedPdf": str(self.sealed_pdf),
            "trustRoot": str(self.trust_root),
        }


class Demo:
    """One run of the demo.

    Args:
        folder: where the documents, the trust root and the logs go.
        tell: called with each moment as it happens.
        deploy: makes the deployment that is shown.
    """

    def __init__(
        self,
        folder: Path,
        tell: Callable[[Moment], None],
        deploy: Callable[[Path], Deployment] = Deployment,
    ) -> None:
        self._folder = folder
        self._tell = tell
        self._deploy = deploy
        self._begun = time.monotonic()
        self._sealed: list[Path] = []

    def run(self) -> DemoResult:
        """Tell the whole story.

        Raises:
            DemoFailedError: something did not go as it must.
        """
        try:
            return self._run()
        except DemoFailedError:
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise DemoFailedError(cause, self._folder.resolve() / "logs") from error

    def _run(self) -> DemoResult:
        before = self._now()
        with self._deploy(self._folder) as deployment:
            self._deployment = deployment
            self._moment("sandbox", "the vendor, AWS and both functions are up", since=before)
            key = deployment.store_first_key()
            self._result = DemoResult(old_key_id=key.id, trust_root=deployment.trust_root)
            self._moment(
                "operator",
                f"put key {short(key.id)} in {SECRET}; expires {key.expires_at:%Y-%m-%d}",
            )
            before = self._now()
            deployment.turn_on_rotation()
            self._moment(
                "operator", "turned on rotation, every 30 days; it was tested", since=before
            )
            source = files("rotation.sandbox") / "documents" / DOCUMENT
            deployment.cloud.client("s3").put_object(
                Bucket=SOURCE_BUCKET, Key=DOCUMENT, Body=source.read_bytes()
            )
            self._seal("sealed-with-old-key.pdf", AWSCURRENT)
            self._rotate()
            self._result.sealed_pdf = self._seal("sealed-with-new-key.pdf", AWSCURRENT)
            until = datetime.now(UTC) + GRACE
            remark = f"; alive until {until:%H:%M} UTC at least"
            self._seal("sealed-in-grace.pdf", AWSPREVIOUS, remark)
            self._verify()
            self._flip_one_byte()
        return self._result

    def _rotate(self) -> None:
        deployment = self._deployment
        before = self._now()
        answer = deployment.cloud.client("secretsmanager").rotate_secret(SecretId=SECRET)
        self._moment(
            "operator", f"aws secretsmanager rotate-secret --secret-id {SECRET}", since=before
        )
        outcome = deployment.cloud.wait_for_rotation(SECRET, answer["VersionId"])
        if not outcome.succeeded:
            raise self._failed(f"The rotation failed: {outcome.error}", ROTATE)
        self._result.new_key_id = self._current_key_id()
        self._tell_steps(outcome)

    def _tell_steps(self, outcome: RotationOutcome) -> None:
        new, old = short(self._result.new_key_id), short(self._result.old_key_id)
        story = {
            "createSecret": f"issued key {new} and staged it as AWSPENDING",
            "setSecret": f"key {new} is active and outlives its rotation",
            "testSecret": f"key {new} signed a test seal; signer and chain are the vendor's",
            "finishSecret": f"key {new} is AWSCURRENT, key {old} is AWSPREVIOUS",
        }
        for run in outcome.steps:
            ended = run.started + run.duration - self._wall_clock_of_the_beginning()
            self._tell(Moment(ended, run.step, story[run.step], run.duration))
        self._result.steps = {
            run.step: round(run.duration / timedelta(milliseconds=1), 1) for run in outcome.steps
        }

    def _seal(self, name: str, stage: str, remark: str = "") -> Path:
        deployment = self._deployment
        before = self._now()
        self._result.seals_attempted += 1
        answer = deployment.seal(DOCUMENT, name, stage=stage)
        if answer.get("status") != "sealed":
            self._result.seals_failed += 1
            reason = answer.get("error", answer)
            raise self._failed(f"Sealing {name} failed: {reason}", SEAL)
        stored = deployment.cloud.client("s3").get_object(Bucket=DESTINATION_BUCKET, Key=name)
        path = deployment.folder / name
        path.write_bytes(stored["Body"].read())
        self._sealed.append(path)
        which = "old" if answer["keyId"] == self._result.old_key_id else "new"
        self._moment(
            "sealing function",
            f"sealed a PDF with the {which} key {short(answer['keyId'])}{remark}",
            since=before,
        )
        return path

    def _verify(self) -> None:
        before = self._now()
        anchors = self._deployment.trust_root.read_bytes()
        for path in self._sealed:
            (report,) = verify(path.read_bytes(), anchors)
            if not (report.intact and report.trusted and report.covers_whole_file):
                raise self._failed(f"The seal of {path} is not valid: {report.problem}", SEAL)
        self._moment(
            "verifier",
            f"{len(self._sealed)} seals: intact, trusted, covering the whole file",
            since=before,
        )

    def _flip_one_byte(self) -> None:
        before = self._now()
        changed = bytearray(self._result.sealed_pdf.read_bytes())
        changed[_content_of_a_page(changed)] ^= 1
        (report,) = verify(bytes(changed), self._deployment.trust_root.read_bytes())
        if report.intact:
            raise self._failed("A changed document was taken for an intact one.", SEAL)
        self._moment("verifier", "flip one byte: rejected", since=before)

    def _current_key_id(self) -> str:
        return self._deployment.key_id(AWSCURRENT)

    def _failed(self, cause: str, function: str) -> DemoFailedError:
        return DemoFailedError(cause, self._deployment.logs / f"{function}.log")

    def _now(self) -> float:
        return time.monotonic()

    def _wall_clock_of_the_beginning(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=time.monotonic() - self._begun)

    def _moment(self, who: str, what: str, *, since: float | None = None) -> None:
        now = time.monotonic()
        took = None if since is None else timedelta(seconds=now - since)
        self._tell(Moment(timedelta(seconds=now - self._begun), who, what, took))


def _content_of_a_page(document: bytes | bytearray) -> int:
    """The position of a byte that a reader would see changed."""
    return document.index(b"stream") + 20


def short(key_id: str) -> str:
    """The beginning of a key id, enough to tell two keys apart."""
    return key_id[:8]
