"""What a button answers when it cannot do what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotation.sandbox.deployment import Deployment
from rotation.sandbox.page.actions import ActionRefusedError, Actions
from rotation.sandbox.vendor import VendorPortal

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["seal", "leak"])
def test_without_a_key_a_button_says_where_one_comes_from(tmp_path: Path, name: str) -> None:
    """As in a sandbox that was started empty; what AWS answered is no help."""
    with Deployment(tmp_path) as deployment, VendorPortal(deployment.vendor.keys) as portal:
        deployment.turn_on_rotation()
        with pytest.raises(ActionRefusedError, match=r"no current key yet\. Rotate first"):
            Actions(deployment, portal).perform(name, {})
