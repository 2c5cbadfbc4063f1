"""``rotation migrate``: moves a hard-coded key into a secret that can be rotated."""
