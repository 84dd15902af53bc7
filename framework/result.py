"""Results of calls: frozen dataclasses that a notebook and a terminal show alike, one line per attribute."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

_LIST_WIDTH = 200
_FIRST = 6
_SENTENCES = 5


class Result:
    """Base of what a call returns; a subclass is a frozen dataclass with ``repr=False``.

    A field with ``repr=False``, as a table in memory, is not shown.
    """

    def __repr__(self) -> str:
        short, long = short_facts(self), long_facts(self)
        width = max((len(name) for name, _ in short), default=0)
        lines = [type(self).__name__, *(f"  {name:<{width}}  {text}" for name, text in short)]
        for name, sentences in long:
            lines += [f"  {name} ({len(sentences)}):", *(f"    {each}" for each in first_of(sentences))]
        return "\n".join(lines)


def short_facts(result: object) -> list[tuple[str, str]]:
    """Return (name, value as text) of every attribute that has a value and fits a line."""
    return [
        (name.replace("_", " "), short(value))
        for name, value in _attributes(result).items()
        if value is not None and value != () and not _is_long(value)
    ]


def long_facts(result: object) -> list[tuple[str, list[str]]]:
    """Return (name, sentences) of every attribute that is a list too long for a line."""
    return [
        (name.replace("_", " "), [short(each) for each in value])
        for name, value in _attributes(result).items()
        if _is_long(value)
    ]


def first_of(sentences: Sequence[str]) -> list[str]:
    """Return the first few sentences, and how many more there are."""
    rest = len(sentences) - _SENTENCES
    return [*sentences[:_SENTENCES], *([f"... and {rest} more"] if rest > 0 else [])]


def short(value: Any) -> str:
    """Return a value as text: numbers to four digits, the first entries of a list."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        text = ", ".join(short(part) for part in value[:_FIRST])
        return text + (f", ... ({len(value)} in all)" if len(value) > _FIRST else "")
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {short(part)}" for key, part in value.items())
    return str(value)


def _attributes(result: object) -> dict[str, Any]:
    if not dataclasses.is_dataclass(result):
        raise TypeError(f"expected a dataclass, found {type(result).__name__}")
    return {field.name: getattr(result, field.name) for field in dataclasses.fields(result) if field.repr}


def _is_long(value: Any) -> bool:
    return isinstance(value, tuple) and sum(len(str(part)) for part in value) > _LIST_WIDTH
