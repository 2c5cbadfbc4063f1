"""Everything that is fetched has a hash, and what is known of it is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.artifacts.toolchain import environment, run
from tests.paths import ROOT


@pytest.mark.parametrize(
    "lock", sorted((ROOT / ".ci" / "locks").glob("*.txt")), ids=lambda path: path.name
)
def test_every_requirement_of_a_tool_has_a_hash(lock: Path) -> None:
    """No tool, uv included, is taken on the word of an index."""
    requirements = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert all(re.match(r"[\w.-]+==\S+", one) for one in requirements)
    assert [one for one in requirements if "--hash=sha256:" not in one] == []
    assert (lock.with_suffix(".in")).is_file()


def test_an_action_of_the_continuous_integration_is_named_by_its_commit() -> None:
    """A tag can be moved to other code; a commit cannot."""
    workflows = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    actions = re.findall(r"uses: \S+@(\S+)", workflows)
    assert actions
    assert all(re.fullmatch(r"[0-9a-f]{40}", commit) for commit in actions)


@contextmanager
def _vulnerability_service(*ids: str) -> Iterator[str]:
    """A service like OSV, which knows ``ids`` of the first package that it is asked about."""

    class Service(BaseHTTPRequestHandler):
        def _answer(self, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            known = [{"id": one, "modified": "2026-01-01T00:00:00Z"} for one in ids]
            self._answer({"results": [{"vulns": known}, *({} for _ in asked[1:])]})

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            self._answer({"id": name, "modified": "2026-01-01T00:00:00Z", "affected": []})

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _audit(service: str) -> tuple[int, str]:
    finished = run(
        *("make", "audit", f"AUDIT=--service-url {service}"),
        env=environment(UV_HTTP_RETRIES="0"),
    )
    return finished.returncode, finished.stdout + finished.stderr


def test_an_audit_names_what_is_known() -> None:
    """A known vulnerability fails the audit, and nothing known passes it."""
    with _vulnerability_service() as service:
        code, said = _audit(service)
        assert code == 0, said
        assert "no known vulnerabilities" in said
    with _vulnerability_service("GHSA-test-0000-0001") as service:
        code, said = _audit(service)
    assert code != 0
    assert "GHSA-test-0000-0001" in said
    assert "Error 1" in said


def test_an_audit_without_a_network_is_no_verdict() -> None:
    """Where the service cannot be reached, the audit says that it judged nothing."""
    code, said = _audit("http://127.0.0.1:1")
    assert code != 0
    assert "Nothing was judged" in said
    assert "Error 3" in said
