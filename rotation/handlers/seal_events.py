"""The function that seals documents as they arrive in a bucket; ``docs/bulk.md``.

S3 announces each document to EventBridge, which puts a message into a queue, which invokes this
function. A message whose document could not be sealed returns to its queue, whatever the reason,
and goes to the dead-letter queue in the end. So nothing is lost, and one bad message does not cause
the others to be repeated.

The documents of one invocation are sealed at the same time: a seal waits for the vendor and for S3
most of the time, and the wait is billed.
"""

from __future__ import annotations

from rotation.handlers.cold_start import loaded

# isort: split

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.deadline import Deadline
from rotation.errors import RotationError
from rotation.handlers.wiring.seal_options import VARIABLES
from rotation.handlers.wiring.unattended import UnattendedWiring
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import count, logger, metrics, set_function_dimension
from rotation.sealing.pdf.limits import documents_at_once
from rotation.sealing.request import error_message
from rotation.settings.unattended import UnattendedSettings
from rotation.unattended.idempotent_sealer import IdempotentSealer
from rotation.unattended.s3_events import new_objects

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse

protect_process()
loaded()


@cache
def _wiring(at_once: int) -> UnattendedWiring:
    return UnattendedWiring(UnattendedSettings.from_environment(), at_once)


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Seal the documents that the messages name, and return the messages that failed.

    Raises:
        ConfigurationError: a setting is missing or wrong; all messages are delivered again.
    """
    set_function_dimension(context.function_name)
    at_once = documents_at_once(int(context.memory_limit_in_mb))
    return answer(event, _wiring(at_once).sealing(Deadline.of(context)), at_once)


def answer(
    event: dict[str, Any], sealing: IdempotentSealer, at_once: int
) -> PartialItemFailureResponse:
    """The partial batch response (Lambda developer guide, services-sqs-errorhandling).

    Args:
        event: the messages.
        sealing: what seals their documents.
        at_once: how many messages are worked on at the same time.
    """
    # Without raise_on_entire_batch_failure: the exception would hold every message's traceback.
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    records = [SQSRecord(record) for record in event["Records"]]
    with ThreadPoolExecutor(at_once, thread_name_prefix="seal") as pool:
        sealed = iter([pool.submit(_seal, record, sealing=sealing) for record in records])

        def result(record: SQSRecord) -> None:  # noqa: ARG001 - Powertools asks in their order
            return next(sealed).result()

        return process_partial_response(event, result, processor)


def _seal(record: SQSRecord, *, sealing: IdempotentSealer) -> None:
    ids = {"message_id": record.message_id}
    count("MessagesReceived")
    try:
        for source in new_objects(record.body):
            if sealing.holds(source):
                logger.warning("sealed document passed over", extra={**ids, "source": str(source)})
            else:
                sealing.seal(source)
        return
    except RotationError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - whatever it is, the message comes again
        failure = RotationError(f"The message failed unexpectedly ({type(error).__name__}).")
        logger.exception("message failed unexpectedly", extra=ids)
    count("MessagesReturned")
    logger.warning(
        "message returned",
        extra={
            **ids,
            "received": record.attributes.approximate_receive_count,
            "code": failure.code,
            "reason": error_message(failure, VARIABLES),
            "retryable": failure.retryable,
        },
    )
    raise failure
