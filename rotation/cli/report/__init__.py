"""``rotation report`` and ``rotation verify-bundle``: what an auditor is handed over."""
