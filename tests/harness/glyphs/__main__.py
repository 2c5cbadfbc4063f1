"""Write the outlines that visible seals are drawn with: `make glyphs`.

Run it after the font has changed, and commit what it writes.
"""

from __future__ import annotations

import zlib

from rotation.sealing.pdf.visible.glyphs import OUTLINES
from tests.harness.glyphs.outlines import outlines

OUTLINES.write_bytes(zlib.compress(outlines(), 9))
