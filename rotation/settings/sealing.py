"""The settings of the sealing function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from rotation.settings.environment import Environment, Location
from rotation.settings.levels import LevelSettings
from rotation.settings.vendor import VendorSettings

_GIB: Final = 1024**3
_MIB: Final = 1024**2
#: Positions in a cross-reference table have ten digits (ISO 32000-2, 7.5.4).
_LAST_POSITION: Final = 9_999_999_999


def seal_profile(environ: Mapping[str, str] | None = None) -> str:
    """Which kinds of signatures are accepted, and what they are embedded as."""
    return Environment(environ).choice("SEAL_PROFILE", ("auto", "pades", "pkcs7"))


@dataclass(frozen=True)
class SealingSettings:
    """The sealing function's settings.

    Attributes:
        sources: where documents may be read.
        destinations: where sealed documents may be written.
        destination_kms_key: the ARN of the KMS key that encrypts sealed documents; None: the
            bucket's default encryption.
        copy_metadata: whether a sealed document gets the source's user metadata.
        copy_tags: whether it gets the source's object tags.
        profile: which kinds of signatures are accepted, and what they are embedded as.
        ledger: where each seal leaves an entry; None: nowhere.
        levels: which validation services may be asked, and what if they fail.
        max_document_bytes: the largest document accepted.
        max_pdf_objects: the most entries in a document's cross-reference tables, in all revisions.
        max_pdf_decoded_bytes: the most bytes that the streams of its structure may decode to.
        max_pdf_nesting: the deepest nesting of arrays and dictionaries, and the most levels of a
            tree.
        max_pdf_time: how long reading its structure may take.
    """

    vendor: VendorSettings
    sources: tuple[Location, ...]
    destinations: tuple[Location, ...]
    destination_kms_key: str | None
    copy_metadata: bool
    copy_tags: bool
    profile: str
    ledger: Location | None
    levels: LevelSettings
    max_document_bytes: int
    max_pdf_objects: int
    max_pdf_decoded_bytes: int
    max_pdf_nesting: int
    max_pdf_time: timedelta

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read every variable of the sealing function."""
        env = Environment(environ)
        return cls(
            vendor=VendorSettings.from_environment(environ),
            sources=env.locations("SOURCE_LOCATIONS"),
            destinations=env.locations("DESTINATION_LOCATIONS"),
            destination_kms_key=env.key("DESTINATION_KMS_KEY"),
            copy_metadata=env.flag("COPY_METADATA"),
            copy_tags=env.flag("COPY_TAGS"),
            profile=seal_profile(environ),
            ledger=env.ledger("SEAL_LEDGER"),
            levels=LevelSettings.from_environment(environ),
            max_document_bytes=env.integer(
                "MAX_DOCUMENT_BYTES", 5 * _GIB, least=1, most=_LAST_POSITION
            ),
            max_pdf_objects=env.integer("MAX_PDF_OBJECTS", 1_000_000, least=1, most=10_000_000),
            max_pdf_decoded_bytes=env.integer(
                "MAX_PDF_DECODED_BYTES", 64 * _MIB, least=1, most=1024 * _MIB
            ),
            max_pdf_nesting=env.integer("MAX_PDF_NESTING", 100, least=10, most=200),
            max_pdf_time=env.seconds("MAX_PDF_SECONDS", 20, least=1, most=600),
        )
