"""A document taken from one place to another with a seal, as the sealer does it."""

from __future__ import annotations

from collections.abc import Callable

from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.sealing.documents import DocumentStore, StoredDocument
from rotation.sealing.pdf import prepare
from rotation.sealing.request import ObjectLocation, SealOptions
from tests.sealing.conftest import now
from tests.sealing.pdfs import cms_over


def seal_document(
    documents: DocumentStore,
    source: ObjectLocation,
    destination: ObjectLocation,
    signer: SimpleSigner,
    *,
    before: Callable[[], object] = lambda: None,
    options: SealOptions | None = None,
) -> StoredDocument:
    """Seal ``source``; ``before`` happens between signing and storing."""
    with documents.open(source, most=2**40) as opened:
        prepared = prepare(opened.content, options or SealOptions(), now())
        with documents.open_writer(
            opened, destination, {"source-etag": opened.etag}, rewritten=prepared.repaired
        ) as delivery:
            cms = cms_over(prepared.digest, signer)
            before()
            return delivery.complete(prepared, cms)
