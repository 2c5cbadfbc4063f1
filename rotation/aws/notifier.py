"""Notifies people of work that only they can do: over Amazon SNS, or in the log.

Both classes implement `rotation.core.ports.Notifier`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from rotation.aws.answers import reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS, error_code, got_no_answer, is_retryable
from rotation.errors import NotificationError
from rotation.privacy.observability import logger
from rotation.privacy.redaction import scrub

#: API_Publish, Subject: fewer than 100 characters, no line breaks or control characters.
_LONGEST_SUBJECT: Final = 99
# API_Publish, "Errors".
_ADVICE: Final = {
    "AuthorizationError": "Allow sns:Publish on it to the function's role.",
    "NotFound": "Check the topic's ARN in NOTIFICATION_TOPIC.",
    "InvalidParameter": "Check the topic's ARN in NOTIFICATION_TOPIC.",
}


class SnsPublisher(Protocol):
    """The part of a boto3 SNS client that the notifier needs."""

    def publish(self, *, TopicArn: str, Subject: str, Message: str) -> Any:  # noqa: N803
        """API_Publish."""


class SnsNotifier:
    """Publishes to an SNS topic, to which people subscribe.

    The message is plain text for an e-mail: the subject, and one line for each fact.

    Args:
        client: a boto3 SNS client.
        topic_arn: the topic's ARN.
    """

    def __init__(self, client: SnsPublisher, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def notify(self, subject: str, facts: Mapping[str, str]) -> None:
        """Publish one message. It is NOT certain that anybody reads it.

        Raises:
            NotificationError: SNS refused it, or gave no answer; perhaps nobody gets it.
        """
        lines = [subject, "", *(f"{name}: {value}" for name, value in facts.items())]
        try:
            with reading_answer():
                self._client.publish(
                    TopicArn=self._topic_arn,
                    Subject=scrub(_one_line(subject)),
                    Message=scrub("\n".join(lines)),
                )["MessageId"]
            return
        except AWS_CALL_ERRORS as failure:
            code = error_code(failure)
            advice = _ADVICE.get(code, "")
            if got_no_answer(failure):
                advice = "Check the network path to SNS."
            error = NotificationError(
                f"Publish on {self._topic_arn} failed: {code}. {advice}".rstrip(),
                retryable=is_retryable(failure),
            )
        # Raised outside the except block: botocore's frames hold the message.
        raise error


class LogNotifier:
    """Writes a warning to the function's log. It is for deployments without a topic."""

    def notify(self, subject: str, facts: Mapping[str, str]) -> None:
        """Log the subject, and the facts as one field."""
        logger.warning("a person is needed", subject=subject, facts=dict(facts))


def _one_line(subject: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in subject)
    return line[:_LONGEST_SUBJECT]
