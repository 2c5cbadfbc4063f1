"""``rotation exposure`` and ``rotation leaver``: who knows secrets, and what somebody knew."""
