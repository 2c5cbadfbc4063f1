"""``rotation force``: has leaked keys replaced, revoked and proven dead."""
