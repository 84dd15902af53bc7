"""Turns pydantic's verdicts into sentences: file:line, dotted path, what was expected, what was found, nearest name."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from framework.config.mistakes import Mistake, all_mistakes
from framework.config.model import CONTRADICTION
from framework.config.source import KeyPath, Source
from framework.config.structure import data_path, model_at
from framework.errors import did_you_mean, without_secrets

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "a number > {}"),
    "greater_than_equal": ("ge", "a number >= {}"),
    "less_than": ("lt", "a number < {}"),
    "less_than_equal": ("le", "a number <= {}"),
}


def explain(error: ValidationError, source: Source, model: type[BaseModel], *, names_are_known: bool = True) -> str:
    """Return a line for each mistake: those of the command line first, then in the order of the file.

    Args:
        error: pydantic's.
        source: the config.
        model: what it should describe.
        names_are_known: whether all names of registry entries are; where not, unknown ones are passed over.
    """
    items = all_mistakes(error, model, source.data)
    if not names_are_known:
        items = [item for item in items if item["type"] != "choice_unknown"]
    rows = [row for item in items if not _is_echo(item, items) for row in _rows(item, source, model)]
    unique = dict.fromkeys(text for _, text in sorted(rows, key=lambda row: row[0]))
    return without_secrets("\n".join(unique))


def dotted(path: KeyPath) -> str:
    """Return ``a.b.0.c`` for a key path."""
    return ".".join(str(part) for part in path) or "(top level)"


def _is_echo(item: Mistake, items: list[Mistake]) -> bool:
    """Whether a list seems too short only because one of its entries is wrong, which another error says."""
    loc = item["loc"]
    return item["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in items
    )


def _rows(item: Mistake, source: Source, model: type[BaseModel]) -> list[tuple[int, str]]:
    """Return the line of a mistake and what is said of it; a check may say several things, each on a line."""
    path = data_path(item["loc"], source.data)
    kind, context = item["type"], item.get("ctx", {})
    found = f", found {shown(item['input'])}"
    if kind == "extra_forbidden":
        names = _fields_at(model, path[:-1], source.data)
        text = f"unknown key; expected one of: {', '.join(names)}" + did_you_mean(str(path[-1]), names)
    elif kind == "missing" and isinstance(item["loc"][-1], int):
        text = f"entry {item['loc'][-1] + 1} is missing, found a list of {len(item['input'])}"
    elif kind == "missing" and (not path or path[-1] != item["loc"][-1]):
        text = _name_alone(str(item["loc"][-1]), item["input"], model_at(model, path, source.data))
    elif kind == "missing":
        text = f"missing key; {_hint(model_at(model, path[:-1], source.data), str(path[-1]))}"
    elif kind in _BOUNDS:
        key, form = _BOUNDS[kind]
        text = "expected " + form.format(context[key]) + found
    elif kind == "literal_error":
        options = [part.strip(" '") for part in context["expected"].replace(" or ", ", ").split(",")]
        text = f"expected one of: {', '.join(options)}{found}" + did_you_mean(str(item["input"]), options)
    elif kind in _EXPECTED:
        text = f"expected {_EXPECTED[kind]}{found}" + _as_list(kind, item["input"])
    elif kind in {"too_short", "too_long"}:
        word, bound = ("at least", "min_length") if kind == "too_short" else ("at most", "max_length")
        plural = "entry" if context[bound] == 1 else "entries"
        text = f"expected {word} {context[bound]} {plural}, found {context['actual_length']}"
    elif kind.startswith("choice_"):
        text = item["msg"] + (found if kind == "choice_type" else "")
    elif kind == CONTRADICTION:
        path, text = (*path, *context["at"]), context["text"]
    else:
        text = item["msg"].removeprefix("Value error, ")
    named = kind == "choice_unknown" and isinstance(item["input"], dict) and context["key"] in item["input"]
    place = (*path, context["key"]) if named else path
    said = text.split("\n") if kind == "value_error" else [text]
    return [(source.line(place), f"{source.where(place)}: {dotted(path)}: {each}") for each in said]


def _as_list(kind: str, value: Any) -> str:
    """Say how one value becomes a list."""
    is_value = isinstance(value, str | int | float) and not isinstance(value, bool)
    return f"; write [{shown(value)}]" if _EXPECTED[kind] == "a list" and is_value else ""


def shown(value: Any) -> str:
    """Return how a message names a value: quoted text, a number, or the kind of a container."""
    if isinstance(value, dict | BaseModel):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _fields_at(model: type[BaseModel], path: KeyPath, data: Any) -> list[str]:
    here = model_at(model, path, data)
    return list(here.model_fields) if here else []


def _name_alone(key: str, found: Any, here: type[BaseModel] | None) -> str:
    """Say what an entry of a registry lacks that was given by its name alone, where it has a key without a default."""
    name = found.get("name") if isinstance(found, dict) else None
    example = f"; write {{name: {name}, {key}: ...}}" if name else ""
    return f"missing key '{key}'; {_hint(here, key)}{example}"


def _hint(here: type[BaseModel] | None, key: str) -> str:
    info = here.model_fields.get(key) if here else None
    return f"expected {info.description}" if info and info.description else "it has no default"
