"""Cross-reference tables: reading many uniform rows at once gives what reading row by row gives."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.xref import XRefSectionData

from rotation.errors import DocumentTooLargeError
from rotation.sealing.pdf.limits import Limits, ReadBudget
from rotation.sealing.pdf.reader.xref import read_subsections

Row = tuple[int, int, bytes]

ROWS = st.lists(
    st.tuples(
        st.integers(0, 10**10 - 1), st.integers(0, 99_999), st.sampled_from([b"n", b"n", b"f"])
    ),
    min_size=1,
    max_size=40,
)


def read(table: bytes, *, base: int = 0, objects: int = 10_000) -> tuple[XRefSectionData, int]:
    """The entries of the rows, and the position after them."""
    data = XRefSectionData()
    budget = ReadBudget(Limits(objects=objects))
    return data, read_subsections(BytesIO(table + b"trailer"), 0, base, budget, data)


def written(first: int, rows: list[Row], *, end: bytes = b" \n", width: int = 10) -> bytes:
    heading = b"%d %d\n" % (first, len(rows))
    return heading + b"".join(
        b"%0*d %05d %b%b" % (width, position, generation, kind, end)
        for position, generation, kind in rows
    )


def said(data: XRefSectionData) -> tuple[object, ...]:
    return data.standard_xrefs, data.freed, data.explicit_refs_in_revision


@given(rows=ROWS, first=st.integers(0, 50), base=st.integers(0, 9))
def test_regular_rows_say_what_irregular_ones_say(rows: list[Row], first: int, base: int) -> None:
    """Rows of 20 bytes and rows of another width give the same objects at the same positions."""
    table = written(first, rows)
    regular, end = read(table, base=base)
    irregular, _ = read(written(first, rows, width=11), base=base)
    assert said(regular) == said(irregular)
    assert table[end:].strip() == b""


@pytest.mark.parametrize("end", [b" \n", b" \r", b"\r\n", b"\n", b"  \r\n"])
@pytest.mark.parametrize("damaged", [None, 0, 1500])
def test_long_tables_are_read_in_pieces(end: bytes, damaged: int | None) -> None:
    """With every end of line, and with a free object among them, all other objects are found."""
    rows = [(1000 + number, 0, b"n") for number in range(3000)]
    if damaged is not None:
        rows[damaged] = (0, 1, b"f")
    data, _ = read(written(1, rows, end=end))
    found = {number + 1: (0, 1000 + number) for number in range(3000) if number != damaged}
    assert data.standard_xrefs == found
    assert data.freed == ({} if damaged is None else {damaged + 1: 1})


@pytest.mark.parametrize("count", [3, 3000])
def test_a_list_of_free_objects_begins_with_object_0(count: int) -> None:
    """A table that counts its first free object as 1 has numbers that are too large by one."""
    rows = [(0, 65535, b"f"), *((1000 + number, 0, b"n") for number in range(count))]
    data, _ = read(written(1, rows))
    assert data.standard_xrefs == {number + 1: (0, 1000 + number) for number in range(count)}


def test_rows_that_are_not_there_are_damage() -> None:
    """A heading may claim any number of rows, and only the rows that are there are read."""
    with pytest.raises(PdfReadError):
        read(b"0 4000000000\n")


@pytest.mark.parametrize("width", [10, 11])
def test_rows_count_before_they_are_kept(width: int) -> None:
    """No more rows are kept than a document may have objects."""
    data = XRefSectionData()
    table = written(0, [(1000, 0, b"n")] * 5000, width=width)
    with pytest.raises(DocumentTooLargeError):
        read_subsections(BytesIO(table), 0, 0, ReadBudget(Limits(objects=3000)), data)
    assert len(data.explicit_refs_in_revision) <= 3000
