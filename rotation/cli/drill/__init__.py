"""``rotation drill``: rehearses a leak on a secret and keys that are thrown away."""
