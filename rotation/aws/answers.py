"""Reads what an answer of AWS must hold.

Something between this process and AWS can cut or rewrite an answer and leave its status 200.
botocore then returns an answer without the members. Nothing is concluded from what is missing: the
call may have had its effect or not, and may be made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from rotation.aws.errors import AWS_CALL_ERRORS, IncompleteAnswerError
from rotation.credential import json_object

# What reading an answer raises that has another form than the API promises: our code, and also
# botocore's where the body is of another kind.
_UNREADABLE: Final = (AttributeError, LookupError, TypeError, ValueError)


@contextmanager
def reading_answer() -> Iterator[None]:
    """Raise IncompleteAnswerError where the block finds an answer that is not whole.

    The block makes the call, and reads from the answer what it must hold.
    """
    try:
        yield
    except AWS_CALL_ERRORS:
        raise
    except _UNREADABLE:
        raise IncompleteAnswerError from None


def listed(page: Mapping[str, Any], member: str) -> list[dict[str, Any]]:
    """The entries of a page of S3's lists; none where it says that it is whole and has none.

    Raises:
        KeyError: the page lacks IsTruncated, which every list has (API_ListObjectsV2).
    """
    page["IsTruncated"]
    entries: list[dict[str, Any]] = page.get(member, [])
    return entries


def payload_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object that a function answered, or the error that Lambda made of its crash.

    Raises:
        KeyError, ValueError: the answer is not one of API_Invoke, RequestResponse, or
            its payload is not a JSON object.
    """
    if answer["StatusCode"] != 200:
        raise ValueError("StatusCode")
    payload = json_object(answer["Payload"].read())
    if payload is None:
        raise ValueError("Payload")
    return payload
