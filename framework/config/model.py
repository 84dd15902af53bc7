"""The base of every config section: strict, frozen, and closed to unknown keys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny
from pydantic_core import PydanticCustomError

from framework.errors import RegistryError
from framework.registry import Registry

M = TypeVar("M", bound="StrictModel")


class StrictModel(BaseModel):
    """A config section: no unknown key, no silent conversion, no change after construction."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, ser_json_inf_nan="strings"
    )

    def __init__(self, **values: Any) -> None:
        """Take lists too where a field holds a tuple, as Python code writes them; files are read by ``from_plain``."""
        fields = type(self).model_fields
        super().__init__(
            **{
                name: _as_tuples(value) if name in fields and "tuple" in str(fields[name].annotation) else value
                for name, value in values.items()
            }
        )

    @classmethod
    def from_plain(cls: type[M], plain: Any) -> M:
        """Build from YAML-shaped data (dicts, lists, strings, numbers), where lists stand for tuples.

        Raises:
            pydantic.ValidationError: the data do not fit; ``framework.config.load`` turns it into sentences.
        """
        return cls.model_validate_json(json.dumps(plain))

    def plain(self) -> dict[str, Any]:
        """Return the section as YAML-shaped data; ``from_plain`` of it gives an equal object."""
        result: dict[str, Any] = self.model_dump(mode="json")
        return result


class NamedOptions(StrictModel):
    """Options of one registry entry; each declares ``name: Literal["its name"]``, what a config writes to choose it."""

    if TYPE_CHECKING:
        # No field here: it would move ``name`` to the front of every file that holds an entry's options.
        name: str


def _as_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_as_tuples(item) for item in value)
    return {key: _as_tuples(item) for key, item in value.items()} if isinstance(value, dict) else value


def _chosen(registry: Registry[Any], value: Any) -> Any:
    if isinstance(value, registry.options or StrictModel):
        return value
    if not isinstance(value, dict):
        raise PydanticCustomError("choice_type", "expected a mapping with the key 'name'")
    if "name" not in value:
        raise PydanticCustomError(
            "choice_name",
            "missing key 'name'; expected one of: {names}",
            {"names": ", ".join(registry.names())},
        )
    try:
        entry = registry.get(str(value["name"]))
    except RegistryError as error:
        raise PydanticCustomError("choice_unknown", "{text}", {"text": str(error)}) from None
    return entry.config.from_plain(value)


@dataclass(frozen=True)
class Choice:
    """Field metadata: which registry a field picks from; ``framework.config.explain`` reads it to list valid keys."""

    registry: Registry[Any]


def choice(registry: Registry[Any]) -> Any:
    """Return the annotation of a config field that picks a registry entry by its key ``name``.

    The field's value is the entry's own config model, so the entry's options are checked with the rest of the file::

        objective: choice(OBJECTIVES)      # in YAML: {name: triplet_mil, margin: 0.2}
    """

    def validate(value: Any) -> Any:
        return _chosen(registry, value)

    return Annotated[SerializeAsAny[StrictModel], BeforeValidator(validate), Choice(registry)]
