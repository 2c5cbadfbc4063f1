"""``rotation verify``: who sealed a file, when, and whether it was changed since."""
