"""``rotation force``: a leaked key replaced, revoked and proven dead."""
