"""XML of instruments, opened here alone: as a stream of elements, as complete branches, as a tree, or from text.

A stream knows the line of each element, branches are several times as fast, and both hold little in memory; a tree is
for small files. Entities are refused by ``defusedxml``; names are given without their namespace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError  # types only: defusedxml parses

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, fromstring, iterparse, parse

from framework.errors import InputError
from framework.files.failures import check_regular

_BLOCK = 1 << 16
_MOST_TEXT = 1 << 20
_MOST_DEPTH = 64
MOST_TEXT = 1 << 22
"""Bytes of XML in the description of an image that are read."""


@dataclass(kw_only=True, slots=True)
class XmlElement:
    """One element without its children.

    Attributes:
        file: it stands in.
        line: where it begins, counted from 1.
        name: without namespace.
        parents: names of the elements around it, outermost first.
        attributes: by their names without namespace.
        text: before the first child, without blanks around it.
    """

    file: Path
    line: int
    name: str
    parents: tuple[str, ...]
    attributes: dict[str, str]
    text: str = ""

    def refused(self, what: str) -> InputError:
        """Return the error that says what is wrong with this element."""
        return InputError(f"{self.file}: line {self.line}: {self.name}: {what}; export the plate again")

    def whole(self, name: str, default: str | None = None) -> int:
        """Return an attribute as a whole number of at most 9 digits.

        Raises:
            InputError: it is missing, or no such number.
        """
        text = self.attributes.get(name, default)
        if text is None:
            raise self.refused(f"lacks '{name}'")
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise self.refused(f"'{name}': expected a whole number, found '{text[:60]}'")
        return int(text)


def elements(file: Path, *, root: str, what: str) -> Iterator[XmlElement]:
    """Yield the elements of a file in the order in which they end.

    Args:
        file: plain XML.
        root: name of its outermost element.
        what: it should be, with its article.

    Raises:
        InputError: no such regular file, damaged or unsafe XML (with its line), or another outermost element.
    """
    check_regular(file, InputError, what)
    target = _Target(file, root, what)
    parser = DefusedXMLParser(target=target)
    target.parser = parser.parser
    with _explained(file, what, parser), file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            parser.feed(block)
            yield from target.taken()
        parser.close()
        yield from target.taken()


def branches(file: Path, *, root: str, what: str, parents: Mapping[str, Sequence[str]]) -> Iterator[Element]:
    """Yield elements with all that is in them, each in the order in which they end; it is emptied after use.

    Args:
        file: plain XML.
        root: name of its outermost element.
        what: it should be, with its article.
        parents: element to yield -> names of the elements around it, outermost first, without the root.

    Raises:
        InputError: as ``elements``, without the line.
    """
    check_regular(file, InputError, what)
    around: list[Element] = []
    names: list[str] = []
    with _explained(file, what):
        for event, element in iterparse(file, events=("start", "end")):
            if event == "start":
                names.append(name_of(element))
                around.append(element)
                if len(names) == 1:
                    _check_root(file, names[0], root, what)
                continue
            around.pop()
            name = names.pop()
            if name in parents and names[1:] == parents[name]:
                yield element
                around[-1].clear()


def xml_tree(file: Path, *, root: str, what: str, most: int) -> Element:
    """Return the outermost element of a small file.

    Raises:
        InputError: as ``branches``; or it has more than ``most`` bytes.
    """
    size = check_regular(file, InputError, what)
    if size > most:
        raise InputError(f"{file}: {size / 1e6:.0f} MB; expected {what}, which has less than {most / 1e6:.0f}")
    with _explained(file, what):
        tree: Element | None = parse(file).getroot()
    if tree is None:
        raise InputError(f"{file}: holds no element; expected {what}")
    _check_root(file, name_of(tree), root, what)
    return tree


def xml_of_text(text: str | bytes) -> Element:
    """Return the root of XML that stands in another file.

    Raises:
        ValueError: it is none, or not safe.
    """
    try:
        root: Element = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise ValueError(str(error)) from None
    return root


def xml_root(text: str) -> Element | None:
    """Return the root of the XML in the description of an image; None where there is none that can be read."""
    start = text.lstrip("\ufeff \r\n\t")
    try:
        return xml_of_text(start.encode("utf-8")) if start.startswith("<") else None
    except ValueError:
        return None


def name_of(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return local(str(element.tag))


def children(element: Element, name: str) -> Iterator[Element]:
    """Yield the children of a name, whatever their namespace."""
    return (child for child in element if name_of(child) == name)


def local(name: str) -> str:
    """Return a name without its namespace."""
    return name.rpartition("}")[2]


@contextmanager
def _explained(file: Path, what: str, parser: Any = None) -> Iterator[None]:
    """Turn what a parser or the system raises into a sentence, with the line where the parser is given."""
    again = f"expected {what}; export it again"
    try:
        yield
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error}); expected {what}") from None
    except DefusedXmlException as error:
        where = "" if parser is None else f"line {parser.parser.CurrentLineNumber}: "
        raise InputError(f"{file}: {where}not safe XML ({error}); {again}") from None
    except (ParseError, ValueError, LookupError) as error:
        raise InputError(f"{file}: damaged, or not XML ({error}); {again}") from None


def _check_root(file: Path, name: str, root: str, what: str) -> None:
    if name != root:
        raise InputError(f"{file}: expected {what} with the element {root}, found {name}")


@dataclass
class _Target:
    """What the parser calls."""

    file: Path
    root: str
    what: str
    parser: Any = None
    _open: list[XmlElement] = field(default_factory=list)
    _done: list[XmlElement] = field(default_factory=list)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name, line = local(tag), int(self.parser.CurrentLineNumber)
        if not self._open:
            _check_root(self.file, name, self.root, self.what)
        if len(self._open) >= _MOST_DEPTH:
            raise InputError(
                f"{self.file}: line {line}: more than {_MOST_DEPTH} elements inside each other; expected {self.what}"
            )
        self._open.append(
            XmlElement(
                file=self.file,
                line=line,
                name=name,
                parents=tuple(element.name for element in self._open),
                attributes={local(key): value for key, value in attributes.items()},
            )
        )

    def data(self, text: str) -> None:
        element = self._open[-1]
        if len(element.text) + len(text) > _MOST_TEXT:
            raise element.refused(f"holds more than {_MOST_TEXT >> 20} MB of text")
        element.text += text

    def end(self, tag: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()
        self._done.append(element)

    def close(self) -> None:
        """Return nothing: the elements were taken before."""

    def taken(self) -> list[XmlElement]:
        """Return the elements that ended since the last call."""
        done, self._done = self._done, []
        return done
