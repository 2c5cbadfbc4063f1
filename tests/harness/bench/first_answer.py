"""Cold starts as a caller feels them: from the start of a process to the first answer of real work.

The built artifacts run under AWS's runtime interface emulator, with Lambda's own boto3 beside them.
The rivals are built as ours are, do the same work with boto3 and requests alone, and take turns
with ours. Of each function the fastest of ten starts counts: a machine can only add to it.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sealing.verify import verify
from tests.artifacts.emulator import EmulatedFunction
from tests.artifacts.template import Template
from tests.artifacts.toolchain import (
    HOST,
    SCRIPTS,
    interface_emulator,
    lambda_runtime,
    package,
    sam_environment,
    succeed,
)
from tests.harness.bench.results import Figure
from tests.harness.bench.transfer import Office, open_office
from tests.rotation_fixture import FailsOnce, RotationFixture

FIGURES: Final = (
    Figure(
        "first_answer_rotate_over_boto3",
        "a first testSecret, against the same calls with boto3 and requests alone",
        1.15,
    ),
    Figure(
        "first_answer_seal_over_boto3",
        "a first sealed document of 50 KB, against the same",
        1.35,
    ),
    Figure("first_answer_rotate_ms", "milliseconds to the first testSecret"),
    Figure("first_answer_rotate_init_ms", "milliseconds of them that Lambda calls INIT"),
    Figure("first_answer_rotate_boto3_ms", "milliseconds of the rival"),
    Figure("first_answer_rotate_boto3_init_ms", "milliseconds of its INIT"),
    Figure("first_answer_seal_ms", "milliseconds to the first sealed document"),
    Figure("first_answer_seal_init_ms", "milliseconds of them that Lambda calls INIT"),
    Figure("first_answer_seal_boto3_ms", "milliseconds of the rival"),
    Figure("first_answer_seal_boto3_init_ms", "milliseconds of its INIT"),
)
STARTS: Final = 10
_RIVALS: Final = Path(__file__).with_name("rivals")
_init_report = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")


@dataclass
class Contender:
    """A function that is started again and again.

    Attributes:
        name: its figures' name.
        function: how it is run.
        event: what it is asked.
        judge: raises AssertionError unless the answer is of work that was done.
        answers: milliseconds from the start of its process to its answer.
        inits: milliseconds of INIT, as the emulator measures them.
    """

    name: str
    function: EmulatedFunction
    event: Mapping[str, Any]
    judge: Callable[[Any], None]
    answers: list[float] = field(default_factory=list)
    inits: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Start it, ask it once, end it. The emulator starts the process when it is asked."""
        self.function.log.write_bytes(b"")
        payload = json.dumps(self.event).encode()
        with self.function as running:
            begun = time.perf_counter()
            result = running.invoke(payload)
            self.answers.append(1000 * (time.perf_counter() - begun))
        assert not result.error, result.description()
        self.judge(json.loads(result.payload))
        [init] = _init_report.findall(self.function.log.read_text())
        self.inits.append(float(init))

    def figures(self) -> dict[str, float]:
        """The fastest of its starts."""
        return {
            f"first_answer_{self.name}_ms": round(min(self.answers)),
            f"first_answer_{self.name}_init_ms": round(min(self.inits)),
        }


@dataclass(frozen=True)
class Stage:
    """What every function needs: where artifacts are, and what runs them."""

    folder: Path
    runtime: Path
    emulator: Path

    @classmethod
    def build(cls, folder: Path) -> Stage:
        """Build our artifacts and the rivals'."""
        folder.mkdir()
        package(folder / "ours", HOST)
        _build_rivals(folder)
        runtime = lambda_runtime(folder / "runtime")
        return cls(folder, runtime, interface_emulator(sam_environment(folder / "sam")))

    def function(
        self, artifact: str, handler: str, environment: Mapping[str, str]
    ) -> EmulatedFunction:
        """A function of one of the artifacts."""
        return EmulatedFunction(
            artifact=self.folder / artifact,
            handler=handler,
            environment=environment,
            runtime=self.runtime,
            emulator=self.emulator,
            log=self.folder / "function.log",
            name="rotate",
        )


def measured() -> dict[str, float]:
    """Every figure of first answers."""
    with open_office(documents=("50kb",)) as office, _secret(office) as rotation_fixture:
        stage = Stage.build(office.folder / "stage")
        contenders = [*_rotating(stage, office, rotation_fixture), *_sealing(stage, office)]
        for _ in range(STARTS):
            for contender in contenders:
                contender.start()
    figures: dict[str, float] = {}
    for contender in contenders:
        figures |= contender.figures()
    return figures | {
        f"first_answer_{name}_over_boto3": round(
            figures[f"first_answer_{name}_ms"] / figures[f"first_answer_{name}_boto3_ms"], 3
        )
        for name in ("rotate", "seal")
    }


@contextmanager
def _secret(office: Office) -> Iterator[RotationFixture]:
    """A secret in the middle of a rotation, with a pending key that the vendor accepts."""
    with Cloud(retries=RetryPolicy(delays=())) as cloud:
        cloud.add_function("rotate", FailsOnce())
        yield RotationFixture(cloud, office.vendor, office.pki)


def _rotating(
    stage: Stage, office: Office, rotation_fixture: RotationFixture
) -> Iterator[Contender]:
    token = rotation_fixture.stage()
    rotation_fixture.stage_key(token)
    event = {"Step": "testSecret", "SecretId": rotation_fixture.arn, "ClientRequestToken": token}
    environment = {
        **Template.read(KeyIssuer="admin-api", FurtherSecretArns=rotation_fixture.arn).environment(
            "RotationFunction"
        ),
        **office.environment(),
        **rotation_fixture.cloud.environment(),
        "ADMIN_API_URL": "",
    }
    for name, artifact, handler in (
        ("rotate", "ours/rotation", "rotation.handlers.rotate.handler"),
        ("rotate_boto3", "rivals", "rotate.handler"),
    ):
        yield Contender(name, stage.function(artifact, handler, environment), event, _is_silent)


def _sealing(stage: Stage, office: Office) -> Iterator[Contender]:
    environment = {
        **Template.read().environment("SealingFunction"),
        **office.environment(),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    event = office.event("50kb")

    def is_sealed(answer: Any) -> None:
        assert answer["status"] == "sealed", answer

    def is_sound(answer: Any) -> None:
        is_sealed(answer)
        [report] = verify(office.sealed("50kb"), office.pki.root_pem)
        assert report.problem is None, report.problem

    for name, artifact, handler, judge in (
        ("seal", "ours/sealing", "rotation.handlers.seal.handler", is_sound),
        ("seal_boto3", "rivals", "seal.handler", is_sealed),
    ):
        yield Contender(name, stage.function(artifact, handler, environment), event, judge)


def _is_silent(answer: Any) -> None:
    assert answer is None, answer


def _build_rivals(folder: Path) -> None:
    """The rivals' artifact: requests at its locked version, compiled as ours is."""
    locked, tree = folder / "rivals.txt", folder / "rivals"
    uv = SCRIPTS / "uv"
    succeed(
        *(uv, "export", "--quiet", "--frozen", "--no-emit-project", "--extra", "rotation"),
        *("--output-file", locked),
    )
    succeed(
        *(uv, "pip", "install", "--quiet", "--python", sys.executable, "--only-binary", ":all:"),
        *("--constraint", locked, "--target", tree, "requests"),
    )
    for name in ("vendor", "rotate", "seal"):
        shutil.copy(_RIVALS / f"{name}.py", tree)
    succeed(
        *(sys.executable, "-S", "-s", "-m", "compileall", "-q", "-j", "1"),
        *("--invalidation-mode", "unchecked-hash", tree),
    )
