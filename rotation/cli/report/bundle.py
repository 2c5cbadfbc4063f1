"""A bundle: what a report was made of, and the report, in one zip file that anybody can verify.

::

    README.txt         how to verify it
    SHA256SUMS         a digest of every other file, as sha256sum writes and reads it
    sources.json       what AWS said of the secret, the states and the records
    states/0001.json   every state of the journal, byte for byte, oldest first
    records/0001.json  every version of the records of incidents, likewise
    report.json        the report
    report.html        the same for people

Nobody signs it: whoever can write all of this can write the digests too.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import rotation
from rotation.cli.report.facts import report_facts
from rotation.cli.report.page import report_page
from rotation.cli.report.sources import (
    EvidenceObject,
    ReportSources,
    read_sources,
    source_members,
)
from rotation.credential import json_object
from rotation.errors import ReportError
from rotation.privacy.printable import outside_text
from rotation.privacy.redaction import hide_keys

#: A file of a bundle has so many bytes at most, and all of them together: a bundle is read whole.
MOST_BYTES_OF_A_FILE: Final = 64 * 1024 * 1024
MOST_BYTES: Final = 1024 * 1024 * 1024

_SUMS: Final = "SHA256SUMS"
_NAME: Final = re.compile(
    r"README\.txt|SHA256SUMS|sources\.json|report\.(?:json|html)|(?:states|records)/\d{4,7}\.json"
)
_SUM: Final = re.compile(r"([0-9a-f]{64})  (\S+)")
#: The time of each file in the zip, so that equal sources give equal bundles.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)

_README: Final = """\
This bundle has a report on the keys of a secret in AWS Secrets Manager (report.html), and what the
report was made of. Verify it without AWS, with the package trusted-signatures-rotation {version}:

    rotation verify-bundle BUNDLE.zip

That recomputes every digest, checks that each state of the journal follows from the one before, and
makes the report anew from the sources. The digests alone need no such package: unpack the bundle,
and in its folder

    sha256sum --check SHA256SUMS

Nobody has signed this bundle. It proves that the report follows from the states that are in it. It
does not prove who wrote them: compare the VersionIds and digests in sources.json and report.html
with the bucket, or have the digest of the bundle confirmed by another way.
"""


def bundle_of(sources: ReportSources) -> bytes:
    """The bundle of a report, as a zip file.

    Raises:
        ReportError: a source holds what looks like a key; it is not handed on. Or no report can be
            made of them.
    """
    _refuse_keys(sources)
    facts = report_facts(sources)
    files = {
        "README.txt": _README.format(version=sources.made_with).encode(),
        "sources.json": _json(source_members(sources)),
        **_numbered("states", sources.states),
        **_numbered("records", sources.records),
        "report.json": _json(facts),
        "report.html": report_page(facts).encode(),
    }
    sums = "".join(f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, _SUMS: sums.encode()}.items():
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return written.getvalue()


def _json(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, indent=1, sort_keys=True).encode() + b"\n"


def _numbered(folder: str, stored: tuple[EvidenceObject, ...]) -> dict[str, bytes]:
    return {f"{folder}/{number:04}.json": one.body for number, one in enumerate(stored, start=1)}


def _refuse_keys(sources: ReportSources) -> None:
    """States and records are handed on as they are, so they are searched first."""
    texts = [(one.name, one.body.decode(errors="replace")) for one in sources.states]
    texts += [(one.name, one.body.decode(errors="replace")) for one in sources.records]
    texts.append(("the description of the secret", json.dumps(source_members(sources))))
    for name, text in texts:
        if hide_keys(text) != text:
            raise ReportError(
                f"No bundle was made: {outside_text(name)} holds what looks like a key. Nothing of "
                "the kind belongs there; find out who wrote it, and replace the key if it is one "
                "(rotation force SECRET --reason key-compromise)."
            )


@dataclass(frozen=True)
class BundleCheck:
    """One thing that was verified of a bundle.

    Attributes:
        name: a stable word.
        what: what was verified, as a sentence.
        problems: what is wrong, as sentences; empty: nothing.
    """

    name: str
    what: str
    problems: tuple[str, ...]

    def members(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "check": self.name,
            "ok": not self.problems,
            "what": self.what,
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class VerifiedBundle:
    """What verifying a bundle has shown.

    Attributes:
        digest: the SHA-256 of the whole bundle.
        sources: its sources; None: they could not be read, and nothing else was checked.
        checks: every check, in order.
    """

    digest: str
    sources: ReportSources | None
    checks: tuple[BundleCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(one.problems for one in self.checks)


def verify(bundle: bytes) -> VerifiedBundle:
    """Verify a bundle. Asks nobody, and writes no file.

    Raises:
        ReportError: it is not a bundle at all.
    """
    files = _unpacked(bundle)
    digests = BundleCheck(
        "digests", "Every file has the digest that SHA256SUMS names.", _digests(files)
    )
    try:
        sources = _sources(files)
        facts = report_facts(sources)
    except ReportError as error:
        unread = BundleCheck("sources", "The sources can be read.", (str(error),))
        return VerifiedBundle(sha256(bundle).hexdigest(), None, (digests, unread))
    report = BundleCheck(
        "report",
        "The report, made anew from the sources, is the one in the bundle.",
        tuple(_of_the_report(files, sources, facts)),
    )
    checks = (digests, *_of_the_sources(sources, facts), report)
    return VerifiedBundle(sha256(bundle).hexdigest(), sources, checks)


def _unpacked(bundle: bytes) -> dict[str, bytes]:
    """The files of a bundle by name.

    Raises:
        ReportError: it is no zip file, is too large, or has a file that no bundle has.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            entries = archive.infolist()
            names = [one.filename for one in entries]
            strange = [one for one in names if not _NAME.fullmatch(one)]
            if strange or len(set(names)) != len(names):
                named = outside_text(strange[0]) if strange else "a file twice"
                raise ReportError(f"This is no bundle of a report: it has {named}.")
            sizes = [one.file_size for one in entries]
            if max(sizes, default=0) > MOST_BYTES_OF_A_FILE or sum(sizes) > MOST_BYTES:
                raise ReportError("This is no bundle of a report: what it has is too large.")
            return {one.filename: archive.read(one) for one in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ReportError(
            f"This is no bundle of a report: it cannot be unpacked ({type(error).__name__})."
        ) from None


def _digests(files: Mapping[str, bytes]) -> tuple[str, ...]:
    lines = files.get(_SUMS, b"").decode(errors="replace").splitlines()
    sums = {found[2]: found[1] for line in lines if (found := _SUM.fullmatch(line))}
    names = files.keys() - {_SUMS}
    problems = [
        f"SHA256SUMS names {outside_text(one)}, which is not there."
        for one in sorted(sums.keys() - names)
    ]
    problems += [f"{one} is not in SHA256SUMS." for one in sorted(names - sums.keys())]
    problems += [
        f"{one} has another digest than SHA256SUMS names."
        for one in sorted(names & sums.keys())
        if sha256(files[one]).hexdigest() != sums[one]
    ]
    if len(sums) != len(lines):
        problems.append("SHA256SUMS has lines that are none of its kind.")
    return tuple(problems)


def _sources(files: Mapping[str, bytes]) -> ReportSources:
    members = json_object(files.get("sources.json", b"")) or {}

    def bodies(folder: str) -> list[bytes]:
        return [files[one] for one in sorted(files) if one.startswith(f"{folder}/")]

    try:
        return read_sources(members, bodies("states"), bodies("records"))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ReportError("sources.json, and the states and records that it names, do not fit.")


#: Which exceptions of a report say that a source is not what it should be.
_OF_STATES: Final = ("state_unreadable", "state_does_not_follow")
_OF_STORAGE: Final = ("checksum",)
_OF_RECORDS: Final = (
    *("record_missing", "record_replaced", "record_unreadable", "record_differs"),
)


def _of_the_sources(sources: ReportSources, facts: Mapping[str, Any]) -> Iterator[BundleCheck]:
    found = [(one["code"], one["text"]) for one in facts["exceptions"]]
    times = [one.at for one in sources.states]
    order = () if times == sorted(times) else ("The states are not in the order of S3's times.",)
    for name, what, codes, more in (
        ("storage", "Each body has the checksum that S3 kept.", _OF_STORAGE, order),
        ("states", "Each state of the journal follows from the one before.", _OF_STATES, ()),
        ("records", "The record of each closed incident agrees with the journal.", _OF_RECORDS, ()),
    ):
        yield BundleCheck(name, what, (*(text for code, text in found if code in codes), *more))


def _of_the_report(
    files: Mapping[str, bytes], sources: ReportSources, facts: Mapping[str, Any]
) -> Iterator[str]:
    if sources.made_with != rotation.__version__:
        yield (
            f"It was made with version {outside_text(sources.made_with)}, and this is "
            f"{rotation.__version__}, so the report was not compared. Verify it with that version."
        )
        return
    for name, content in (
        ("sources.json", _json(source_members(sources))),
        ("report.json", _json(facts)),
        ("report.html", report_page(facts).encode()),
    ):
        if files.get(name) != content:
            yield f"{name} is not what follows from the sources."
