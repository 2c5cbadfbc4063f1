"""Seals documents unattended: as they arrive in a bucket, or in bulk.

``docs/bulk.md`` describes it; the functions are ``handlers.seal_events`` and
``handlers.seal_batch``.
"""
