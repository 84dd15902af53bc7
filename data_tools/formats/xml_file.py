"""XML files of instruments, read as a stream of elements with their lines: memory holds few of them.

Entities and document types are refused by ``defusedxml``; names are given without their namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from framework.errors import InputError
from framework.files.failures import check_regular

_BLOCK = 1 << 16
_MOST_TEXT = 1 << 20
_MOST_DEPTH = 64


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
    try:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                parser.feed(block)
                yield from target.taken()
            parser.close()
            yield from target.taken()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error}); expected {what}") from None
    except DefusedXmlException as error:
        line = parser.parser.CurrentLineNumber
        raise InputError(
            f"{file}: line {line}: no safe XML ({error}); expected {what}; export the plate again"
        ) from None
    except (ParseError, ValueError, LookupError) as error:
        raise InputError(f"{file}: damaged or no XML ({error}); expected {what}; export the plate again") from None


def local(name: str) -> str:
    """Return a name without its namespace."""
    return name.rpartition("}")[2]


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
        if not self._open and name != self.root:
            raise InputError(f"{self.file}: expected {self.what} with the element {self.root}, found {name}")
        if len(self._open) >= _MOST_DEPTH:
            raise InputError(f"{self.file}: line {line}: nested more than {_MOST_DEPTH} deep; expected {self.what}")
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
