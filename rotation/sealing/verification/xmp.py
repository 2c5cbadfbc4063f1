"""Compares two XMP packets: did anything but dates and the name of the tool change?

XMP is RDF (ISO 16684-1): the same property may be written as an attribute or as an element, so the
properties are compared, and not the text.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree.ElementTree import Element, ParseError, XMLParser

_RDF: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XMP: Final = "{http://ns.adobe.com/xap/1.0/}"
_FRAME: Final = frozenset({"{adobe:ns:meta/}xmpmeta", f"{_RDF}RDF", f"{_RDF}Description"})
_DATES: Final = frozenset(
    {f"{_XMP}ModifyDate", f"{_XMP}MetadataDate", "{http://ns.adobe.com/pdf/1.3/}Producer"}
)
# ISO 8601 as XMP has it (ISO 16684-1, 8.2.1.3), and the name of a tool.
_plain = re.compile(r"\d{4}(-\d\d){0,2}(T[\d:.]{5,18}(Z|[+-]\d\d:\d\d)?)?")
_tool = re.compile(r"[^\0-\x1f]{0,256}")
_LARGEST: Final = 1024 * 1024

_Property = tuple[str, object]


def differs_in_dates_alone(old: bytes, new: bytes) -> bool:
    """Whether two packets say the same, but for dates and the name of the tool.

    Args:
        old: the earlier packet; empty if there was none.
        new: the later one.
    """
    try:
        before = _properties(old) if old else set()
        return before == _properties(new)
    except (ParseError, ValueError, RecursionError):
        return False


def _properties(packet: bytes) -> set[_Property]:
    # A document type could define entities, which expand without end; XMP has none.
    if len(packet) > _LARGEST or b"<!" in packet or b"\0" in packet:
        raise ValueError("not a plain XMP packet")
    parser = XMLParser()  # noqa: S314 - entities are refused above
    parser.feed(packet.strip())
    root: Element = parser.close()
    found: set[_Property] = set()
    todo = [root]
    if any((each.tail or "").strip() for each in root.iter()):
        raise ValueError("text that belongs to no property")
    while todo:
        element = todo.pop()
        if element.tag not in _FRAME:
            found.add((element.tag, _value(element)))
            continue
        if (element.text or "").strip():
            raise ValueError("text that belongs to no property")
        if element.tag == f"{_RDF}Description":
            found |= {(name, value.strip()) for name, value in element.attrib.items()}
        todo += element
    for name, value in found:
        form = _tool if name.endswith("}Producer") else _plain
        if name in _DATES and not (isinstance(value, str) and form.fullmatch(value)):
            raise ValueError("a date that is none")
    return {(name, value) for name, value in found if name not in _DATES | {f"{_RDF}about"}}


def _value(element: Element) -> object:
    text = (element.text or "").strip()
    if not len(element) and not element.attrib:
        return text
    parts = tuple((child.tag, _value(child)) for child in element)
    return text, tuple(sorted(element.attrib.items())), parts
