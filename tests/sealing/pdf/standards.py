"""Judges documents by the rules of PDF/A and PDF/UA that a seal could break.

The rules are veraPDF's, by their published descriptions (https://docs.verapdf.org/validation/), and
each is named by its clause. The documents are read by qpdf, which shares no code with ours. A rule
that no seal touches is not here: a document that breaks none of these may still break others.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pikepdf

_HIDDEN, _PRINTED = 1 | 2 | 32, 4
_LONGEST_STRING = {1: 65_535, 2: 32_767, 3: 32_767, 4: 32_767}


def broken_rules(document: bytes) -> list[str]:
    """The clauses that the document breaks, of the standards that its metadata claim."""
    with pikepdf.open(BytesIO(document)) as opened:
        claims = _claims(opened)
        found: list[str] = []
        if (part := claims.get("a")) is not None:
            found += _pdf_a(opened, part)
        if (part := claims.get("ua")) is not None:
            found += _pdf_ua(opened, part)
        assert claims, "the document claims no standard"
    return found


def _claims(opened: pikepdf.Pdf) -> dict[str, int]:
    with opened.open_metadata() as metadata:
        parts = {name: metadata.get(f"pdf{name}id:part") for name in ("a", "ua")}
    return {name: int(part) for name, part in parts.items() if part}


def _annotations(opened: pikepdf.Pdf) -> Iterator[tuple[Any, Any]]:
    for page in opened.pages:
        for annotation in page.obj.get("/Annots", []):
            yield page, annotation


def _pdf_a(opened: pikepdf.Pdf, part: int) -> Iterator[str]:
    standard = f"ISO 19005-{part}"
    for _, annotation in _annotations(opened):
        flags = int(annotation.get("/F", 0))
        if flags & _HIDDEN or not flags & _PRINTED:
            yield f"{standard}, {'6.5.3' if part == 1 else '6.3.2'}: flags {flags}"
        appearance = annotation.get("/AP")
        clause = "6.9" if part == 1 else "6.3.3"
        left, bottom, right, top = map(float, annotation["/Rect"])
        needed = part == 1 or left != right or bottom != top
        if appearance is None:
            if needed:
                yield f"{standard}, {clause}: no appearance"
        elif list(appearance.keys()) != ["/N"] or not isinstance(appearance["/N"], pikepdf.Stream):
            yield f"{standard}, {'6.5.3' if part == 1 else '6.3.3'}: an appearance but N"
        else:
            yield from _graphics(appearance["/N"], standard, part)
    form: Any = opened.Root.get("/AcroForm", {})
    if bool(form.get("/NeedAppearances", False)):
        yield f"{standard}, {'6.9' if part == 1 else '6.4.1'}: NeedAppearances"
    permissions = set(opened.Root.get("/Perms", {}))
    if part > 1 and not permissions <= {"/UR3", "/DocMDP"}:
        yield f"{standard}, 6.1.12: permissions {permissions}"
    yield from _limits(opened, standard, part)


def _graphics(form: Any, standard: str, part: int) -> Iterator[str]:
    """Fonts are embedded, colors do not depend on a device, and PDF/A-1 has no transparency."""
    resources = form.get("/Resources", {})
    for font in resources.get("/Font", {}).values():
        descriptor = font.get("/FontDescriptor", {})
        if not {"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor.keys()):
            yield f"{standard}, {'6.3.4' if part == 1 else '6.2.11.4.1'}: a font is not embedded"
    drawn = [form, *resources.get("/XObject", {}).values()]
    for each in drawn:
        color = each.get("/ColorSpace")
        if color is not None and str(color).startswith("/Device"):
            yield f"{standard}, {'6.2.3' if part == 1 else '6.2.4.3'}: {color}"
        if part == 1 and (each.get("/SMask") is not None or each.get("/Group") is not None):
            yield f"{standard}, 6.4: transparency"
    for instruction in pikepdf.parse_content_stream(form):
        if str(instruction.operator) in {"g", "G", "rg", "RG", "k", "K"}:
            yield f"{standard}, {'6.2.3' if part == 1 else '6.2.4.3'}: {instruction.operator}"


def _limits(opened: pikepdf.Pdf, standard: str, part: int) -> Iterator[str]:
    clause = "6.1.12" if part == 1 else "6.1.13"
    if len(opened.objects) > 8_388_607:
        yield f"{standard}, {clause}: too many objects"
    todo = list(opened.objects)
    while todo:
        found = todo.pop()
        if isinstance(found, pikepdf.String) and len(bytes(found)) > _LONGEST_STRING[part]:
            yield f"{standard}, {clause}: a string of {len(bytes(found))} bytes"
        if isinstance(found, pikepdf.Name) and len(str(found).encode()) > 128:
            yield f"{standard}, {clause}: a long name"
        if isinstance(found, pikepdf.Array):
            todo += [one for one in found if not _is_indirect(one)]
        elif isinstance(found, (pikepdf.Dictionary, pikepdf.Stream)):
            todo += [one for one in found.values() if not _is_indirect(one)]


def _is_indirect(found: Any) -> bool:
    return isinstance(found, pikepdf.Object) and found.is_indirect


def _pdf_ua(opened: pikepdf.Pdf, part: int) -> Iterator[str]:
    standard = f"ISO 14289-{part}"
    parents = _parent_tree(opened)
    for page, annotation in _annotations(opened):
        order = str(page.obj.get("/Tabs", ""))
        if order not in ({"/S"} if part == 1 else {"/A", "/W", "/S"}):
            yield f"{standard}, {'7.18.3' if part == 1 else '8.9.3.3'}: tab order {order!r}"
        element = (
            parents.get(int(annotation["/StructParent"]))
            if ("/StructParent" in annotation)
            else None
        )
        yield from _annotation(annotation, element, _is_outside(page, annotation), standard)
    for element in parents.values():
        if isinstance(element, pikepdf.Dictionary):
            yield from _element(element, standard)


def _annotation(annotation: Any, element: Any, outside: bool, standard: str) -> Iterator[str]:
    first = standard.endswith("1")
    widget = annotation["/Subtype"] == "/Widget"
    left, bottom, right, top = map(float, annotation["/Rect"])
    if not first and widget and (left, bottom) == (right, top):
        if element is not None:
            yield f"{standard}, 8.9.2.4.15: an invisible widget has a place in the structure"
    elif not (first and outside):
        kind = "/Form" if widget else "/Annot"
        if element is None or element["/S"] != kind:
            yield f"{standard}, {'7.18.4' if first else '8.10.1'}: not in a {kind} element"
        elif element["/K"]["/Obj"].objgen != annotation.objgen:
            yield f"{standard}, 7.18.4: the {kind} element is another annotation's"
    if first and widget and not outside and not str(annotation.get("/TU", "")):
        yield f"{standard}, 7.18.1: no TU"
    if not (first and (widget or outside)) and not str(annotation.get("/Contents", "")):
        yield f"{standard}, {'7.18.1' if first else '8.10.3.5'}: no Contents"


def _element(element: Any, standard: str) -> Iterator[str]:
    """Whether an element stands in its parent, which leads to the root of the tree."""
    parent = element["/P"]
    kids = parent["/K"]
    listed = kids if isinstance(kids, pikepdf.Array) else [kids]
    if element.objgen not in [kid.objgen for kid in listed if isinstance(kid, pikepdf.Object)]:
        yield f"{standard}, 7.1: an element is not among its parent's"
    namespace, above = element.get("/NS"), parent.get("/NS")
    if element["/S"] in {"/Form", "/Annot"} and (namespace is None) != (above is None):
        yield f"{standard}, 7.1: an element has another namespace than its parent"


def _parent_tree(opened: pikepdf.Pdf) -> dict[int, Any]:
    tree = opened.Root["/StructTreeRoot"]["/ParentTree"]
    return {int(key): value for key, value in pikepdf.NumberTree(tree).items()}


def _is_outside(page: Any, annotation: Any) -> bool:
    left, bottom, right, top = map(float, page.cropbox)
    x1, y1, x2, y2 = map(float, annotation["/Rect"])
    return left >= x2 or bottom >= y2 or right <= x1 or top <= y1
