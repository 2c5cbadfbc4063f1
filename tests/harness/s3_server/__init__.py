"""An S3 for tests of large documents: real sockets, files on disk, faults on demand.

It speaks enough of S3 for an unmodified boto3: objects, versions, ranges, conditions, tags and
multipart uploads. moto reads a whole object for each range, so that a range of a sparse file of
gigabytes would take seconds there, and gigabytes of memory.
"""

from tests.harness.s3_server.faults import Faults, Trouble, read_timeout
from tests.harness.s3_server.server import S3Server

__all__ = ["Faults", "S3Server", "Trouble", "read_timeout"]
