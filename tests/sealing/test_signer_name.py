"""What a seal says of itself: fields in its text, the signer's name, and the software."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO
from typing import Any

import pikepdf
import pytest

import rotation
from rotation.errors import InvalidRequestError
from rotation.sealing.request import SealOptions
from rotation.sealing.sealer import SealedDocument
from rotation.sealing.signer_name import SignerName
from rotation.sealing.visible_seal import VisibleSeal
from rotation.vendor.signer import SignerPolicy
from tests.sealing.conftest import SealerFixture
from tests.sealing.pdfs import pdf

ORGANIZATION = "Trusted Signatures Sandbox"
TEXT = "Sealed by {signer}\n{time}\n{reason} {other}"


#: What pikepdf gives out is gone with its document.
OPENED: list[pikepdf.Pdf] = []


def sealed(fixture: SealerFixture, text: str = TEXT) -> tuple[SealedDocument, Any]:
    """The seal, and its field as qpdf reads it."""
    fixture.put("a.pdf", pdf())
    options = {
        "reason": "Inspection {time}",
        "visible": {"page": 1, "box": [0, 0, 200, 100], "text": text},
    }
    answer = fixture.sealer.seal(fixture.request(options=options))
    opened = pikepdf.open(BytesIO(fixture.sealed()))
    OPENED.append(opened)
    return answer, opened.Root.AcroForm.Fields[0]


def test_fields_of_the_text_are_filled_in(sealer_fixture: SealerFixture) -> None:
    """The signer, the time and the reason; other braces stay, also those within a value."""
    answer, field = sealed(replace(sealer_fixture, signer_name=SignerName(ORGANIZATION)))
    told = re.fullmatch(
        rf"Sealed by {ORGANIZATION} (\S+ \S+) UTC Inspection \{{time\}} \{{other\}}",
        str(field.TU),
    )
    assert told
    assert re.sub(r"\D", "", told[1]) in re.sub(r"\D", "", str(field.V.M))
    assert answer.signatures == 1


def test_a_name_that_is_not_known_yet_costs_a_signature_once(sealer_fixture: SealerFixture) -> None:
    """Without a configured organisation the first signature of a process tells the name."""
    fixture = replace(sealer_fixture, signer_name=SignerName())
    fixture.policy = SignerPolicy.from_pem(fixture.pki.root_pem, None)
    first, field = sealed(fixture)
    assert str(field.TU).startswith(f"Sealed by {ORGANIZATION} ")
    second, field = sealed(fixture)
    assert str(field.TU).startswith(f"Sealed by {ORGANIZATION} ")
    assert (first.signatures, second.signatures) == (2, 1)
    assert sealed(replace(fixture, signer_name=SignerName()), "no name")[0].signatures == 1


def test_a_text_without_its_reason_is_refused() -> None:
    """A field that would be empty is a mistake."""
    with pytest.raises(InvalidRequestError, match="no reason is given"):
        SealOptions.parse({"visible": {"page": 1, "box": [0, 0, 9, 9], "text": "{reason}"}})


def test_the_name_is_written_where_it_is_certain(sealer_fixture: SealerFixture) -> None:
    """Name is the configured organisation, which each signature is checked against."""
    _, field = sealed(replace(sealer_fixture, signer_name=SignerName(ORGANIZATION)))
    assert str(field.V.Name) == ORGANIZATION
    _, field = sealed(replace(sealer_fixture, signer_name=SignerName()))
    assert "/Name" not in field.V


def test_the_build_dictionary_names_this_software(sealer_fixture: SealerFixture) -> None:
    """Its name, and its version."""
    _, field = sealed(sealer_fixture)
    build = field.V.Prop_Build
    assert build.Filter.Name == "/Adobe.PPKLite"
    assert build.App.Name == "/trusted-signatures-rotation"
    assert str(build.App.REx) == rotation.__version__


def test_a_text_without_fields_is_what_it_was() -> None:
    """Nothing is replaced in it, and a seal without a text has no fields."""
    plain = VisibleSeal(1, (0, 0, 9, 9), "100 % {x}")
    assert plain.with_fields(signer="A", time="B", reason=None) is plain
    assert VisibleSeal(1, (0, 0, 9, 9)).names == frozenset()
