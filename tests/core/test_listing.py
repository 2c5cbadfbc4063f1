"""The keys of an installation that was deployed anew under another name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rotation.core.issuing import revoke_strays_of_token
from rotation.core.listing import list_own_keys
from rotation.core.policy import ReconciliationPolicy, RotationPolicy
from rotation.core.ports import KeyIssuer, KeyLabel
from rotation.core.steps import create_secret
from rotation.errors import VendorUnavailableError
from rotation.sandbox.vendor import VendorFault
from rotation.secrets_manager.allowed import ANY_SECRET
from tests.core.test_key_issuers import LIFE, Contract, over_admin_api, over_key_pool
from tests.rotation_fixture import RotationFixture

HOUR = timedelta(hours=1)


@pytest.fixture(params=[over_admin_api, over_key_pool], ids=["admin-api", "key-pool"])
def contract(request: pytest.FixtureRequest, rotation_fixture: RotationFixture) -> Contract:
    """Each issuer in turn."""
    made: Contract = request.param(rotation_fixture)
    return made


def test_keys_of_former_ids_are_listed_and_those_of_others_are_not(contract: Contract) -> None:
    """Whichever the issuer, one listing has the keys of every id that the installation had."""
    issued: Mapping[str, str] = {
        name: contract.issuer.issue(contract.label(installation=name), LIFE).id
        for name in ("fixture", "old-stack", "older-stack", "somebody-else")
    }
    policy = ReconciliationPolicy(
        "fixture", "arn", HOUR, HOUR, ANY_SECRET, former_installations=("old-stack", "older-stack")
    )
    arn = contract.rotation_fixture.arn
    listing = list_own_keys(contract.issuer, policy.installations, arn)
    assert {key.id for key in listing.keys} == set(issued.values()) - {issued["somebody-else"]}
    ours = list_own_keys(
        contract.issuer, replace(policy, former_installations=()).installations, arn
    )
    assert [key.id for key in ours.keys] == [issued["fixture"]]


def test_a_listing_that_fails_for_one_id_fails_as_a_whole(
    rotation_fixture: RotationFixture,
) -> None:
    """A key that is missing from half a listing could be taken for one that is gone."""
    rotation_fixture.vendor.faults.next("list", VendorFault.SERVER_ERROR, times=4)
    with pytest.raises(VendorUnavailableError):
        list_own_keys(rotation_fixture.issuer, ("fixture", "old-stack"), rotation_fixture.arn)


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_key_that_is_listed_twice_is_active_if_either_says_so(
    rotation_fixture: RotationFixture, newest_first: bool
) -> None:
    """Pages that repeat a key, once as revoked, kill nobody's key and prove no death."""
    key = rotation_fixture.stage_key(rotation_fixture.stage())

    class Repeating:
        """An issuer whose pages overlap."""

        def list_keys(self, installation: str, secret_arn: str) -> object:
            listing = rotation_fixture.issuer.list_keys(installation, secret_arn)
            twice = [listing.keys[0], replace(listing.keys[0], active=False)]
            return replace(listing, keys=twice if newest_first else twice[::-1])

    issuer: KeyIssuer = Repeating()  # type: ignore[assignment]
    [listed] = list_own_keys(issuer, ("fixture",), rotation_fixture.arn).keys
    assert (listed.id, listed.active) == (key.id, True)


def test_the_earliest_of_the_vendor_s_times_counts(rotation_fixture: RotationFixture) -> None:
    """By it no key looks older than it is."""
    times = [datetime(2026, 11, 26, 12, second, tzinfo=UTC) for second in (7, 3, 5)]

    class Dated:
        """An issuer whose answers take their time."""

        def list_keys(self, installation: str, secret_arn: str) -> object:
            listing = rotation_fixture.issuer.list_keys(installation, secret_arn)
            return replace(listing, vendor_time=times.pop())

    issuer: KeyIssuer = Dated()  # type: ignore[assignment]
    earliest = min(times)
    listing = list_own_keys(issuer, ("fixture", "old", "older"), rotation_fixture.arn)
    assert listing.vendor_time == earliest


def test_a_rotation_revokes_strays_of_its_token_that_bear_a_former_id(
    rotation_fixture: RotationFixture,
) -> None:
    """A rotation that began before the stack was deployed anew leaves no key behind."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    label = KeyLabel("old-stack", rotation_fixture.arn, token)
    stray = rotation_fixture.issuer.issue(label, LIFE)
    former: RotationPolicy = replace(rotation_fixture.policy, former_installations=("old-stack",))
    rotation = rotation_fixture.rotation(token, policy=former)
    create_secret(rotation)
    assert not rotation_fixture.vendor.keys.accepted(stray.id)
    stored = rotation.secret.read(token)
    assert stored is not None
    revoke_strays_of_token(rotation, stored.key.id)
    assert rotation_fixture.vendor.keys.accepted(stored.key.id)
