"""The last lines of the logs, as the page shows them."""

from __future__ import annotations

import json
from pathlib import Path

from rotation.sandbox.page.log_lines import LogFiles, LogLine


def record(time: str, message: str, **members: str) -> str:
    timestamp = f"2026-11-27 {time},123+0000"
    return json.dumps({"level": "INFO", "message": message, "timestamp": timestamp, **members})


def written(folder: Path, name: str, *lines: str) -> None:
    with (folder / f"{name}.log").open("a") as log:
        log.writelines(f"{line}\n" for line in lines)


def test_the_newest_line_of_all_functions_is_the_first(tmp_path: Path) -> None:
    """With its facts; ids are short, and what a page has no room for is left out."""
    logs = LogFiles(tmp_path, ("my-rotate", "my-seal"))
    written(tmp_path, "my-rotate", record("10:00:01", "key staged", key_id="0123456789", x="y"))
    written(tmp_path, "my-seal", record("10:00:03", "document sealed"))
    written(tmp_path, "my-rotate", record("10:00:02", "step failed", code="vendor_unavailable"))
    assert logs.newest(2) == [
        LogLine("10:00:03", "seal", "INFO", "document sealed"),
        LogLine("10:00:02", "rotate", "INFO", "step failed code vendor_unavailable"),
    ]
    assert logs.newest(9)[-1].text == "key staged key 01234567"


def test_what_another_sandbox_wrote_is_not_shown(tmp_path: Path) -> None:
    """The folder may have been used before."""
    written(tmp_path, "my-rotate", record("09:00:00", "of yesterday"))
    logs = LogFiles(tmp_path, ("my-rotate",))
    assert logs.newest(9) == []
    written(tmp_path, "my-rotate", record("10:00:00", "of today"))
    assert [line.text for line in logs.newest(9)] == ["of today"]


def test_metrics_and_frames_are_left_out(tmp_path: Path) -> None:
    """An error keeps its line, beside the record that was written before it."""
    logs = LogFiles(tmp_path, ("my-rotate",))
    frames = ("Traceback (most recent call last):", '  File "x.py", line 1', "    raise it")
    written(tmp_path, "my-rotate", record("10:00:00", "step"), json.dumps({"_aws": {}}))
    written(tmp_path, "my-rotate", "[ERROR] VendorError: 503", *frames)
    assert logs.newest(9) == [
        LogLine("", "rotate", "ERROR", "[ERROR] VendorError: 503"),
        LogLine("10:00:00", "rotate", "INFO", "step"),
    ]


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    """Half a line at the beginning of what is read is not shown as one."""
    logs = LogFiles(tmp_path, ("my-rotate",))
    written(tmp_path, "my-rotate", *(record("10:00:00", "x" * 200) for _ in range(1000)))
    shown = logs.newest(2000)
    assert 100 < len(shown) < 1000
    assert {line.text for line in shown} == {"x" * 200}


def test_what_looks_like_a_key_is_hidden(tmp_path: Path) -> None:
    """A second line of defence: no function logs one."""
    logs = LogFiles(tmp_path, ("my-rotate",))
    written(tmp_path, "my-rotate", record("10:00:00", f"leaked {'ab12' * 16}"), "cd34" * 16)
    assert {line.text for line in logs.newest(9)} == {"leaked <hidden>", "<hidden>"}
