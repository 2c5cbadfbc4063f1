"""Lists the vendor's keys of one secret, whichever of our installation's ids they bear."""

from __future__ import annotations

from collections.abc import Sequence

from rotation.core.ports import KeyIssuer, KeyListing, VendorKey


def list_own_keys(issuer: KeyIssuer, installations: Sequence[str], secret_arn: str) -> KeyListing:
    """The keys that bear a label of one of ``installations`` and of this secret, and no others.

    Makes one request for each id. Where one fails, the whole listing fails: a key that is missing
    from a listing could be taken for one that is gone.

    Args:
        issuer: lists the keys of one id.
        installations: at least one id, as `RotationPolicy.installations` has them.
        secret_arn: the secret's full ARN.

    Returns:
        the keys, and the earliest of the vendor's times, by which no key looks older than it is.

    Raises:
        VendorError: the issuer could not be asked.
    """
    listings = [issuer.list_keys(installation, secret_arn) for installation in installations]
    keys: dict[str, VendorKey] = {}
    for key in (key for listing in listings for key in listing.keys):
        known = keys.get(key.id)
        # Pages can show one key twice, before and after its end. Only one answer says that it may
        # still work, and that is the one to believe.
        if known is None or (key.active and not known.active):
            keys[key.id] = key
    return KeyListing(
        tuple(keys.values()),
        min(listing.vendor_time for listing in listings),
        whole=all(listing.whole for listing in listings),
    )
