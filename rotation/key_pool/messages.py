"""Messages to a person about keys of a pool; a message that asks for a revocation is sent once.

The notice of a message is stored with the keys that it is about, then the message is sent, then the
notice is marked as sent. If a call ends before the mark, a later call sends the message again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from rotation.core.ports import Notifier
from rotation.credential import whole_milliseconds
from rotation.errors import RotationError
from rotation.key_pool.document import Notice, PoolEntry, mark_sent
from rotation.key_pool.pool_secret import PoolSecret
from rotation.privacy.observability import count, logger

#: A call that sends a message is over after this time. If its notice is not marked as sent by
#: then, the next call sends the message again.
NOTICE_TIMEOUT: Final = timedelta(minutes=5)


class PoolMessages:
    """Sends the messages about one pool secret."""

    def __init__(self, pool: PoolSecret, notifier: Notifier, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._notifier = notifier
        self._clock = clock

    def new_notice(self) -> Notice:
        """The notice of a message that is about to be sent."""
        return Notice(str(uuid.uuid4()), whole_milliseconds(self._clock()), sent=False)

    def send(self, subject: str, facts: Mapping[str, str]) -> bool:
        """Notify a person; whether the message went out. A failure is only logged."""
        try:
            self._notifier.notify(subject, facts)
        except RotationError as error:
            count("NotificationsFailed")
            logger.error("nobody was notified", pool=self._pool.name, reason=str(error))
            return False
        return True

    def ask(self, notice: Notice, subject: str, facts: Mapping[str, str]) -> bool:
        """Send the message of ``notice``, and mark the notice as sent; whether it went out."""
        if not self.send(subject, facts):
            return False
        try:
            self._pool.change(lambda pool: mark_sent(pool, notice))
        except RotationError as error:
            logger.warning("a person will be asked again", pool=self._pool.name, reason=error.code)
        return True


def nobody_asked(entry: PoolEntry, notice: Notice) -> bool:
    """Whether nobody was asked about this key, and no other call is sending a message about it."""
    asked = entry.notice
    return asked is None or not (asked.sent or notice.at - asked.at < NOTICE_TIMEOUT)
