"""A pool of the test's own."""

from tests.key_pool.conftest import key_pool

__all__ = ["key_pool"]
