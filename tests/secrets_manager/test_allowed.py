"""Which secrets may be rotated."""

from __future__ import annotations

import pytest

from rotation.errors import VersionStateError
from rotation.secrets_manager.allowed import ANY_SECRET, AllowedSecrets

ARNS = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:"


@pytest.mark.parametrize(
    ("pattern", "name", "allowed"),
    [
        ("seals-AbCdEf", "seals-AbCdEf", True),
        ("seals-AbCdEf", "seals-AbCdEg", False),
        ("seals-AbCdEf", "seals-AbCdEf/2", False),
        ("seals-AbCdEf", "sealsXAbCdEf", False),
        ("seals", "seals-AbCdEf", False),
        ("seals-??????", "seals-AbCdEf", True),
        ("seals-??????", "seals-of-others-AbCdEf", False),
        ("seals/*", "seals/archive-AbCdEf", True),
        ("seals/*", "other-seals/archive-AbCdEf", False),
        ("s.als-AbCdEf", "seals-AbCdEf", False),
    ],
)
def test_a_pattern_means_what_it_means_in_a_policy(pattern: str, name: str, allowed: bool) -> None:
    """An asterisk stands for any characters and a question mark for one; all else for itself."""
    secrets = AllowedSecrets(("arn:aws:secretsmanager:eu-west-1:1:secret:x", ARNS + pattern))
    assert secrets.allow(ARNS + name) is allowed


def test_what_no_pattern_names_is_refused_with_what_to_do() -> None:
    """The message names the secret and the setting; a function without patterns rotates none."""
    with pytest.raises(VersionStateError, match=r"mine-AbCdEf may not .*ROTATED_SECRETS"):
        AllowedSecrets(()).require(ARNS + "mine-AbCdEf")
    ANY_SECRET.require(ARNS + "mine-AbCdEf")
