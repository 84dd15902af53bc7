"""XML in the descriptions of images, read without entities, and by names without their namespace."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError  # types only: defusedxml parses

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

MOST_TEXT = 1 << 22
"""Bytes of a description that are read."""


def xml_root(text: str) -> Element | None:
    """Return the root of XML, or None where the text is none or cannot be read."""
    start = text.lstrip("\ufeff \r\n\t")
    if not start.startswith("<"):
        return None
    try:
        root: Element = fromstring(start.encode("utf-8"))
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return root


def tag_of(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """Yield the children of a name, whatever their namespace."""
    return (child for child in element if tag_of(child) == name)
