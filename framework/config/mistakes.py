"""All mistakes of a config at once: what pydantic finds, and what the checks of sections say of the rest.

pydantic asks the checks of a section only where each of its keys is right, and stops at the first that refuses. So a
section with a mistake is built again from the keys that are right, and each of its checks is asked alone; one that
looks at a key which is wrong or missing decides nothing.
"""

from __future__ import annotations

import json
import typing
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from framework.config.model import Choice
from framework.config.source import KeyPath
from framework.config.structure import choice_in, data_path, models_in

Mistake = dict[str, Any]
"""As an entry of ``pydantic.ValidationError.errors``; ``loc`` may hold parts that are not keys of the file."""

_UNKNOWN = object()
"""What stands for a value with a mistake."""


def all_mistakes(error: ValidationError, model: type[BaseModel], plain: Any) -> list[Mistake]:
    """Return what is wrong with a config, first what pydantic says of it.

    Args:
        error: pydantic's.
        model: model of the config.
        plain: the YAML-shaped data.
    """
    found: list[Mistake] = [dict(item) for item in error.errors(include_url=False)]
    if isinstance(plain, dict):
        wrong = [data_path(item["loc"], plain) for item in found]
        _Checks(wrong, found).section(model, plain, ())
    return found


class _Checks:
    """Asks the checks of each section that has a mistake.

    Args:
        wrong: key paths with a mistake.
        found: gets what the checks say.
    """

    def __init__(self, wrong: list[KeyPath], found: list[Mistake]) -> None:
        self._wrong = wrong
        self._found = found

    def section(self, model: type[BaseModel], plain: dict[str, Any], path: KeyPath) -> BaseModel:
        """Ask the checks of the section at ``path``, and of those in it; return it without the keys that are wrong."""
        values = {}
        for name, info in model.model_fields.items():
            value = self._value(info, plain[name], (*path, name)) if name in plain else _default(info)
            if value is not _UNKNOWN:
                values[name] = value
        known = _partly(model, values, set(plain) & set(values))
        for check in model.__pydantic_decorators__.model_validators.values():
            if check.info.mode == "after":
                self._ask(known, check.cls_var_name, plain, path)
        return known

    def _ask(self, section: BaseModel, check: str, plain: dict[str, Any], path: KeyPath) -> None:
        try:
            getattr(section, check)()
        except AttributeError:
            return  # it looks at a key that is wrong
        except PydanticCustomError as error:
            facts = {"type": error.type, "msg": error.message(), "ctx": dict(error.context or {})}
            self._found.append({"loc": path, "input": plain, **facts})
        except ValueError as error:
            self._found.append({"loc": path, "input": plain, "type": "value_error", "msg": str(error)})

    def _value(self, info: FieldInfo, plain: Any, path: KeyPath) -> Any:
        if not any(wrong[: len(path)] == path for wrong in self._wrong):
            return _valid(info, plain)
        picked, models = choice_in(info.annotation, info.metadata), models_in(info.annotation)
        value = self._one(picked, models, plain, path)
        # What a list or a free mapping holds is checked; the whole of it stays unknown.
        return _UNKNOWN if typing.get_origin(info.annotation) in (tuple, list, dict) else value

    def _one(self, picked: Choice | None, models: list[type[BaseModel]], plain: Any, path: KeyPath) -> Any:
        if isinstance(plain, list):
            for number, item in enumerate(plain):
                self._one(picked, models, item, (*path, number))
            return _UNKNOWN
        model = _entry(picked, plain) if picked else models[0] if len(models) == 1 else None
        return self.section(model, plain, path) if model and isinstance(plain, dict) else _UNKNOWN


def _entry(picked: Choice, plain: Any) -> type[BaseModel] | None:
    name = picked.entry_name(plain)
    return picked.registry.get(name).config if name in picked.registry.names() and name else None


def _default(info: FieldInfo) -> Any:
    return _UNKNOWN if info.is_required() else info.get_default(call_default_factory=True)


def _valid(info: FieldInfo, plain: Any) -> Any:
    """Return the value of a key without a mistake."""
    kind: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind, config=ConfigDict(strict=True))
    except PydanticUserError:  # a section, which has its own
        adapter = TypeAdapter(kind)
    try:
        return adapter.validate_json(json.dumps(plain))
    except ValidationError:
        return _UNKNOWN


def _partly(model: type[BaseModel], values: dict[str, Any], given: set[str]) -> BaseModel:
    """Return a section that lacks each key without a value: asking for one raises AttributeError."""
    section = model.model_construct(given)
    section.__dict__.clear()
    section.__dict__.update(values)
    return section
