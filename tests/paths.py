"""Where things lie in this checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: The folder of the checkout.
ROOT: Final = Path(__file__).resolve().parents[1]
