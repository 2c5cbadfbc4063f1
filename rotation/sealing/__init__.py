"""Sealing one PDF: prepared here, signed by the vendor, checked, stored."""
