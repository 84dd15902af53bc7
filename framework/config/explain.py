"""Turns pydantic's verdicts into sentences: file:line, dotted path, what was expected, what was found, nearest name."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from framework.config.model import Choice
from framework.config.source import KeyPath, Source
from framework.errors import ConfigError, did_you_mean, without_secrets

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


def explain(error: ValidationError, source: Source, model: type[BaseModel]) -> ConfigError:
    """Return one ConfigError with a line for each mistake, in file order."""
    items = [dict(item) for item in error.errors(include_url=False)]
    rows = [_sentence(item, source, model) for item in items if not _is_echo(item, items)]
    unique = list(dict.fromkeys(rows))
    return ConfigError(without_secrets("\n".join(unique)))


def dotted(path: KeyPath) -> str:
    """Return ``a.b.0.c`` for a key path."""
    return ".".join(str(part) for part in path) or "(top level)"


def _is_echo(item: dict[str, Any], items: list[dict[str, Any]]) -> bool:
    """Whether a list seems too short only because one of its entries is wrong, which another error says."""
    loc = item["loc"]
    return item["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in items
    )


def _sentence(item: dict[str, Any], source: Source, model: type[BaseModel]) -> str:
    path = _data_path(item["loc"], source.data)
    kind, context = item["type"], item.get("ctx", {})
    found = f", found {shown(item['input'])}"
    if kind == "extra_forbidden":
        names = _fields_at(model, path[:-1], source.data)
        text = f"unknown key; expected one of: {', '.join(names)}" + did_you_mean(str(path[-1]), names)
    elif kind == "missing":
        text = f"missing key; {_hint(model, path, source.data)}"
    elif kind in _BOUNDS:
        key, form = _BOUNDS[kind]
        text = "expected " + form.format(context[key]) + found
    elif kind == "literal_error":
        options = [part.strip(" '") for part in context["expected"].replace(" or ", ", ").split(",")]
        text = f"expected one of: {', '.join(options)}{found}" + did_you_mean(str(item["input"]), options)
    elif kind in _EXPECTED:
        text = f"expected {_EXPECTED[kind]}{found}"
    elif kind in {"too_short", "too_long"}:
        word, bound = ("at least", "min_length") if kind == "too_short" else ("at most", "max_length")
        plural = "entry" if context[bound] == 1 else "entries"
        text = f"expected {word} {context[bound]} {plural}, found {context['actual_length']}"
    elif kind.startswith("choice_"):
        text = item["msg"] + (found if kind == "choice_type" else "")
    else:
        text = item["msg"].removeprefix("Value error, ")
    named = kind == "choice_unknown" and isinstance(item["input"], dict) and context["key"] in item["input"]
    return f"{source.where((*path, context['key']) if named else path)}: {dotted(path)}: {text}"


def _data_path(loc: tuple[str | int, ...], data: Any) -> KeyPath:
    """Drop the parts pydantic adds for unions and validators: they are no keys of the file. Keep a missing last key."""
    path: list[str | int] = []
    here = data
    for position, part in enumerate(loc):
        inside = (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        )
        if inside:
            path.append(part)
            here = here[part]
        elif position == len(loc) - 1 and isinstance(here, dict):
            path.append(part)
    return tuple(path)


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


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _models_in(typing.get_args(annotation)[0])
    if origin in {typing.Union, types.UnionType, tuple, list, dict}:
        return [found for part in typing.get_args(annotation) for found in _models_in(part)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return []


def _choice_in(annotation: Any, metadata: list[Any]) -> Choice | None:
    """Return the choice of a field, or of the entries of its list."""
    here = next((item for item in metadata if isinstance(item, Choice)), None)
    if here is not None or typing.get_origin(annotation) is not tuple:
        return here
    entry = typing.get_args(annotation)[0]
    return next((item for item in getattr(entry, "__metadata__", ()) if isinstance(item, Choice)), None)


def _model_at(model: type[BaseModel], path: KeyPath, data: Any) -> type[BaseModel] | None:
    """Return the config model that describes the mapping at ``path``, following registry choices by their key."""
    current: type[BaseModel] | None = model
    here, free_key = data, False
    picked: Choice | None = None
    for part in path:
        here = here[part]
        if isinstance(part, int) or free_key:
            free_key = False
        else:
            info = current.model_fields.get(part) if current else None
            if info is None:
                return None
            free_key = typing.get_origin(info.annotation) is dict
            picked = _choice_in(info.annotation, info.metadata)
            current = next(iter(_models_in(info.annotation)), None)
        if picked is not None:
            name = picked.entry_name(here)
            current = picked.registry.get(name).config if name in picked.registry.names() and name else None
    return current


def _fields_at(model: type[BaseModel], path: KeyPath, data: Any) -> list[str]:
    here = _model_at(model, path, data)
    return list(here.model_fields) if here else []


def _hint(model: type[BaseModel], path: KeyPath, data: Any) -> str:
    here = _model_at(model, path[:-1], data)
    info = here.model_fields.get(str(path[-1])) if here and path else None
    return f"expected {info.description}" if info and info.description else "it has no default"
