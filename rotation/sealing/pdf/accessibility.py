"""Keeps a tagged document accessible: what a seal adds has its place in the structure (PDF/UA).

The structure is extended only in a way that no validator objects to: an invisible seal is no part
of what people read (ISO 14289-2, 8.9.2.4), and a document that bears a signature keeps its
structure and its pages' tab order, because strict validators take a change of them for tampering.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from typing import Final

from pyhanko.pdf_utils.generic import (
    ArrayObject,
    BooleanObject,
    DictionaryObject,
    IndirectObject,
    NumberObject,
    PdfObject,
    pdf_name,
    pdf_string,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from rotation.sealing.notices import NoticeCode, SealNotice
from rotation.sealing.pdf.objects import (
    array_at,
    dictionary_at,
    get_value,
    integer_at,
    is_dictionary,
    is_name,
    number_array,
    text_at,
)
from rotation.sealing.pdf.pages import Page

#: The namespace of PDF 2.0's structure types (ISO 32000-2, 14.8.6.1).
_PDF_2: Final = "http://iso.org/pdf2/ssn"


def is_tagged(root: DictionaryObject) -> bool:
    """Whether the document says that it is a tagged PDF (14.8.1), and has a structure tree.

    The tree is not read: it may have hundreds of thousands of elements.
    """
    marked = dictionary_at(root, "/MarkInfo")
    says_so = marked is not None and get_value(marked, "/Marked")
    has_tree = "/StructTreeRoot" in root
    return has_tree and isinstance(says_so, BooleanObject) and bool(says_so.value)


def keep_accessible(
    update: IncrementalPdfFileWriter,
    annotation: IndirectObject,
    page: Page,
    description: str,
    *,
    visible: bool,
    signed: bool,
) -> list[SealNotice]:
    """Give a new annotation of a tagged document its place in the structure.

    Args:
        update: the update that the annotation is in.
        annotation: the reference to it: a signature field's widget, or a stamp.
        page: the page that it is on.
        description: what it is, in words, for people who do not see it.
        visible: whether it is seen.
        signed: whether the document bore a signature before.

    Returns:
        A notice if the document is less accessible than it was.
    """
    if not is_tagged(update.root):
        return []
    found = annotation.get_object()
    # ISO 14289-2, 8.10.3.5: without a label, Contents describes a widget; 14289-1, 7.18.1: TU.
    found[pdf_name("/Contents")] = pdf_string(description)
    if is_name(get_value(found, "/Subtype"), "/Widget"):
        found[pdf_name("/TU")] = pdf_string(description)
    update.mark_update(annotation)
    kept = _set_tab_order(update, page, signed=signed)
    if visible:
        kept = not signed and _add_to_structure(update, annotation, page, description) and kept
    else:
        # At the corner the page's edge leaves it out, so it needs no place in the structure
        # (ISO 14289-1, 7.18.1).
        found[pdf_name("/Rect")] = number_array(*page.corner, *page.corner)
    if kept:
        return []
    reason = (
        "the document bears a signature already, and validators take a change of its structure "
        "for tampering."
        if signed
        else "its structure tree is incomplete."
    )
    return [
        SealNotice(
            NoticeCode.NOT_TAGGED,
            f"The document is tagged for accessibility (PDF/UA), and the seal is not: {reason}",
        )
    ]


def _set_tab_order(update: IncrementalPdfFileWriter, page: Page, *, signed: bool) -> bool:
    """Have the page's annotations follow the structure (ISO 14289-1, 7.18.3); whether they do."""
    if get_value(page.dictionary, "/Tabs") is None:
        if signed:
            return False
        page.dictionary[pdf_name("/Tabs")] = pdf_name("/S")
        update.update_container(page.dictionary)
    return True


def _add_to_structure(
    update: IncrementalPdfFileWriter, annotation: IndirectObject, page: Page, description: str
) -> bool:
    """Append a structure element for the annotation (14.7.5.3 and 14.8.4.8.2); whether it could."""
    tree = dictionary_at(update.root, "/StructTreeRoot")
    parents = dictionary_at(tree, "/ParentTree") if tree else None
    if tree is None or parents is None:
        return False
    key = max(integer_at(tree, "/ParentTreeNextKey") or 0, _last_key(parents) + 1)
    parent, reference = _parent_for(update, tree)
    found = annotation.get_object()
    kind = "/Form" if is_name(get_value(found, "/Subtype"), "/Widget") else "/Annot"
    child = DictionaryObject({pdf_name("/Type"): pdf_name("/OBJR"), pdf_name("/Obj"): annotation})
    element = DictionaryObject(
        {
            pdf_name("/Type"): pdf_name("/StructElem"),
            pdf_name("/S"): pdf_name(kind),
            pdf_name("/P"): reference,
            pdf_name("/K"): child,
            pdf_name("/Alt"): pdf_string(description),
        }
    )
    if page.reference is not None:
        element[pdf_name("/Pg")] = page.reference
    namespace = dictionary_at(parent, "/NS")
    if namespace is not None and text_at(namespace, "/NS") == _PDF_2:
        element[pdf_name("/NS")] = parent.raw_get("/NS")
    added = update.add_object(element)
    found[pdf_name("/StructParent")] = NumberObject(key)
    _append_kid(parent, added)
    update.update_container(parent)
    _append_number(update, parents, key, added)
    tree[pdf_name("/ParentTreeNextKey")] = NumberObject(key + 1)
    update.update_container(tree)
    return True


def _parent_for(
    update: IncrementalPdfFileWriter, tree: DictionaryObject
) -> tuple[DictionaryObject, PdfObject]:
    """The only element at the top, such as the Document, and else the root of the tree."""
    top = get_value(tree, "/K")
    kid = tree.raw_get("/K") if top is not None else None
    if isinstance(top, ArrayObject):
        kid = next(iter(top.iterate())) if len(top) == 1 else None
    if isinstance(kid, IndirectObject) and is_dictionary(element := kid.get_object()):
        return element, kid
    reference = update.root.raw_get("/StructTreeRoot")
    return tree, reference


def _append_kid(parent: DictionaryObject, kid: IndirectObject) -> None:
    kids = get_value(parent, "/K")
    before = [] if kids is None else [parent.raw_get("/K")]
    if isinstance(kids, ArrayObject):
        before = list(kids.iterate())
    parent[pdf_name("/K")] = ArrayObject([*before, kid])


def _last_key(node: DictionaryObject) -> int:
    """The greatest key of a number tree (7.9.7), whose keys are sorted; -1 if it has none."""
    for _ in range(100):
        kids = array_at(node, "/Kids")
        if not kids:
            break
        last = kids[-1]
        limits = array_at(last, "/Limits") if is_dictionary(last) else ArrayObject()
        if len(limits) == 2 and isinstance(limits[1], int):
            return int(limits[1])
        if not is_dictionary(last):
            return -1
        node = last
    keys = [key for key in list(array_at(node, "/Nums"))[::2] if isinstance(key, int)]
    return max(map(int, keys), default=-1)


def _append_number(
    update: IncrementalPdfFileWriter, node: DictionaryObject, key: int, value: IndirectObject
) -> None:
    """Append to a number tree a key that is greater than all of its own."""
    entry = [NumberObject(key), value]
    if array_at(node, "/Kids"):
        leaf = DictionaryObject(
            {
                pdf_name("/Limits"): ArrayObject([NumberObject(key), NumberObject(key)]),
                pdf_name("/Nums"): ArrayObject(entry),
            }
        )
        node[pdf_name("/Kids")] = ArrayObject(
            [*array_at(node, "/Kids").iterate(), update.add_object(leaf)]
        )
    else:
        node[pdf_name("/Nums")] = ArrayObject([*array_at(node, "/Nums").iterate(), *entry])
    update.update_container(node)
