"""Results of calls: frozen dataclasses that a notebook and a terminal show alike, one line per attribute."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

_LIST_WIDTH = 200
_FIRST = 6
_SENTENCES = 5
LINES: Mapping[str, bool] = {"lines": True}
"""``metadata`` of a field whose entries stand in a line each, as commands do that are to be copied."""
_OF_SENTENCES = frozenset({"notes", "missing", "problems"})


class Result:
    """Base of what a call returns; a subclass is a frozen dataclass with ``repr=False``.

    A field with ``repr=False``, as a table in memory, is not shown.
    """

    def __repr__(self) -> str:
        short, long = short_facts(self), long_facts(self)
        width = max((len(name) for name, _ in short), default=0)
        lines = [type(self).__name__, *(f"  {name:<{width}}  {text}" for name, text in short)]
        for name, sentences in long:
            lines += [f"  {name}:", *(f"    {each}" for each in first_of(sentences))]
        return "\n".join(lines)


def short_facts(result: object) -> list[tuple[str, str]]:
    """Return (name, value as text) of every attribute that has a value and fits a line."""
    return [
        (name.replace("_", " "), short(value))
        for name, (value, lines) in _attributes(result).items()
        if value is not None and not _is_empty(value) and not lines
    ]


def long_facts(result: object) -> list[tuple[str, list[str]]]:
    """Return (title, lines) of every attribute that is a list too long for a line, or whose entries have one each."""
    return [
        (name.replace("_", " ") + (f" ({len(value)})" if _is_long(value) else ""), [short(each) for each in value])
        for name, (value, lines) in _attributes(result).items()
        if lines
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


def _attributes(result: object) -> dict[str, tuple[Any, bool]]:
    """Return each attribute with whether its entries stand in lines of their own."""
    if not dataclasses.is_dataclass(result):
        raise TypeError(f"expected a dataclass, found {type(result).__name__}")
    shown = [field for field in dataclasses.fields(result) if field.repr]
    values = {field.name: getattr(result, field.name) for field in shown}
    lines = {field.name for field in shown if "lines" in field.metadata or field.name in _OF_SENTENCES}
    listed = {name: isinstance(value, tuple) and bool(value) for name, value in values.items() if name in lines}
    return {name: (value, listed.get(name, _is_long(value))) for name, value in values.items()}


def _is_empty(value: Any) -> bool:
    return isinstance(value, tuple | Mapping) and not value


def _is_long(value: Any) -> bool:
    return isinstance(value, tuple) and sum(len(str(part)) for part in value) > _LIST_WIDTH
