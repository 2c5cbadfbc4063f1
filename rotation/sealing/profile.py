"""Decides which SubFilter a document gets, from the setting and from what the vendor has given."""

from __future__ import annotations

from enum import StrEnum

from rotation.cms.profile import CmsProfile, Profile
from rotation.errors import CmsProfileError
from rotation.sealing.pdf.signature_dictionary import SubFilter


class SealProfile(StrEnum):
    """The setting SEAL_PROFILE."""

    #: The SubFilter follows the CMS.
    AUTO = "auto"
    #: A CMS that is no PAdES signature is refused.
    PADES = "pades"
    #: adbe.pkcs7.detached, whatever the CMS is.
    PKCS7 = "pkcs7"


class ProfileChoice:
    """The SubFilter that the next document gets. One object serves a process, and its threads.

    A document is prepared before the vendor's CMS is seen. With `SealProfile.AUTO` it is prepared
    for PAdES until a CMS is seen that is none. From then on it is adbe.pkcs7.detached, which admits
    every CMS. So only the documents that are under way at that moment cost a second signature for
    that reason, and none a third, even if the vendor's servers give different profiles.
    """

    def __init__(self, setting: SealProfile = SealProfile.AUTO) -> None:
        self._setting = setting
        self._pkcs7 = setting is SealProfile.PKCS7

    @property
    def sub_filter(self) -> SubFilter:
        """What the next document is prepared for."""
        return SubFilter.PKCS7 if self._pkcs7 else SubFilter.PADES

    def admits(self, profile: CmsProfile, sub_filter: SubFilter) -> bool:
        """Whether a CMS of that profile may be embedded in a document prepared for that SubFilter.

        If not, `sub_filter` has changed, and the document is to be prepared again.

        Raises:
            CmsProfileError: it may not, and the setting demands PAdES.
        """
        if sub_filter is SubFilter.PKCS7 or profile.name is Profile.PADES:
            return True
        if self._setting is SealProfile.PADES:
            raise CmsProfileError(
                "SEAL_PROFILE is pades, and the vendor's signature is no PAdES signature (ETSI EN "
                f"319 142-1, 6.3): {' and '.join(profile.why_not_pades)}. Set SEAL_PROFILE to auto "
                "or pkcs7, or have the vendor give PAdES signatures to this account."
            )
        self._pkcs7 = True
        return False
