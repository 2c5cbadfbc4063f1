"""``rotation pool``: keeps the keys that people make in the vendor's portal."""
