"""Judges a document security store (DSS): is it well formed, and is it all that it claims to be?

ISO 32000-2, 12.8.4.3, and ETSI EN 319 142-1, 5.4.2, say what a DSS holds. One is accepted after a
seal although nobody signs it, so it may hold nothing else: no other entry, no object that is not a
certificate, an OCSP response, a CRL or a timestamp, and not less than the DSS before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from asn1crypto import cms, crl, ocsp, x509

from rotation.cms.signed_data import MOST_CERTIFICATES
from rotation.sealing.verification.facts import Fact, Name, Ref, StreamFact
from rotation.sealing.verification.history import Revision

_LISTS: Final[dict[str, Callable[..., Any]]] = {
    "/Certs": x509.Certificate.load,
    "/OCSPs": ocsp.OCSPResponse.load,
    "/CRLs": crl.CertificateList.load,
}
_LISTS_OF_VRI: Final = {"/Cert": "/Certs", "/OCSP": "/OCSPs", "/CRL": "/CRLs"}
_STREAM_ENTRIES: Final = frozenset({"/Filter", "/DecodeParms", "/DL"})
# The SHA-1 digest of the signature's Contents, in hexadecimal (EN 319 142-1, 5.4.2.3).
_vri_key = re.compile(r"/[0-9A-Fa-f]{40}")


@dataclass
class SecurityStore:
    """A DSS as it was found in a revision.

    Attributes:
        problems: what is wrong with it, as sentences; empty if it is well formed.
        objects: the numbers of the indirect objects that it consists of.
        contents: for each kind of content the SHA-256 digests of what it holds.
        signatures: the keys of its VRI dictionary.
    """

    problems: list[str] = field(default_factory=list)
    objects: set[int] = field(default_factory=set)
    contents: dict[str, set[bytes]] = field(
        default_factory=lambda: {name: set() for name in _LISTS}
    )
    signatures: set[str] = field(default_factory=set)

    def lacks(self, earlier: SecurityStore) -> bool:
        """Whether something is missing that the earlier one held."""
        return earlier.signatures > self.signatures or any(
            not earlier.contents[name] <= self.contents[name] for name in _LISTS
        )


def read_security_store(value: Fact, revision: Revision) -> SecurityStore:
    """The DSS that the catalog's entry refers to. Raises what reading damaged objects raises."""
    return _Reader(revision).read(value)


def stored_certificates(revision: Revision) -> list[x509.Certificate]:
    """The certificates in the DSS of a revision that can be read, a hundred at most."""
    found: list[x509.Certificate] = []
    with suppress(Exception):  # what cannot be read helps nobody, and is judged elsewhere
        store = revision.entry(revision.entry(revision.trailer, "/Root"), "/DSS")
        listed = revision.entry(store, "/Certs")
        for entry in listed[:MOST_CERTIFICATES] if isinstance(listed, list) else []:
            stream = revision.resolve(entry)
            if isinstance(stream, StreamFact):
                found.append(x509.Certificate.load(stream.data, strict=True))
                _ = found[-1].subject.native, found[-1].serial_number
    return found


class _Reader:
    def __init__(self, revision: Revision) -> None:
        self._revision = revision
        self._store = SecurityStore()

    def read(self, value: Fact) -> SecurityStore:
        found = self._dictionary(value, "/DSS", {*_LISTS, "/VRI"})
        for name in _LISTS:
            self._list(found.get(name), name)
        for key, entry in self._vri(found.get("/VRI")).items():
            self._store.signatures.add(key.upper())
            self._vri_entry(entry)
        if not self._store.contents["/Certs"]:
            self._problem("holds no certificate")
        return self._store

    def _problem(self, text: str) -> None:
        self._store.problems.append(f"The validation data (DSS) {text}.")

    def _follow(self, value: Fact) -> Fact:
        if isinstance(value, Ref):
            self._store.objects.add(value.number)
        return self._revision.resolve(value)

    def _dictionary(self, value: Fact, kind: str, entries: set[str]) -> dict[str, Fact]:
        found = self._follow(value)
        if not isinstance(found, dict):
            self._problem(f"has no dictionary where {kind} should be")
            return {}
        stated = found.get("/Type", Name(kind))
        if stated != kind:
            self._problem(f"has a dictionary of another type than {kind}")
        if more := found.keys() - entries - {"/Type"}:
            self._problem(f"has the entry {min(more)[:40]}, which does not belong there")
        return found

    def _vri(self, value: Fact) -> dict[str, Fact]:
        if value is None:
            return {}
        found = self._follow(value)
        if not isinstance(found, dict):
            self._problem("has no dictionary where VRI should be")
            return {}
        entries = {key: entry for key, entry in found.items() if key != "/Type"}
        if not all(_vri_key.fullmatch(key) for key in entries):
            self._problem("has an entry for something that is no signature")
        return entries

    def _vri_entry(self, value: Fact) -> None:
        entry = self._dictionary(value, "/VRI", {*_LISTS_OF_VRI, "/TU", "/TS"})
        for name, kind in _LISTS_OF_VRI.items():
            self._list(entry.get(name), kind)
        if "/TS" in entry:
            self._stream(entry["/TS"], "/TS", cms.ContentInfo.load)
        if not isinstance(self._follow(entry.get("/TU", b"")), bytes):
            self._problem("has a time that is none")

    def _list(self, value: Fact, kind: str) -> None:
        if value is None:
            return
        found = self._follow(value)
        if not isinstance(found, list):
            self._problem(f"has no array where {kind[1:]} should be")
            return
        for element in found:
            digest = self._stream(element, kind, _LISTS[kind])
            if digest:
                self._store.contents[kind].add(digest)

    def _stream(self, value: Fact, kind: str, load: Callable[..., Any]) -> bytes | None:
        """The digest of what the stream holds, if it is of that kind."""
        known = isinstance(value, Ref) and value.number in self._store.objects
        found = self._follow(value)
        if not isinstance(found, StreamFact) or not found.entries.keys() <= _STREAM_ENTRIES:
            self._problem(f"has something else among {kind[1:]}")
            return None
        data = found.data
        if not known:
            try:
                # Only what is read is parsed, so everything is read.
                _ = load(data, strict=True).native
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                self._problem(f"has something else among {kind[1:]}")
                return None
        return hashlib.sha256(data).digest()
