"""What the keys of a config are: their types in words, their defaults and what they mean, read from the models.

A meaning stands where the key is declared: in ``Field(description=...)``, in the text below the field, or in the
section ``Attributes`` of its class. References and templates are made of this, so they cannot differ from the check.
"""

from __future__ import annotations

import ast
import enum
import inspect
import itertools
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from framework.config.model import Choice, StrictModel

_WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    type(None): "null",
    Any: "any value",
}
_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of a config section.

    Attributes:
        name: as a config writes it.
        words: its type, as ``whole number >= 1``.
        required: whether it has no default.
        default: YAML-shaped value of a config without the key; None where it is required.
        meaning: sentences; empty where nothing is written.
        section: the model of a mapping below the key, or of each entry of a list or mapping.
        many: ``list`` or ``mapping`` where there may be several sections, else empty.
        choice: the registry that the key picks from.
    """

    name: str
    words: str
    required: bool
    default: Any
    meaning: str
    section: type[StrictModel] | None
    many: str
    choice: Choice | None

    @property
    def several_values(self) -> bool:
        """Whether a config has anything to decide: the name of an entry can only be what it is."""
        return self.required or self.words != f"`{self.default}`"


def keys_of(model: type[BaseModel]) -> tuple[Key, ...]:
    """Return the keys of a config section in the order of its class."""
    meanings = _meanings(model)
    return tuple(_key(name, info, meanings.get(name, "")) for name, info in model.model_fields.items())


def headline(thing: type[Any] | Any) -> str:
    """Return the first paragraph of a docstring in one line; nothing where there is none of its own."""
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    return " ".join(text.partition("\n\n")[0].split())


def sections_of(model: type[BaseModel]) -> Iterator[Choice]:
    """Yield every choice of a registry in a config, those of its sections too."""
    for key in keys_of(model):
        if key.choice is not None:
            yield key.choice
        elif key.section is not None:
            yield from sections_of(key.section)


def _key(name: str, info: FieldInfo, meaning: str) -> Key:
    annotation = _with_metadata(info)
    picked, section, many = _inside(annotation)
    required = info.is_required()
    default = None if required else info.get_default(call_default_factory=True)
    return Key(
        name=name,
        words=in_words(annotation),
        required=required,
        default=_plain(default),
        meaning=info.description or meaning or (headline(section) if section else ""),
        section=section,
        many=many,
        choice=picked,
    )


def _with_metadata(info: FieldInfo) -> Any:
    annotation: Any = info.annotation
    return typing.Annotated[annotation, *info.metadata] if info.metadata else annotation


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.value if isinstance(value, enum.Enum) else value


def in_words(annotation: Any) -> str:
    """Return what a config may write for a type: ``list of text``, ``fp32 or bf16``, ```number > 0, null``."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _annotated(arguments[0], arguments[1:])
    if origin is typing.Literal:
        return ", ".join(f"`{item}`" for item in arguments)
    if origin in (typing.Union, types.UnionType):
        return ", ".join(dict.fromkeys(in_words(item) for item in arguments))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return f"list of {_entry(arguments[0])}"
    if origin is tuple:
        return f"list of {len(arguments)}: {', '.join(in_words(item) for item in arguments)}"
    if origin in (dict, typing.Mapping):
        return f"mapping of {in_words(arguments[0])} to {_entry(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return ", ".join(f"`{item.value}`" for item in annotation)
    return _WORDS.get(annotation, str(getattr(annotation, "__name__", annotation)))


def _entry(annotation: Any) -> str:
    text = in_words(annotation)
    return f"({text})" if "," in text or text.startswith("list") else text


def _annotated(base: Any, metadata: tuple[Any, ...]) -> str:
    picked = next((item for item in metadata if isinstance(item, Choice)), None)
    if picked is not None:
        may_be_null = type(None) in typing.get_args(base)
        return f"one {picked.registry.kind}" + (", null" if may_be_null else "")
    text = in_words(base)
    metadata = tuple(item for each in metadata for item in (each.metadata if isinstance(each, FieldInfo) else (each,)))
    bounds = [
        f"{sign} {getattr(item, name):g}"
        for item in metadata
        for name, sign in _BOUNDS.items()
        if getattr(item, name, None) is not None
    ]
    if not bounds:
        return text
    said = " and ".join(bounds)
    return text.replace("number", f"number {said}", 1) if "number" in text else f"{text}, {said}"


def _inside(annotation: Any) -> tuple[Choice | None, type[StrictModel] | None, str]:
    """Return the choice, the section and the kind of container of a field."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        picked = next((item for item in arguments[1:] if isinstance(item, Choice)), None)
        return (picked, None, "") if picked is not None else _inside(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, StrictModel):
        return None, annotation, ""
    if origin is tuple and arguments:
        picked, section, _ = _inside(arguments[0])
        return picked, section, "list" if picked or section else ""
    if origin is dict:
        picked, section, _ = _inside(arguments[1])
        return picked, section, "mapping" if picked or section else ""
    if origin in (typing.Union, types.UnionType):
        found = [inside for item in arguments if any((inside := _inside(item))[:2])]
        return found[0] if found else (None, None, "")
    return None, None, ""


@cache
def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what is written of each field, in its class or in one it extends."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, BaseModel) and kind not in (BaseModel, StrictModel):
            found.update(_attributes(kind.__doc__ or ""))
            found.update(_below_fields(kind))
    return found


def _attributes(docstring: str) -> dict[str, str]:
    """Return name -> sentences of the section ``Attributes`` of a docstring."""
    _, there, rest = inspect.cleandoc(docstring).partition("\nAttributes:\n")
    section = re.split(r"\n(?=\S)", rest)[0]  # it ends where the indentation does
    entries = re.split(r"\n(?=\S)", textwrap.dedent(section).strip()) if there else []
    pairs = (entry.partition(":") for entry in entries)
    return {name.strip(): " ".join(text.split()) for names, _, text in pairs for name in names.split(",")}


def _below_fields(kind: type[BaseModel]) -> dict[str, str]:
    """Return name -> text below the field, which Python drops, so it is read from the source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):  # a class without a file
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    return {
        field.target.id: " ".join(below.value.value.split())
        for field, below in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
