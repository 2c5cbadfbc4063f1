"""Documents that nobody asks for one by one: sealed as they arrive, or in bulk.

``docs/bulk.md`` describes it; the functions are ``handlers.seal_events`` and
``handlers.seal_batch``.
"""
