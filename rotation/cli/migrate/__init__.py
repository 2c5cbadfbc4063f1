"""``rotation migrate``: a hard-coded key moved into a secret that can be rotated."""
