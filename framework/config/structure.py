"""Which section of a config stands where: the model of a field, of an entry of its list, of a registry's entry."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel

from framework.config.model import Choice
from framework.config.source import KeyPath


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the config sections that an annotation allows."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return models_in(typing.get_args(annotation)[0])
    if origin in {typing.Union, types.UnionType, tuple, list, dict}:
        return [found for part in typing.get_args(annotation) for found in models_in(part)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return []


def choice_in(annotation: Any, metadata: list[Any]) -> Choice | None:
    """Return the choice of a field, or of the entries of its list."""
    here = next((item for item in metadata if isinstance(item, Choice)), None)
    if here is not None or typing.get_origin(annotation) is not tuple:
        return here
    entry = typing.get_args(annotation)[0]
    return next((item for item in getattr(entry, "__metadata__", ()) if isinstance(item, Choice)), None)


def model_at(model: type[BaseModel], path: KeyPath, data: Any) -> type[BaseModel] | None:
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
            picked = choice_in(info.annotation, info.metadata)
            current = next(iter(models_in(info.annotation)), None)
        if picked is not None:
            name = picked.entry_name(here)
            current = picked.registry.get(name).config if name in picked.registry.names() and name else None
    return current


def data_path(loc: tuple[str | int, ...], data: Any) -> KeyPath:
    """Drop the parts pydantic adds for unions and validators, which are not keys. Keep a missing last key."""
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
