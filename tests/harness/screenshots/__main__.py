"""Tells a story in a sandbox and takes pictures of its page, for docs/sandbox.md."""

from __future__ import annotations

from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from rotation.sandbox.demo import DOCUMENT
from rotation.sandbox.deployment import SECRET, SOURCE_BUCKET, Deployment
from rotation.sandbox.page.server import SandboxPage
from rotation.sandbox.vendor import VendorPortal
from tests.browser import chromium
from tests.harness.screenshots.pictures import take
from tests.paths import ROOT

_PATIENCE = timedelta(minutes=5)


def main() -> None:
    """Write docs/images/sandbox-*.png."""
    with (
        TemporaryDirectory() as folder,
        Deployment(Path(folder)) as deployment,
        VendorPortal(deployment.vendor.keys) as portal,
        SandboxPage(deployment, portal) as page,
        chromium() as browser,
    ):
        deployment.store_first_key()
        page.observe()
        deployment.turn_on_rotation()
        deployment.cloud.watch_rotations(lambda _: page.observe())
        document = files("rotation.sandbox") / "documents" / DOCUMENT
        deployment.cloud.client("s3").put_object(
            Bucket=SOURCE_BUCKET, Key=DOCUMENT, Body=document.read_bytes()
        )
        for action in ("rotate", "seal", "clock", "leak", "rotate"):
            page.actions.perform(action, {})
            _wait(deployment)
        for path in take(browser, page.url, ROOT / "docs" / "images", "sandbox"):
            print(path.relative_to(ROOT))  # noqa: T201


def _wait(deployment: Deployment) -> None:
    """Wait until no rotation and no reconciliation is under way."""
    for version in deployment.cloud.versions(SECRET):
        if "AWSPENDING" in version.labels:
            deployment.cloud.wait_for_rotation(SECRET, version.id, _PATIENCE)
    deployment.cloud.wait_for_events(_PATIENCE)


if __name__ == "__main__":
    main()
