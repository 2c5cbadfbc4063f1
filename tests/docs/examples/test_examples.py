"""Every page's program against the deployment, through a rotation and a revocation."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.deployment import DESTINATION_BUCKET, SECRET, SOURCE_BUCKET, Deployment
from rotation.sealing.verify import verify
from tests.client.fixtures import client_of, wait_until
from tests.docs.examples.local_secrets import TOKEN, LocalSecretsServer, served
from tests.paths import ROOT

EXAMPLES = ROOT / "docs" / "examples"
PDF = (files("rotation.sandbox") / "documents" / "inspection.pdf").read_bytes()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A key and a schedule."""
    with Deployment(tmp_path_factory.mktemp("deployment"), phase_events=True) as running:
        running.store_first_key()
        running.turn_on_rotation()
        yield running


@pytest.fixture
def code(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with the program of the page that the test names, as ``example.py``."""
    page = (EXAMPLES / f"{request.param}.md").read_text()
    [program] = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "example.py").write_text(program)
    return tmp_path


def put(deployment: Deployment, name: str, content: bytes = PDF) -> None:
    deployment.cloud.client("s3").put_object(Bucket=SOURCE_BUCKET, Key=name, Body=content)


def sealed_by(deployment: Deployment, name: str) -> str:
    """The key that sealed a document, whose seal is good."""
    stored = deployment.cloud.client("s3").get_object(Bucket=DESTINATION_BUCKET, Key=name)
    [report] = verify(stored["Body"].read(), deployment.trust_root.read_bytes())
    assert (report.problem, report.trusted) == (None, True)
    return stored["Metadata"]["seal-key-id"]


def replace_key(deployment: Deployment) -> None:
    """Rotate, and revoke the key that was current, as a forced rotation does."""
    old = deployment.key_id("AWSCURRENT")
    answer = deployment.cloud.client("secretsmanager").rotate_secret(SecretId=SECRET)
    assert deployment.cloud.wait_for_rotation(SECRET, answer["VersionId"]).succeeded
    assert deployment.vendor.keys.revoke(old)


def environment(deployment: Deployment, code: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join([str(code), *(str(Path(one).absolute()) for one in sys.path)])
    return {**deployment.environment(), "PATH": os.defpath, "PYTHONPATH": path, **more}


def test_the_index_names_every_page_and_no_other() -> None:
    """Each example has its row."""
    linked = re.findall(r"\]\(([\w-]+\.md)\)", (EXAMPLES / "README.md").read_text())
    assert sorted(linked) == sorted(page.name for page in EXAMPLES.glob("*-*.md"))


@contextmanager
def function(deployment: Deployment, code: Path, **more: str) -> Iterator[str]:
    """The example as a Lambda function of one process; its name."""
    name = f"example-{code.name}"
    runner = ProcessFunction(
        "example.handler",
        environment=environment(deployment, code, **more),
        log_path=code / "function.log",
        timeout=timedelta(seconds=150),
        name=name,
    )
    deployment.cloud.add_function(name, runner)
    yield name
    runner.close()


def invoke(deployment: Deployment, name: str, event: dict[str, Any]) -> tuple[bool, Any]:
    """Whether it went well, and the answer."""
    answer = client_of(deployment.cloud, "lambda", read_timeout=150).invoke(
        FunctionName=name, Payload=json.dumps(event).encode()
    )
    return "FunctionError" not in answer, json.loads(answer["Payload"].read())


@pytest.mark.parametrize("code", ["lambda-function"], indirect=True)
def test_the_function_seals_what_s3_tells_it_of(deployment: Deployment, code: Path) -> None:
    """A key with a space and an umlaut, as S3 encodes it; then the key is replaced."""
    names = {"a+new+report.pdf": "a new report.pdf", "%C3%BCbergabe.pdf": "übergabe.pdf"}
    with function(deployment, code) as example:
        for encoded, name in names.items():
            put(deployment, name)
            record = {"s3": {"bucket": {"name": SOURCE_BUCKET}, "object": {"key": encoded}}}
            well, answer = invoke(deployment, example, {"Records": [record]})
            assert well, answer
            assert answer[0].startswith(f"s3://{DESTINATION_BUCKET}/{name} (version ")
            assert sealed_by(deployment, name) == deployment.key_id("AWSCURRENT")
            replace_key(deployment)
        well, answer = invoke(
            deployment,
            example,
            {"Records": [{"s3": {"bucket": {"name": SOURCE_BUCKET}, "object": {"key": "no"}}}]},
        )
        assert (well, answer["errorType"]) == (False, "SourceNotFoundError")


@contextmanager
def web_service(deployment: Deployment, code: Path) -> Iterator[str]:
    """The example under uvicorn; its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "example:app", "--port", "0", "--no-access-log"],
        cwd=code,
        env=environment(deployment, code),
        stderr=subprocess.PIPE,
        # What lay in a buffer of ours, select would not see.
        bufsize=0,
    ) as process:
        try:
            assert process.stderr is not None
            told = ""
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", told)):
                assert select.select([process.stderr], [], [], 120)[0], told
                line = process.stderr.readline()
                assert line, told
                told += line.decode()
            yield found[0]
        finally:
            process.terminate()


def ask(url: str, method: str = "GET") -> tuple[int, Any]:
    """Status and JSON of an answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method=method), timeout=300) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("code", ["fastapi-service"], indirect=True)
def test_the_service_seals_and_tells_when_it_is_ready(deployment: Deployment, code: Path) -> None:
    """Not ready, ready, sealed, sealed with the next key; and the errors that callers see."""
    put(deployment, "web.pdf")
    put(deployment, "broken.pdf", b"%PDF-1.7 and nothing else")
    with web_service(deployment, code) as url:
        assert ask(f"{url}/ready") == (503, {"keyAgeSeconds": None})
        wait_until(lambda: ask(f"{url}/ready")[0] == 200)
        for _ in range(2):
            status, answer = ask(f"{url}/seals/web.pdf", "POST")
            assert (status, answer.keys()) == (201, {"document", "sealedBy"})
            assert sealed_by(deployment, "web.pdf") == deployment.key_id("AWSCURRENT")
            replace_key(deployment)
        assert ask(f"{url}/seals/none.pdf", "POST")[0] == 404
        assert ask(f"{url}/seals/broken.pdf", "POST") == (502, {"detail": "damaged_pdf"})


@pytest.mark.parametrize("code", ["command-line-job"], indirect=True)
def test_the_job_seals_what_can_be_sealed_and_says_what_cannot(
    deployment: Deployment, code: Path
) -> None:
    """Twelve good documents and a broken one: it ends with 1; without the broken one with 0."""
    good = [f"batch/{number}.pdf" for number in range(12)]
    for name in good:
        put(deployment, name)
    put(deployment, "batch/broken.pdf", b"%PDF-1.7 and nothing else")
    fetched = [call for call in deployment.cloud.calls if call.operation == "GetSecretValue"]

    def run(prefix: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "example.py", prefix],
            cwd=code,
            env=environment(deployment, code),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    first = run("batch/")
    again = [call for call in deployment.cloud.calls if call.operation == "GetSecretValue"]
    assert first.returncode == 1
    assert first.stderr.startswith("batch/broken.pdf: ")
    assert first.stderr.rstrip().endswith("[damaged_pdf]")
    assert sorted(line.split(": ")[0] for line in first.stdout.splitlines()) == sorted(good)
    assert len(again) - len(fetched) == 1
    assert {sealed_by(deployment, name) for name in good} == {deployment.key_id("AWSCURRENT")}
    second = run("batch/1")
    assert (second.returncode, len(second.stdout.splitlines())) == (0, 3)


@pytest.mark.parametrize("code", ["lambda-extension"], indirect=True)
@pytest.mark.parametrize(
    ("agent", "ttl", "seals"),
    [(False, 0, True), (True, 300, True), (False, 300, False)],
    ids=["extension without its cache", "agent", "extension with its cache"],
)
def test_a_cache_by_time_alone_outlives_the_key(
    deployment: Deployment, code: Path, agent: bool, ttl: float, seals: bool
) -> None:
    """After a revocation: sealed at once, unless a cache in between gives the dead key again."""
    put(deployment, "local.pdf")
    secrets = client_of(deployment.cloud, "secretsmanager")
    with served(LocalSecretsServer(secrets, ttl, agent)) as local:
        variables = {
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": str(local.port),
            "AWS_SESSION_TOKEN": TOKEN,
            **({"SECRETS_MANAGER_AGENT": "yes"} if agent else {}),
        }
        with function(deployment, code, **variables) as example:
            event = {"name": "local.pdf"}
            for _ in range(2):
                assert invoke(deployment, example, event) == (True, deployment.key_id("AWSCURRENT"))
            assert local.fetched == 1
            replace_key(deployment)
            well, answer = invoke(deployment, example, event)
            if seals:
                assert (well, answer) == (True, deployment.key_id("AWSCURRENT"))
                assert local.fetched == 2
            else:
                assert (well, answer["errorType"]) == (False, "CredentialRejectedError")
                assert local.fetched == 1


def test_the_local_server_refuses_whoever_has_no_token(deployment: Deployment) -> None:
    """As both do: against requests that somebody else has the function make."""
    server = LocalSecretsServer(client_of(deployment.cloud, "secretsmanager"), 0, agent=False)
    target = f"/secretsmanager/get?secretId={SECRET}&versionStage=AWSCURRENT"
    assert server.answer(target, None)[0] == 403
    assert server.answer(target, TOKEN)[0] == 200
    assert server.answer("/secretsmanager/get?secretId=none", TOKEN) == (
        400,
        b"ResourceNotFoundException",
    )


@pytest.mark.parametrize("code", ["reload-on-promotion"], indirect=True)
def test_the_service_is_started_anew_when_a_key_is_promoted(
    deployment: Deployment, code: Path
) -> None:
    """By the page's own rule, once for a rotation; not for other phases, and not twice."""
    page = (EXAMPLES / "reload-on-promotion.md").read_text()
    [pattern] = re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    rule = json.loads(pattern) | {"resources": [deployment.secret_arn]}
    ecs = client_of(deployment.cloud, "ecs")
    events = client_of(deployment.cloud, "events")
    ecs.create_cluster(clusterName="archive")
    container = {"name": "web", "image": "web", "memory": 128}
    ecs.register_task_definition(family="web", containerDefinitions=[container])
    ecs.create_service(cluster="archive", serviceName="web", taskDefinition="web", desiredCount=1)

    def deployed() -> str:
        [service] = ecs.describe_services(cluster="archive", services=["web"])["services"]
        return str(service["deployments"][0]["id"])

    deployment.reconcile()
    deployment.cloud.wait_for_events(timedelta(seconds=150))
    before = deployed()
    with function(deployment, code, CLUSTER="archive", SERVICE="web") as example:
        account, region = deployment.cloud.account, deployment.cloud.region
        arn = f"arn:aws:lambda:{region}:{account}:function:{example}"
        events.put_rule(Name="promoted", EventPattern=json.dumps(rule))
        events.put_targets(Rule="promoted", Targets=[{"Id": "f", "Arn": arn}])
        deployment.reconcile()
        deployment.cloud.wait_for_events(timedelta(seconds=150))
        assert deployed() == before
        answer = deployment.cloud.client("secretsmanager").rotate_secret(SecretId=SECRET)
        assert deployment.cloud.wait_for_rotation(SECRET, answer["VersionId"]).succeeded
        deployment.cloud.wait_for_events(timedelta(seconds=150))
        after = deployed()
        assert after != before
        event = {"detail": {"phase": "promoted", "id": "an event"}}
        assert invoke(deployment, example, event) == (True, {"reloaded": True})
        assert invoke(deployment, example, event) == (True, {"reloaded": False})
        retiring = {"detail": {"phase": "retiring", "id": "another"}}
        assert invoke(deployment, example, retiring) == (True, {"reloaded": False})
        events.remove_targets(Rule="promoted", Ids=["f"])
