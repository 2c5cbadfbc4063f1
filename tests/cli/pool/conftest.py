"""A pool of the test's own."""

from tests.key_pool.conftest import stock

__all__ = ["stock"]
