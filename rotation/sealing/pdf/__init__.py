"""PDF documents: read tolerantly, checked for what forbids a seal, and prepared for a signature.

Does NOT use the network.
"""

from rotation.sealing.pdf.limits import Limits
from rotation.sealing.pdf.preparation import PreparedPdf, larger_reserve, prepare

__all__ = ["Limits", "PreparedPdf", "larger_reserve", "prepare"]
