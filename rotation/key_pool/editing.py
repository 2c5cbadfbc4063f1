"""What a person does with a pool: add keys, and take keys out.

Both are edits for `PoolSecret.change`, and pure: done a second time they change nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from rotation.credential import ApiKey
from rotation.errors import KeyPoolError
from rotation.key_pool.document import KeyState, Pool, PoolKey, whole_milliseconds
from rotation.key_pool.pool_secret import MOST_BYTES, Edit

#: What a lease and a notice add to a key's entry at most, for an ARN of ordinary length, in bytes.
_ROOM_FOR_A_LEASE: Final = 1024


def adding(key: ApiKey, now: datetime) -> Edit[bool]:
    """Adds a free key; the outcome is False where the pool has it already.

    The edit raises KeyPoolError where the key's id is known with other material, where its
    material is known under another id, and where the keys of the pool could no longer all be
    leased within the largest value that Secrets Manager stores.
    """
    entry = PoolKey(
        replace(key, issued_at=None), state=KeyState.FREE, added_at=whole_milliseconds(now)
    )

    def add(pool: Pool) -> tuple[Pool | None, bool]:
        known = pool.find(key.id)
        twin = next((held for held in pool.keys if held.key.material == key.material), None)
        if known is not None and known is twin:
            return None, False
        if known is not None:
            raise KeyPoolError(
                f"Key {key.id} is in the pool with other material. If that was a mistake, take it "
                f"out with `rotation pool remove {key.id}` and add it anew."
            )
        if twin is not None:
            raise KeyPoolError(
                f"The same key is in the pool as {twin.key.id}. Check which id belongs to it."
            )
        changed = pool.holding(entry)
        _refuse_if_full(changed)
        return changed, True

    return add


def removing(key_id: str, now: datetime) -> Edit[None]:
    """Takes a key out of the pool. It is NOT revoked by that.

    The edit raises KeyPoolError where the key is not in the pool, or is leased and has not
    expired: a secret may hold it, or get it at any moment.
    """

    def remove(pool: Pool) -> tuple[Pool | None, None]:
        return pool.without(removable(pool, key_id, now).key.id), None

    return remove


def removable(pool: Pool, key_id: str, now: datetime) -> PoolKey:
    """The entry of that key id, if a person may take it out.

    Raises:
        KeyPoolError: as `removing` says.
    """
    entry = pool.find(key_id)
    if entry is None:
        raise KeyPoolError(f"Key {key_id} is not in the pool. `rotation pool list` shows what is.")
    if entry.state is KeyState.LEASED and entry.lease and not entry.key.expired(now):
        raise KeyPoolError(
            f"Key {key_id} is leased to {entry.lease.label.secret_arn}. It leaves the pool when it "
            "was replaced by a rotation, revoked in the vendor's portal, and proven dead."
        )
    return entry


def _refuse_if_full(pool: Pool) -> None:
    size = len(pool.serialize().reveal().encode())
    room = _ROOM_FOR_A_LEASE * sum(entry.state is KeyState.FREE for entry in pool.keys)
    if size + room > MOST_BYTES:
        raise KeyPoolError(
            f"The pool is full: its {len(pool.keys)} keys, once they are all leased, would not fit "
            f"into the {MOST_BYTES} bytes that Secrets Manager stores. Add it when others are gone."
        )
