"""PDF: read tolerantly, held to its promises, extended by a placeholder. Knows no network."""

from rotation.sealing.pdf.limits import Limits
from rotation.sealing.pdf.preparation import PreparedPdf, prepare

__all__ = ["Limits", "PreparedPdf", "prepare"]
