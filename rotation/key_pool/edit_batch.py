"""Edits that several threads ask for at the same time, so that they are stored in one version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic

from rotation.errors import KeyPoolError
from rotation.key_pool.document import MOST_BYTES, EditResult, PoolDocument, PoolEdit


@dataclass
class EditRequest(Generic[EditResult]):
    """An edit that a thread waits for.

    Attributes:
        can_wait: whether it is not made while few versions are left.
        done: whether ``result`` or ``error`` holds.
    """

    edit: PoolEdit[EditResult]
    can_wait: bool
    done: bool = False
    result: EditResult | None = None
    error: BaseException | None = None

    def apply(self, pool: PoolDocument, of: str) -> PoolDocument:
        """The pool with this edit made; the same pool where it changes nothing or is refused."""
        self.error = None
        try:
            changed, self.result = self.edit(pool)
            if changed is None:
                return pool
            _refuse_too_large(changed, pool, of)
        except Exception as error:  # noqa: BLE001 - it is raised where the edit was asked for
            self.error = error
            return pool
        return changed


def apply_all(batch: Sequence[EditRequest[Any]], pool: PoolDocument, of: str) -> PoolDocument:
    """The pool with every edit of the batch made; the same pool where none changes anything."""
    for request in batch:
        pool = request.apply(pool, of)
    return pool


def _refuse_too_large(changed: PoolDocument, pool: PoolDocument, of: str) -> None:
    size = _size(changed)
    if size > max(MOST_BYTES, _size(pool)):
        raise KeyPoolError(
            f"The pool in {of} would be {size} bytes; Secrets Manager stores {MOST_BYTES} at most. "
            "Take dead keys out with `rotation pool remove KEY_ID --apply`."
        )


def _size(pool: PoolDocument) -> int:
    return len(pool.serialize().reveal().encode())
