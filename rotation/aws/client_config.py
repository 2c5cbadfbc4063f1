"""How long each of our AWS clients waits, and how often it tries: every botocore ``Config``.

All of them use the retry mode "standard", which pauses with jitter between attempts; the first
attempt counts as one (boto3 guide, "Retries"). The worst case of a call is about
``attempts * (connect + read)`` seconds, and it has to fit the time of whoever waits for it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from botocore.config import Config

#: How much longer a client waits than the function that it invokes may run.
_INVOKE_MARGIN: Final = timedelta(seconds=10)
#: botocore's own default, spelled out where threads share a client.
_CONNECTIONS: Final = 10


def _config(*, attempts: int, connect: float = 3, read: float = 10, **more: Any) -> Config:
    return Config(
        connect_timeout=connect,
        read_timeout=read,
        retries={"mode": "standard", "total_max_attempts": attempts},
        **more,
    )


#: Secrets Manager, for a step of a rotation and for a command that writes a secret. The worst case,
#: about 50 seconds, leaves a step most of its five minutes; Secrets Manager repeats a failed step.
SECRET_WRITES: Final = _config(attempts=4)

#: Secrets Manager and S3, for reconciliation. Many secrets are examined at the same time and are
#: throttled together, so it tries longest; each examining thread needs a connection.
RECONCILIATION: Final = _config(attempts=6, max_pool_connections=16)

#: S3, for the journal: one small object. Without it neither a step of a rotation nor reconciliation
#: goes on, so it waits as long as a write of the secret, and has a connection for each thread.
JOURNAL: Final = _config(attempts=4, max_pool_connections=16)

#: Asking for a reconciliation after a promotion. Nothing depends on it, so it must not delay the
#: end of the step: the hourly run comes anyway.
START_RECONCILIATION: Final = _config(connect=2, read=5, attempts=2)

#: One message over SNS.
MESSAGES: Final = _config(attempts=3)

#: EventBridge. A leaked key is revoked only after those who depend on it were told of its
#: successor, so it must not wait long: what the bus did not take is sent by the next run.
EVENTS: Final = _config(connect=2, read=5, attempts=2, max_pool_connections=16)

#: Questions about objects, such as whether a sealed document is there already.
OBJECT_METADATA: Final = _config(attempts=3)

#: S3, for entries of the ledger of seals, which are small. A seal waits for its entry, and several
#: are read at the same time.
LEDGER: Final = _config(attempts=3, max_pool_connections=16)

#: Secrets Manager, for an application that misses its cache: a user waits for the answer, and the
#: cache may have an old value to go on with. It gives up after about twenty seconds.
CACHE_FETCH: Final = _config(connect=2, read=4, attempts=3)

#: The commands of an operator that read secrets and whole accounts.
OPERATOR: Final = _config(connect=60, read=60, attempts=5)

#: The sandbox, which listens on loopback: a proxy of the environment cannot reach it.
SANDBOX: Final = Config(proxies={})


def documents(jobs: int = 1) -> Config:
    """S3, for ``jobs`` documents at the same time.

    CompleteMultipartUpload may take minutes, while S3 sends spaces (API_CompleteMultipartUpload).
    For each document, reading ahead and copying have four threads each.
    """
    return _config(read=60, attempts=3, max_pool_connections=_CONNECTIONS * jobs)


def invoke_and_wait(function_timeout: timedelta, connections: int = _CONNECTIONS) -> Config:
    """Lambda, for one invocation that takes as long as the function may run.

    It is never repeated: after a read timeout the function is still at work, and a second
    invocation would do the work twice. NAT gateways drop a connection that is silent for 350
    seconds (VPC guide, nat-gateway-troubleshooting), so TCP keep-alive is on.
    """
    return _config(
        read=(function_timeout + _INVOKE_MARGIN).total_seconds(),
        attempts=1,
        max_pool_connections=connections,
        tcp_keepalive=True,
    )


def diagnosis(connect: float, read: float, attempts: int) -> Config:
    """The doctor's calls, which the person at the terminal limits: failing soon is an answer."""
    return _config(connect=connect, read=read, attempts=attempts)
