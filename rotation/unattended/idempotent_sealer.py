"""Seals each version of a document once, however often and in whatever order events name it.

The destination follows from the source:

- Version ``V`` of ``KEY`` goes to ``PREFIX`` ``KEY/V.pdf``. A version never changes, and each has a
  destination of its own, so an event that comes late overwrites nothing.
- In a bucket without versions, ``KEY`` goes to ``PREFIX`` ``KEY``. An event is then only a reason
  to look at the object as it is now, whatever it was when the event was sent.

The sealer stores with each sealed document what it was made from, as the metadata ``source-etag``
and ``source-version-id``, and a HEAD reads them. So a repeat costs two HEADs and no signature. If
two functions take the same document at the same moment, each may buy a signature, and the result is
the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rotation.aws.answers import reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS, error_code, http_status, is_retryable
from rotation.client.sealing_client import SealingClient
from rotation.deadline import NEXT_DOCUMENT_RESERVE, Deadline
from rotation.errors import DestinationError, SealingError, SourceNotFoundError
from rotation.privacy.observability import count, logger
from rotation.sealing.request import ObjectLocation, SealOptions
from rotation.sealing.storage.ranges import RangedObject
from rotation.sealing.storage.s3_errors import changed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# No version at all, or the one that a bucket without versions, or with versions suspended, replaces
# (UserGuide Versioning).
_REPLACEABLE: Final = frozenset({None, "null"})


@dataclass(frozen=True)
class SealResult:
    """The result for one source.

    Attributes:
        destination: where the sealed document is; None: the source only marks a folder.
        sealed_before: whether it was sealed already, and no signature was bought.
    """

    destination: ObjectLocation | None
    sealed_before: bool = False


@dataclass(frozen=True)
class IdempotentSealer:
    """Seals documents of one bucket into one place.

    Attributes:
        s3: reads the metadata of sources and of sealed documents.
        client: has documents sealed.
        bucket: where sealed documents go.
        prefix: what their keys begin with.
        options: how documents are sealed unless something else is asked for.
        deadline: when this invocation ends.
    """

    s3: S3Client
    client: SealingClient
    bucket: str
    prefix: str
    options: SealOptions
    deadline: Deadline

    def destination(self, source: ObjectLocation) -> ObjectLocation:
        """Where the sealed ``source`` lies."""
        version = f"/{source.version_id}.pdf" if source.version_id else ""
        return ObjectLocation(self.bucket, f"{self.prefix}{source.key}{version}")

    def holds(self, place: ObjectLocation) -> bool:
        """Whether ``place`` is where sealed documents go."""
        return place.bucket == self.bucket and place.key.startswith(self.prefix)

    def seal(self, source: ObjectLocation, options: SealOptions | None = None) -> SealResult:
        """Have ``source`` sealed, unless it is sealed already, with whatever options.

        Args:
            source: the document; without a version, as it is now.
            options: how this document is to be sealed; None: as all of them.

        Raises:
            SealingError: the seal was not begun, because too little time is left; retryable.
            SourceChangedError: the source was replaced meanwhile, in a bucket without versions;
                retryable.
            DestinationError: the destination could not be read or written.
            RotationError: as `SealingClient.seal`.
        """
        self._refuse_late(source)
        found = RangedObject.find(self.s3, source)
        version = replace(source, version_id=found.version_id)
        if _marks_folder(found):
            logger.info("nothing to seal", extra={"source": str(version)})
            return SealResult(None)
        destination = self.destination(version)
        if _is_sealed_from(found, self._metadata(destination)):
            count("DocumentsSealedBefore")
            logger.info(
                "document was sealed before",
                extra={"source": str(version), "destination": str(destination)},
            )
            return SealResult(destination, sealed_before=True)
        last_attempt = self.deadline.before(NEXT_DOCUMENT_RESERVE).left()
        seal = self.client.seal(version, destination, options or self.options, within=last_attempt)
        if version.version_id in _REPLACEABLE:
            self._refuse_replaced(version, seal.source.etag)
        return SealResult(destination)

    def _refuse_late(self, source: ObjectLocation) -> None:
        if not self.deadline.before(NEXT_DOCUMENT_RESERVE).passed():
            return
        left, needed = self.deadline.left(), NEXT_DOCUMENT_RESERVE
        problem = SealingError(
            f"{source} was not begun: the function has {left.total_seconds():.0f} s left, "
            f"and a document needs {needed.total_seconds():.0f}. It will be tried again."
        )
        problem.retryable = True
        raise problem

    def _metadata(self, destination: ObjectLocation) -> Mapping[str, str]:
        """The metadata of the document at ``destination``; empty if there is none.

        API_HeadObject: whether a missing object is 404 or 403 depends on s3:ListBucket. A 403 must
        not pass for a missing one, or every repeat would buy another signature.
        """
        try:
            with reading_answer():
                answer = self.s3.head_object(Bucket=destination.bucket, Key=destination.key)
                answer["ETag"]
                return answer["Metadata"]
        except AWS_CALL_ERRORS as error:
            if http_status(error) == 404:
                return {}
            problem = DestinationError(
                f"Whether {destination} is there already could not be seen ({error_code(error)}). "
                "Check that the bucket exists and that the function's role may look there "
                "(s3:GetObject, and s3:ListBucket on the bucket)."
            )
            problem.retryable = is_retryable(error)
            raise problem from error

    def _refuse_replaced(self, source: ObjectLocation, etag: str) -> None:
        # If two functions seal at once, the one with the older content may be the last to store.
        try:
            found = RangedObject.find(self.s3, source)
        except SourceNotFoundError:
            # The application may have removed the source once it saw the sealed document.
            return
        if found.etag != etag:
            raise changed(source)


def _marks_folder(source: RangedObject) -> bool:
    """Whether it is an object that S3's console makes for a folder (UserGuide using-folders)."""
    return source.size == 0 and source.location.key.endswith("/")


def _is_sealed_from(source: RangedObject, metadata: Mapping[str, str]) -> bool:
    """Whether a sealed document with this ``metadata`` was made from ``source`` as it is now."""
    if metadata.get("source-etag") != source.etag:
        return False
    return source.version_id in {None, metadata.get("source-version-id")}
