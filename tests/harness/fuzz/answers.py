"""What the vendor and validation services answer in DER, damaged.

DER is a tree, so most damage to its bytes ends at the first length that is wrong. Here the tree is
damaged and written again with lengths that are right, so that damage gets further.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Final

from rotation.errors import SealVerificationError
from rotation.sandbox.vendor import Pki, ValidationService, ValidationServices
from rotation.sandbox.vendor.cms import sign
from rotation.sealing.levels.growing_document import GrowingDocument
from rotation.sealing.levels.raiser import LevelRaiser
from rotation.sealing.levels.services import ServiceSettings
from rotation.sealing.pdf import Limits, prepare
from rotation.sealing.pdf.reader.document import PdfDocument, readable
from rotation.sealing.request import Level, SealOptions
from rotation.sealing.verify import verify
from rotation.vendor.cms import verify_cms
from rotation.vendor.signer import SignerPolicy
from tests.harness.fuzz.trial import SLACK, Outcome
from tests.sealing.pdfs import pdf

#: Constructed encodings nest; OCTET STRINGs may too, and are read as trees where they can be.
_CONSTRUCTED: Final = 0x20
_DEEPEST: Final = 40
ACCEPTED: Final = "accepted"


@dataclass
class Node:
    """One element: its tag, and its content or its elements."""

    tag: int
    content: bytes = b""
    elements: list[Node] = field(default_factory=list)

    def encoded(self) -> bytes:
        """With lengths that are right."""
        inside = b"".join(one.encoded() for one in self.elements) or self.content
        return bytes([self.tag]) + _length(len(inside)) + inside

    def below(self) -> list[Node]:
        """Itself and everything in it."""
        return [self, *(more for one in self.elements for more in one.below())]


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def parse(der: bytes, depth: int = 0) -> list[Node] | None:
    """The elements of ``der``; None if it is not made of elements with definite lengths."""
    found: list[Node] = []
    at = 0
    while at < len(der):
        if at + 2 > len(der) or der[at] & 0x1F == 0x1F:
            return None
        tag, size, begin = der[at], der[at + 1], at + 2
        if size & 0x80:
            octets = size & 0x7F
            size, begin = int.from_bytes(der[begin : begin + octets], "big"), begin + octets
            if not octets:
                return None
        if begin + size > len(der):
            return None
        content = der[begin : begin + size]
        inside = parse(content, depth + 1) if tag & _CONSTRUCTED and depth < _DEEPEST else None
        found.append(Node(tag, content, inside or []))
        at = begin + size
    return found


def damaged(der: bytes, chance: random.Random) -> bytes:
    """A copy of ``der`` with one to three damages to its tree, or to its bytes."""
    tree = parse(der)
    assert tree, "what is damaged was whole"
    for _ in range(chance.randint(1, 3)):
        chance.choice(_WAYS)(chance.choice(tree[0].below()), chance)
    made = bytearray(tree[0].encoded())
    if chance.random() < 0.2:
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    if chance.random() < 0.05:
        del made[chance.randrange(len(made)) :]
    return bytes(made)


def _lose(node: Node, chance: random.Random) -> None:
    if node.elements:
        del node.elements[chance.randrange(len(node.elements))]
    node.content = node.content[: len(node.content) // 2]


def _double(node: Node, chance: random.Random) -> None:
    if node.elements:
        node.elements += [chance.choice(node.elements)] * chance.choice((1, 2, 200))


def _swap(node: Node, chance: random.Random) -> None:
    chance.shuffle(node.elements)


def _retag(node: Node, chance: random.Random) -> None:
    node.tag = chance.choice((*b"\x02\x03\x04\x05\x06\x0c\x13\x17\x18\x30\x31\xa0\xa1", 0x7F, 0x24))


def _nest(node: Node, chance: random.Random) -> None:
    inner = Node(node.tag, node.content, node.elements)
    for _ in range(chance.choice((1, 5, 100))):
        inner = Node(chance.choice(b"\x30\x31\xa0\x24"), elements=[inner])
    node.tag, node.elements = inner.tag, inner.elements


def _replace(node: Node, chance: random.Random) -> None:
    if not node.elements:
        node.content = chance.choice(
            (b"", b"\x00", b"\xff" * 40, chance.randbytes(20), b"\x80" * 3000, node.content * 50)
        )


_WAYS: Final[tuple[Callable[[Node, random.Random], None], ...]] = (
    *(_lose, _double, _swap, _retag, _nest, _replace),
)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Answers:
    """Whole answers, and what reads each kind of them.

    Attributes:
        whole: the vendor's answers that are damaged, by kind.
        readers: what reads an answer of a kind; raises nothing but what it says it raises.
        services: the OCSP responder, the CRLs and the TSA whose answers are damaged.
        sealed: a document with a timestamped seal, which is to be raised.
    """

    whole: Mapping[str, Sequence[bytes]]
    readers: Mapping[str, Callable[[bytes], object]]
    services: ValidationServices
    sealed: bytes

    @classmethod
    @contextmanager
    def of(cls, made: Pki) -> Iterator[Answers]:
        """Answers of a vendor with this CA, and of services that run for as long."""
        with ValidationServices(made, clock=_now) as services:
            yield cls._of(services)

    @classmethod
    def _of(cls, services: ValidationServices) -> Answers:
        pki, now = services.pki, _now()
        prepared = prepare(BytesIO(pdf()), SealOptions(), now)
        policy = SignerPolicy.from_pem(pki.root_pem, None)
        plain = sign(prepared.digest, pki.signer)
        stamped = sign(prepared.digest, pki.signer, timestamp=(pki.tsa, now))

        def checked(der: bytes) -> object:
            return verify_cms(der, prepared.digest, policy, now)

        def in_a_document(der: bytes) -> object:
            return verify(prepared.embed(der[: prepared.reserved]), pki.root_pem)

        return cls(
            {"cms": (plain, stamped), "seal": (plain, stamped)},
            {"cms": checked, "seal": in_a_document},
            services,
            prepared.embed(stamped),
        )

    def raise_level(self, chance: random.Random) -> Outcome:
        """Raise the document while the answers of one service are damaged.

        It is raised, or it is not and there is a reason; and its seal is as good as before.
        """
        damaged_service = chance.choice(list(ValidationService))

        def alter(service: ValidationService, content: bytes) -> bytes:
            return damaged(content, chance) if service is damaged_service else content

        self.services.alter = alter
        settings = ServiceSettings(frozenset({self.services.host}), self.services.tsa_url)
        root = self.services.pki.root_pem
        try:
            with readable():
                read = PdfDocument(BytesIO(self.sealed))
            document = GrowingDocument(read, lambda: hashlib.sha256(self.sealed), Limits())
            raised = LevelRaiser(settings, root, _now).raise_level(document, Level.B_LTA)
            [seal, *_] = verify(self.sealed + document.tail, root)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            return Outcome(type(error).__name__, f"{damaged_service}: raised {error!r}")
        worse = None if seal.problem is None else f"{damaged_service}: {seal.problem}"
        return Outcome(f"raised to {raised.reached}", worse)

    def attempt(self, chance: random.Random) -> Outcome:
        """Damage one of the vendor's answers and have it read."""
        kind = chance.choice(sorted(self.whole))
        answer = damaged(chance.choice(self.whole[kind]), chance)
        started = time.monotonic()
        problem = None
        try:
            self.readers[kind](answer)
            result = ACCEPTED
        except SealVerificationError as error:
            result = error.code
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            result = type(error).__name__
            problem = f"{kind}: raised {error!r} for {answer.hex()}"
        if time.monotonic() - started > SLACK:
            problem = f"{kind}: took too long for {answer.hex()}"
        return Outcome(result, problem)
