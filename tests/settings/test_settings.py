"""Settings: what is read, what is refused, and that each refusal names its variable."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from rotation.errors import ConfigurationError
from rotation.settings.environment import Location
from rotation.settings.rotation import RotationSettings
from rotation.settings.sealing import SealingSettings
from rotation.settings.vendor import VendorSettings

ROTATION = {
    "INSTALLATION_ID": "fixture-1",
    "ROTATED_SECRETS": "arn:aws:secretsmanager:eu-central-1:012345678912:secret:seals/*",
    "KEY_ISSUER": "admin-api",
    "ADMIN_SECRET": "trusted-signatures-admin",
    "EVIDENCE_BUCKET": "evidence",
}
SEALING = {"SOURCE_LOCATIONS": "in/incoming/", "DESTINATION_LOCATIONS": "out, archive/sealed/"}


def test_the_defaults_are_the_documented_ones() -> None:
    """With the required variables and the issuer alone the rotation function is ready."""
    settings = RotationSettings.from_environment(ROTATION)
    assert settings.vendor.url == settings.admin_url == "https://api.trusted-signatures.com"
    assert settings.vendor.sign_path == "/v1/sign"
    assert settings.admin_keys_path == "/v1/keys"
    assert settings.key_lifetime == timedelta(days=180)
    assert settings.grace == timedelta(hours=2)
    assert settings.vendor.trust_anchors is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INSTALLATION_ID", ""),
        ("INSTALLATION_ID", "a|b"),
        ("ROTATED_SECRETS", ""),
        ("ROTATED_SECRETS", "*"),
        ("ROTATED_SECRETS", "trusted-signatures-api"),
        ("ROTATED_SECRETS", "arn:aws:secretsmanager:eu-central-1:012345678912:secret:a,"),
        ("FORMER_INSTALLATIONS", "a|b"),
        ("FORMER_INSTALLATIONS", "old,,older"),
        ("FORMER_INSTALLATIONS", "old,old"),
        ("FORMER_INSTALLATIONS", "fixture-1"),
        ("FORMER_INSTALLATIONS", ",".join(f"stack-{number}" for number in range(11))),
        ("ADMIN_SECRET", " "),
        ("EVIDENCE_BUCKET", ""),
        ("VENDOR_URL", "http://api.trusted-signatures.com"),
        ("VENDOR_URL", "http://localhost.example.com"),
        ("VENDOR_URL", "https://user:pass@host"),
        ("VENDOR_URL", "https://:pass@host"),
        ("VENDOR_URL", "https://host/?q=1"),
        ("VENDOR_URL", "ftp://host"),
        ("ADMIN_API_URL", "nonsense"),
        ("VENDOR_SIGN_PATH", "v1/sign"),
        ("VENDOR_SIGN_PATH", "/v1/sign?x=1"),
        ("KEY_LIFETIME_DAYS", "365"),
        ("KEY_LIFETIME_DAYS", "0"),
        ("KEY_LIFETIME_DAYS", "nan"),
        ("KEY_LIFETIME_DAYS", "long"),
        ("GRACE_HOURS", "-1"),
        ("PROPAGATION_LIMIT_SECONDS", "inf"),
        ("SIGNER_TRUST_ANCHORS", "/no/such/file.pem"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_s_name(name: str, value: str) -> None:
    """Nobody has to guess which variable is meant."""
    with pytest.raises(ConfigurationError, match=name):
        RotationSettings.from_environment(ROTATION | {name: value})


@pytest.mark.parametrize(("days", "hours"), [("2", "24"), ("31", "720")])
def test_a_life_that_no_interval_can_suit_is_refused_before_the_first_step(
    days: str, hours: str
) -> None:
    """A key must outlive at least the grace, and a retry that is a day late."""
    short = ROTATION | {"KEY_LIFETIME_DAYS": days, "GRACE_HOURS": hours}
    with pytest.raises(ConfigurationError, match="KEY_LIFETIME_DAYS must exceed"):
        RotationSettings.from_environment(short)
    longer = short | {"KEY_LIFETIME_DAYS": str(int(days) + 1)}
    assert RotationSettings.from_environment(longer).grace == timedelta(hours=int(hours))


def test_former_installations_are_ids_separated_by_commas() -> None:
    """Blanks around an id do not count; by default there is none."""
    named = ROTATION | {"FORMER_INSTALLATIONS": " fixture-0 , older.stack_1"}
    assert RotationSettings.from_environment(ROTATION).former_installations == ()
    assert RotationSettings.from_environment(named).former_installations == (
        "fixture-0",
        "older.stack_1",
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:9/"])
def test_plain_http_is_for_loopback_alone(url: str) -> None:
    """A sandbox on this machine may do without TLS."""
    assert VendorSettings.from_environment({"VENDOR_URL": url}).url == url.rstrip("/")


def test_trust_anchors_are_pem_text_or_a_file(tmp_path: Path) -> None:
    """Both forms give the same bytes; a file without a certificate is refused."""
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    file = tmp_path / "anchors.pem"
    file.write_text(pem)
    for value in (pem, str(file)):
        read = VendorSettings.from_environment({"SIGNER_TRUST_ANCHORS": value})
        assert read.trust_anchors == pem.encode()
    file.write_text("nothing")
    with pytest.raises(ConfigurationError, match="SIGNER_TRUST_ANCHORS"):
        VendorSettings.from_environment({"SIGNER_TRUST_ANCHORS": str(file)})


def test_the_way_out_is_one_for_the_vendor_and_for_validation_services() -> None:
    """One proxy and one set of certificates; a proxy may be anywhere, without a password."""
    chosen = SEALING | {"EGRESS_PROXY": "http://proxy.example.com:3128"}
    settings = SealingSettings.from_environment(chosen)
    assert settings.vendor.egress == settings.levels.egress
    assert settings.vendor.egress.proxy == "http://proxy.example.com:3128"
    for wrong in ("proxy:3128", "socks5://proxy:1080", "http://user:password@proxy:3128"):
        with pytest.raises(ConfigurationError, match="EGRESS_PROXY"):
            VendorSettings.from_environment({"EGRESS_PROXY": wrong})


@pytest.mark.parametrize("body", ["", "AAAA"])
def test_certificates_that_nobody_can_chain_to_are_refused(body: str) -> None:
    """When a function starts, not at its first call."""
    pem = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----"
    with pytest.raises(ConfigurationError, match="EGRESS_CA"):
        VendorSettings.from_environment({"EGRESS_CA": pem})


def test_locations_are_buckets_with_or_without_a_prefix() -> None:
    """An object lies in a location if bucket and prefix agree."""
    settings = SealingSettings.from_environment(SEALING)
    assert settings.sources == (Location("in", "incoming/"),)
    assert settings.destinations == (Location("out", ""), Location("archive", "sealed/"))
    assert settings.sources[0].holds("in", "incoming/a.pdf")
    assert not settings.sources[0].holds("in", "other/a.pdf")
    assert not settings.sources[0].holds("out", "incoming/a.pdf")


@pytest.mark.parametrize("value", ["", "in,,out", "/in"])
def test_a_malformed_list_of_locations_is_refused(value: str) -> None:
    """An empty entry would allow everything, so there is none."""
    with pytest.raises(ConfigurationError, match="SOURCE_LOCATIONS"):
        SealingSettings.from_environment(SEALING | {"SOURCE_LOCATIONS": value})


@pytest.mark.parametrize(
    "value", ["alias/ours", "arn:aws:kms:eu-west-1:111122223333:ours", "1234abcd"]
)
def test_a_kms_key_is_an_arn(value: str) -> None:
    """A key's id or alias alone would be looked for in whatever account the function runs."""
    with pytest.raises(ConfigurationError, match="DESTINATION_KMS_KEY"):
        SealingSettings.from_environment(SEALING | {"DESTINATION_KMS_KEY": value})


@pytest.mark.parametrize("value", ["yes", "TRUE", "1"])
def test_a_switch_is_true_or_false(value: str) -> None:
    """What is neither is not guessed at."""
    with pytest.raises(ConfigurationError, match="COPY_TAGS must be false or true"):
        SealingSettings.from_environment(SEALING | {"COPY_TAGS": value})


@pytest.mark.parametrize("value", ["0", "10000000000", "1.5"])
def test_the_largest_document_is_bounded(value: str) -> None:
    """No cross-reference table can name a position beyond ten digits."""
    with pytest.raises(ConfigurationError, match="MAX_DOCUMENT_BYTES"):
        SealingSettings.from_environment(SEALING | {"MAX_DOCUMENT_BYTES": value})
