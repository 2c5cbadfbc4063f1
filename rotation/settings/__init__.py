"""The settings of the Lambda functions: the only reader of ``os.environ``.

Each function has a frozen dataclass; ``from_environment`` reads, checks and explains. Every
variable is listed in ``docs/settings.md``.
"""

from rotation.settings.environment import Location
from rotation.settings.rotation import ADMIN_API, KEY_POOL, ReconcileSettings, RotationSettings
from rotation.settings.sealing import SealingSettings
from rotation.settings.unattended import SealOptionSettings, UnattendedSettings
from rotation.settings.vendor import VendorSettings

__all__ = [
    "ADMIN_API",
    "KEY_POOL",
    "Location",
    "ReconcileSettings",
    "RotationSettings",
    "SealOptionSettings",
    "SealingSettings",
    "UnattendedSettings",
    "VendorSettings",
]
