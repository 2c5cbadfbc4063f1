"""The vendor Trusted Signatures on this machine: real HTTP, real HMAC checks, real CMS.

The independent judge of ``rotation.vendor``: it shares no code with it.
"""

from rotation.sandbox.vendor.faults import VendorFault, VendorFaults
from rotation.sandbox.vendor.keys import KeyPage, KeyQuotaReachedError, KeyStore, PortalKey, Role
from rotation.sandbox.vendor.pki import EcdsaIdentity, Identity, Pki
from rotation.sandbox.vendor.portal import VendorPortal
from rotation.sandbox.vendor.profiles import PADES, PKCS7, Algorithm, VendorProfile
from rotation.sandbox.vendor.server import Outage, VendorEmulator
from rotation.sandbox.vendor.service import RequestRecord
from rotation.sandbox.vendor.validation_services import (
    Trouble,
    ValidationService,
    ValidationServices,
)

__all__ = [
    "PADES",
    "PKCS7",
    "Algorithm",
    "EcdsaIdentity",
    "Identity",
    "KeyPage",
    "KeyQuotaReachedError",
    "KeyStore",
    "Outage",
    "Pki",
    "PortalKey",
    "RequestRecord",
    "Role",
    "Trouble",
    "ValidationService",
    "ValidationServices",
    "VendorEmulator",
    "VendorFault",
    "VendorFaults",
    "VendorPortal",
    "VendorProfile",
]
