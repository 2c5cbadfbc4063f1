"""The functions' logs in CloudWatch Logs, as a person on call looks for a cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.log_groups import LogGroups


def test_new_lines_are_found_by_a_filter(shared_cloud: Cloud, tmp_path: Path) -> None:
    """Each line once; what an earlier sandbox wrote and half a line are not shown."""
    log = tmp_path / "rotate.log"
    log.write_text('{"message":"step failed","of":"yesterday"}\n')
    groups = LogGroups(tmp_path, ["rotate", "reconcile"])
    groups.create(shared_cloud)
    client: Any = shared_cloud.client
    logs = client("logs")

    def found() -> list[str]:
        events = logs.filter_log_events(
            logGroupName="/aws/lambda/rotate", filterPattern='"step failed"'
        )["events"]
        return [event["message"] for event in events]

    groups.copy()
    assert found() == []
    with log.open("a") as file:
        file.write('{"message":"step failed","code":"key_quota"}\nREPORT\n{"message":"step')
    groups.copy()
    groups.copy()
    assert found() == ['{"message":"step failed","code":"key_quota"}']
    with log.open("a") as file:
        file.write(' failed","code":"journal"}\n')
    groups.copy()
    assert len(found()) == 2
